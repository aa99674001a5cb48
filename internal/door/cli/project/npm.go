package project

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// nodejs looks over the handler's source and adds the folder and what it depends on: what the lock file says, without what
// only development needs, installed once per content of that file; else what is in node_modules; else what npm finds.
func (b Builder) nodejs(ctx context.Context, p Project, t tree, step Step) error {
	module, _ := nodeModule(p.Handler)
	if file := nodeFile(p.Dir, module); file != "" && b.Node != "" {
		if err := check(ctx, b.Node, p.Dir, file); err != nil {
			return err
		}
	}
	installed, err := b.npm(ctx, p, step)
	if err != nil {
		return err
	}
	leave := leftOut
	if installed != "" {
		if err := t.add(installed, func(rel string) bool {
			return rel != "node_modules" && (!strings.HasPrefix(rel, "node_modules"+string(filepath.Separator)) || leftOut(rel))
		}); err != nil {
			return err
		}
		leave = func(rel string) bool { return rel == "node_modules" || leftOut(rel) }
	}
	return t.add(p.Dir, leave)
}

// check refuses a source that Node.js cannot read. Where Node.js itself doesn't run, nothing is said of the source.
func check(ctx context.Context, node, dir, file string) error {
	cmd := exec.CommandContext(ctx, node, "--check", file)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || !strings.Contains(string(out), "SyntaxError") {
		return nil
	}
	said := strings.ReplaceAll(strings.TrimSpace(string(out)), dir+string(filepath.Separator), "")
	said, _, _ = strings.Cut(said, "\n    at ")
	return errors.New(strings.TrimSpace(said))
}

// npm returns a folder with the node_modules to pack; empty when those are packed that the folder has, if any.
func (b Builder) npm(ctx context.Context, p Project, step Step) (string, error) {
	lock, locked := readLock(p.Dir)
	has := isDir(filepath.Join(p.Dir, "node_modules"))
	switch {
	case p.Requires == "":
		return "", nil
	case locked && !selfContainedLock(lock), !locked && !has && (exists(p.Dir, "yarn.lock") || exists(p.Dir, "pnpm-lock.yaml")):
		if !has {
			return "", errors.New("the dependencies can't be installed apart from their folder: install them there first (npm, yarn or pnpm install), then deploy")
		}
		return "", nil
	case !locked && has:
		return "", nil
	}
	manifest, err := os.ReadFile(p.Requires)
	if err != nil {
		return "", fmt.Errorf("read package.json: %w", err)
	}
	settings, _ := os.ReadFile(filepath.Join(p.Dir, ".npmrc")) // mostly there is none
	node, err := exec.CommandContext(ctx, "node", "-p", "process.version+process.arch").Output()
	if err != nil {
		return "", errors.New("package.json has dependencies, and Node.js with npm, which install them, are not on this machine (Debian: apt install nodejs npm)")
	}
	dir := filepath.Join(b.Cache, "npm", hash(string(node), string(manifest), string(lock), string(settings)))
	if b.Fresh || !locked {
		if err := os.RemoveAll(dir); err != nil {
			return "", fmt.Errorf("empty cache: %w", err)
		}
	}
	if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) {
		name := "npm install"
		if locked {
			name = "npm ci"
		}
		if manifest, err = unprepared(manifest); err != nil {
			return "", err
		}
		files := map[string][]byte{"package.json": manifest, "package-lock.json": lock, ".npmrc": settings}
		if err := step(name, func() error { return installModules(ctx, dir, files, locked) }); err != nil {
			return "", err
		}
	}
	return dir, nil
}

// unprepared is a package.json without the scripts that npm runs after it has installed what development needs: git hooks and
// builds, whose programs are not installed here.
func unprepared(manifest []byte) ([]byte, error) {
	var m, scripts map[string]json.RawMessage
	err := json.Unmarshal(manifest, &m)
	if err == nil && m["scripts"] != nil {
		err = json.Unmarshal(m["scripts"], &scripts)
	}
	if err != nil {
		return nil, fmt.Errorf("read package.json: %w", err)
	}
	if len(scripts) == 0 {
		return manifest, nil
	}
	for _, name := range []string{"prepublish", "preprepare", "prepare", "postprepare"} {
		delete(scripts, name)
	}
	if m["scripts"], err = json.Marshal(scripts); err == nil {
		manifest, err = json.Marshal(m)
	}
	return manifest, err
}

// installModules has npm make node_modules in dir, which appears whole or not at all.
func installModules(ctx context.Context, dir string, files map[string][]byte, locked bool) error {
	if err := os.MkdirAll(filepath.Dir(dir), 0o700); err != nil {
		return fmt.Errorf("make cache: %w", err)
	}
	tmp, err := os.MkdirTemp(filepath.Dir(dir), ".partial-")
	if err != nil {
		return fmt.Errorf("make cache: %w", err)
	}
	defer os.RemoveAll(tmp)
	for name, text := range files {
		if len(text) > 0 {
			if err := os.WriteFile(filepath.Join(tmp, name), text, 0o600); err != nil {
				return fmt.Errorf("make cache: %w", err)
			}
		}
	}
	command := "install"
	if locked {
		command = "ci"
	}
	cmd := exec.CommandContext(ctx, "npm", command, "--omit=dev", "--no-audit", "--no-fund", "--no-update-notifier", "--loglevel=error")
	cmd.Dir = tmp
	if err := run(cmd); err != nil {
		if strings.HasSuffix(err.Error(), "is not installed") {
			return errors.New("npm is not installed, and package.json has dependencies (Debian: apt install npm)")
		}
		return err
	}
	if err := os.Rename(tmp, dir); err != nil && !errors.Is(err, fs.ErrExist) { // another deploy may have been faster
		return fmt.Errorf("keep dependencies: %w", err)
	}
	return nil
}

// readLock returns npm's lock file.
func readLock(dir string) ([]byte, bool) {
	for _, name := range []string{"npm-shrinkwrap.json", "package-lock.json"} {
		if b, err := os.ReadFile(filepath.Join(dir, name)); err == nil {
			return b, true
		}
	}
	return nil, false
}

// selfContainedLock reports whether a lock file names packages of registries only, so that they can be installed elsewhere.
func selfContainedLock(lock []byte) bool {
	var l struct {
		Packages map[string]struct {
			Resolved string
			Link     bool
		}
	}
	if json.Unmarshal(lock, &l) != nil {
		return true // npm says what is wrong with it
	}
	for _, p := range l.Packages {
		if p.Link || strings.HasPrefix(p.Resolved, "file:") {
			return false
		}
	}
	return true
}
