package python

import (
	"bytes"
	"encoding/binary"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func blocks(texts ...string) []byte {
	var b []byte
	for _, t := range texts {
		b = append(binary.BigEndian.AppendUint32(b, uint32(len(t))), t...)
	}
	return b
}

// FuzzReceiveModules: whatever a sandbox sends, files appear below the folder only, and of known names.
func FuzzReceiveModules(f *testing.F) {
	for _, b := range [][]byte{
		blocks("a.pyc", "x", "b/c.pyc", "y", ""), blocks("../a.pyc", "x", ""), blocks("/etc/a.pyc", "x", ""), blocks("a.py", "x", ""), blocks("a.pyc/b.pyc", "x", "a.pyc", "y", ""),
		blocks("a.pyc", "x"), {0xff, 0xff, 0xff, 0xff}, blocks("a.pyc", "x")[:7], blocks(strings.Repeat("a/", 3000)+"a.pyc", "x", ""),
	} {
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		outer := t.TempDir()
		inner := filepath.Join(outer, "in")
		if err := os.Mkdir(inner, 0o755); err != nil {
			t.Fatal(err)
		}
		root, err := os.OpenRoot(inner)
		if err != nil {
			t.Fatal(err)
		}
		defer root.Close()
		modules, err := receiveModules(bytes.NewReader(b), root)
		if err == nil && !bytes.Contains(b, []byte{0, 0, 0, 0}) {
			t.Errorf("%d modules without an end", modules)
		}
		entries, _ := os.ReadDir(outer)
		if len(entries) != 1 {
			t.Errorf("files beside the folder: %v", entries)
		}
		_ = fs.WalkDir(root.FS(), ".", func(name string, e fs.DirEntry, err error) error {
			if err == nil && !e.IsDir() && !strings.HasSuffix(name, ".pyc") {
				t.Errorf("a file named %s", name)
			}
			return nil
		})
	})
}
