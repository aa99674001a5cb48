package app

import (
	"crypto/aes"
	"crypto/cipher"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"

	"artesian/internal/compute/pool"
	"artesian/internal/faas"
)

func newHabits(t testing.TB, key byte) *habits {
	t.Helper()
	block, err := aes.NewCipher([]byte{31: key})
	if err != nil {
		t.Fatal(err)
	}
	h := &habits{path: filepath.Join(t.TempDir(), habitsFile)}
	if h.seal, err = cipher.NewGCM(block); err != nil {
		t.Fatal(err)
	}
	return h
}

func somePasts(n int) []byte {
	var all []pool.Past
	for range n {
		all = append(all, pool.Past{Function: faas.FunctionID{Scope: faas.Scope{Account: "1", Region: "r"}, Name: "secret-name"}, Version: "7", Cold: time.Second})
	}
	return pool.EncodePasts(all)
}

// TestTornHabits: a file that was torn anywhere, or changed in any byte, or is another installation's, is refused whole; the next write
// replaces it, and one that could not be written leaves it.
func TestTornHabits(t *testing.T) {
	h := newHabits(t, 1)
	if _, err := h.read(); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("without a file: %v", err)
	}
	free := func(int64) error { return nil }
	if err := h.write(somePasts(1), free); err != nil {
		t.Fatal(err)
	}
	whole, err := os.ReadFile(h.path)
	if err != nil {
		t.Fatal(err)
	}
	for i := range whole {
		changed := append([]byte(nil), whole...)
		changed[i] ^= 1
		for what, b := range map[string][]byte{"torn": whole[:i], "changed": changed} {
			if err := os.WriteFile(h.path, b, 0o600); err != nil {
				t.Fatal(err)
			}
			if all, err := h.read(); err == nil || all != nil {
				t.Fatalf("%s at %d: read as %+v", what, i, all)
			}
		}
	}
	if err := h.write(somePasts(2), func(int64) error { return errors.New("no room") }); err == nil {
		t.Error("written without room")
	}
	if err := os.WriteFile(h.path+".new", []byte("what a crash left of a longer one: "+string(whole)), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := h.write(somePasts(2), free); err != nil {
		t.Fatal(err)
	}
	if all, err := h.read(); err != nil || len(all) != 2 || all[1].Version != "7" {
		t.Errorf("%v: %+v", err, all)
	}
	if info, err := os.Stat(h.path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v: %v", err, info)
	}
	other := newHabits(t, 2)
	other.path = h.path
	if _, err := other.read(); err == nil {
		t.Error("another key reads it")
	}
	if left, err := filepath.Glob(h.path + ".*"); err != nil || len(left) != 0 {
		t.Errorf("%v: %v is left", err, left)
	}
}

// TestHabitsAreWrittenWhenTheyChange: the same again costs no write.
func TestHabitsAreWrittenWhenTheyChange(t *testing.T) {
	h := newHabits(t, 1)
	asked := 0
	for _, text := range [][]byte{somePasts(1), somePasts(1), somePasts(2)} {
		if err := h.write(text, func(int64) error { asked++; return nil }); err != nil {
			t.Fatal(err)
		}
	}
	if asked != 2 {
		t.Errorf("written %d times, want 2", asked)
	}
}

func FuzzHabitsFile(f *testing.F) {
	h := newHabits(f, 1)
	if err := h.write(somePasts(1), func(int64) error { return nil }); err != nil {
		f.Fatal(err)
	}
	whole, err := os.ReadFile(h.path)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(whole)
	f.Add(habitsHead)
	f.Fuzz(func(t *testing.T, b []byte) {
		if text, err := h.open(b); err == nil && string(b) != string(whole) {
			t.Errorf("forged: %q", text)
		}
	})
}

// BenchmarkHabits is what a start and a write cost with 10,000 functions.
func BenchmarkHabits(b *testing.B) {
	h := newHabits(b, 1)
	text := somePasts(10_000)
	b.Run("write", func(b *testing.B) {
		for b.Loop() {
			h.written = [32]byte{}
			if err := h.write(text, func(int64) error { return nil }); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("read", func(b *testing.B) {
		for b.Loop() {
			if all, err := h.read(); err != nil || len(all) != 10_000 {
				b.Fatal(err)
			}
		}
	})
}
