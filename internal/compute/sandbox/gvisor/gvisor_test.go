package gvisor

import (
	"log/slog"
	"os"
	"testing"

	"artesian/internal/compute/sandbox/container"
	"artesian/internal/compute/sandbox/gvisor/runsc"
	"artesian/internal/compute/sandbox/sandboxtest"
)

func TestMain(m *testing.M) {
	runsc.Takeover()
	os.Exit(m.Run())
}

// open makes a Maker, or skips with what is missing.
func open(t testing.TB, nodeMemory int64) *Maker {
	t.Helper()
	log := slog.New(slog.DiscardHandler)
	outer, err := container.New(container.Config{Dir: t.TempDir(), NodeMemory: nodeMemory, Logger: log})
	if err != nil {
		t.Skip(err)
	}
	t.Cleanup(func() {
		if err := outer.Close(); err != nil {
			t.Errorf("close maker: %v", err)
		}
	})
	m, err := New(outer, container.Self, log)
	if err != nil {
		t.Skip(err)
	}
	return m
}

func TestConformance(t *testing.T) {
	m := open(t, 4<<30)
	sandboxtest.Conformance(t, m, nil)
}
