package pack

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"strings"
	"sync"

	"golang.org/x/sys/unix"

	"artesian/internal/compute/artifact"
	"artesian/internal/compute/lang/fetch"
)

const (
	downloads   = 6         // at once
	maxUnpacked = 250 << 20 // bytes of one file of a pack
)

// prepare returns a folder with all of the pack in it, on the disk. What it returns together with an error is to be removed.
func (s *Store) prepare(ctx context.Context, m *Manifest) (string, error) {
	if !s.client.Has(m.Registry()) {
		return "", fmt.Errorf("the registry %s is switched off (registries in config.json)", m.Registry())
	}
	tmp, err := os.MkdirTemp(s.dir, partial)
	if err != nil {
		return "", fmt.Errorf("make its folder: %w", err)
	}
	if err := os.Chmod(tmp, 0o755); err != nil {
		return tmp, fmt.Errorf("open its folder to functions: %w", err)
	}
	root, err := os.OpenRoot(tmp)
	if err != nil {
		return tmp, fmt.Errorf("open its folder: %w", err)
	}
	defer root.Close()
	if err := s.fill(ctx, m, root); err != nil {
		return tmp, err
	}
	return tmp, syncAll(root)
}

// fill downloads several files at once and unpacks one at a time; the first error ends it all.
func (s *Store) fill(ctx context.Context, m *Manifest, root *os.Root) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	todo := make(chan File)
	var unpacking sync.Mutex
	var workers sync.WaitGroup
	for range downloads {
		workers.Go(func() {
			for f := range todo {
				if err := s.add(ctx, f, root, &unpacking); err != nil {
					cancel(err) // the first counts: those that it breaks off say less
				}
			}
		})
	}
	for _, f := range m.Files {
		select {
		case todo <- f:
		case <-ctx.Done():
		}
	}
	close(todo)
	workers.Wait()
	if errors.Is(context.Cause(ctx), context.DeadlineExceeded) {
		return fmt.Errorf("it took longer than %v", installTime)
	}
	return context.Cause(ctx)
}

func (s *Store) add(ctx context.Context, f File, root *os.Root, unpacking *sync.Mutex) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	to, err := os.CreateTemp(s.dir, partial)
	if err != nil {
		return fmt.Errorf("make a file: %w", err)
	}
	defer to.Close()
	defer os.Remove(to.Name())
	if err := s.client.Get(ctx, f.File, to); err != nil {
		return err
	}
	unpacking.Lock()
	defer unpacking.Unlock()
	if err := place(ctx, f, to, root); err != nil {
		return fmt.Errorf("unpack %s: %w", f.File, err)
	}
	return nil
}

// place puts a downloaded file where it belongs: wheels and npm's tarballs unpacked, everything else as it is.
func place(ctx context.Context, f File, from *os.File, root *os.Root) error {
	if _, err := from.Seek(0, io.SeekStart); err != nil {
		return err
	}
	switch {
	case f.Registry == fetch.NPM:
		return fetch.Unpack(ctx, from, root, f.Into, maxUnpacked, runs)
	case strings.HasSuffix(f.File.File, ".whl"):
		_, err := artifact.Unpack(ctx, from, f.Size, root)
		return err
	}
	to, err := root.OpenFile(path.Join(f.Into, f.File.File), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	_, err = io.Copy(to, from)
	if err == nil {
		err = to.Chmod(0o644)
	}
	if closed := to.Close(); err == nil {
		err = closed
	}
	return err
}

// runs leaves out what only compilers and debuggers read: more than half of an npm package's files.
func runs(name string) bool {
	return !strings.HasSuffix(name, ".d.ts") && !strings.HasSuffix(name, ".map") && !strings.HasPrefix(name, "dist-types/")
}

// syncAll has everything on the disk: one call for thousands of files.
func syncAll(root *os.Root) error {
	dir, err := root.Open(".")
	if err != nil {
		return fmt.Errorf("sync it: %w", err)
	}
	defer dir.Close()
	if err := unix.Syncfs(int(dir.Fd())); err != nil {
		return fmt.Errorf("sync it: %w", err)
	}
	return nil
}
