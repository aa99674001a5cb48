package engine

import (
	"bytes"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// The keys of a data directory; each is 32 random bytes, kept as hexadecimal text in keys/<name>.key.
const (
	engineKey = "engine"
	blobKey   = "blob"
	keyBytes  = 32
)

func keyPath(dir, name string) string { return filepath.Join(dir, "keys", name+".key") }

// makeKeys makes the keys of a directory without data, durable when it returns.
func makeKeys(dir string) (map[string][]byte, error) {
	if err := makeDir(filepath.Join(dir, "keys")); err != nil {
		return nil, err
	}
	keys := map[string][]byte{}
	for _, name := range []string{engineKey, blobKey} {
		key, err := readKey(dir, name)
		if errors.Is(err, fs.ErrNotExist) {
			key = make([]byte, keyBytes)
			_, _ = rand.Read(key) // crypto/rand.Read never returns an error
			if werr := writeDurably(keyPath(dir, name), []byte(hex.EncodeToString(key)+"\n")); werr != nil {
				return nil, explain(werr, dir)
			}
		} else if err != nil {
			return nil, err
		}
		keys[name] = key
	}
	return keys, nil
}

// loadKeys reads the keys that existing data was written with.
func loadKeys(dir string, checks map[string]string) (map[string][]byte, error) {
	keys := map[string][]byte{}
	for _, name := range []string{engineKey, blobKey} {
		key, err := readKey(dir, name)
		if errors.Is(err, fs.ErrNotExist) {
			return nil, refuse("the key %s is missing; the data in %s cannot be read without it, so restore it from a backup",
				keyPath(dir, name), dir)
		}
		if err != nil {
			return nil, err
		}
		if !hmac.Equal([]byte(keyCheck(key)), []byte(checks[name])) {
			return nil, refuse("the key %s is not the one that the data in %s was written with; restore the right one",
				keyPath(dir, name), dir)
		}
		keys[name] = key
	}
	return keys, nil
}

// readKey reads one key, after checking that nobody else can. A key that is not there is fs.ErrNotExist.
func readKey(dir, name string) ([]byte, error) {
	path := keyPath(dir, name)
	for _, p := range []string{filepath.Dir(path), path} {
		st, err := os.Stat(p)
		if errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("stat key: %w", err)
		}
		if err != nil {
			return nil, explain(err, dir)
		}
		if mode := st.Mode().Perm(); mode&0o077 != 0 {
			return nil, refuse("%s has mode %04o, so other users could reach the key; run chmod go-rwx on it", p, mode)
		}
	}
	text, err := readLimited(path, 4*keyBytes)
	if err != nil {
		return nil, explain(err, dir)
	}
	key, err := hex.DecodeString(string(bytes.TrimSpace(text)))
	if err != nil || len(key) != keyBytes {
		return nil, refuse("the key %s is damaged: it must be %d hexadecimal digits; restore it from a backup", path, 2*keyBytes)
	}
	return key, nil
}

// keyCheck lets a wrong key be told from the right one without telling anything about either.
func keyCheck(key []byte) string {
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte("artesian key check 1"))
	return hex.EncodeToString(mac.Sum(nil)[:16])
}
