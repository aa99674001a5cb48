package app_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestReclaimNeedsSomewhere: a setting that this machine can't honour keeps the daemon from starting.
func TestReclaimNeedsSomewhere(t *testing.T) {
	if swaps, _ := os.ReadFile("/proc/swaps"); strings.Contains(string(swaps), "zram") {
		t.Skip("this machine may have somewhere")
	}
	data := filepath.Join(t.TempDir(), "data")
	if err := os.Mkdir(data, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(data, "config.json"), []byte(`{"reclaim": true}`), 0o600); err != nil {
		t.Fatal(err)
	}
	if said := mustRefuse(t, "--data", data, "--listen", "127.0.0.1:0"); !strings.Contains(said, "reclaim: there is nowhere") {
		t.Errorf("it says %q", said)
	}
}
