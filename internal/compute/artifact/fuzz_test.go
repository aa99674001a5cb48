package artifact

import (
	"archive/zip"
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"artesian/internal/faas"
)

type zipHeader = zip.FileHeader

// FuzzCheck holds that no package makes Check fail in any other way than by a refusal, and that whatever Check accepts unpacks
// without leaving its directory.
func FuzzCheck(f *testing.F) {
	f.Add([]byte("PK"))
	f.Add(pack(f, item{name: "app.py", body: "x"}, item{name: "lib/a.py", body: "y"}))
	f.Add(pack(f, item{name: "a/b", body: "x"}, symlink("l", "a/b"), symlink("d/m", "../l")))
	f.Add(pack(f, item{name: "../evil"}))
	f.Add(pack(f, item{name: "f"}, symlink("here", "."), symlink("out", "here/../..")))
	f.Add(pack(f, item{name: "p", mode: fs.ModeNamedPipe}))
	f.Fuzz(func(t *testing.T, b []byte) {
		info, err := Check(context.Background(), bytes.NewReader(b), int64(len(b)))
		if err != nil {
			if faas.KindOf(err) != faas.Invalid {
				t.Fatalf("not a refusal: %v", err)
			}
			return
		}
		if info.Unpacked > 1<<20 {
			return
		}
		unpackAndVerify(t, b)
	})
}

func unpackAndVerify(t *testing.T, b []byte) {
	parent := t.TempDir()
	dir := filepath.Join(parent, "in")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	if _, err := unpack(context.Background(), bytes.NewReader(b), int64(len(b)), onDisk{root}); err != nil {
		t.Fatalf("checked but not unpacked: %v", err)
	}
	if entries, err := os.ReadDir(parent); err != nil || len(entries) != 1 {
		t.Fatalf("outside: %v, %v", entries, err)
	}
	err = fs.WalkDir(root.FS(), ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.Type()&fs.ModeSymlink == 0 {
			return err
		}
		if _, err := root.Stat(path); err != nil && !os.IsNotExist(err) && !errors.Is(err, syscall.ENOTDIR) {
			t.Errorf("link %q leaves the directory: %v", path, err)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
