package python

import (
	"context"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// batch is how many bytes of sources are compiled at once: what comes of them fits into one answer.
const batch = 512 << 10

// fresh ends the name of a file that is not yet on the disk.
const fresh = ".new"

// Precompile has the interpreter at host path compile the modules in a pack's folder, unless a result of before is there,
// whole. tag is the interpreter's sys.implementation.cache_tag. The result is beside the sources, where Python looks for it,
// each file whole or not there at all, so functions may read the folder meanwhile. Modules that are no Python of the
// interpreter's version are passed over.
func Precompile(ctx context.Context, interpreter, folder, tag string) error {
	// Versions of Python that are not released yet share a tag, and can't read each other's files.
	magic, err := Ask(ctx, interpreter, nil, "import importlib.util, sys; sys.stdout.write(importlib.util.MAGIC_NUMBER.hex())")
	if err != nil {
		return fmt.Errorf("compile pack: %w", err)
	}
	list := fmt.Sprintf(".compiled-%s-%.8s", tag, magic)
	if complete(folder, filepath.Join(folder, list)) {
		return nil
	}
	root, err := os.OpenRoot(folder) // a pack that is removed meanwhile is moved, and this goes with it
	if err != nil {
		return fmt.Errorf("compile pack: %w", err)
	}
	defer root.Close()
	sums := make(map[string]string)
	err = batches(root, func(sources map[string][]byte) error {
		compiled, err := compileAll(ctx, interpreter, packDir, sources)
		if err != nil {
			return err
		}
		for name := range sources {
			if pyc := compiled[name]; len(pyc) > 0 {
				at := cached(name, tag)
				sums[at] = digest(pyc)
				if err := writeFresh(root, at, pyc); err != nil {
					return err
				}
			}
		}
		return nil
	})
	if err == nil {
		err = appear(root, list, sums)
	}
	if err != nil {
		return fmt.Errorf("compile pack: %w", err)
	}
	return nil
}

// batches calls f with the modules below root, some at a time.
func batches(root *os.Root, f func(sources map[string][]byte) error) error {
	sources, size := make(map[string][]byte), 0
	err := fs.WalkDir(root.FS(), ".", func(name string, e fs.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() || !strings.HasSuffix(name, ".py") {
			return err
		}
		text, err := root.ReadFile(name)
		if err != nil {
			return err
		}
		if size += len(text); size > batch && len(sources) > 0 {
			if err := f(sources); err != nil {
				return err
			}
			sources, size = make(map[string][]byte), len(text)
		}
		sources[name] = text
		return nil
	})
	if err != nil || len(sources) == 0 {
		return err
	}
	return f(sources)
}

// writeFresh writes a file that functions may read, under the name that it has until it is on the disk.
func writeFresh(root *os.Root, name string, data []byte) error {
	dir := path.Dir(name)
	if err := root.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	if err := root.Chmod(dir, 0o755); err != nil { // whatever the umask
		return err
	}
	if err := root.WriteFile(name+fresh, data, 0o644); err != nil {
		return err
	}
	return root.Chmod(name+fresh, 0o644)
}

// appear has fresh files take their names once they are on the disk, and writes the list of their digests: one call to sync
// hundreds of files.
func appear(root *os.Root, list string, sums map[string]string) error {
	text, err := json.Marshal(sums)
	if err != nil {
		return err
	}
	if err := writeFresh(root, list, text); err != nil {
		return err
	}
	dir, err := root.Open(".")
	if err != nil {
		return err
	}
	defer dir.Close()
	if err := unix.Syncfs(int(dir.Fd())); err != nil {
		return fmt.Errorf("sync: %w", err)
	}
	for name := range sums {
		if err := root.Rename(name+fresh, name); err != nil {
			return err
		}
	}
	if err := root.Rename(list+fresh, list); err != nil {
		return err
	}
	return unix.Syncfs(int(dir.Fd()))
}
