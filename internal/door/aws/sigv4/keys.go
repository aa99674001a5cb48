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
	sum := mac([]byte("AWS4"+secret), a.date)
	sum = mac(sum[:], a.region)
	sum = mac(sum[:], a.service)
	return mac(sum[:], "aws4_request"), false
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
	return mac(key[:], string(b))
}

func mac(key []byte, message string) (sum [sha256.Size]byte) {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(message))
	h.Sum(sum[:0])
	return sum
}
