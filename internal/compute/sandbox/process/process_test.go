package process

import (
	"log/slog"
	"testing"

	"artesian/internal/compute/sandbox/sandboxtest"
)

func TestConformance(t *testing.T) {
	m, err := New(Config{Dir: t.TempDir(), Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	})
	sandboxtest.Conformance(t, m)
}
