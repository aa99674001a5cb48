package blob

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"

	"artesian/internal/faas"
)

// spaceEvery is how many bytes a Put writes between looks at the space left.
const spaceEvery = 8 << 20

// seal writes the content of r to f, header last, and returns the header.
func (s *Store) seal(ctx context.Context, f *os.File, r io.Reader, maxBytes int64) (header, error) {
	var h header
	_, _ = rand.Read(h.salt[:]) // crypto/rand.Read never returns an error
	keys, err := deriveKeys(s.key, h.salt)
	if err != nil {
		return h, failed(err, "write blob")
	}
	if _, err := f.Seek(int64(headerBytes), io.SeekStart); err != nil {
		return h, failed(err, "write blob")
	}
	w := sealer{f: f, keys: keys, sum: sha256.New(), out: make([]byte, 0, sealedBytes)}
	if h.size, err = s.sealAll(ctx, &w, r, maxBytes); err != nil {
		return h, err
	}
	w.sum.Sum(h.sum[:0])
	if _, err := f.WriteAt(h.encode(keys), 0); err != nil {
		return h, failed(err, "write blob")
	}
	return h, nil
}

// sealAll writes the segments. It reads one byte more than a segment ahead, so that it knows the last one as such.
func (s *Store) sealAll(ctx context.Context, w *sealer, r io.Reader, maxBytes int64) (size int64, err error) {
	buf := make([]byte, 0, segment+1)
	for last := false; !last; {
		if err := ctx.Err(); err != nil {
			return 0, failed(err, "write blob")
		}
		n, err := io.ReadFull(r, buf[len(buf):cap(buf)])
		if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
			return 0, fmt.Errorf("read content: %w", err)
		}
		buf = buf[:len(buf)+n]
		if size+int64(len(buf)) > maxBytes {
			return 0, faas.Errorf(faas.TooLarge, "the content is larger than %d bytes", maxBytes)
		}
		last = len(buf) <= segment
		part := buf[:min(len(buf), segment)]
		if err := w.write(part, last); err != nil {
			return 0, failed(err, "write blob")
		}
		size += int64(len(part))
		buf = buf[:copy(buf, buf[len(part):])]
		if size%spaceEvery == 0 {
			if err := s.space(0); err != nil {
				return 0, err
			}
		}
	}
	return size, nil
}

type sealer struct {
	f      io.Writer
	keys   fileKeys
	sum    hash.Hash
	number int64
	out    []byte
}

func (w *sealer) write(part []byte, last bool) error {
	w.sum.Write(part)
	_, err := w.f.Write(w.keys.aead.Seal(w.out, nonce(w.number, last), part, nil))
	w.number++
	return err
}

// reader yields the content of a file segment by segment; nothing that is not authentic gets out.
type reader struct {
	ctx    context.Context
	f      *os.File
	keys   fileKeys
	head   header
	sum    hash.Hash
	number int64
	sealed []byte
	plain  []byte // of the current segment, not yet read
	err    error  // sticky
}

// newReader checks the header of f and that f is as long as it says. It owns f when it returns no error.
func newReader(ctx context.Context, f *os.File, master []byte, sha string) (*reader, error) {
	b := make([]byte, headerBytes)
	n, err := io.ReadFull(f, b)
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, io.EOF) {
		return nil, err
	}
	h, keys, err := parseHeader(master, b[:n])
	if err != nil {
		return nil, err
	}
	if hex.EncodeToString(h.sum[:]) != sha {
		return nil, fmt.Errorf("%w: it holds another content", errDamaged)
	}
	st, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if st.Size() != fileSize(h.size) {
		return nil, fmt.Errorf("%w: it has %d bytes instead of %d", errDamaged, st.Size(), fileSize(h.size))
	}
	return &reader{ctx: ctx, f: f, keys: keys, head: h, sum: sha256.New(), sealed: make([]byte, sealedBytes)}, nil
}

func (r *reader) Read(p []byte) (int, error) {
	for len(r.plain) == 0 && r.err == nil {
		r.next()
	}
	if len(r.plain) == 0 {
		return 0, r.err
	}
	n := copy(p, r.plain)
	r.plain = r.plain[n:]
	return n, nil
}

// next opens one segment, or sets err at the end.
func (r *reader) next() {
	count := segments(r.head.size)
	if r.number == count {
		r.err = io.EOF
		if [sha256.Size]byte(r.sum.Sum(nil)) != r.head.sum {
			r.err = failed(fmt.Errorf("%w: its content has another hash", errDamaged), "read blob")
		}
		return
	}
	if err := r.ctx.Err(); err != nil {
		r.err = failed(err, "read blob")
		return
	}
	last := r.number == count-1
	size := int64(sealedBytes)
	if last {
		size = r.head.size - r.number*segment + overhead
	}
	sealed := r.sealed[:size]
	if _, err := io.ReadFull(r.f, sealed); err != nil {
		r.err = failed(fmt.Errorf("read segment %d: %w", r.number, err), "read blob")
		return
	}
	plain, err := r.keys.aead.Open(sealed[:0], nonce(r.number, last), sealed, nil)
	if err != nil {
		r.err = failed(fmt.Errorf("%w: segment %d is not authentic", errDamaged, r.number), "read blob")
		return
	}
	r.sum.Write(plain)
	r.plain = plain
	r.number++
}

// Close releases the file.
func (r *reader) Close() error {
	r.plain, r.err = nil, os.ErrClosed
	return r.f.Close()
}
