package artifact

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"sync"
	"syscall"
	"time"

	"artesian/internal/faas"
)

// Blobs keeps packages by the SHA-256 of their bytes.
type Blobs interface {
	Put(ctx context.Context, r io.Reader, max int64) (sha string, size int64, err error)
	Open(ctx context.Context, sha string) (io.ReadCloser, int64, error)
	Delete(ctx context.Context, sha string) error
}

// grace protects a package between its upload and the moment that something durable refers to it, and between Dir and
// the moment that the caller can tell which instances run from it.
const grace = 15 * time.Minute

var shaPattern = regexp.MustCompile(`^[0-9a-f]{64}$`)

// Store holds deployment packages: zips in the blob store, and unpacked beside it as a cache that can be lost. A
// finished directory appears by rename and is never written to again. Methods may be called from any goroutine; after
// Close they return os.ErrClosed.
type Store struct {
	blobs Blobs
	dir   string
	now   func() time.Time
	puts  *admission
	space chan struct{} // a place for each package being inflated

	mu     sync.Mutex           // guards the fields below; never held during I/O beyond one lstat
	busy   map[string]*flight   // by hash
	lately map[string]time.Time // when a hash was last uploaded or asked for
	pruned time.Time            // when the old ones were taken out of lately
	closed bool
	work   sync.WaitGroup
}

// flight is one unpacking or removal that several callers wait for. Its results are set before done is closed.
type flight struct {
	done    chan struct{}
	removal bool
	path    string
	err     error
}

// Open returns a store with its unpacked packages in dir, which it makes (0711: other uids may pass through to a
// package but not list them). What an interrupted process left half done is swept. After a reboot all is unpacked anew, because
// the cache is written without sync: only the zips are durable.
func Open(blobs Blobs, dir string, now func() time.Time) (*Store, error) {
	if err := os.MkdirAll(dir, 0o711); err != nil {
		return nil, fmt.Errorf("make package directory: %w", err)
	}
	if err := os.Chmod(dir, 0o711); err != nil {
		return nil, fmt.Errorf("open package directory to functions: %w", err)
	}
	if err := sweep(dir, bootID()); err != nil {
		return nil, fmt.Errorf("sweep package directory: %w", err)
	}
	return &Store{blobs: blobs, dir: dir, now: now, puts: newAdmission(), space: make(chan struct{}, maxUnpacks),
		busy: map[string]*flight{}, lately: map[string]time.Time{}}, nil
}

// Put checks a package, stores it durably and unpacks it, so that the first instance need not. Errors are *faas.Error:
// TooLarge beyond faas.MaxZipBytes, Invalid for what Check refuses, Throttled when too many uploads wait already; nothing is
// stored then.
func (s *Store) Put(ctx context.Context, zip []byte) (faas.Code, error) {
	if len(zip) > faas.MaxZipBytes {
		return faas.Code{}, faas.Errorf(faas.TooLarge, "Zip file must be smaller than %d bytes", faas.MaxZipBytes)
	}
	if err := s.puts.enter(ctx); err != nil {
		return faas.Code{}, err
	}
	defer s.puts.leave()
	sum := sha256.Sum256(zip)
	sha := hex.EncodeToString(sum[:])
	if err := s.touch(sha); err != nil {
		return faas.Code{}, err
	}
	if _, err := s.unpacked(ctx, sha, func(context.Context) ([]byte, error) { return zip, nil }); err != nil {
		return faas.Code{}, err
	}
	stored, size, err := s.blobs.Put(ctx, bytes.NewReader(zip), faas.MaxZipBytes)
	if err != nil {
		return faas.Code{}, fmt.Errorf("store package: %w", err)
	}
	if stored != sha {
		return faas.Code{}, fmt.Errorf("store package: kept as %s instead of %s", stored, sha)
	}
	return faas.Code{SHA256: sha, Size: size}, nil
}

func (s *Store) touch(sha string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return os.ErrClosed
	}
	now := s.now()
	if now.Sub(s.pruned) >= grace {
		s.pruned = now
		maps.DeleteFunc(s.lately, func(_ string, at time.Time) bool { return now.Sub(at) >= grace })
	}
	s.lately[sha] = now
	return nil
}

// Dir returns the directory of an unpacked package, unpacking it if need be: once, however many ask. A caller that
// leaves does not stop the unpacking. The directory stays until Remove, which does nothing for 15 minutes from now.
func (s *Store) Dir(ctx context.Context, sha string) (string, error) {
	if !shaPattern.MatchString(sha) {
		return "", faas.Errorf(faas.Invalid, "code hash %q is not a SHA-256 in lower-case hex", sha)
	}
	if err := s.touch(sha); err != nil {
		return "", err
	}
	return s.unpacked(ctx, sha, func(ctx context.Context) ([]byte, error) { return s.read(ctx, sha) })
}

// unpacked makes sure that sha is unpacked, from the bytes that load returns.
func (s *Store) unpacked(ctx context.Context, sha string, load func(context.Context) ([]byte, error)) (string, error) {
	return s.once(ctx, sha, func(ctx context.Context) (string, error) { return s.unpackAside(ctx, load) })
}

func (s *Store) read(ctx context.Context, sha string) ([]byte, error) {
	rc, size, err := s.blobs.Open(ctx, sha)
	if err != nil {
		return nil, fmt.Errorf("open package: %w", err)
	}
	defer rc.Close()
	if size > faas.MaxZipBytes {
		return nil, fmt.Errorf("open package: it has %d bytes", size)
	}
	b, err := io.ReadAll(io.LimitReader(rc, faas.MaxZipBytes+1))
	if err != nil {
		return nil, fmt.Errorf("read package: %w", err)
	}
	return b, nil
}

