package sigv4

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"strings"
	"sync"
)

// maxKeys bounds the cache; a signing key lives for a day, and few clients use more than a handful of services.
const maxKeys = 4096

// keyCache keeps derived signing keys. Only keys that verified a request get in, so strangers cannot fill it.
type keyCache struct {
	mu   sync.RWMutex
	keys map[keyName]cachedKey
}

type keyName struct{ id, scope string }

type cachedKey struct {
	secret string
	key    [sha256.Size]byte
}

// derive returns the signing key of a secret for the scope, and whether it was in the cache. An entry of a secret that
// has been replaced is not used.
func (c *keyCache) derive(a *auth, secret string) (key [sha256.Size]byte, cached bool) {
	c.mu.RLock()
	k, ok := c.keys[keyName{a.keyID, a.scope}]
	c.mu.RUnlock()
	if ok && k.secret == secret {
		return k.key, true
	}
	sum := mac([]byte("AWS4"+secret), []byte(a.date))
	sum = mac(sum[:], []byte(a.region))
	sum = mac(sum[:], []byte(a.service))
	return mac(sum[:], []byte("aws4_request")), false
}

// store keeps a key; a full cache starts anew, which costs each client one derivation.
func (c *keyCache) store(a *auth, secret string, key [sha256.Size]byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.keys == nil || len(c.keys) >= maxKeys {
		c.keys = map[keyName]cachedKey{}
	}
	c.keys[keyName{strings.Clone(a.keyID), strings.Clone(a.scope)}] = cachedKey{secret, key} // not the whole header
}

// sign computes the signature of a canonical request by its hash.
func (a *auth) sign(key, request [sha256.Size]byte) [sha256.Size]byte {
	var room [256]byte
	b := append(room[:0], algorithm...)
	b = append(b, '\n')
	b = append(b, a.timestamp...)
	b = append(b, '\n')
	b = append(b, a.scope...)
	b = append(b, '\n')
	b = hex.AppendEncode(b, request[:])
	return mac(key[:], b)
}

// mac is HMAC-SHA256 (RFC 2104). What a signature is made of fits on the stack, where the library's form takes memory.
func mac(key, message []byte) [sha256.Size]byte {
	var room [sha256.BlockSize + 256]byte
	if len(key) > sha256.BlockSize || len(message) > len(room)-sha256.BlockSize {
		h := hmac.New(sha256.New, key)
		h.Write(message)
		return [sha256.Size]byte(h.Sum(nil))
	}
	pad := func(with byte) []byte {
		for i := range sha256.BlockSize {
			room[i] = with
		}
		for i := range key {
			room[i] ^= key[i]
		}
		return room[:sha256.BlockSize]
	}
	inner := sha256.Sum256(append(pad(0x36), message...))
	return sha256.Sum256(append(pad(0x5c), inner[:]...))
}
