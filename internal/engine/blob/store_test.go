package blob_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"math/rand/v2"
	"testing"

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
