package blob_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"time"

	"artesian/internal/engine"
	"artesian/internal/engine/blob"
	"artesian/internal/faas"
)

func newStore(tb testing.TB, dir string) *blob.Store {
	tb.Helper()
	e, err := engine.Open(context.Background(), engine.Config{Dir: dir})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { e.Close() })
	s, err := blob.New(e)
	if err != nil {
		tb.Fatal(err)
	}
	return s
}

func content(size int) []byte {
	b := make([]byte, size)
	r := rand.NewChaCha8([32]byte{byte(size), byte(size >> 8), byte(size >> 16)})
	_, _ = r.Read(b)
	return b
}

func TestPutOpen(t *testing.T) {
	s := newStore(t, t.TempDir())
	ctx := t.Context()
	for _, size := range []int{0, 1, 65535, 65536, 65537, 131072, 1 << 20, 1<<20 + 17} {
		want := content(size)
		sum := sha256.Sum256(want)
		sha, n, err := s.Put(ctx, bytes.NewReader(want), int64(size))
		if err != nil || n != int64(size) || sha != hex.EncodeToString(sum[:]) {
			t.Fatalf("put %d: %s %d %v", size, sha, n, err)
		}
		if size > 0 {
			if _, _, err := s.Put(ctx, bytes.NewReader(want), int64(size)-1); faas.KindOf(err) != faas.TooLarge {
				t.Fatalf("put %d over the limit: %v", size, err)
			}
		}
		r, n, err := s.Open(ctx, sha)
		if err != nil || n != int64(size) {
			t.Fatalf("open %d: %d %v", size, n, err)
		}
		got, err := io.ReadAll(r)
		if err != nil || !bytes.Equal(got, want) {
			t.Fatalf("read %d: %d bytes, %v", size, len(got), err)
		}
		if err := r.Close(); err != nil {
			t.Fatal(err)
		}
	}
	list, err := s.List(ctx)
	if err != nil || len(list) != 8 {
		t.Fatalf("list: %d %v", len(list), err)
	}
}

func put(tb testing.TB, s *blob.Store, b []byte) string {
	tb.Helper()
	sha, _, err := s.Put(context.Background(), bytes.NewReader(b), int64(len(b)))
	if err != nil {
		tb.Fatal(err)
	}
	return sha
}

func TestHasDeleteList(t *testing.T) {
	s := newStore(t, t.TempDir())
	ctx, begin := t.Context(), time.Now().Add(-time.Minute)
	sha := put(t, s, content(100))
	if ok, err := s.Has(ctx, sha); !ok || err != nil {
		t.Error(ok, err)
	}
	list, err := s.List(ctx)
	if err != nil || len(list) != 1 || list[0].SHA256 != sha || list[0].Modified.Before(begin) {
		t.Error(list, err)
	}
	open, _, err := s.Open(ctx, sha)
	if err != nil {
		t.Fatal(err)
	}
	defer open.Close()
	for range 2 {
		if err := s.Delete(ctx, sha); err != nil {
			t.Error(err)
		}
	}
	if ok, err := s.Has(ctx, sha); ok || err != nil {
		t.Error(ok, err)
	}
	if _, _, err := s.Open(ctx, sha); faas.KindOf(err) != faas.NotFound {
		t.Error(err)
	}
	if got, err := io.ReadAll(open); err != nil || !bytes.Equal(got, content(100)) {
		t.Error("a reader lost a deleted content:", err)
	}
	if list, err := s.List(ctx); err != nil || len(list) != 0 {
		t.Error(list, err)
	}
}

func TestBadHashesAreRefused(t *testing.T) {
	s := newStore(t, t.TempDir())
	for _, sha := range []string{"", "ab", strings.Repeat("g", 64), strings.Repeat("A", 64), "../../keys/" + strings.Repeat("a", 53), strings.Repeat("a", 65)} {
		_, _, err := s.Open(t.Context(), sha)
		_, herr := s.Has(t.Context(), sha)
		for _, err := range []error{err, herr, s.Delete(t.Context(), sha)} {
			if faas.KindOf(err) != faas.Invalid {
				t.Errorf("%q: %v", sha, err)
			}
		}
	}
}

