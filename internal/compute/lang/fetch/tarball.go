package fetch

import (
	"archive/tar"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"strings"
)

// Bounds of a tarball.
const (
	maxEntries = 65536
	maxName    = 1024
)

// Unpack writes the regular files of a gzipped tarball below root, in folder into, which it makes. As npm does, it takes
// off the first element of every path. It takes what want, told that rest of the path, accepts (nil: all), refuses links,
// devices and paths that lead outside, and fails beyond max bytes of content. Files are 0644 or 0755.
func Unpack(ctx context.Context, tgz io.Reader, root *os.Root, into string, max int64, want func(name string) bool) error {
	gz, err := gzip.NewReader(tgz)
	if err != nil {
		return fmt.Errorf("read tarball: %w", err)
	}
	// What is read is bounded too: entries that aren't wanted and padding have to be inflated as well.
	in := tar.NewReader(io.LimitReader(gz, 2*max+maxEntries*1024))
	for n := 0; ; n++ {
		h, err := in.Next()
		switch {
		case err == io.EOF:
			return nil
		case err != nil:
			return fmt.Errorf("read tarball: %w", err)
		case n == maxEntries:
			return fmt.Errorf("the tarball has more than %d entries", maxEntries)
		case ctx.Err() != nil:
			return ctx.Err()
		}
		if h.Typeflag == tar.TypeDir || h.Typeflag == tar.TypeXGlobalHeader {
			continue
		}
		name, err := entryName(h)
		if err != nil {
			return err
		}
		if want != nil && !want(name) {
			continue
		}
		if max -= h.Size; max < 0 {
			return errors.New("the tarball unpacks to more than it may")
		}
		if err := write(root, path.Join(into, name), h, in); err != nil {
			return err
		}
	}
}

// entryName returns where an entry goes, or why it goes nowhere.
func entryName(h *tar.Header) (string, error) {
	refuse := func(why string) (string, error) {
		return "", fmt.Errorf("the tarball's entry %.200q %s", h.Name, why)
	}
	if h.Typeflag != tar.TypeReg {
		return refuse("is not a regular file")
	}
	if len(h.Name) > maxName || strings.ContainsAny(h.Name, "\\\x00") {
		return refuse("has a name that is too long or has a backslash")
	}
	_, rest, ok := strings.Cut(h.Name, "/")
	if !ok || strings.HasPrefix(h.Name, "/") {
		return refuse("is not in a folder")
	}
	for part := range strings.SplitSeq(h.Name, "/") {
		if part == "" || part == "." || part == ".." {
			return refuse("has a path that is not a plain one")
		}
	}
	return rest, nil
}

func write(root *os.Root, name string, h *tar.Header, in io.Reader) error {
	if err := folders(root, path.Dir(name)); err != nil {
		return fmt.Errorf("unpack %s: %w", name, err)
	}
	mode := os.FileMode(0o644)
	if h.FileInfo().Mode()&0o111 != 0 {
		mode = 0o755
	}
	f, err := root.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, mode)
	if err != nil {
		return fmt.Errorf("unpack %s: %w", name, err)
	}
	_, err = io.Copy(f, in)
	if err == nil {
		err = f.Chmod(mode)
	}
	if closed := f.Close(); err == nil {
		err = closed
	}
	if err != nil {
		return fmt.Errorf("unpack %s: %w", name, err)
	}
	return nil
}

// folders makes dir and those above it that are missing, for everybody to read whatever the umask.
func folders(root *os.Root, dir string) error {
	if dir == "." {
		return nil
	}
	if info, err := root.Lstat(dir); err == nil && info.IsDir() {
		return nil
	}
	if err := folders(root, path.Dir(dir)); err != nil {
		return err
	}
	if err := root.Mkdir(dir, 0o755); err != nil {
		return err
	}
	return root.Chmod(dir, 0o755)
}
