package engine

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
)

// TestSecret: the same after a restart, another for another purpose and once its file is gone, and nobody else's to read.
func TestSecret(t *testing.T) {
	dir := t.TempDir()
	secret := func(name string) []byte {
		t.Helper()
		e, err := Open(t.Context(), Config{Dir: dir})
		if err != nil {
			t.Fatal(err)
		}
		defer e.Close()
		s, err := e.Secret(name)
		if err != nil || len(s) != keyBytes {
			t.Fatal(s, err)
		}
		return s
	}
	first := secret("session")
	if !bytes.Equal(first, secret("session")) {
		t.Error("another after a restart")
	}
	if bytes.Equal(first, secret("other")) {
		t.Error("one secret for two purposes")
	}
	path := filepath.Join(dir, "keys", "session.key")
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Error(info, err)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if bytes.Equal(first, secret("session")) {
		t.Error("the removed secret is back")
	}
	e, err := Open(t.Context(), Config{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	if _, err := e.Secret(engineKey); err == nil {
		t.Error("the data's key is given away")
	}
	if err := os.Chmod(path, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := e.Secret("session"); err == nil {
		t.Error("a secret that others can read is used")
	}
}