func TestAFailedPutLeavesNothing(t *testing.T) {
	dir := t.TempDir()
	s := newStore(t, dir)
	broken := errors.New("the client went away")
	r := io.MultiReader(bytes.NewReader(content(200_000)), iotest.ErrReader(broken))
	if _, _, err := s.Put(t.Context(), r, 1<<20); !errors.Is(err, broken) {
		t.Error(err)
	}
	if _, _, err := s.Put(t.Context(), bytes.NewReader(content(200_000)), 199_999); faas.KindOf(err) != faas.TooLarge {
		t.Error(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, err := s.Put(ctx, bytes.NewReader(content(10)), 10); faas.KindOf(err) != faas.Unavailable {
		t.Error(err)
	}
	if left, err := filepath.Glob(filepath.Join(dir, "blobs", "*", "*")); err != nil || len(left) > 0 {
		t.Error(left, err)
	}
}

func TestStartSweepsTemporaryFiles(t *testing.T) {
	dir := t.TempDir()
	e, err := engine.Open(t.Context(), engine.Config{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	s, err := blob.New(e)
	if err != nil {
		t.Fatal(err)
	}
	sha := put(t, s, content(10))
	torn := filepath.Join(dir, "blobs", "tmp", "put-123")
	if err := os.WriteFile(torn, []byte("half"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := blob.New(e); err != nil { // as a restart does
		t.Fatal(err)
	}
	if _, err := os.Stat(torn); !errors.Is(err, os.ErrNotExist) {
		t.Error("a torn file stays:", err)
	}
	if ok, err := s.Has(t.Context(), sha); !ok || err != nil {
		t.Error(ok, err)
	}
}

func TestConcurrentPutsOfTheSameContent(t *testing.T) {
	s := newStore(t, t.TempDir())
	want := content(300_000)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 5 {
				sha, _, err := s.Put(t.Context(), iotest.HalfReader(bytes.NewReader(want)), 1<<20)
				if err != nil {
					t.Error(err)
					return
				}
				r, _, err := s.Open(t.Context(), sha)
				if err != nil {
					t.Error(err)
					return
				}
				if got, err := io.ReadAll(r); err != nil || !bytes.Equal(got, want) {
					t.Error("read beside a put:", err)
				}
				r.Close()
			}
		})
	}
	wg.Wait()
}

func TestReaderContract(t *testing.T) {
	s := newStore(t, t.TempDir())
	want := content(150_000)
	sha := put(t, s, want)
	r, _, err := s.Open(t.Context(), sha)
	if err != nil {
		t.Fatal(err)
	}
	if err := iotest.TestReader(r, want); err != nil {
		t.Error(err)
	}
	r.Close()
	if _, err := r.Read(make([]byte, 1)); !errors.Is(err, os.ErrClosed) {
		t.Error("read after close:", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	if r, _, err = s.Open(ctx, sha); err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	cancel()
	if _, err := io.ReadAll(r); faas.KindOf(err) != faas.Unavailable {
		t.Error("read for a caller who left:", err)
	}
}

func BenchmarkPut50MB(b *testing.B) {
	s := newStore(b, b.TempDir())
	data := content(50 << 20)
	b.SetBytes(int64(len(data)))
	for b.Loop() {
		put(b, s, data)
	}
}

func BenchmarkOpen50MB(b *testing.B) {
	s := newStore(b, b.TempDir())
	data := content(50 << 20)
	sha := put(b, s, data)
	b.SetBytes(int64(len(data)))
	for b.Loop() {
		r, _, err := s.Open(b.Context(), sha)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := io.Copy(io.Discard, r); err != nil {
			b.Fatal(err)
		}
		r.Close()
	}
}
