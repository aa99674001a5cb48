package engine_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"go.uber.org/goleak"

	"artesian/internal/engine/journal"
	"artesian/internal/faas"
)

// TestFullDisk: writes are refused while the disk is full, nothing stored is harmed, deleting works, and writing goes on
// once there is room, without a restart.
func TestFullDisk(t *testing.T) {
	disk := t.TempDir()
	if err := syscall.Mount("tmpfs", disk, "tmpfs", 0, "size=96m"); err != nil {
		t.Skipf("cannot mount a tmpfs (needs root): %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(disk, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	s, err := openStores(t.Context(), filepath.Join(disk, "data"))
	if err != nil {
		t.Fatal(err)
	}
	defer s.close()
	if err := s.writeAll(t, 0); err != nil {
		t.Fatal(err)
	}
	filler := filepath.Join(disk, "filler")
	if err := os.WriteFile(filler, make([]byte, 40<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, err := range s.writes(t, 1) {
		if faas.KindOf(err) != faas.Unavailable || !strings.Contains(err.Error(), "full") {
			t.Errorf("%s on a full disk: %v", name, err)
		}
	}
	have, ok := s.kv.Get(killKey(0))
	if !ok {
		t.Fatal("what was stored is gone")
	}
	if err := s.kv.Delete(t.Context(), killKey(0), have.Rev); err != nil {
		t.Errorf("delete on a full disk: %v", err)
	}
	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	if err := s.writeAll(t, 1); err != nil {
		t.Errorf("after there is room again: %v", err)
	}
}

// writes tries each kind of write once.
func (s *stores) writes(t *testing.T, n int) map[string]error {
	out := map[string]error{}
	_, out["kv"] = s.kv.Create(t.Context(), killKey(n), []byte("value"))
	_, _, out["blob"] = s.blob.Put(t.Context(), bytes.NewReader([]byte{byte(n)}), 1)
	_, out["append"] = s.log.Append(t.Context(), s.log.Last(), journal.Record{Data: []byte("a")})
	_, out["submit"] = s.log.Submit(t.Context(), journal.Record{Data: []byte("s")})
	return out
}

func (s *stores) writeAll(t *testing.T, n int) error {
	for _, err := range s.writes(t, n) {
		if err != nil {
			return err
		}
	}
	return nil
}

// TestCloseLeavesNothingRunning looks for goroutines of the engine and of the stores.
func TestCloseLeavesNothingRunning(t *testing.T) {
	before := goleak.IgnoreCurrent()
	s, err := openStores(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	if err := s.writeAll(t, 0); err != nil {
		t.Fatal(err)
	}
	if err := s.close(); err != nil {
		t.Fatal(err)
	}
	goleak.VerifyNone(t, before)
}
