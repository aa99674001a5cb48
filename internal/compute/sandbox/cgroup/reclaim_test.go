package cgroup

import (
	"os"
	"path/filepath"
	"testing"
)

// TestReclaim: what is written, by version; under version 2 there is no swap before nor after.
func TestReclaim(t *testing.T) {
	for name, c := range map[string]struct {
		v2    bool
		files map[string]string
		want  map[string]string
	}{
		"v1": {false, map[string]string{"memory.force_empty": ""}, map[string]string{"memory.force_empty": "0"}},
		"v2": {true, map[string]string{"memory.current": "4096\n", "memory.reclaim": "", "memory.swap.max": "0"},
			map[string]string{"memory.current": "4096\n", "memory.reclaim": "4096", "memory.swap.max": "0ax"}}, // a file keeps what a shorter text leaves
	} {
		dir := t.TempDir()
		if err := os.Mkdir(filepath.Join(dir, "g"), 0o700); err != nil {
			t.Fatal(err)
		}
		for file, text := range c.files {
			if err := os.WriteFile(filepath.Join(dir, "g", file), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		g := &Group{tree: &Tree{memory: place{dir: dir, v2: c.v2}}, id: "g"}
		if err := g.Reclaim(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		for file, want := range c.want {
			if got, err := os.ReadFile(filepath.Join(dir, "g", file)); err != nil || string(got) != want {
				t.Errorf("%s: %s is %q, want %q: %v", name, file, got, want, err)
			}
		}
	}
}
