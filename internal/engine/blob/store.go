// Package blob keeps large immutable contents, each under the SHA-256 of its bytes, encrypted on disk. A content is
// durable when Put returns; every byte that a reader gets has been authenticated first.
package blob

import (
	"context"
	"encoding/hex"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"artesian/internal/engine"
	"artesian/internal/faas"
)

// Store is the content-addressed store in Dir/blobs. It is safe for concurrent use.
type Store struct {
	dir   string // of the blobs: two hexadecimal digits, then the file named for the whole hash
	tmp   string // of files being written
	key   []byte
	space func(need int64) error
}

// Info is one content as List finds it.
type Info struct {
	SHA256   string
	Modified time.Time // of the last Put
}

// New opens the store on a started engine, and removes what an interrupted Put left.
func New(eng *engine.Engine) (*Store, error) {
	s := &Store{dir: filepath.Join(eng.Dir(), "blobs"), key: eng.BlobKey(), space: eng.CheckSpace}
	s.tmp = filepath.Join(s.dir, "tmp")
	if err := os.RemoveAll(s.tmp); err != nil {
		return nil, failed(err, "sweep temporary blobs")
	}
	if err := os.MkdirAll(s.tmp, 0o700); err != nil {
		return nil, failed(err, "make blob directory")
	}
	for _, d := range []string{s.dir, eng.Dir()} {
		if err := engine.SyncDir(d); err != nil {
			return nil, failed(err, "make blob directory")
		}
	}
	return s, nil
}

// Put stores what r yields, up to maxBytes, and returns its SHA-256 in lower-case hexadecimal and its size. A content that
// is there already is replaced by the same content, which mends a damaged file. TooLarge: r yields more. Unavailable: the
// disk is full. An error of r is returned as it is.
func (s *Store) Put(ctx context.Context, r io.Reader, maxBytes int64) (sha string, size int64, err error) {
	if err := s.space(0); err != nil {
		return "", 0, err
	}
	f, err := os.CreateTemp(s.tmp, "put-*")
	if err != nil {
		return "", 0, failed(err, "make blob")
	}
	defer os.Remove(f.Name())
	defer f.Close()
	h, err := s.seal(ctx, f, r, maxBytes)
	if err != nil {
		return "", 0, err
	}
	if err := f.Sync(); err != nil {
		return "", 0, failed(err, "sync blob")
	}
	sha = hex.EncodeToString(h.sum[:])
	if err := s.publish(f.Name(), sha); err != nil {
		return "", 0, failed(err, "publish blob")
	}
	return sha, h.size, nil
}

// publish gives a finished file its name, durably.
func (s *Store) publish(tmp, sha string) error {
	shard := filepath.Dir(s.path(sha))
	if err := os.Mkdir(shard, 0o700); err == nil || errors.Is(err, fs.ErrExist) {
		if err := engine.SyncDir(s.dir); err != nil {
			return err
		}
	} else {
		return err
	}
	if err := os.Rename(tmp, s.path(sha)); err != nil {
		return err
	}
	return engine.SyncDir(shard)
}

func (s *Store) path(sha string) string { return filepath.Join(s.dir, sha[:2], sha) }

// Open returns a reader of the content and its size. NotFound: there is none. Internal: the file is damaged; Open says so
// when its header or length is wrong, Read when a segment or the hash is.
func (s *Store) Open(ctx context.Context, sha string) (io.ReadCloser, int64, error) {
	if err := checkSHA(sha); err != nil {
		return nil, 0, err
	}
	f, err := os.Open(s.path(sha))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, 0, faas.Errorf(faas.NotFound, "there is no content with SHA-256 %s", sha)
	}
	if err != nil {
		return nil, 0, failed(err, "open blob")
	}
	r, err := newReader(ctx, f, s.key, sha)
	if err != nil {
		f.Close()
		return nil, 0, failed(err, "open blob "+sha)
	}
	return r, r.head.size, nil
}

// Has reports whether the content is there. It does not read it.
func (s *Store) Has(ctx context.Context, sha string) (bool, error) {
	if err := checkSHA(sha); err != nil {
		return false, err
	}
	if err := ctx.Err(); err != nil {
		return false, failed(err, "look for blob")
	}
	_, err := os.Stat(s.path(sha))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, failed(err, "look for blob")
	}
	return true, nil
}

// Delete removes the content, durably. One that is not there is no error; readers that are open keep what they have.
func (s *Store) Delete(ctx context.Context, sha string) error {
	if err := checkSHA(sha); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return failed(err, "delete blob")
	}
	err := os.Remove(s.path(sha))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil {
		err = engine.SyncDir(filepath.Dir(s.path(sha)))
	}
	if err != nil {
		return failed(err, "delete blob")
	}
	return nil
}

// List returns every content in the order of the hashes, for whoever collects those that nothing refers to. One that was
// Put moments ago may not be referred to yet: compare Modified.
func (s *Store) List(ctx context.Context) ([]Info, error) {
	shards, err := os.ReadDir(s.dir)
	if err != nil {
		return nil, failed(err, "list blobs")
	}
	var out []Info
	for _, shard := range shards {
		if err := ctx.Err(); err != nil {
			return nil, failed(err, "list blobs")
		}
		if !shard.IsDir() {
			continue
		}
		files, err := os.ReadDir(filepath.Join(s.dir, shard.Name()))
		if err != nil {
			return nil, failed(err, "list blobs")
		}
		for _, file := range files {
			st, err := file.Info()
			if err != nil || checkSHA(file.Name()) != nil {
				continue // removed meanwhile, or not a blob
			}
			out = append(out, Info{SHA256: file.Name(), Modified: st.ModTime()})
		}
	}
	return out, nil
}

func checkSHA(sha string) error {
	if b, err := hex.DecodeString(sha); err != nil || len(b) != 32 || hex.EncodeToString(b) != sha {
		return faas.Errorf(faas.Invalid, "a SHA-256 must be 64 lower-case hexadecimal digits")
	}
	return nil
}

// failed is the boundary error for what went wrong while doing op.
func failed(err error, op string) error {
	var e *faas.Error
	switch {
	case errors.As(err, &e):
		return err
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return &faas.Error{Kind: faas.Unavailable, Op: op, Message: "the disk is full; free some space and try again", Cause: err}
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return &faas.Error{Kind: faas.Unavailable, Op: op, Message: "the request ended before it was done", Cause: err}
	}
	return &faas.Error{Kind: faas.Internal, Op: op, Message: "the stored content cannot be used", Cause: err}
}
