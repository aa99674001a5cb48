package artifact

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"artesian/internal/faas"
)

// memory is a blob store in a map, counting reads and holding them back on demand.
type memory struct {
	mu    sync.Mutex
	blobs map[string][]byte
	opens atomic.Int64
	hold  chan struct{} // when not nil, Open waits for it
}

func newMemory() *memory { return &memory{blobs: map[string][]byte{}} }

func (m *memory) Put(_ context.Context, r io.Reader, limit int64) (string, int64, error) {
	b, err := io.ReadAll(io.LimitReader(r, limit))
	if err != nil {
		return "", 0, err
	}
	sum := sha256.Sum256(b)
	sha := hex.EncodeToString(sum[:])
	m.mu.Lock()
	defer m.mu.Unlock()
	m.blobs[sha] = b
	return sha, int64(len(b)), nil
}

func (m *memory) Open(_ context.Context, sha string) (io.ReadCloser, int64, error) {
	m.opens.Add(1)
	if m.hold != nil {
		<-m.hold
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	b, ok := m.blobs[sha]
	if !ok {
		return nil, 0, faas.Errorf(faas.NotFound, "no blob %s", sha)
	}
	return io.NopCloser(bytes.NewReader(b)), int64(len(b)), nil
}

func (m *memory) Delete(_ context.Context, sha string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.blobs, sha)
	return nil
}

func open(t *testing.T, blobs Blobs, dir string) *Store {
	t.Helper()
	s, err := Open(blobs, dir, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func TestPutUnpacks(t *testing.T) {
	umask := syscall.Umask(0o077) // a careful operator's; functions must be able to read all the same
	t.Cleanup(func() { syscall.Umask(umask) })
	dated := func(h *zipHeader) { h.Modified = time.Date(2020, 2, 3, 4, 5, 6, 0, time.UTC) }
	z := pack(t,
		item{name: "app.py", body: "print(1)", mode: 0o600, edit: dated},
		item{name: "bin/run", body: "#!/bin/sh\n", mode: 0o700 | fs.ModeSetuid},
		item{name: "secret/", mode: fs.ModeDir | 0o700},
		symlink("bin/link", "../app.py"),
	)
	s := open(t, newMemory(), filepath.Join(t.TempDir(), "code"))
	code, err := s.Put(t.Context(), z)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(z)
	if code != (faas.Code{SHA256: hex.EncodeToString(sum[:]), Size: int64(len(z))}) {
		t.Errorf("code = %+v", code)
	}
	dir, err := s.Dir(t.Context(), code.SHA256)
	if err != nil {
		t.Fatal(err)
	}
	for path, mode := range map[string]fs.FileMode{".": 0o755 | fs.ModeDir, "app.py": 0o644, "bin/run": 0o755, "bin": 0o755 | fs.ModeDir,
		"secret": 0o755 | fs.ModeDir} {
		fi, err := os.Lstat(filepath.Join(dir, path))
		if err != nil {
			t.Fatal(err)
		}
		if fi.Mode() != mode {
			t.Errorf("%s has mode %v, want %v", path, fi.Mode(), mode)
		}
	}
	if b, err := os.ReadFile(filepath.Join(dir, "bin/link")); err != nil || string(b) != "print(1)" {
		t.Errorf("through the link: %q, %v", b, err)
	}
	if fi, _ := os.Stat(filepath.Join(dir, "app.py")); !fi.ModTime().Equal(time.Date(2020, 2, 3, 4, 5, 6, 0, time.UTC)) {
		t.Errorf("app.py is dated %v", fi.ModTime())
	}
}

func TestPutRefusalLeavesNothing(t *testing.T) {
	m, dir := newMemory(), t.TempDir()
	s := open(t, m, dir)
	for name, z := range map[string][]byte{
		"evil":      pack(t, item{name: "ok", body: "x"}, symlink("l", "../..")),
		"broken":    []byte("PK"),
		"too large": make([]byte, faas.MaxZipBytes+1),
	} {
		want := faas.Invalid
		if name == "too large" {
			want = faas.TooLarge
		}
		if _, err := s.Put(t.Context(), z); faas.KindOf(err) != want {
			t.Errorf("%s: error = %v, want kind %v", name, err, want)
		}
	}
	if len(m.blobs) != 0 {
		t.Errorf("%d blobs kept", len(m.blobs))
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 1 {
		t.Errorf("left behind: %v, %v", entries, err)
	}
}

func TestDirUnpacksOnceForMany(t *testing.T) {
	m := newMemory()
	sha, _, _ := m.Put(t.Context(), bytes.NewReader(pack(t, item{name: "f", body: "x"})), 1<<20)
	m.hold = make(chan struct{})
	s := open(t, m, t.TempDir())

	left, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.Dir(left, sha); !errors.Is(err, context.Canceled) {
		t.Fatalf("a caller that left: %v", err)
	}
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			dir, err := s.Dir(t.Context(), sha)
			if err != nil {
				t.Error(err)
				return
			}
			if b, err := os.ReadFile(filepath.Join(dir, "f")); err != nil || string(b) != "x" {
				t.Errorf("f = %q, %v", b, err)
			}
		})
	}
	close(m.hold)
	wg.Wait()
	if n := m.opens.Load(); n != 1 {
		t.Errorf("package opened %d times, want 1", n)
	}
}

