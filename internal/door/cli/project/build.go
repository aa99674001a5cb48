package project

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
)

// Builder builds projects. Its cache may be shared by several processes.
type Builder struct {
	Cache  string // directory for installed dependencies
	Python string // interpreter to install them with: the one that will run them
	Node   string // Node.js to read sources with; empty: they aren't
	Fresh  bool   // install dependencies anew even when the cache has them
}

// Step is called with the name of each part of a build; it runs do and returns its error.
type Step func(name string, do func() error) error

// Build returns the deployment package of p.
func (b Builder) Build(ctx context.Context, p Project, step Step) ([]byte, error) {
	t := tree{}
	switch p.Language {
	case Go:
		if err := b.golang(ctx, p, t, step); err != nil {
			return nil, err
		}
		if len(t) == 0 {
			return nil, errors.New("the build made nothing")
		}
		return b.pack(t, step)
	case Python:
		if err := b.python(ctx, p, t, step); err != nil {
			return nil, err
		}
	case Node:
		if err := b.nodejs(ctx, p, t, step); err != nil {
			return nil, err
		}
		return b.pack(t, step)
	case Java:
		if err := b.java(ctx, p, t, step); err != nil {
			return nil, err
		}
		return b.pack(t, step)
	case Binary:
		if fi, err := os.Stat(filepath.Join(p.Dir, "bootstrap")); err != nil {
			return nil, fmt.Errorf("read bootstrap: %w", err)
		} else if fi.Mode()&0o111 == 0 {
			return nil, errors.New("bootstrap is not executable; run: chmod +x bootstrap")
		}
	}
	if err := t.add(p.Dir, skipped); err != nil {
		return nil, err
	}
	return b.pack(t, step)
}

func (b Builder) pack(t tree, step Step) (zip []byte, err error) {
	err = step("pack", func() error {
		zip, err = t.zip()
		return err
	})
	return zip, err
}

// golang compiles the program to bootstrap; the folder's other files, its data, go with it.
func (b Builder) golang(ctx context.Context, p Project, t tree, step Step) error {
	out := filepath.Join(b.Cache, "go", hash(p.Dir))
	if err := os.MkdirAll(out, 0o700); err != nil {
		return fmt.Errorf("make build directory: %w", err)
	}
	bootstrap := filepath.Join(out, "bootstrap")
	err := step("go build", func() error {
		cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-buildvcs=false", "-tags", "lambda.norpc", "-ldflags", "-s -w", "-o", bootstrap, p.Main)
		cmd.Dir = p.Module
		cmd.Env = append(os.Environ(), "GOOS=linux", "GOARCH="+runtime.GOARCH, "CGO_ENABLED=0", "GOWORK=off")
		return run(cmd)
	})
	if err != nil {
		return err
	}
	leave := func(rel string) bool {
		return skipped(rel) || strings.HasSuffix(rel, ".go") || rel == "go.mod" || rel == "go.sum" || rel == "vendor" || rel == "testdata"
	}
	if err := t.add(p.Dir, leave); err != nil {
		return err
	}
	t["bootstrap"] = source{bootstrap, 0o755}
	return nil
}

// compiles prints why Python cannot read a source: its arguments are the file and the name to call it by.
const compiles = `import sys
try: compile(open(sys.argv[1], "rb").read(), sys.argv[2], "exec")
except SyntaxError as e: print(f"{sys.argv[2]}, line {e.lineno}: {e.msg}")
except ValueError as e: print(f"{sys.argv[2]}: {e}")`

// dependencies prints [project].dependencies of a pyproject.toml, a line each.
const dependencies = `import sys
try: import tomllib
except ImportError: from pip._vendor import tomli as tomllib
try: print("\n".join(tomllib.load(open(sys.argv[1], "rb")).get("project", {}).get("dependencies", [])))
except ValueError as e: sys.exit(f"pyproject.toml: {e}")`

// ask runs a few lines of Python and returns what they print; what they exit with is the whole error.
func (b Builder) ask(ctx context.Context, script string, args ...string) ([]byte, error) {
	out, err := exec.CommandContext(ctx, b.Python, append([]string{"-I", "-B", "-c", script}, args...)...).Output()
	var exit *exec.ExitError
	if errors.As(err, &exit) && len(exit.Stderr) > 0 {
		return nil, errors.New(strings.TrimSpace(string(exit.Stderr)))
	}
	if err != nil {
		return nil, fmt.Errorf("run %s: %w", b.Python, err)
	}
	return out, nil
}

