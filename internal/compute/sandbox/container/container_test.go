package container

import (
	"log/slog"
	"os"
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
	sandboxtest.Conformance(t, open(t, 4<<30))
}
