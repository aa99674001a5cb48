// Package project turns a folder with a function's source into a deployment package: it finds out what the folder is,
// builds it with the tools of its language, and packs the result so that the same content always has the same hash.
package project

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// Language is what a folder is written in.
type Language string

// The languages that can be told and built.
const (
	Python Language = "python"
	Node   Language = "nodejs"
	Java   Language = "java"
	Go     Language = "go"
	Binary Language = "binary" // a finished bootstrap
)

// Provided is the runtime of programs that bring their own bootstrap.
const Provided = "provided.al2023"

// Project is a folder and what was found in it.
type Project struct {
	Dir      string
	Name     string // a function's name made from the folder's
	Language Language
	Handler  string // as Lambda writes it
	Runtime  string // empty when the folder names no version: whatever version serves
	Oldest   int    // of Node.js and Java: the oldest major version that the folder allows, when Runtime is empty
	Requires string // path of the requirements.txt, pyproject.toml or package.json that has dependencies, empty if there is none
	Module   string // of Go: the folder with go.mod, Dir or one above it
	Main     string // of Go: the package to build, relative to Module
	Warning  string // what is left undone, empty if nothing
}

// pythonFiles are where a handler is looked for, in this order, before any other file of the folder.
var pythonFiles = []string{"app.py", "main.py", "lambda_function.py", "handler.py", "index.py"}

// pythonHandlers are the names a handler goes by, in this order.
var pythonHandlers = []string{"lambda_handler", "handler"}

// Detect reads a folder. handler and runtime, when not empty, are taken as said and only what they leave open is searched for.
func Detect(dir, handler, runtime string) (Project, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return Project{}, fmt.Errorf("find folder: %w", err)
	}
	if fi, err := os.Stat(dir); err != nil {
		return Project{}, fmt.Errorf("read folder: %w", err)
	} else if !fi.IsDir() {
		return Project{}, fmt.Errorf("%s is a file; name the folder that it is in", dir)
	}
	if err := unknown(runtime); err != nil {
		return Project{}, err
	}
	p := Project{Dir: dir, Name: functionName(filepath.Base(dir)), Handler: handler, Runtime: runtime}
	switch {
	case exists(dir, "bootstrap"):
		p.Language = Binary
		return p.provided()
	case exists(dir, "go.mod"):
		p.Language, p.Module = Go, dir
		if p.Main, err = goMain(dir); err != nil {
			return Project{}, err
		}
		return p.provided()
	case hasMain(dir):
		p.Language = Go
		return p.below()
	case isJava(dir, runtime):
		return p.java()
	case isNode(dir, runtime):
		return p.node()
	default:
		p.Language = Python
		return p.python()
	}
}

// LanguageOf returns the language of a runtime that is not a provided one; empty when it is none that is known here.
func LanguageOf(runtime string) Language {
	for _, l := range []Language{Python, Node, Java} {
		if strings.HasPrefix(runtime, string(l)) {
			return l
		}
	}
	return ""
}

// Name returns the function's name that a folder gives.
func Name(dir string) (string, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return "", fmt.Errorf("find folder: %w", err)
	}
	return functionName(filepath.Base(dir)), nil
}

// below is a Go program in a folder of a module, as cmd/name is.
func (p Project) below() (Project, error) {
	module, ok := moduleOf(p.Dir)
	if !ok {
		return p, fmt.Errorf("%s has a Go program, but neither it nor a folder above it has a go.mod; run: go mod init NAME", p.Dir)
	}
	main, err := filepath.Rel(module, p.Dir)
	if err != nil {
		return p, fmt.Errorf("find module: %w", err)
	}
	p.Module, p.Main = module, "./"+filepath.ToSlash(main)
	return p.provided()
}

func (p Project) provided() (Project, error) {
	switch {
	case p.Runtime == "":
		p.Runtime = Provided
	case !strings.HasPrefix(p.Runtime, "provided"):
		return p, fmt.Errorf("the folder builds a bootstrap, which needs a provided runtime and not %s", p.Runtime)
	}
	if p.Handler == "" {
		p.Handler = "bootstrap"
	}
	return p, nil
}

func (p Project) python() (Project, error) {
	if p.Runtime != "" && !strings.HasPrefix(p.Runtime, "python") {
		return p, fmt.Errorf("--runtime %s: the folder has neither a bootstrap nor a go.mod nor a package.json, so it can only be Python", p.Runtime)
	}
	p.Requires, p.Warning = requires(p.Dir)
	if p.Runtime == "" {
		v, err := pythonVersion(p.Dir)
		if err != nil {
			return p, err
		}
		p.Runtime = v
	}
	var err error
	if p.Handler == "" {
		p.Handler, err = pythonHandler(p.Dir)
		return p, err
	}
	doubt, err := checkPython(p.Dir, p.Handler)
	p.Warning = strings.Trim(p.Warning+"\n"+doubt, "\n")
	return p, err
}

