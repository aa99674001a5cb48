package project

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

const handlerSource = "def handler(e, c): 0"

func TestDetectRefusesByName(t *testing.T) {
	for name, c := range map[string]struct {
		files   map[string]string
		runtime string
		want    string
	}{
		"no export":        {map[string]string{"index.mjs": "const handler = 1"}, "", "an export named handler or lambdaHandler in index, "},
		"typescript":       {map[string]string{"src/index.ts": "export const handler = 1", "package.json": `{"main": "src/index.js"}`}, "", "src/index.ts is TypeScript"},
		"bad package.json": {map[string]string{"index.mjs": "export const handler = 1", "package.json": "{"}, "", "read package.json"},
		"bad engines":      {map[string]string{"index.mjs": "export const handler = 1", "package.json": `{"engines": {"node": "<22"}}`}, "", "engines.node"},
		"rust":             {map[string]string{"Cargo.toml": ""}, "", "named bootstrap"},
		"several handlers": {map[string]string{"app.py": handlerSource, "main.py": handlerSource, "x.py": handlerSource}, "", "(app.handler, main.handler)"},
		"several others":   {map[string]string{"x.py": handlerSource, "y.py": handlerSource}, "", "(x.handler, y.handler)"},
		"go without mod":   {map[string]string{"main.go": "package main"}, "", "go mod init"},
	} {
		if _, err := Detect(folder(t, c.files), "", c.runtime); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
	p, err := Detect(folder(t, map[string]string{"app.py": handlerSource, "pyproject.toml": "[tool.poetry.dependencies]\nsix = \"*\"\n"}), "", "")
	if err != nil || !strings.Contains(p.Warning, "poetry export") {
		t.Errorf("poetry: %v, %+v", err, p)
	}
}

func TestBuildGoBelowItsModule(t *testing.T) {
	dir := folder(t, map[string]string{"go.mod": "module x\n\ngo 1.24\n", "inner/x.go": "package inner\n\nconst X = 1\n",
		"cmd/a/main.go": "package main\n\nimport \"x/inner\"\n\nfunc main() { println(inner.X) }\n", "cmd/a/data.txt": "d"})
	got := entries(t, build(t, Builder{Cache: t.TempDir()}, filepath.Join(dir, "cmd", "a")))
	if len(got) != 2 || !strings.HasPrefix(got[0], "-rwxr-xr-x bootstrap \x7fELF") || got[1] != "-rw-r--r-- data.txt d" {
		t.Errorf("%d entries, %.40q …", len(got), got)
	}
}

func TestBuildRefusesADataDirectory(t *testing.T) {
	data := map[string]string{"keys/store": "secret", "format.json": "{}", "credentials": "{}"}
	for _, at := range []string{"", "data/"} {
		files := map[string]string{"app.py": handlerSource}
		for name, body := range data {
			files[at+name] = body
		}
		p, err := Detect(folder(t, files), "", "")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := (Builder{}).Build(t.Context(), p, quiet); err == nil || !strings.Contains(err.Error(), "data directory") {
			t.Errorf("at %q: %v", at, err)
		}
	}
}

func TestBuildSaysWherePythonIsWrong(t *testing.T) {
	python, err := exec.LookPath("python3")
	if err != nil {
		t.Skip("needs python3")
	}
	p, err := Detect(folder(t, map[string]string{"app.py": "x = 1\ndef handler(e, c) 0\n"}), "app.handler", "")
	if err != nil {
		t.Fatal(err)
	}
	_, err = Builder{Cache: t.TempDir(), Python: python}.Build(t.Context(), p, quiet)
	if err == nil || !strings.HasPrefix(err.Error(), "app.py, line 2: ") {
		t.Errorf("error = %v", err)
	}
}

func TestBuildPythonOfPyproject(t *testing.T) {
	python, err := exec.LookPath("python3")
	if err != nil || exec.Command(python, "-m", "pip", "--version").Run() != nil {
		t.Skip("needs python3 with pip")
	}
	dir := folder(t, map[string]string{"app.py": handlerSource, "pyproject.toml": "[project]\nname = \"x\"\ndependencies = [\n  \"nothing-at-all==1.0\",\n]\n"})
	t.Setenv("PIP_NO_INDEX", "1")
	t.Setenv("PIP_FIND_LINKS", filepath.Dir(emptyWheel(t)))
	cache := t.TempDir()
	if got := build(t, Builder{Cache: cache, Python: python}, dir); !bytes.Contains(got, []byte("nothing.py")) {
		t.Errorf("dependency is not in the package: %q", entries(t, got))
	}
	if left, err := filepath.Glob(filepath.Join(cache, "pip", "*.txt")); err != nil || len(left) > 0 {
		t.Errorf("left %v, %v", left, err)
	}
	if err := os.WriteFile(filepath.Join(dir, "pyproject.toml"), []byte("[project]\ndependencies = nonsense\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	p, err := Detect(dir, "", "")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := (Builder{Cache: cache, Python: python}).Build(t.Context(), p, quiet); err == nil || !strings.Contains(err.Error(), "pyproject.toml: ") {
		t.Errorf("error = %v", err)
	}
}
