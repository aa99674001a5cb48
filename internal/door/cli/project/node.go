package project

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// manifest is what counts here of a package.json.
type manifest struct {
	Main         string            `json:"main"`
	Type         string            `json:"type"`
	Engines      map[string]string `json:"engines"`
	Dependencies map[string]string `json:"dependencies"`
	Optional     map[string]string `json:"optionalDependencies"`
}

// forms are the ends of the names of files that Node.js runs, in the order in which Lambda tries them.
var forms = []string{".js", ".mjs", ".cjs"}

// nodeFiles are where a handler is looked for, in this order, after package.json's "main".
var nodeFiles = []string{"index", "app", "main", "handler", "src/index", "src/app", "dist/index"}

// nodeHandlers are the names that a handler is exported by, in this order.
var nodeHandlers = []string{"handler", "lambdaHandler"}

// isNode reports whether a folder is Node.js's: one with JavaScript or a package.json, unless it has Python.
func isNode(dir, runtime string) bool {
	if runtime != "" {
		return strings.HasPrefix(runtime, "nodejs")
	}
	if found, _ := filepath.Glob(filepath.Join(escapeGlob(dir), "*.py")); len(found) > 0 {
		return false
	}
	return exists(dir, "package.json") || slices.ContainsFunc(nodeFiles, func(f string) bool { return nodeFile(dir, f) != "" || exists(dir, f+".ts") })
}

// nodeFile returns the file of a module without its ending; empty when there is none.
func nodeFile(dir, module string) string {
	for _, form := range forms {
		if filepath.IsLocal(module) && exists(dir, module+form) {
			return module + form
		}
	}
	return ""
}

func readManifest(dir string) (m manifest, err error) {
	b, err := os.ReadFile(filepath.Join(dir, "package.json"))
	if errors.Is(err, os.ErrNotExist) {
		return m, nil
	}
	if err == nil {
		err = json.Unmarshal(b, &m)
	}
	if err != nil {
		return m, fmt.Errorf("read package.json: %w", err)
	}
	return m, nil
}

func (p Project) node() (Project, error) {
	p.Language = Node
	m, err := readManifest(p.Dir)
	if err != nil {
		return p, err
	}
	if p.Runtime == "" {
		if p.Runtime, p.Oldest, err = nodeVersion(p.Dir, m); err != nil {
			return p, err
		}
	}
	if len(m.Dependencies)+len(m.Optional) > 0 {
		p.Requires = filepath.Join(p.Dir, "package.json")
	}
	if p.Handler == "" {
		p.Handler, err = nodeHandler(p.Dir, m)
		return p, err
	}
	module, _ := nodeModule(p.Handler)
	if nodeFile(p.Dir, module) == "" && !exists(p.Dir, module) && !isDir(filepath.Join(p.Dir, "node_modules", module)) {
		return p, fmt.Errorf("--handler %s: there is no %s.js, .mjs or .cjs in %s", p.Handler, module, p.Dir)
	}
	return p, nil
}

// nodeModule splits src/app.handler into src/app and handler, as Lambda does.
func nodeModule(handler string) (module, name string) {
	folder, base := filepath.Split(handler)
	base, name, _ = strings.Cut(base, ".")
	return folder + base, name
}

var (
	nodePin   = regexp.MustCompile(`^v?([0-9]{1,3})(\.[0-9x*]+){0,2}$`)
	nodeRange = regexp.MustCompile(`^(>=|\^|~|=)?\s*v?([0-9]{1,3})(\.[0-9x*]+){0,2}`)
)

// nodeVersion returns the runtime that .nvmrc, .node-version or package.json's engines name, or the oldest major version that
// engines allow; neither when nothing is said.
func nodeVersion(dir string, m manifest) (runtime string, oldest int, err error) {
	for _, name := range []string{".nvmrc", ".node-version"} {
		b, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			continue
		}
		if v := nodePin.FindStringSubmatch(strings.TrimSpace(string(b))); v != nil {
			return "nodejs" + v[1] + ".x", 0, nil
		}
	}
	said := strings.TrimSpace(m.Engines["node"])
	if said == "" || said == "*" {
		return "", 0, nil
	}
	v := nodeRange.FindStringSubmatch(said)
	if v == nil {
		return "", 0, fmt.Errorf("package.json's engines.node %q is not understood; name a version with --runtime, for example nodejs22.x", said)
	}
	if v[1] == ">=" || strings.Contains(said, "||") {
		oldest, err = strconv.Atoi(v[2])
		return "", oldest, err
	}
	return "nodejs" + v[2] + ".x", 0, nil
}

// nodeHandler finds file.export among the folder's own files.
func nodeHandler(dir string, m manifest) (string, error) {
	files := nodeFiles
	if main := filepath.Clean(m.Main); m.Main != "" && filepath.IsLocal(main) {
		files = append([]string{strings.TrimSuffix(main, filepath.Ext(main))}, files...)
	}
	for _, module := range files {
		name := nodeFile(dir, module)
		if name == "" {
			continue
		}
		src, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			return "", fmt.Errorf("read %s: %w", name, err)
		}
		for _, h := range nodeHandlers {
			if exported(h).Match(src) {
				return filepath.ToSlash(module) + "." + h, nil
			}
		}
	}
	for _, module := range files {
		if exists(dir, module+".ts") || exists(dir, module+".mts") {
			return "", fmt.Errorf("%s.ts is TypeScript, which Node.js on Lambda does not run: compile it first (npx tsc, or npx esbuild --bundle --platform=node "+
				"--outdir=dist %[1]s.ts) and say --handler dist/%[2]s.handler", module, filepath.Base(module))
		}
	}
	return "", fmt.Errorf("no function found in %s: looked for an export named %s in %s (.js, .mjs, .cjs); name it with --handler, for example index.handler",
		dir, strings.Join(nodeHandlers, " or "), strings.Join(files, ", "))
}

// exported tells a source that exports name, in the ways in which people and bundlers write it.
func exported(name string) *regexp.Regexp {
	return regexp.MustCompile(`(?m)\bexports\.` + name + `\s*=|\bexports\s*=\s*\{[^}]*\b` + name + `\b|` +
		`(?:^|[;}])\s*export\s+(const|let|var|async\s+function|function)\s*\*?\s*` + name + `\b|(?:^|[;}])\s*export\s*\{[^}]*\b` + name + `\b|\b` + name + `:\s*\(\)\s*=>`)
}

func isDir(path string) bool {
	fi, err := os.Stat(path)
	return err == nil && fi.IsDir()
}

// leftOutOfNode are what never belongs into a function of Node.js's: settings of tools, tests, and .npmrc, which may hold a
// registry's password.
var leftOutOfNode = []string{".npmrc", ".nvmrc", ".node-version", ".npm", ".yarn", ".yarnrc", ".yarnrc.yml", ".pnpm-store", ".nyc_output", "coverage", "__tests__"}

var nodeTest = regexp.MustCompile(`[._-](test|spec)\.[cm]?[jt]s$`)

// leftOut says what of a folder doesn't belong into the package; of installed modules only what npm wrote for itself.
func leftOut(rel string) bool {
	base := filepath.Base(rel)
	if strings.HasPrefix(rel, "node_modules"+string(filepath.Separator)) {
		return base == ".bin" || base == ".package-lock.json" || base == ".cache"
	}
	return skipped(rel) || slices.Contains(leftOutOfNode, base) || nodeTest.MatchString(base)
}