// once makes sure that the directory of sha is there, which is the one that fill has filled elsewhere.
func (s *Store) once(ctx context.Context, sha string, fill func(context.Context) (string, error)) (string, error) {
	for {
		f, err := s.join(ctx, sha, fill)
		if err != nil {
			return "", err
		}
		select {
		case <-f.done:
			if !f.removal {
				return f.path, full(f.err)
			}
		case <-ctx.Done():
			return "", fmt.Errorf("wait for package: %w", ctx.Err())
		}
	}
}

// full tells the caller about a full disk, which only its owner can mend; other errors stay as they are.
func full(err error) error {
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		return &faas.Error{Kind: faas.Unavailable, Op: "unpack package", Message: "the disk is full; free some space and try again", Cause: err}
	}
	return err
}

// join returns what is under way for sha, starting it if nothing is and the directory is not there.
func (s *Store) join(ctx context.Context, sha string, fill func(context.Context) (string, error)) (*flight, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, os.ErrClosed
	}
	if f := s.busy[sha]; f != nil {
		return f, nil
	}
	f := &flight{done: make(chan struct{}), path: filepath.Join(s.dir, sha)}
	if _, err := os.Lstat(f.path); err == nil {
		close(f.done)
		return f, nil
	}
	s.busy[sha] = f
	s.work.Go(func() { s.put(context.WithoutCancel(ctx), sha, f, fill) })
	return f, nil
}

func (s *Store) put(ctx context.Context, sha string, f *flight, fill func(context.Context) (string, error)) {
	tmp, err := fill(ctx)
	if err == nil {
		err = os.Rename(tmp, f.path)
	}
	if err != nil && tmp != "" {
		if rerr := os.RemoveAll(tmp); rerr != nil {
			err = errors.Join(err, rerr)
		}
	}
	f.err = err
	s.land(sha, f)
}

func (s *Store) land(sha string, f *flight) {
	s.mu.Lock()
	delete(s.busy, sha)
	s.mu.Unlock()
	close(f.done)
}

// unpackAside fills a directory of its own and returns its path, also together with an error.
func (s *Store) unpackAside(ctx context.Context, load func(context.Context) ([]byte, error)) (string, error) {
	s.space <- struct{}{}
	defer func() { <-s.space }()
	zip, err := load(ctx)
	if err != nil {
		return "", err
	}
	tmp, err := s.aside()
	if err != nil {
		return tmp, err
	}
	root, err := os.OpenRoot(tmp)
	if err != nil {
		return tmp, fmt.Errorf("open directory: %w", err)
	}
	defer root.Close()
	if _, err := unpack(ctx, bytes.NewReader(zip), int64(len(zip)), onDisk{root}); err != nil {
		return tmp, err
	}
	return tmp, nil
}

// aside makes an empty directory that functions may read.
func (s *Store) aside() (string, error) {
	tmp, err := os.MkdirTemp(s.dir, partial)
	if err != nil {
		return "", fmt.Errorf("make directory: %w", err)
	}
	if err := os.Chmod(tmp, 0o755); err != nil {
		return tmp, fmt.Errorf("open directory to functions: %w", err)
	}
	return tmp, nil
}

// Remove deletes a package and its directory. The caller vouches that no function refers to it and no instance that
// is older than 15 minutes runs from it. A package that was uploaded or asked for by Dir in the last 15 minutes answers Conflict:
// a function may be about to refer to it, or an instance to start from it.
func (s *Store) Remove(ctx context.Context, sha string) error {
	if !shaPattern.MatchString(sha) {
		return faas.Errorf(faas.Invalid, "code hash %q is not a SHA-256 in lower-case hex", sha)
	}
	f, err := s.claim(sha)
	if err != nil {
		return err
	}
	defer s.land(sha, f)
	aside, err := s.unlink(sha)
	if err != nil {
		return err
	}
	if err := s.blobs.Delete(ctx, sha); err != nil {
		return fmt.Errorf("delete package: %w", err)
	}
	if err := os.RemoveAll(aside); err != nil {
		return fmt.Errorf("delete unpacked package: %w", err)
	}
	return nil
}

// claim keeps everybody else away from sha until land.
func (s *Store) claim(sha string) (*flight, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, os.ErrClosed
	}
	if at, ok := s.lately[sha]; s.busy[sha] != nil || ok && s.now().Sub(at) < grace {
		return nil, faas.Errorf(faas.Conflict, "code %s is in use or was in use just now", sha)
	}
	f := &flight{done: make(chan struct{}), removal: true}
	s.busy[sha] = f
	return f, nil
}

// unlink takes the directory out of sight and returns where it is now; no directory is fine.
func (s *Store) unlink(sha string) (string, error) {
	aside, err := os.MkdirTemp(s.dir, doomed)
	if err != nil {
		return "", fmt.Errorf("set package aside: %w", err)
	}
	err = os.Rename(filepath.Join(s.dir, sha), filepath.Join(aside, sha))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return "", errors.Join(fmt.Errorf("set package aside: %w", err), os.Remove(aside))
	}
	return aside, nil
}

// Close refuses new work and waits for what is being unpacked.
func (s *Store) Close() error {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	s.work.Wait()
	return nil
}