func TestDirOfUnknownOrBadHash(t *testing.T) {
	s := open(t, newMemory(), t.TempDir())
	if _, err := s.Dir(t.Context(), strings.Repeat("0", 64)); faas.KindOf(err) != faas.NotFound {
		t.Errorf("unknown hash: %v", err)
	}
	for _, sha := range []string{"", "../../etc", strings.Repeat("A", 64), strings.Repeat("0", 63) + "/"} {
		if _, err := s.Dir(t.Context(), sha); faas.KindOf(err) != faas.Invalid {
			t.Errorf("hash %q: %v", sha, err)
		}
	}
}

func TestOpenSweeps(t *testing.T) {
	m, dir := newMemory(), t.TempDir()
	s := open(t, m, dir)
	code, err := s.Put(t.Context(), pack(t, item{name: "f", body: "x"}))
	if err != nil {
		t.Fatal(err)
	}
	_ = s.Close()
	half := filepath.Join(dir, partial+"123", "lib")
	if err := os.MkdirAll(half, 0o755); err != nil {
		t.Fatal(err)
	}
	kept := filepath.Join(dir, code.SHA256)

	s = open(t, m, dir)
	if _, err := os.Stat(filepath.Dir(half)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("half unpacked package: %v", err)
	}
	if _, err := os.Stat(kept); err != nil {
		t.Errorf("finished package: %v", err)
	}
	_ = s.Close()

	if err := os.WriteFile(filepath.Join(dir, bootFile), []byte("another boot"), 0o600); err != nil {
		t.Fatal(err)
	}
	s = open(t, m, dir)
	if _, err := os.Stat(kept); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("package of another boot: %v", err)
	}
	if got, err := s.Dir(t.Context(), code.SHA256); err != nil || got != kept {
		t.Errorf("unpacked anew: %q, %v", got, err)
	}
}

func TestRemove(t *testing.T) {
	m := newMemory()
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	s, err := Open(m, t.TempDir(), func() time.Time { return now })
	if err != nil {
		t.Fatal(err)
	}
	code, err := s.Put(t.Context(), pack(t, item{name: "f", body: "x"}))
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Remove(t.Context(), code.SHA256); faas.KindOf(err) != faas.Conflict {
		t.Fatalf("just uploaded: %v", err)
	}
	now = now.Add(grace)
	if _, err := s.Dir(t.Context(), code.SHA256); err != nil {
		t.Fatal(err)
	}
	now = now.Add(grace - 1)
	if err := s.Remove(t.Context(), code.SHA256); faas.KindOf(err) != faas.Conflict {
		t.Fatalf("an instance may be starting: %v", err)
	}
	now = now.Add(1)
	if err := s.Remove(t.Context(), code.SHA256); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Dir(t.Context(), code.SHA256); faas.KindOf(err) != faas.NotFound {
		t.Errorf("after removal: %v", err)
	}
	if entries, _ := os.ReadDir(s.dir); len(entries) != 1 {
		t.Errorf("left behind: %v", entries)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Put(t.Context(), pack(t, item{name: "f"})); !errors.Is(err, os.ErrClosed) {
		t.Errorf("after close: %v", err)
	}
}

func TestFullDisk(t *testing.T) {
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=256k"); err != nil {
		t.Skipf("needs the right to mount a small file system: %v", err)
	}
	t.Cleanup(func() { _ = syscall.Unmount(dir, 0) })
	m := newMemory()
	s := open(t, m, dir)
	big := pack(t, item{name: "f", body: strings.Repeat("x", 1<<20)})
	if _, err := s.Put(t.Context(), big); faas.KindOf(err) != faas.Unavailable || !strings.Contains(faas.Message(err), "disk is full") {
		t.Errorf("error = %v, want Unavailable", err)
	}
	if entries, _ := os.ReadDir(dir); len(entries) != 1 || len(m.blobs) != 0 {
		t.Errorf("left behind: %v, %d blobs", entries, len(m.blobs))
	}
	if _, err := s.Put(t.Context(), pack(t, item{name: "f", body: "x"})); err != nil {
		t.Errorf("a small package afterwards: %v", err)
	}
}
