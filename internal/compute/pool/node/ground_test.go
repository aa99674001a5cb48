package node

import (
	"crypto/sha256"
	"os"
	"path/filepath"
	"testing"
	"time"

	"artesian/internal/compute/sandbox"
)

// TestStandsOn: a library of an interpreter's that another was put in place of is other ground, also deep in its folder.
func TestStandsOn(t *testing.T) {
	for _, below := range []string{".", "bin", "lib", "lib/server", "lib-dynload"} {
		home := t.TempDir()
		dir := filepath.Join(home, below)
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		for d := dir; d != filepath.Dir(home); d = filepath.Dir(d) {
			if err := os.Chtimes(d, time.Time{}, time.Unix(1e9, 0)); err != nil {
				t.Fatal(err)
			}
		}
		ground := func() string {
			h := sha256.New()
			(&Node{Own: "/nowhere"}).standsOn(h, sandbox.Mount{Source: home, Target: "/var/lang"})
			return string(h.Sum(nil))
		}
		before := ground()
		if ground() != before {
			t.Errorf("%s: the same is other ground", below)
		}
		if err := os.WriteFile(filepath.Join(dir, "library.so"), nil, 0o644); err != nil {
			t.Fatal(err)
		}
		if ground() == before {
			t.Errorf("%s: not seen", below)
		}
	}
}
