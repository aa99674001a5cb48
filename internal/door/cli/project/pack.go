package project

import (
	"archive/zip"
	"bytes"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"artesian/internal/faas"
)

// litter are names that never belong into a package, at any depth: version control, caches, virtual environments,
// editors' files, and .env, which holds secrets that belong into the function's environment.
var litter = []string{".git", ".hg", ".svn", "__pycache__", ".venv", "venv", ".env", ".pytest_cache", ".mypy_cache", ".ruff_cache", ".tox",
	".idea", ".vscode", ".DS_Store", ".gitignore", ".gitattributes", ".python-version"}

func skipped(rel string) bool {
	return slices.Contains(litter, filepath.Base(rel)) || strings.HasSuffix(rel, ".pyc")
}

// epoch is the date of every entry, so that a package depends on its content only.
var epoch = time.Date(1980, 1, 1, 0, 0, 0, 0, time.UTC)

// tree collects what goes into a package: paths inside, and where their content is.
type tree map[string]source

type source struct {
	path string
	mode fs.FileMode // 0644, 0755 or a symbolic link
}

// add puts everything below dir into the tree, except what leave says. Later additions win.
func (t tree) add(dir string, leave func(rel string) bool) error {
	return filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return fmt.Errorf("read folder: %w", err)
		}
		rel, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		if rel != "." && leave(rel) {
			if d.IsDir() {
				return filepath.SkipDir
			}
			return nil
		}
		if d.IsDir() && isData(path) {
			return fmt.Errorf("%s is a daemon's data directory, with its keys, and is not deployed; move it away from the function's folder", path)
		}
		if d.IsDir() {
			return nil
		}
		info, err := d.Info()
		if err != nil {
			return fmt.Errorf("read folder: %w", err)
		}
		mode, err := entryMode(rel, info.Mode())
		if err != nil {
			return err
		}
		t[filepath.ToSlash(rel)] = source{path, mode}
		return nil
	})
}

func entryMode(rel string, m fs.FileMode) (fs.FileMode, error) {
	switch {
	case m&fs.ModeSymlink != 0:
		return fs.ModeSymlink | 0o777, nil
	case !m.IsRegular():
		return 0, fmt.Errorf("%s is neither a file nor a folder and cannot be deployed", rel)
	case m&0o111 != 0:
		return 0o755, nil
	default:
		return 0o644, nil
	}
}

// zip packs the tree: sorted, with one date for all. Same content, same bytes.
func (t tree) zip() ([]byte, error) {
	names := make([]string, 0, len(t))
	for name := range t {
		names = append(names, name)
	}
	slices.Sort(names)
	var buf bytes.Buffer
	w := zip.NewWriter(&buf)
	for _, name := range names {
		if err := t[name].write(w, name); err != nil {
			return nil, fmt.Errorf("pack %s: %w", name, err)
		}
		if buf.Len() > faas.MaxZipBytes {
			return nil, fmt.Errorf("the package is larger than %d MB, the most that can be uploaded", faas.MaxZipBytes>>20)
		}
	}
	if err := w.Close(); err != nil {
		return nil, fmt.Errorf("finish package: %w", err)
	}
	return buf.Bytes(), nil
}

func (s source) write(w *zip.Writer, name string) error {
	h := &zip.FileHeader{Name: name, Method: zip.Deflate, Modified: epoch}
	h.SetMode(s.mode)
	out, err := w.CreateHeader(h)
	if err != nil {
		return err
	}
	if s.mode&fs.ModeSymlink != 0 {
		target, err := os.Readlink(s.path)
		if err != nil {
			return err
		}
		_, err = io.WriteString(out, target)
		return err
	}
	in, err := os.Open(s.path)
	if err != nil {
		return err
	}
	defer in.Close()
	_, err = io.Copy(out, in)
	return err
}