// pythonVersion reads .python-version, as pyenv and uv write it; empty when there is none.
func pythonVersion(dir string) (string, error) {
	b, err := os.ReadFile(filepath.Join(dir, ".python-version"))
	if errors.Is(err, os.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("read .python-version: %w", err)
	}
	m := versionPattern.FindStringSubmatch(strings.TrimSpace(string(b)))
	if m == nil {
		return "", fmt.Errorf(".python-version says %q, which is not a version like 3.12", strings.TrimSpace(string(b)))
	}
	return "python" + m[1], nil
}

var versionPattern = regexp.MustCompile(`^(3\.[0-9]{1,2})(\.[0-9]+)?$`)

// pythonHandler finds module.function among the folder's own files. Of several it takes none but asks, unless only one is
// in a file whose name says that it is looked at first.
func pythonHandler(dir string) (string, error) {
	found, err := filepath.Glob(filepath.Join(escapeGlob(dir), "*.py"))
	if err != nil {
		return "", fmt.Errorf("list folder: %w", err)
	}
	names := make([]string, len(found))
	for i, f := range found {
		names[i] = filepath.Base(f)
	}
	slices.SortStableFunc(names, func(a, b string) int { return rank(a) - rank(b) })
	var candidates, handlers []string // files, and module.function of each
	for _, name := range names {
		if len(candidates) > 0 && rank(name) == len(pythonFiles) && rank(candidates[0]) < len(pythonFiles) {
			break
		}
		src, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			return "", fmt.Errorf("read %s: %w", name, err)
		}
		if handlerIn(src) != "" {
			candidates = append(candidates, name)
			handlers = append(handlers, strings.TrimSuffix(name, ".py")+"."+handlerIn(src))
		}
	}
	switch len(handlers) {
	case 0:
		if err := unsupported(dir); err != nil {
			return "", err
		}
		return "", fmt.Errorf("no function found in %s: looked for bootstrap, go.mod, pom.xml, package.json, index.js, and a def %s in its .py files; name it with --handler",
			dir, strings.Join(pythonHandlers, " or def "))
	case 1:
		return handlers[0], nil
	}
	return "", fmt.Errorf("%s has several handlers (%s); name one with --handler", dir, strings.Join(handlers, ", "))
}

func rank(name string) int {
	if i := slices.Index(pythonFiles, name); i >= 0 {
		return i
	}
	return len(pythonFiles)
}

// handlerIn returns the first of the names that src defines at its top level.
func handlerIn(src []byte) string {
	for _, name := range pythonHandlers {
		if regexp.MustCompile(`(?m)^(def\s+` + name + `\s*\(|` + name + `\s*(:[^=\n]*)?=[^=])`).Match(src) {
			return name
		}
	}
	return ""
}

// goMain returns the one package main of the module's root or of its cmd folder.
func goMain(dir string) (string, error) {
	if hasMain(dir) {
		return ".", nil
	}
	subs, err := os.ReadDir(filepath.Join(dir, "cmd"))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return "", fmt.Errorf("list cmd: %w", err)
	}
	var mains []string
	for _, s := range subs {
		if s.IsDir() && hasMain(filepath.Join(dir, "cmd", s.Name())) {
			mains = append(mains, "./cmd/"+s.Name())
		}
	}
	switch len(mains) {
	case 0:
		return "", fmt.Errorf("%s has a go.mod, but no package main in it or in cmd/*", dir)
	case 1:
		return mains[0], nil
	default:
		return "", fmt.Errorf("%s has several programs (%s); deploy the folder of one", dir, strings.Join(mains, ", "))
	}
}

var mainPattern = regexp.MustCompile(`(?m)^package main\b`)

func hasMain(dir string) bool {
	files, err := filepath.Glob(filepath.Join(escapeGlob(dir), "*.go"))
	if err != nil {
		return false
	}
	for _, f := range files {
		if strings.HasSuffix(f, "_test.go") {
			continue
		}
		if src, err := os.ReadFile(f); err == nil && mainPattern.Match(src) {
			return true
		}
	}
	return false
}

var globMeta = regexp.MustCompile(`[*?\[\\]`)

func escapeGlob(s string) string { return globMeta.ReplaceAllString(s, `\$0`) }

// functionName makes a valid function name of a folder's.
func functionName(base string) string {
	name := strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', r == '-', r == '_':
			return r
		default:
			return '-'
		}
	}, base)
	return strings.Trim(name[:min(len(name), 64)], "-")
}

func exists(dir, name string) bool {
	fi, err := os.Stat(filepath.Join(dir, name))
	return err == nil && fi.Mode().IsRegular()
}
