package project

import (
	"archive/zip"
	"bytes"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

func folder(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "f")
	for name, body := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		mode := os.FileMode(0o644)
		if strings.HasPrefix(body, "#!") {
			mode = 0o755
		}
		if err := os.WriteFile(path, []byte(body), mode); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestDetect(t *testing.T) {
	const goMod = "module x\n"
	cases := map[string]struct {
		files            map[string]string
		handler, runtime string
		want             Project // Dir and Name aside
		fail             string
	}{
		"app.py":            {files: map[string]string{"app.py": "import os\n\ndef handler(event, context):\n"}, want: Project{Language: Python, Handler: "app.handler"}},
		"lambda_handler":    {files: map[string]string{"main.py": "def handler(a): 0\ndef lambda_handler(event, context): 0"}, want: Project{Language: Python, Handler: "main.lambda_handler"}},
		"assigned":          {files: map[string]string{"app.py": "handler = make()\n"}, want: Project{Language: Python, Handler: "app.handler"}},
		"annotated":         {files: map[string]string{"app.py": "handler: Callable = make()\n"}, want: Project{Language: Python, Handler: "app.handler"}},
		"compared":          {files: map[string]string{"app.py": "handler == 1\n"}, fail: "no function found"},
		"method only":       {files: map[string]string{"app.py": "class A:\n  def handler(self): 0\n"}, fail: "no function found"},
		"order of files":    {files: map[string]string{"aaa.py": "def handler(e, c): 0", "main.py": "def handler(e, c): 0"}, want: Project{Language: Python, Handler: "main.handler"}},
		"any file":          {files: map[string]string{"words.py": "def handler(e, c): 0"}, want: Project{Language: Python, Handler: "words.handler"}},
		"said":              {files: map[string]string{"x.py": "y = 1"}, handler: "x.y", runtime: "python3.9", want: Project{Language: Python, Handler: "x.y", Runtime: "python3.9"}},
		"no function":       {files: map[string]string{"app.py": "def handler(e, c): 0"}, handler: "nope", fail: "--handler nope: of a Python function it is MODULE.FUNCTION"},
		"said of nothing":   {files: map[string]string{"app.py": "def handler(e, c): 0"}, handler: "app.nope", fail: "--handler app.nope: app.py has no nope"},
		"imported":          {files: map[string]string{"app.py": "from lib import x, nope\n"}, handler: "app.nope", want: Project{Language: Python, Handler: "app.nope"}},
		"star":              {files: map[string]string{"app.py": "from lib import *\n"}, handler: "app.nope", want: Project{Language: Python, Handler: "app.nope", Warning: "handler app.nope: whether app.py has nope at its top level can't be told from its text"}},
		"indented":          {files: map[string]string{"app.py": "if x:\n  def nope(e, c): 0\n"}, handler: "app.nope", want: Project{Language: Python, Handler: "app.nope", Warning: "handler app.nope: whether app.py has nope at its top level can't be told from its text"}},
		"nothing":           {files: map[string]string{"README": ""}, fail: "pom.xml"},
		"python version":    {files: map[string]string{"app.py": "def handler(e, c): 0", ".python-version": "3.12.4\n"}, want: Project{Language: Python, Handler: "app.handler", Runtime: "python3.12"}},
		"bad version":       {files: map[string]string{"app.py": "def handler(e, c): 0", ".python-version": "pypy"}, fail: "pypy"},
		"bootstrap":         {files: map[string]string{"bootstrap": "#!/bin/sh"}, want: Project{Language: Binary, Handler: "bootstrap", Runtime: Provided}},
		"go":                {files: map[string]string{"go.mod": goMod, "main.go": "package main\n"}, want: Project{Language: Go, Handler: "bootstrap", Runtime: Provided, Main: "."}},
		"go in cmd":         {files: map[string]string{"go.mod": goMod, "x.go": "package x\n", "cmd/a/a.go": "package main\n"}, want: Project{Language: Go, Handler: "bootstrap", Runtime: Provided, Main: "./cmd/a"}},
		"go, several":       {files: map[string]string{"go.mod": goMod, "cmd/a/a.go": "package main\n", "cmd/b/b.go": "package main\n"}, fail: "several programs"},
		"go, none":          {files: map[string]string{"go.mod": goMod, "x.go": "package x\n"}, fail: "no package main"},
		"go, wrong runtime": {files: map[string]string{"go.mod": goMod, "main.go": "package main\n"}, runtime: "python3.11", fail: "needs a provided runtime"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			dir := folder(t, c.files)
			got, err := Detect(dir, c.handler, c.runtime)
			if c.fail != "" {
				if err == nil || !strings.Contains(err.Error(), c.fail) {
					t.Fatalf("error = %v, want %q", err, c.fail)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if c.want.Dir, c.want.Name = dir, "f"; c.want.Language == Go {
				c.want.Module = dir
			}
			if got != c.want {
				t.Errorf("got %+v, want %+v", got, c.want)
			}
		})
	}
}

func TestFunctionName(t *testing.T) {
	for in, want := range map[string]string{"hello": "hello", "my.func tion": "my-func-tion", "..x..": "x", strings.Repeat("a", 70): strings.Repeat("a", 64)} {
		if got := functionName(in); got != want {
			t.Errorf("%q → %q, want %q", in, got, want)
		}
	}
}

func quiet(_ string, do func() error) error { return do() }

// entries lists a package: name, mode and content, in its order.
func entries(t *testing.T, b []byte) (all []string) {
	t.Helper()
	zr, err := zip.NewReader(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range zr.File {
		rc, err := f.Open()
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(rc)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, f.Mode().String()+" "+f.Name+" "+string(body))
	}
	return all
}

func build(t *testing.T, b Builder, dir string) []byte {
	t.Helper()
	p, err := Detect(dir, "", "")
	if err != nil {
		t.Fatal(err)
	}
	z, err := b.Build(t.Context(), p, quiet)
	if err != nil {
		t.Fatal(err)
	}
	return z
}

func TestPackageDependsOnContentOnly(t *testing.T) {
	files := map[string]string{"app.py": "def handler(e, c): 0", "lib/b.py": "b", "run.sh": "#!/bin/sh",
		".git/HEAD": "x", "__pycache__/app.pyc": "x", ".venv/bin/python": "x", ".env": "SECRET=1", "lib/c.pyc": "x"}
	one, two := folder(t, files), folder(t, files)
	for _, dir := range []string{one, two} {
		if err := os.Symlink("lib/b.py", filepath.Join(dir, "link")); err != nil {
			t.Fatal(err)
		}
	}
	old := time.Date(2001, 1, 1, 0, 0, 0, 0, time.UTC)
	if err := os.Chtimes(filepath.Join(two, "app.py"), old, old); err != nil {
		t.Fatal(err)
	}
	a, b := build(t, Builder{}, one), build(t, Builder{}, two)
	if !bytes.Equal(a, b) {
		t.Error("same content, different packages")
	}
	want := []string{"-rw-r--r-- app.py def handler(e, c): 0", "-rw-r--r-- lib/b.py b", "Lrwxrwxrwx link lib/b.py", "-rwxr-xr-x run.sh #!/bin/sh"}
	if got := entries(t, a); !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestPackageTooLarge(t *testing.T) {
	dir := folder(t, map[string]string{"app.py": "def handler(e, c): 0"})
	random, err := os.Open("/dev/urandom")
	if err != nil {
		t.Fatal(err)
	}
	defer random.Close()
	f, err := os.Create(filepath.Join(dir, "big"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.CopyN(f, random, 51<<20); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	p, err := Detect(dir, "", "")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := (Builder{}).Build(t.Context(), p, quiet); err == nil || !strings.Contains(err.Error(), "50 MB") {
		t.Errorf("error = %v", err)
	}
}

func TestBuildGo(t *testing.T) {
	files := map[string]string{"go.mod": "module x\n\ngo 1.24\n", "main.go": "package main\n\nfunc main() { println(\"hi\") }\n", "data/words.txt": "w"}
	b := Builder{Cache: t.TempDir()}
	z := build(t, b, folder(t, files))
	got := entries(t, z)
	if len(got) != 2 || !strings.HasPrefix(got[0], "-rwxr-xr-x bootstrap \x7fELF") || got[1] != "-rw-r--r-- data/words.txt w" {
		t.Fatalf("%d entries, %.40q …", len(got), got)
	}
	if again := build(t, b, folder(t, files)); !bytes.Equal(z, again) {
		t.Error("same source in another folder, different package")
	}
	dir := folder(t, map[string]string{"go.mod": "module x\n", "main.go": "package main\n\nfunc main() { nonsense() }\n"})
	p, err := Detect(dir, "", "")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.Build(t.Context(), p, quiet); err == nil || !strings.Contains(err.Error(), "undefined: nonsense") {
		t.Errorf("error = %v, want the compiler's own", err)
	}
}

func TestBuildPythonInstallsOnce(t *testing.T) {
	python, err := exec.LookPath("python3")
	if err != nil || exec.Command(python, "-m", "pip", "--version").Run() != nil {
		t.Skip("needs python3 with pip")
	}
	dir := folder(t, map[string]string{"app.py": "def handler(e, c): 0", "requirements.txt": "# none yet\n"})
	b := Builder{Cache: t.TempDir(), Python: python}
	if got := entries(t, build(t, b, dir)); len(got) != 2 {
		t.Errorf("%q", got)
	}
	wheel := emptyWheel(t)
	if err := os.WriteFile(filepath.Join(dir, "requirements.txt"), []byte("nothing-at-all==1.0\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PIP_NO_INDEX", "1")
	t.Setenv("PIP_FIND_LINKS", filepath.Dir(wheel))
	first := build(t, b, dir)
	if !slices.ContainsFunc(entries(t, first), func(e string) bool { return strings.HasPrefix(e, "-rw-r--r-- nothing.py ") }) {
		t.Errorf("dependency is not in the package: %q", entries(t, first))
	}
	if err := os.Remove(wheel); err != nil {
		t.Fatal(err)
	}
	if second := build(t, b, dir); !bytes.Equal(first, second) {
		t.Error("from the cache, a different package")
	}
	p, err := Detect(dir, "", "")
	if err != nil {
		t.Fatal(err)
	}
	b.Fresh = true
	if _, err := b.Build(t.Context(), p, quiet); err == nil || !strings.Contains(err.Error(), "nothing-at-all") {
		t.Errorf("error = %v, want pip's own", err)
	}
}

// emptyWheel makes a distribution that pip can install without a network.
func emptyWheel(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "nothing_at_all-1.0-py3-none-any.whl")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	w := zip.NewWriter(f)
	for name, body := range map[string]string{
		"nothing.py":                             "x = 1\n",
		"nothing_at_all-1.0.dist-info/METADATA":  "Metadata-Version: 2.1\nName: nothing-at-all\nVersion: 1.0\n",
		"nothing_at_all-1.0.dist-info/WHEEL":     "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
		"nothing_at_all-1.0.dist-info/RECORD":    "nothing.py,,\nnothing_at_all-1.0.dist-info/METADATA,,\nnothing_at_all-1.0.dist-info/WHEEL,,\nnothing_at_all-1.0.dist-info/RECORD,,\n",
		"nothing_at_all-1.0.dist-info/top_level": "nothing\n",
	} {
		e, err := w.Create(name)
		if err == nil {
			_, err = io.WriteString(e, body)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(w.Close(), f.Close()); err != nil {
		t.Fatal(err)
	}
	return path
}