// requirements is what has to be installed, in the form of requirements.txt.
func (b Builder) requirements(ctx context.Context, p Project) ([]byte, error) {
	if filepath.Base(p.Requires) == "pyproject.toml" {
		return b.ask(ctx, dependencies, p.Requires)
	}
	req, err := os.ReadFile(p.Requires)
	if err != nil {
		return nil, fmt.Errorf("read requirements.txt: %w", err)
	}
	return req, nil
}

// python looks over the handler's source and installs what it requires for the interpreter that will serve, once per
// content of that list.
func (b Builder) python(ctx context.Context, p Project, t tree, step Step) error {
	if module, ok := moduleFile(p.Handler); ok && b.Python != "" && exists(p.Dir, module) {
		// An interpreter that does not run says nothing of the source; where it is needed, its absence is told.
		if said, err := b.ask(ctx, compiles, filepath.Join(p.Dir, module), module); err == nil && len(said) > 0 {
			return errors.New(strings.TrimSpace(string(said)))
		}
	}
	if p.Requires == "" {
		return nil
	}
	req, err := b.requirements(ctx, p)
	if err != nil {
		return err
	}
	if !needsPackages(string(req)) {
		return nil
	}
	version, err := exec.CommandContext(ctx, b.Python, "-c", "import sys,sysconfig; print(sys.version, sysconfig.get_platform())").Output()
	if err != nil {
		return fmt.Errorf("ask %s for its version: %w", b.Python, err)
	}
	dir := filepath.Join(b.Cache, "pip", hash(string(version), string(req)))
	if b.Fresh || !selfContained(string(req)) {
		if err := os.RemoveAll(dir); err != nil {
			return fmt.Errorf("empty cache: %w", err)
		}
	}
	if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) {
		if err := step("pip install", func() error { return b.pip(ctx, p, req, dir) }); err != nil {
			return err
		}
	}
	// What pip writes about itself and its console scripts differs from run to run and is not needed.
	return t.add(dir, func(rel string) bool {
		base := filepath.Base(rel)
		return rel == "bin" || base == "RECORD" || base == "direct_url.json" || base == "__pycache__"
	})
}

func (b Builder) pip(ctx context.Context, p Project, req []byte, dir string) error {
	if err := os.MkdirAll(filepath.Dir(dir), 0o700); err != nil {
		return fmt.Errorf("make cache: %w", err)
	}
	tmp, err := os.MkdirTemp(filepath.Dir(dir), ".partial-")
	if err != nil {
		return fmt.Errorf("make cache: %w", err)
	}
	defer os.RemoveAll(tmp)
	list := p.Requires
	if filepath.Base(list) == "pyproject.toml" {
		list = tmp + ".txt"
		if err := os.WriteFile(list, req, 0o600); err != nil {
			return fmt.Errorf("write list of dependencies: %w", err)
		}
		defer os.Remove(list)
	}
	cmd := exec.CommandContext(ctx, b.Python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-compile", "--no-input",
		"--target", tmp, "--requirement", list)
	cmd.Dir = p.Dir
	if err := run(cmd); err != nil {
		if strings.Contains(err.Error(), "No module named pip") {
			return fmt.Errorf("%s has no pip, which %s needs; install it (Debian: apt install python3-pip)", b.Python, filepath.Base(p.Requires))
		}
		return err
	}
	if err := os.Rename(tmp, dir); err != nil && !errors.Is(err, fs.ErrExist) { // another deploy may have been faster
		return fmt.Errorf("keep dependencies: %w", err)
	}
	return nil
}

// needsPackages reports whether requirements.txt says anything but comments.
func needsPackages(req string) bool {
	for line := range strings.Lines(req) {
		if line = strings.TrimSpace(line); line != "" && line[0] != '#' {
			return true
		}
	}
	return false
}

// selfContained reports whether requirements.txt names packages only, so that its content stands for what it installs.
func selfContained(req string) bool {
	for line := range strings.Lines(req) {
		line = strings.TrimSpace(line)
		if line != "" && strings.ContainsRune("-./", rune(line[0])) || strings.Contains(line, "file:") {
			return false
		}
	}
	return true
}

// run executes a tool; on failure the error carries what it said.
func run(cmd *exec.Cmd) error {
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	err := cmd.Run()
	if err == nil {
		return nil
	}
	if errors.Is(err, exec.ErrNotFound) {
		return fmt.Errorf("%s is not installed", cmd.Args[0])
	}
	return fmt.Errorf("%s: %w\n%s", strings.Join(cmd.Args[:min(3, len(cmd.Args))], " "), err, strings.TrimSpace(said.String()))
}

func hash(parts ...string) string {
	h := sha256.New()
	for _, p := range parts {
		fmt.Fprintf(h, "%d:%s", len(p), p)
	}
	return hex.EncodeToString(h.Sum(nil))[:32]
}
