package blob

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"artesian/internal/faas"
)

// bare is a store without an engine.
func bare(tb testing.TB) *Store {
	tb.Helper()
	dir := tb.TempDir()
	s := &Store{dir: dir, tmp: filepath.Join(dir, "tmp"), key: bytes.Repeat([]byte{7}, 32), space: func(int64) error { return nil }}
	if err := os.Mkdir(s.tmp, 0o700); err != nil {
		tb.Fatal(err)
	}
	return s
}

func putBytes(tb testing.TB, s *Store, b []byte) string {
	tb.Helper()
	sha, _, err := s.Put(context.Background(), bytes.NewReader(b), int64(len(b)))
	if err != nil {
		tb.Fatal(err)
	}
	return sha
}

// read returns what a reader got before the error, if any.
func read(s *Store, sha string) ([]byte, error) {
	r, _, err := s.Open(context.Background(), sha)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return io.ReadAll(r)
}

func pattern(size int) []byte {
	b := make([]byte, size)
	for i := range b {
		b[i] = byte(i*31 + i>>8)
	}
	return b
}

// TestTampering changes a stored file in every way that keeps it a file. Every change must be an error, and what is read
// before it must be the beginning of the content.
func TestTampering(t *testing.T) {
	s := bare(t)
	want := pattern(3*segment + 100)
	sha := putBytes(t, s, want)
	good, err := os.ReadFile(s.path(sha))
	if err != nil {
		t.Fatal(err)
	}
	seg := func(b []byte, i int) []byte { return b[headerBytes+i*sealedBytes : headerBytes+(i+1)*sealedBytes] }
	for name, change := range map[string]func(b []byte) []byte{
		"a byte of the salt":      func(b []byte) []byte { b[10] ^= 1; return b },
		"a byte of the size":      func(b []byte) []byte { b[len(magic)+1+saltBytes+7] ^= 1; return b },
		"a byte of the hash":      func(b []byte) []byte { b[len(magic)+1+saltBytes+8] ^= 1; return b },
		"a byte of the signature": func(b []byte) []byte { b[headerBytes-1] ^= 1; return b },
		"a bit of the first":      func(b []byte) []byte { b[headerBytes] ^= 1; return b },
		"a bit of the last tag":   func(b []byte) []byte { b[len(b)-1] ^= 0x80; return b },
		"segments swapped": func(b []byte) []byte {
			x := bytes.Clone(seg(b, 0))
			copy(seg(b, 0), seg(b, 1))
			copy(seg(b, 1), x)
			return b
		},
		"a segment repeated":       func(b []byte) []byte { copy(seg(b, 1), seg(b, 0)); return b },
		"a segment dropped":        func(b []byte) []byte { return append(b[:headerBytes+sealedBytes], b[headerBytes+2*sealedBytes:]...) },
		"the last segment dropped": func(b []byte) []byte { return b[:headerBytes+3*sealedBytes] },
		"a byte cut":               func(b []byte) []byte { return b[:len(b)-1] },
		"a byte added":             func(b []byte) []byte { return append(b, 0) },
		"only the header":          func(b []byte) []byte { return b[:headerBytes] },
		"half the header":          func(b []byte) []byte { return b[:headerBytes/2] },
		"nothing":                  func(b []byte) []byte { return nil },
		"another kind of file":     func(b []byte) []byte { return []byte("PK\x03\x04 and so on") },
	} {
		if err := os.WriteFile(s.path(sha), change(bytes.Clone(good)), 0o600); err != nil {
			t.Fatal(err)
		}
		got, err := read(s, sha)
		if !errors.Is(err, errDamaged) || faas.KindOf(err) != faas.Internal {
			t.Errorf("%s: %v", name, err)
		}
		if !bytes.HasPrefix(want, got) {
			t.Errorf("%s: a reader got what was never written", name)
		}
	}
	putBytes(t, s, want)
	if got, err := read(s, sha); err != nil || !bytes.Equal(got, want) {
		t.Errorf("another put does not mend it: %v", err)
	}
}

