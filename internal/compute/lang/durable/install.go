package durable

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"artesian/internal/engine"
)

// Install writes the files in root of fsys below dir, in a folder named by prefix and their content, and returns that folder,
// which functions may read. What is there is read and compared: a file that a power loss or a full disk cut short is written
// anew. All is on the disk when it returns.
func Install(dir, prefix string, fsys fs.FS, root string) (string, error) {
	sources, hash, err := Sources(fsys, root)
	if err != nil {
		return "", err
	}
	folder := filepath.Join(dir, prefix+hash)
	for _, d := range []string{dir, folder} {
		if err := MakeFolder(d); err != nil {
			return "", err
		}
	}
	for name, text := range sources {
		if err := Restore(filepath.Join(folder, name), text); err != nil {
			return "", fmt.Errorf("install %s: %w", folder, err)
		}
	}
	return folder, nil
}

// MakeFolder makes a folder that functions may read, whatever the umask, unless it is there.
func MakeFolder(dir string) error {
	if _, err := os.Stat(dir); err == nil {
		return nil
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("create folder: %w", err)
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		return fmt.Errorf("create folder: %w", err)
	}
	return engine.SyncDir(filepath.Dir(dir))
}

// Restore writes a file unless it has that content.
func Restore(path string, text []byte) error {
	if there, err := os.ReadFile(path); err == nil && bytes.Equal(there, text) {
		return nil
	}
	return Replace(path, text, 0o644)
}

// Sources returns the files in root of fsys by name, and a hash over all of them.
func Sources(fsys fs.FS, root string) (map[string][]byte, string, error) {
	entries, err := fs.ReadDir(fsys, root)
	if err != nil {
		return nil, "", fmt.Errorf("read embedded files: %w", err)
	}
	all := make(map[string][]byte, len(entries))
	hash := sha256.New()
	for _, e := range entries { // in the order of their names
		text, err := fs.ReadFile(fsys, root+"/"+e.Name())
		if err != nil {
			return nil, "", fmt.Errorf("read embedded files: %w", err)
		}
		all[e.Name()] = text
		fmt.Fprintf(hash, "%s %d\n%s", e.Name(), len(text), text)
	}
	return all, hex.EncodeToString(hash.Sum(nil)[:8]), nil
}
