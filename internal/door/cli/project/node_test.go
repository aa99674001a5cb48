package project

import (
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestDetectNode(t *testing.T) {
	const mjs = "export const handler = async () => 1\n"
	for name, c := range map[string]struct {
		files            map[string]string
		handler, runtime string
		want             Project
	}{
		"mjs":            {files: map[string]string{"index.mjs": mjs}, want: Project{Handler: "index.handler"}},
		"commonjs":       {files: map[string]string{"app.js": "exports.handler = async () => 1"}, want: Project{Handler: "app.handler"}},
		"module.exports": {files: map[string]string{"index.cjs": "module.exports = {\n  handler,\n}"}, want: Project{Handler: "index.handler"}},
		"one line":       {files: map[string]string{"index.mjs": "import foo from \"foo\"; export const handler = async () => foo"}, want: Project{Handler: "index.handler"}},
		"list, one line": {files: map[string]string{"index.mjs": "function handler() {} export { handler }"}, want: Project{Handler: "index.handler"}},
		"export list":    {files: map[string]string{"index.mjs": "const handler = 1;\nexport { x, handler };"}, want: Project{Handler: "index.handler"}},
		"bundled":        {files: map[string]string{"index.js": "__export(index_exports, {\n  handler: () => handler\n});"}, want: Project{Handler: "index.handler"}},
		"lambdaHandler":  {files: map[string]string{"app.mjs": "export async function lambdaHandler(e) {}"}, want: Project{Handler: "app.lambdaHandler"}},
		"main":           {files: map[string]string{"lib/fn.js": "exports.handler = 1", "package.json": `{"main": "./lib/fn.js"}`}, want: Project{Handler: "lib/fn.handler"}},
		"src":            {files: map[string]string{"src/app.js": mjs, "package.json": `{"type":"module"}`}, want: Project{Handler: "src/app.handler"}},
		"said":           {files: map[string]string{"x/y.cjs": ""}, handler: "x/y.a.b", runtime: "nodejs20.x", want: Project{Handler: "x/y.a.b", Runtime: "nodejs20.x"}},
		"engines":        {files: map[string]string{"index.mjs": mjs, "package.json": `{"engines": {"node": "^22.1"}}`}, want: Project{Handler: "index.handler", Runtime: "nodejs22.x"}},
		"oldest":         {files: map[string]string{"index.mjs": mjs, "package.json": `{"engines": {"node": ">= 18.0"}}`}, want: Project{Handler: "index.handler", Oldest: 18}},
		"nvmrc":          {files: map[string]string{"index.mjs": mjs, ".nvmrc": "v20.1.0\n", "package.json": `{"engines": {"node": "18"}}`}, want: Project{Handler: "index.handler", Runtime: "nodejs20.x"}},
		"lts":            {files: map[string]string{"index.mjs": mjs, ".nvmrc": "lts/*\n"}, want: Project{Handler: "index.handler"}},
		"dependencies":   {files: map[string]string{"index.mjs": mjs, "package.json": `{"dependencies": {"a": "1"}}`}, want: Project{Handler: "index.handler", Requires: "package.json"}},
	} {
		t.Run(name, func(t *testing.T) {
			dir := folder(t, c.files)
			got, err := Detect(dir, c.handler, c.runtime)
			if err != nil {
				t.Fatal(err)
			}
			c.want.Dir, c.want.Name, c.want.Language = dir, "f", Node
			if c.want.Requires != "" {
				c.want.Requires = filepath.Join(dir, c.want.Requires)
			}
			if got != c.want {
				t.Errorf("got %+v, want %+v", got, c.want)
			}
		})
	}
	if _, err := Detect(folder(t, map[string]string{"index.mjs": mjs}), "other.handler", ""); err == nil || !strings.Contains(err.Error(), "no other.js, .mjs or .cjs") {
		t.Error(err)
	}
	both := folder(t, map[string]string{"package.json": "{}", "app.py": handlerSource, "index.mjs": mjs})
	for runtime, want := range map[string]Language{"": Python, "nodejs22.x": Node, "python3.11": Python} {
		if p, err := Detect(both, "", runtime); err != nil || p.Language != want {
			t.Errorf("%q: %+v, %v", runtime, p, err)
		}
	}
}

func names(t *testing.T, zip []byte) (all []string) {
	t.Helper()
	for _, e := range entries(t, zip) {
		all = append(all, strings.Fields(e)[1])
	}
	return all
}

func TestBuildNode(t *testing.T) {
	dir := folder(t, map[string]string{"index.mjs": "export const handler = async () => 1\n", "lib/a.js": "", "lib/a.test.js": "", "__tests__/b.js": "", ".npmrc": "secret", ".nvmrc": "lts/*",
		"package.json": `{"dependencies": {"a": "1"}}`, "node_modules/a/index.js": "", "node_modules/a/a.test.js": "", "node_modules/a/coverage/x.js": "", "node_modules/.bin/a": "", "node_modules/.package-lock.json": ""})
	want := []string{"index.mjs", "lib/a.js", "node_modules/a/a.test.js", "node_modules/a/coverage/x.js", "node_modules/a/index.js", "package.json"}
	if got := names(t, build(t, Builder{Cache: t.TempDir()}, dir)); !slices.Equal(got, want) {
		t.Error(got)
	}
	linked := folder(t, map[string]string{"index.mjs": "export const handler = 1", "package.json": `{"dependencies": {"a": "file:../a"}}`,
		"package-lock.json": `{"lockfileVersion": 3, "packages": {"node_modules/a": {"resolved": "../a", "link": true}}}`})
	p, err := Detect(linked, "", "")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := (Builder{Cache: t.TempDir()}).Build(t.Context(), p, quiet); err == nil || !strings.Contains(err.Error(), "install them there first") {
		t.Error(err)
	}
}

// TestBuildNodeOfLock: what the lock file says is installed once, without what only development needs.
func TestBuildNodeOfLock(t *testing.T) {
	npm, err := exec.LookPath("npm")
	if err != nil {
		t.Skip("needs npm")
	}
	module := folder(t, map[string]string{"package.json": `{"name": "a", "version": "1.0.0", "bin": "index.js"}`, "index.js": "#!/usr/bin/env node\n"})
	cmd := exec.Command(npm, "pack", "--silent")
	cmd.Dir = module
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatal(string(out))
	}
	tgz := filepath.Join(module, "a-1.0.0.tgz")
	files := map[string]string{"index.mjs": "export const handler = 1", "package.json": `{"name": "f", "scripts": {"prepare": "b-of-development"},
		"dependencies": {"a": "` + tgz + `"}, "devDependencies": {"b": "1.0.0"}}`,
		"node_modules/old/index.js": "of before",
		"package-lock.json": `{"name": "f", "lockfileVersion": 3, "packages": {"": {"name": "f", "dependencies": {"a": "` + tgz + `"}, "devDependencies": {"b": "1.0.0"}},
			"node_modules/a": {"version": "1.0.0", "resolved": "` + tgz + `"}, "node_modules/b": {"version": "1.0.0", "resolved": "http://127.0.0.1:1/b.tgz", "dev": true}}}`}
	steps := 0
	step := func(name string, do func() error) error {
		if name == "npm ci" {
			steps++
		}
		return do()
	}
	cache := t.TempDir()
	for range 2 {
		p, err := Detect(folder(t, files), "", "")
		if err != nil {
			t.Fatal(err)
		}
		zip, err := Builder{Cache: cache}.Build(t.Context(), p, step)
		if err != nil {
			t.Fatal(err)
		}
		if got := names(t, zip); !slices.Equal(got, []string{"index.mjs", "node_modules/a/index.js", "node_modules/a/package.json", "package-lock.json", "package.json"}) {
			t.Error(got)
		}
	}
	if steps != 1 {
		t.Errorf("installed %d times", steps)
	}
}

func TestBuildSaysWhereNodeIsWrong(t *testing.T) {
	node, err := exec.LookPath("node")
	if err != nil {
		t.Skip("needs node")
	}
	dir := folder(t, map[string]string{"index.mjs": "export const handler = async () => {\n  return (\n}\n"})
	p, err := Detect(dir, "", "")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := (Builder{Cache: t.TempDir(), Node: node}).Build(t.Context(), p, quiet); err == nil || !strings.Contains(err.Error(), "index.mjs:3") || strings.Contains(err.Error(), dir) || !strings.Contains(err.Error(), "SyntaxError") {
		t.Error(err)
	}
}
