// Package hosttest spares tests the look for this machine's interpreters: to ask them all takes a second of a processor, each time.
package hosttest

import (
	"context"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"artesian/internal/compute/lang/host"
)

var looked bool // found has been asked

// found is a folder of a catalog that has looked once and has its bootstraps written; empty if that went wrong, and tests look themselves.
var found = sync.OnceValue(func() string {
	looked = true
	dir, err := os.MkdirTemp("", "artesian-interpreters-")
	if err != nil {
		return ""
	}
	c := host.New(host.Config{Dir: dir, Path: os.Getenv("PATH"), Home: os.Getenv("HOME"), Nearest: true})
	defer c.Close()
	if err := c.Discover(context.Background()); err != nil {
		return ""
	}
	for _, runtime := range []string{"python3.11", "python3.12", "nodejs20.x", "java21"} {
		_, _ = c.Resolve(runtime) // what is not here is not ready
	}
	return dir
})

// Remember has a catalog in dir, which there need not be yet, know what one before found out. Call Forget when no test needs it.
func Remember(t testing.TB, dir string) {
	t.Helper()
	from := found()
	if _, err := os.Stat(filepath.Join(dir, "interpreters.json")); err == nil || from == "" {
		return
	}
	if err := os.MkdirAll(filepath.Dir(dir), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.CopyFS(dir, os.DirFS(from)); err != nil {
		t.Fatal(err)
	}
}

// Forget removes what Remember copies. A test's main function calls it at the end.
func Forget() {
	if looked {
		_ = os.RemoveAll(found())
	}
}
