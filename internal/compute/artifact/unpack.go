package artifact

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"artesian/internal/faas"
)

// sink receives the tree: directories and files in the package's order, parents first, then all links.
type sink interface {
	mkdir(path string) error
	create(path string, executable bool) (io.WriteCloser, error)
	touch(path string, modified time.Time) error
	symlink(target, path string) error
}

// unpack reads the package once and hands out its tree. On error the sink may hold a part of it.
func unpack(ctx context.Context, r io.ReaderAt, size int64, to sink) (Info, error) {
	var info Info
	zr, err := openZip(r, size)
	if err != nil {
		return info, err
	}
	p, err := newPlan(zr.File)
	if err != nil {
		return info, err
	}
	if err := p.inflate(ctx, to, &info); err != nil {
		return info, err
	}
	if err := p.links(); err != nil {
		return info, err
	}
	for _, e := range p.order {
		if e.kind != link {
			continue
		}
		if err := to.symlink(e.target, e.path); err != nil {
			return info, fmt.Errorf("link entry: %w", err)
		}
	}
	return info, nil
}

func (p *plan) inflate(ctx context.Context, to sink, info *Info) error {
	buf := make([]byte, inflateBuffer)
	for _, e := range p.order {
		if err := ctx.Err(); err != nil {
			return err
		}
		var err error
		switch e.kind {
		case directory:
			err = to.mkdir(e.path)
		case link:
			info.Links++
			err = e.readTarget()
		case file:
			info.Files++
			err = e.write(ctx, to, info, buf)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (e *entry) readTarget() error {
	rc, err := e.zip.Open()
	if err != nil {
		return broken(err)
	}
	defer rc.Close()
	b, err := io.ReadAll(io.LimitReader(rc, maxLinkBytes+1))
	if err != nil {
		return refuse(e.zip.Name, "it is damaged")
	}
	e.target = string(b)
	if why := linkTarget(e.target); why != "" {
		return refuse(e.zip.Name, why)
	}
	return nil
}

func (e *entry) write(ctx context.Context, to sink, info *Info, buf []byte) error {
	rc, err := e.zip.Open()
	if err != nil {
		return broken(err)
	}
	defer rc.Close()
	w, err := to.create(e.path, e.zip.Mode()&0o111 != 0)
	if err != nil {
		return fmt.Errorf("create entry: %w", err)
	}
	err = e.copy(ctx, w, rc, info, buf)
	if cerr := w.Close(); err == nil && cerr != nil {
		err = fmt.Errorf("close entry: %w", cerr)
	}
	if err != nil {
		return err
	}
	if err := to.touch(e.path, e.zip.Modified); err != nil {
		return fmt.Errorf("date entry: %w", err)
	}
	return nil
}

// copy inflates within what is left of the size limit.
func (e *entry) copy(ctx context.Context, w io.Writer, r io.Reader, info *Info, buf []byte) error {
	for {
		n, rerr := r.Read(buf)
		if info.Unpacked += int64(n); info.Unpacked > faas.MaxUnpackedBytes {
			return faas.Errorf(faas.Invalid, tooLarge)
		}
		if n > 0 {
			if _, err := w.Write(buf[:n]); err != nil {
				return fmt.Errorf("write entry: %w", err)
			}
		}
		switch {
		case rerr == io.EOF:
			return nil
		case rerr != nil:
			return refuse(e.zip.Name, "it is damaged")
		}
		if err := ctx.Err(); err != nil {
			return err
		}
	}
}

// discard is the sink of a check.
type discard struct{}

type nopCloser struct{ io.Writer }

func (nopCloser) Close() error { return nil }

func (discard) mkdir(string) error                          { return nil }
func (discard) create(string, bool) (io.WriteCloser, error) { return nopCloser{io.Discard}, nil }
func (discard) touch(string, time.Time) error               { return nil }
func (discard) symlink(string, string) error                { return nil }

// onDisk writes below an os.Root, so that no path, however made, leads out of it. Modes do not depend on the umask and
// let any uid read.
type onDisk struct{ root *os.Root }

func (d onDisk) mkdir(path string) error {
	if err := d.root.Mkdir(path, 0o755); err != nil {
		return fmt.Errorf("make directory: %w", err)
	}
	return d.root.Chmod(path, 0o755)
}

func (d onDisk) create(path string, executable bool) (io.WriteCloser, error) {
	mode := os.FileMode(0o644)
	if executable {
		mode = 0o755
	}
	f, err := d.root.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, mode)
	if err != nil {
		return nil, err
	}
	if err := f.Chmod(mode); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// touch keeps the package's own dates, within what every file system can hold.
func (d onDisk) touch(path string, modified time.Time) error {
	if modified.Year() < 1980 || modified.Year() > 2107 { // the range of a zip's own date field
		modified = time.Date(1980, 1, 1, 0, 0, 0, 0, time.UTC)
	}
	return d.root.Chtimes(path, modified, modified)
}

func (d onDisk) symlink(target, path string) error { return d.root.Symlink(target, path) }

// Unpack writes the tree of a zip below root, judged as Check judges a package. On error a part of it may be there.
func Unpack(ctx context.Context, r io.ReaderAt, size int64, root *os.Root) (Info, error) {
	return unpack(ctx, r, size, onDisk{root})
}
