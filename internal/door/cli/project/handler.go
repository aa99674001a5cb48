package project

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

// binds tells a Python source that has a name at its top level for sure.
func binds(name string) *regexp.Regexp {
	return regexp.MustCompile(`(?m)^(def\s+` + name + `\s*\(|class\s+` + name + `\b|` + name + `\s*(:[^=\n]*)?=[^=]|(from\s+\S+\s+)?import\s[^\n]*\b` + name + `\b)`)
}

// unwritten tells a source that may have names which are not written in it.
var unwritten = regexp.MustCompile(`\bimport\s*\*|\bglobals\(|\b__getattr__\b|\bsetattr\(|\bexec\(`)

// checkPython refuses a handler whose file cannot have it, and returns what is to be said where that can't be told.
func checkPython(dir, handler string) (warning string, err error) {
	if handler != "" && !strings.Contains(handler, ".") {
		return "", fmt.Errorf("--handler %s: of a Python function it is MODULE.FUNCTION, like app.handler", handler)
	}
	file, ok := moduleFile(handler)
	name := handler[strings.LastIndexByte(handler, '.')+1:]
	if !ok || !identifier.MatchString(name) { // the daemon says what a handler looks like
		return "", nil
	}
	if !exists(dir, file) {
		if isDir(filepath.Join(dir, strings.TrimSuffix(file, ".py"))) {
			return "", nil
		}
		return fmt.Sprintf("handler %s: there is no %s in %s, so it has to come from a dependency or a layer", handler, file, dir), nil
	}
	src, err := os.ReadFile(filepath.Join(dir, file))
	switch {
	case err != nil:
		return "", fmt.Errorf("read %s: %w", file, err)
	case binds(name).Match(src):
		return "", nil
	case regexp.MustCompile(`\b`+name+`\b`).Match(src) || unwritten.Match(src):
		return fmt.Sprintf("handler %s: whether %s has %s at its top level can't be told from its text", handler, file, name), nil
	}
	return "", fmt.Errorf("--handler %s: %s has no %s", handler, file, name)
}

var identifier = regexp.MustCompile(`^\w+$`)
