package engine

import (
	"os"
	"path/filepath"
	"testing"
)

func TestForeignFilesAreRefusedAndLeftAlone(t *testing.T) {
	for name, foreign := range map[string]string{"a function's folder": "app.py", "hidden": ".git/HEAD", "a folder of keys beside it": "secrets/x"} {
		dir := t.TempDir()
		must(t, os.MkdirAll(filepath.Join(dir, filepath.Dir(foreign)), 0o700))
		must(t, os.WriteFile(filepath.Join(dir, foreign), nil, 0o600))
		before := snapshot(t, dir)
		_, err := Open(t.Context(), Config{Dir: dir})
		wantRefusal(t, err, "not a data directory", dir)
		if snapshot(t, dir) != before {
			t.Errorf("%s: the directory was touched", name)
		}
	}
}

func TestPreparedDirectoryIsTaken(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"lost+found", "keys"} {
		must(t, os.Mkdir(filepath.Join(dir, name), 0o700))
	}
	for _, name := range []string{"config.json", "prices.json", "lock", ".new-123"} {
		must(t, os.WriteFile(filepath.Join(dir, name), []byte("{}"), 0o600))
	}
	lock, _, err := openLayout(dir)
	must(t, err)
	lock.release()
	must(t, os.WriteFile(filepath.Join(dir, "notes"), nil, 0o600)) // once it is one, it may hold anything
	lock, _, err = openLayout(dir)
	must(t, err)
	lock.release()
}
