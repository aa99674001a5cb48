package project

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

// foreign are languages that Lambda runs and this platform does not yet, with what tells them.
var foreign = []struct{ name, runtime, files string }{
	{"Ruby", "ruby", "Gemfile lambda_function.rb"},
	{".NET", "dotnet", "*.csproj *.fsproj"},
}

const supported = "Python, Node.js, Java, Go and programs with a bootstrap of their own are"

// unknown says of a runtime that its language is not supported yet; nil when it is none of those.
func unknown(runtime string) error {
	for _, f := range foreign {
		if strings.HasPrefix(runtime, f.runtime) {
			return fmt.Errorf("runtime %s: %s is not supported yet; %s", runtime, f.name, supported)
		}
	}
	return nil
}

// unsupported says of a folder that its language is not supported yet; nil when it is none of those.
func unsupported(dir string) error {
	for _, f := range foreign {
		for _, pattern := range strings.Fields(f.files) {
			if found, err := filepath.Glob(filepath.Join(escapeGlob(dir), pattern)); err == nil && len(found) > 0 {
				return fmt.Errorf("%s has a %s: %s is not supported yet; %s", dir, filepath.Base(found[0]), f.name, supported)
			}
		}
	}
	if found, err := filepath.Glob(filepath.Join(escapeGlob(dir), "*.java")); err == nil && len(found) > 0 {
		return fmt.Errorf("%s has a %s and no pom.xml: functions in Java are built by Maven, from src/main/java; write a pom.xml", dir, filepath.Base(found[0]))
	}
	if exists(dir, "Cargo.toml") {
		return fmt.Errorf("%s has a Cargo.toml: build it into an executable named bootstrap and deploy the folder that has that", dir)
	}
	return nil
}

// isData reports whether dir is a daemon's data directory, whose keys belong into no package.
func isData(dir string) bool {
	fi, err := os.Stat(filepath.Join(dir, "keys"))
	return err == nil && fi.IsDir() && (exists(dir, "format.json") || exists(dir, "credentials"))
}

var (
	listsDependencies = regexp.MustCompile(`(?m)^\s*dependencies\s*=`)
	poetryTable       = regexp.MustCompile(`(?m)^\s*\[tool\.poetry\.dependencies\]`)
)

// requires returns the file that says which packages a Python project needs, empty if none does, and what is to be said
// about a file that says it in a way that is not read.
func requires(dir string) (path, warning string) {
	for _, name := range []string{"requirements.txt", "pyproject.toml"} {
		path := filepath.Join(dir, name)
		b, err := os.ReadFile(path)
		switch {
		case err != nil:
		case name == "requirements.txt" || listsDependencies.Match(b):
			return path, ""
		case poetryTable.Match(b):
			return "", "pyproject.toml names dependencies for Poetry, which are not installed; write them to requirements.txt: poetry export -o requirements.txt"
		}
	}
	return "", ""
}

// HasHandler reports whether the module, or of Java the class, of a handler is a file of the folder, and of Python may have it.
func HasHandler(l Language, dir, handler string) bool {
	if l == Node {
		module, _ := nodeModule(handler)
		return nodeFile(dir, module) != ""
	}
	if l == Java { // which class it is may be changed by what the pom says
		class, _, _ := strings.Cut(handler, "::")
		return exists(dir, filepath.Join("src", "main", "java", strings.ReplaceAll(class, ".", "/")+".java"))
	}
	module, ok := moduleFile(handler)
	if !ok || !exists(dir, module) {
		return false
	}
	_, err := checkPython(dir, handler)
	return err == nil
}

// moduleFile is the file of a handler's module, relative to the folder.
func moduleFile(handler string) (string, bool) {
	i := strings.LastIndexByte(handler, '.')
	if i <= 0 {
		return "", false
	}
	return strings.ReplaceAll(handler[:i], ".", "/") + ".py", filepath.IsLocal(handler[:i])
}

// moduleOf returns the next folder upwards, dir included, that has a go.mod.
func moduleOf(dir string) (string, bool) {
	for ; ; dir = filepath.Dir(dir) {
		if exists(dir, "go.mod") {
			return dir, true
		}
		if dir == filepath.Dir(dir) {
			return "", false
		}
	}
}