func TestFilesAreBoundToNameAndKey(t *testing.T) {
	s := bare(t)
	a, b := putBytes(t, s, pattern(1000)), putBytes(t, s, pattern(1001))
	if err := os.Rename(s.path(a), s.path(b)); err != nil {
		t.Fatal(err)
	}
	if got, err := read(s, b); !errors.Is(err, errDamaged) || len(got) > 0 {
		t.Errorf("a file under another's name: %d bytes, %v", len(got), err)
	}
	a = putBytes(t, s, pattern(1000))
	s.key = bytes.Repeat([]byte{8}, 32)
	if _, err := read(s, a); !errors.Is(err, errDamaged) {
		t.Errorf("another key: %v", err)
	}
}

func TestNewerFormatIsNamed(t *testing.T) {
	s := bare(t)
	sha := putBytes(t, s, pattern(10))
	b, err := os.ReadFile(s.path(sha))
	if err != nil {
		t.Fatal(err)
	}
	b[len(magic)] = 2
	if err := os.WriteFile(s.path(sha), b, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := read(s, sha); err == nil || !strings.Contains(err.Error(), "format 2") || errors.Is(err, errDamaged) {
		t.Error(err)
	}
}

// TestHashIsChecked: even a file whose segments are authentic must have the hash that its header promises.
func TestHashIsChecked(t *testing.T) {
	s := bare(t)
	want := pattern(2*segment + 5)
	sha := putBytes(t, s, want)
	f, err := os.OpenFile(s.path(sha), os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	b := make([]byte, headerBytes)
	if _, err := f.ReadAt(b, 0); err != nil {
		t.Fatal(err)
	}
	h, keys, err := parseHeader(s.key, b)
	if err != nil {
		t.Fatal(err)
	}
	h.sum[0] ^= 1
	lie := hex.EncodeToString(h.sum[:])
	if _, err := f.WriteAt(h.encode(keys), 0); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Dir(s.path(lie)), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(s.path(sha), s.path(lie)); err != nil {
		t.Fatal(err)
	}
	if _, err := read(s, lie); !errors.Is(err, errDamaged) || !strings.Contains(err.Error(), "another hash") {
		t.Error(err)
	}
}

func TestNothingReadableOnDisk(t *testing.T) {
	s := bare(t)
	sha := putBytes(t, s, []byte("def handler(event, context): return 'secret'"))
	again := putBytes(t, s, []byte("def handler(event, context): return 'secret'"))
	b, err := os.ReadFile(s.path(sha))
	if err != nil || bytes.Contains(b, []byte("handler")) || sha != again {
		t.Error(err)
	}
	if st, err := os.Stat(s.path(sha)); err != nil || st.Mode().Perm() != 0o600 {
		t.Error(st.Mode(), err)
	}
}

// FuzzTamper changes one byte, or the length, of a stored file: an error, or the content as it was.
func FuzzTamper(f *testing.F) {
	f.Add([]byte("hello"), uint32(0), byte(1), uint32(0))
	f.Add([]byte(""), uint32(40), byte(0x80), uint32(1))
	f.Add(pattern(segment), uint32(headerBytes), byte(0), uint32(16))
	s := bare(f)
	f.Fuzz(func(t *testing.T, content []byte, at uint32, flip byte, cut uint32) {
		sha := putBytes(t, s, content)
		b, err := os.ReadFile(s.path(sha))
		if err != nil {
			t.Fatal(err)
		}
		b[int(at)%len(b)] ^= flip
		b = b[:len(b)-int(cut)%len(b)]
		if err := os.WriteFile(s.path(sha), b, 0o600); err != nil {
			t.Fatal(err)
		}
		got, err := read(s, sha)
		same := flip == 0 && int(cut)%(headerBytes+len(content)+int(segments(int64(len(content))))*overhead) == 0
		if same != (err == nil) || !bytes.HasPrefix(content, got) || same && !bytes.Equal(content, got) {
			t.Fatalf("%d of %d bytes, error %v", len(got), len(content), err)
		}
	})
}

// FuzzHeader reads arbitrary bytes as a header.
func FuzzHeader(f *testing.F) {
	s := bare(f)
	sha := putBytes(f, s, []byte("x"))
	good, err := os.ReadFile(s.path(sha))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good[:headerBytes])
	f.Add([]byte(magic))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		h, keys, err := parseHeader(s.key, b)
		if err == nil && !bytes.Equal(h.encode(keys), b) {
			t.Fatal("a header that was never written is accepted")
		}
	})
}
