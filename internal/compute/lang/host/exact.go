package host

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"

	"golang.org/x/sys/unix"

	"artesian/internal/compute/lang/durable"
	"artesian/internal/compute/lang/fetch"
	"artesian/internal/engine"
	"artesian/internal/faas"
)

// Bounds in bytes of one Node.js, as it is downloaded and unpacked.
const (
	maxDownload = 200 << 20
	maxUnpacked = 500 << 20
)

const partial = ".partial-"

// exactName is a version of Node.js that a registry has: node@22.12.0, node@22, nodejs22.x.
var exactName = regexp.MustCompile(`^(?:node@([0-9.]+)|nodejs([0-9]+)\.x)$`)

// exact returns the version that name asks for.
func exact(name string) (version string, ok bool) {
	m := exactName.FindStringSubmatch(name)
	if m == nil {
		return "", false
	}
	return m[1] + m[2], true
}

// IsExact reports whether name is a version of a language that AddExact installs, and no path.
func IsExact(name string) bool {
	_, ok := exact(name)
	return ok
}

func (c *Catalog) versions() string { return filepath.Join(c.cfg.Dir, "versions") }

// AddExact installs a version of Node.js from npm's registry, checked against the hash that the registry gives, and has it
// serve as Add does.
func (c *Catalog) AddExact(ctx context.Context, name string) (Info, error) {
	want, ok := exact(name)
	arch, known := map[string]string{"amd64": "x64", "arm64": "arm64"}[runtime.GOARCH]
	if !ok || !known || c.cfg.Fetch == nil {
		return Info{}, faas.Errorf(faas.Invalid, "%s is no version that can be installed here; for example node@22.12.0", name)
	}
	c.fetching.Lock()
	defer c.fetching.Unlock()
	dir, fresh, err := c.fetch(ctx, "node-linux-"+arch, want)
	if err != nil {
		return Info{}, &faas.Error{Kind: faas.Unavailable, Op: "install " + name, Message: fmt.Sprintf("%s cannot be installed: %v", name, err), Cause: err}
	}
	info, err := c.Add(ctx, filepath.Join(dir, "bin", "node"))
	if err != nil && fresh {
		err = errors.Join(err, os.RemoveAll(dir)) // it doesn't run here; one that was there may be in use
	}
	return info, err
}

// fetch returns the folder of the version, which appears whole or not at all, and whether it was not there before. The caller
// holds the lock for it.
func (c *Catalog) fetch(ctx context.Context, pkg, want string) (dir string, fresh bool, err error) {
	if err := durable.MakeFolder(c.versions()); err != nil {
		return "", false, err
	}
	left, _ := filepath.Glob(filepath.Join(c.versions(), partial+"*")) // the pattern is well-formed
	for _, l := range left {
		_ = os.RemoveAll(l) // of a daemon that was killed; tried again next time
	}
	defer c.cfg.Fetch.Rest()
	f, err := c.cfg.Fetch.NPMFile(ctx, pkg, want, maxDownload)
	if err != nil {
		return "", false, err
	}
	dir = filepath.Join(c.versions(), "node-"+f.Version)
	if _, err := os.Stat(dir); err == nil {
		return dir, false, nil
	}
	tmp, err := os.MkdirTemp(c.versions(), partial)
	if err != nil {
		return "", false, fmt.Errorf("make its folder: %w", err)
	}
	defer os.RemoveAll(tmp)
	if err := c.unpack(ctx, f, tmp); err != nil {
		return "", false, err
	}
	if err := os.Rename(tmp, dir); err != nil {
		return "", false, fmt.Errorf("keep it: %w", err)
	}
	return dir, true, engine.SyncDir(c.versions())
}

// unpack downloads f and puts what is needed of it into folder dir, on the disk.
func (c *Catalog) unpack(ctx context.Context, f fetch.File, dir string) error {
	tgz, err := os.CreateTemp(c.versions(), partial)
	if err != nil {
		return fmt.Errorf("make a file: %w", err)
	}
	defer tgz.Close()
	defer os.Remove(tgz.Name())
	if err := c.cfg.Fetch.Get(ctx, f, tgz); err != nil {
		return err
	}
	if _, err := tgz.Seek(0, 0); err != nil {
		return fmt.Errorf("read %s: %w", f, err)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return fmt.Errorf("open its folder: %w", err)
	}
	defer root.Close()
	needed := func(name string) bool { return name == "bin/node" || name == "LICENSE" }
	if err := fetch.Unpack(ctx, tgz, root, "", maxUnpacked, needed); err != nil {
		return err
	}
	if _, err := root.Stat("bin/node"); err != nil {
		return fmt.Errorf("%s has no bin/node", f)
	}
	for _, name := range []string{".", "bin"} {
		if err := root.Chmod(name, 0o755); err != nil {
			return fmt.Errorf("open it to functions: %w", err)
		}
	}
	d, err := root.Open(".")
	if err != nil {
		return fmt.Errorf("open its folder: %w", err)
	}
	defer d.Close()
	if err := unix.Syncfs(int(d.Fd())); err != nil {
		return fmt.Errorf("write it to the disk: %w", err)
	}
	return nil
}

// RemoveExact undoes AddExact for the one installed version that name stands for. Instances that run it go on.
func (c *Catalog) RemoveExact(ctx context.Context, name string) error {
	want, _ := exact(name)
	c.fetching.Lock()
	defer c.fetching.Unlock()
	entries, err := os.ReadDir(c.versions())
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("list installed versions: %w", err)
	}
	var found []string
	for _, e := range entries {
		if version, ok := strings.CutPrefix(e.Name(), "node-"); ok && strings.HasPrefix(version+".", want+".") {
			found = append(found, e.Name())
		}
	}
	switch {
	case len(found) == 0:
		return faas.Errorf(faas.NotFound, "%s is not installed", name)
	case len(found) > 1:
		return faas.Errorf(faas.Invalid, "%s may be any of %s", name, strings.ReplaceAll(strings.Join(found, ", "), "node-", "node@"))
	}
	dir := filepath.Join(c.versions(), found[0])
	if err := c.Remove(ctx, filepath.Join(dir, "bin", "node")); err != nil && faas.KindOf(err) != faas.NotFound {
		return err
	}
	if err := os.RemoveAll(dir); err != nil {
		return fmt.Errorf("remove %s: %w", name, err)
	}
	return engine.SyncDir(c.versions())
}
