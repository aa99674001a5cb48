package host

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// onePack is a pack that every version of every language carries.
type onePack string

func (p onePack) Dir(string, int) string { return string(p) }

// TestPackIsCompiled: a pack is compiled once it meets an interpreter, and one that takes its place is again.
func TestPackIsCompiled(t *testing.T) {
	defer goleak.VerifyNone(t)
	dir := filepath.Join(t.TempDir(), "pack")
	c := New(Config{Dir: t.TempDir(), Path: os.Getenv("PATH"), Packs: onePack(dir)})
	defer c.Close()
	infos, err := c.List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(infos, func(i Info) bool { return strings.HasPrefix(i.Name, "python3.") })
	if i < 0 {
		t.Skip("no Python here")
	}
	for _, meet := range []func(){
		func() { c.Meet(infos[i].Name) },
		func() {
			if _, err := c.Resolve(infos[i].Name); err != nil {
				t.Error(err)
			}
		},
	} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, "module.py"), []byte("x = 1"), 0o644); err != nil {
			t.Fatal(err)
		}
		meet()
		for begun := time.Now(); ; time.Sleep(5 * time.Millisecond) {
			if found, _ := filepath.Glob(filepath.Join(dir, "__pycache__", "module.*.pyc")); len(found) > 0 {
				break
			}
			if time.Since(begun) > 20*time.Second {
				t.Fatal("it is not compiled")
			}
		}
		if err := os.Rename(dir, filepath.Join(t.TempDir(), "removed")); err != nil {
			t.Fatal(err)
		}
	}
}

// TestClose: after it nothing is written any more, however early it came, and nothing is looked for.
func TestClose(t *testing.T) {
	defer goleak.VerifyNone(t)
	for range 5 {
		dir := t.TempDir()
		c := New(Config{Dir: dir, Path: os.Getenv("PATH")})
		asked := make(chan struct{})
		go func() {
			defer close(asked)
			_, _ = c.Resolve("provided.al2023")
		}()
		for begun := time.Now(); ; {
			if found, _ := filepath.Glob(filepath.Join(dir, ".tools-*", "*")); len(found) > 0 || time.Since(begun) > 10*time.Second {
				break // it is in the middle of its work
			}
		}
		c.Close()
		if left, _ := filepath.Glob(filepath.Join(dir, ".*")); len(left) > 0 {
			t.Error(left)
		}
		<-asked
		c.again()
		if _, err := c.List(t.Context()); err == nil {
			t.Error("it looks again")
		}
	}
}
