package engine

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"io/fs"
)

// Secret returns 32 random bytes that belong to this data directory and to one purpose, beside the keys of the data
// itself. They are made, durably, the first time, kept with the other keys, and made anew when their file is gone:
// nothing stored may depend on them. One caller at a time.
func (e *Engine) Secret(name string) ([]byte, error) {
	if name == engineKey || name == blobKey {
		return nil, refuse("the key %s is the data's own", name)
	}
	key, err := readKey(e.dir, name)
	if !errors.Is(err, fs.ErrNotExist) {
		return key, err
	}
	key = make([]byte, keyBytes)
	_, _ = rand.Read(key) // crypto/rand.Read never returns an error
	if err := writeDurably(keyPath(e.dir, name), []byte(hex.EncodeToString(key)+"\n")); err != nil {
		return nil, explain(err, e.dir)
	}
	return key, nil
}
