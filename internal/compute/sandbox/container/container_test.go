package container

import (
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"artesian/internal/compute/sandbox/sandboxtest"
)

// open makes a Maker, or skips with what is missing.
func open(t testing.TB, nodeMemory int64) *Maker {
	t.Helper()
	m, err := New(Config{Dir: t.TempDir(), NodeMemory: nodeMemory, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		missing(t, err)
	}
	t.Cleanup(func() {
		if err := m.Close(); err != nil {
			t.Errorf("close maker: %v", err)
		}
	})
	return m
}

// missing skips a test that needs what this machine does not have. The guest has everything.
func missing(t testing.TB, err error) {
	t.Helper()
	if os.Getenv(guestEnv) != "" {
		t.Fatal(err)
	}
	t.Skip(err)
}

func TestConformance(t *testing.T) {
	m := open(t, 4<<30)
	sandboxtest.Conformance(t, m, own(t, m))
}

// own lists the loop devices and control groups of a Maker, and the files in its directory, templates apart.
func own(t *testing.T, m *Maker) sandboxtest.Lister {
	return func() sandboxtest.Resources {
		t.Helper()
		groups, err := groups(m)
		if err != nil {
			t.Fatal(err)
		}
		files, err := filepath.Glob(filepath.Join(m.dir, "*[^4]"))
		if err != nil {
			t.Fatal(err)
		}
		devices, err := filepath.Glob("/sys/block/loop*/loop/backing_file")
		if err != nil {
			t.Fatal(err)
		}
		var loops []string
		for _, d := range devices {
			if b, err := os.ReadFile(d); err == nil && strings.HasPrefix(string(b), m.dir+"/") {
				loops = append(loops, d)
			}
		}
		return sandboxtest.Resources{"control groups": groups, "files": files, "loop devices": loops}
	}
}
