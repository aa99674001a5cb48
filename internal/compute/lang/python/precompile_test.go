package python

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// imports are modules of a pack; one is no Python.
var imports = map[string]string{"one.py": "said = 'one'\n", "pkg/__init__.py": "", "pkg/bootstrap.py": "said = 'two'\n", "pkg/future.py": "this is no Python\n"}

// TestPrecompile: Python imports what was compiled without looking at the sources, and what a pack's compiled files suffered is
// mended.
func TestPrecompile(t *testing.T) {
	interpreter, err := exec.LookPath("python3")
	if err != nil {
		t.Skip("no python3 here:", err)
	}
	if interpreter, err = filepath.EvalSymlinks(interpreter); err != nil {
		t.Fatal(err)
	}
	tag, err := Ask(t.Context(), interpreter, nil, "import sys; sys.stdout.write(sys.implementation.cache_tag)")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for name, text := range imports {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	compiled := func() []string {
		if err := Precompile(t.Context(), interpreter, dir, string(tag)); err != nil {
			t.Fatal(err)
		}
		here, _ := filepath.Glob(filepath.Join(dir, cacheDir, "*"))
		below, _ := filepath.Glob(filepath.Join(dir, "pkg", cacheDir, "*"))
		return append(here, below...)
	}
	files := compiled()
	if len(files) != 3 {
		t.Fatal(files)
	}
	for _, f := range files {
		if info, err := os.Stat(f); err != nil || info.Mode() != 0o644 || !strings.HasSuffix(f, "."+string(tag)+".pyc") {
			t.Error(f, info, err)
		}
	}
	for name := range imports { // only the compiled files say anything now
		if err := os.WriteFile(filepath.Join(dir, name), []byte("raise Exception('compiled in the function')"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	said := func() string {
		out, err := exec.Command(interpreter, "-I", "-S", "-B", "-c", "import sys; sys.path.append(sys.argv[1]); import one, pkg.bootstrap; print(one.said, pkg.bootstrap.said, one.__file__)", dir).CombinedOutput()
		if err != nil {
			return string(out)
		}
		return strings.TrimSpace(string(out))
	}
	if got := said(); got != "one two "+dir+"/one.py" {
		t.Fatal(got)
	}
	for name, text := range imports {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for _, f := range files {
		for name, damage := range map[string]func() error{
			"cut": func() error { return os.Truncate(f, 20) }, "gone": func() error { return os.Remove(f) },
			"other": func() error { return os.WriteFile(f, []byte("nonsense"), 0o644) },
		} {
			before, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			if err := damage(); err != nil {
				t.Fatal(err)
			}
			left := compiled()
			if after, err := os.ReadFile(f); err != nil || string(after) != string(before) || len(left) != len(files) {
				t.Errorf("%s, %s: %v, %v", f, name, err, left)
			}
		}
	}
}
