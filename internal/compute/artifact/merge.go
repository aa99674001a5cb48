package artifact

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"syscall"

	"artesian/internal/faas"
)

// Layers returns the directory with the content of layers, later ones over earlier ones, merging it if need be: once, however
// many ask. A file that two of them have is the later one's; so is a directory that the other one has as a file or link. It stays
// until Remove of its name, faas.Merged, which does nothing for 15 minutes from now. Without layers it is empty text.
func (s *Store) Layers(ctx context.Context, layers []faas.Layer) (string, error) {
	switch len(layers) {
	case 0:
		return "", nil
	case 1:
		return s.Dir(ctx, layers[0].Code.SHA256)
	}
	name := faas.Merged(layers)
	if err := s.touch(name); err != nil {
		return "", err
	}
	return s.once(ctx, name, func(ctx context.Context) (string, error) { return s.merge(ctx, layers) })
}

// merge makes a directory of its own and returns its path, also together with an error.
func (s *Store) merge(ctx context.Context, layers []faas.Layer) (string, error) {
	from := make([]string, len(layers))
	for i, l := range layers {
		var err error
		if from[i], err = s.Dir(ctx, l.Code.SHA256); err != nil {
			return "", err
		}
	}
	tmp, err := s.aside()
	if err != nil {
		return tmp, err
	}
	for _, dir := range from {
		if err := overlay(ctx, tmp, dir); err != nil {
			return tmp, fmt.Errorf("merge layers: %w", err)
		}
	}
	return tmp, confined(tmp)
}

// confined refuses a tree with a symbolic link that leads out of it: one that stays inside its own package may pass through a
// link that another has in its way.
func confined(dir string) error {
	p := &plan{tree: make(map[string]*entry)}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.Type() != fs.ModeSymlink {
			return err
		}
		e := &entry{path: path[len(dir)+1:], kind: link}
		e.target, err = os.Readlink(path)
		p.order, p.tree[e.path] = append(p.order, e), e
		return err
	})
	if err != nil {
		return fmt.Errorf("look over merged layers: %w", err)
	}
	for _, e := range p.order {
		if why := p.follow(e); why != "" {
			return faas.Errorf(faas.Invalid, "Layers: with all of them together, of %q %s", e.path, why)
		}
	}
	return nil
}

// overlay puts the content of from over that of to, by hard links: nothing is ever written to either. Links of from are no
// detours: only directories of its own are entered.
func overlay(ctx context.Context, to, from string) error {
	return filepath.WalkDir(from, func(source string, d fs.DirEntry, err error) error {
		if err != nil || source == from {
			return err
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		target := to + source[len(from):]
		have, err := os.Lstat(target)
		switch {
		case errors.Is(err, fs.ErrNotExist):
		case err != nil:
			return err
		case have.IsDir() && d.IsDir():
			return nil
		default:
			if err := os.RemoveAll(target); err != nil {
				return err
			}
		}
		switch {
		case d.IsDir():
			if err := os.Mkdir(target, 0o755); err != nil {
				return err
			}
			return os.Chmod(target, 0o755)
		case d.Type() == fs.ModeSymlink:
			to, err := os.Readlink(source)
			if err != nil {
				return err
			}
			return os.Symlink(to, target)
		}
		return share(source, target)
	})
}

// share makes target the same file as source, or a copy of it where the file system allows no more names.
func share(source, target string) error {
	err := os.Link(source, target)
	if !errors.Is(err, syscall.EMLINK) {
		return err
	}
	info, err := os.Stat(source)
	if err != nil {
		return err
	}
	b, err := os.ReadFile(source) // bounded by the size of a package
	if err != nil {
		return err
	}
	if err := os.WriteFile(target, b, info.Mode().Perm()); err != nil {
		return err
	}
	return os.Chmod(target, info.Mode().Perm())
}

// Unpacked returns how many bytes the files of a package have together, unpacking it if need be.
func (s *Store) Unpacked(ctx context.Context, sha string) (int64, error) {
	dir, err := s.Dir(ctx, sha)
	if err != nil {
		return 0, err
	}
	var total int64
	err = filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		info, err := d.Info()
		if err == nil {
			total += info.Size()
		}
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("measure package: %w", err)
	}
	return total, nil
}

// Measure is Unpacked for a package that is not stored, which it judges as Put does.
func (s *Store) Measure(ctx context.Context, zip []byte) (int64, error) {
	if err := s.puts.enter(ctx); err != nil {
		return 0, err
	}
	defer s.puts.leave()
	info, err := Check(ctx, bytes.NewReader(zip), int64(len(zip)))
	return info.Unpacked, err
}

// Cached returns the names of all that is unpacked or merged here, for whoever removes what nothing needs.
func (s *Store) Cached() ([]string, error) {
	all, err := filepath.Glob(path.Join(s.dir, "[0-9a-f]*"))
	if err != nil {
		return nil, err
	}
	var names []string
	for _, p := range all {
		if name := filepath.Base(p); shaPattern.MatchString(name) {
			names = append(names, name)
		}
	}
	return names, nil
}
