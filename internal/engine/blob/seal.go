package blob

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
)

// A blob file is a header and then the content in segments, each sealed with AES-256-GCM:
//
//	magic "ARTB" | version 1 | salt 32 | size of content 8 | SHA-256 of content 32 | HMAC-SHA256 of all before 32
//	segment: up to 64 KiB of content | tag 16
//
// Both keys are derived from the store's key and the file's random salt, so no key meets a nonce twice. A segment's nonce
// is its number and whether it is the last, as in the STREAM construction (Hoang, Reyhanitabar, Rogaway, Vizár: Online
// authenticated-encryption and its nonce-reuse misuse-resistance, 2015): a segment that is missing, moved or cut does not
// open. The header binds the file to its name.
const (
	magic       = "ARTB"
	version     = 1
	saltBytes   = 32
	segment     = 64 << 10
	overhead    = 16
	sealedBytes = segment + overhead
	signedBytes = len(magic) + 1 + saltBytes + 8 + sha256.Size
	headerBytes = signedBytes + sha256.Size
)

var errDamaged = errors.New("the file is damaged")

// header is what precedes the segments.
type header struct {
	salt [saltBytes]byte
	size int64
	sum  [sha256.Size]byte
}

// fileKeys are the two keys of one file.
type fileKeys struct {
	aead cipher.AEAD
	mac  []byte
}

func deriveKeys(master []byte, salt [saltBytes]byte) (fileKeys, error) {
	seal, err := hkdf.Key(sha256.New, master, salt[:], "artesian blob segments", 32)
	if err != nil {
		return fileKeys{}, fmt.Errorf("derive segment key: %w", err)
	}
	mac, err := hkdf.Key(sha256.New, master, salt[:], "artesian blob header", 32)
	if err != nil {
		return fileKeys{}, fmt.Errorf("derive header key: %w", err)
	}
	block, err := aes.NewCipher(seal)
	if err != nil {
		return fileKeys{}, fmt.Errorf("make cipher: %w", err)
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		return fileKeys{}, fmt.Errorf("make cipher mode: %w", err)
	}
	return fileKeys{aead, mac}, nil
}

func (h header) encode(k fileKeys) []byte {
	b := make([]byte, 0, headerBytes)
	b = append(b, magic...)
	b = append(b, version)
	b = append(b, h.salt[:]...)
	b = binary.BigEndian.AppendUint64(b, uint64(h.size))
	b = append(b, h.sum[:]...)
	return append(b, sign(k.mac, b)...)
}

func sign(key, b []byte) []byte {
	m := hmac.New(sha256.New, key)
	m.Write(b)
	return m.Sum(nil)
}

// parseHeader checks b, the first headerBytes of a file, and returns it with the file's keys.
func parseHeader(master, b []byte) (header, fileKeys, error) {
	if len(b) < len(magic)+1 || string(b[:len(magic)]) != magic {
		return header{}, fileKeys{}, fmt.Errorf("%w: it does not begin as a blob does", errDamaged)
	}
	if v := b[len(magic)]; v != version {
		return header{}, fileKeys{}, fmt.Errorf("the file has format %d; this version reads only format %d", v, version)
	}
	if len(b) != headerBytes {
		return header{}, fileKeys{}, fmt.Errorf("%w: it ends within its header", errDamaged)
	}
	var h header
	rest := b[len(magic)+1:]
	rest = rest[copy(h.salt[:], rest):]
	h.size = int64(binary.BigEndian.Uint64(rest))
	copy(h.sum[:], rest[8:])
	k, err := deriveKeys(master, h.salt)
	if err != nil {
		return header{}, fileKeys{}, err
	}
	if !hmac.Equal(sign(k.mac, b[:signedBytes]), b[signedBytes:]) || h.size < 0 {
		return header{}, fileKeys{}, fmt.Errorf("%w: its header is not authentic", errDamaged)
	}
	return h, k, nil
}

// segments is how many there are for a content of size bytes. An empty content has one, empty.
func segments(size int64) int64 { return max(1, (size+segment-1)/segment) }

// fileSize is how long the file of a content of size bytes is.
func fileSize(size int64) int64 { return int64(headerBytes) + size + segments(size)*overhead }

func nonce(number int64, last bool) []byte {
	var n [12]byte
	binary.BigEndian.PutUint64(n[:8], uint64(number))
	if last {
		n[11] = 1
	}
	return n[:]
}
