package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"artesian/internal/door/gateway/admin"
)

func folder(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "my.function")
	for name, body := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(body), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestDeployCreatesThenChangesWhatDiffers(t *testing.T) {
	f := newFake(t)
	dir := folder(t, map[string]string{"app.py": "def handler(event, context):\n    return 1\n"})
	got := f.run(t, "", "deploy", dir, "--memory", "256", "--env", "AA=1,2", "--env", "BB=x")
	if got.status != 0 {
		t.Fatalf("%+v", got)
	}
	contains(t, got.out, "role", "create", "created my-function in", "runtime python3.12, served by python 3.12.1 (/no/python3.12)", "handler app.handler", "artesian invoke my-function")
	c := f.functions["my-function"]
	if c.MemorySize != 256 || c.Role != "arn:aws:iam::000000000000:role/artesian-default" || c.Environment.Variables["AA"] != "1,2" || c.State != "Active" {
		t.Errorf("created %+v", c)
	}

	f.asked = nil
	got = f.run(t, "", "deploy", dir, "--memory", "256", "--env", "AA=1,2", "--env", "BB=x")
	contains(t, got.out, "unchanged my-function")
	for _, a := range f.asked {
		if strings.HasPrefix(a, "PUT") || strings.HasPrefix(a, "POST") {
			t.Errorf("nothing changed, but asked %s", a)
		}
	}

	if err := os.WriteFile(filepath.Join(dir, "app.py"), []byte("def handler(event, context):\n    return 2\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	f.asked = nil
	got = f.run(t, "", "deploy", dir, "--json", "--timeout", "30s")
	var done deployed
	if err := json.Unmarshal([]byte(got.out), &done); err != nil || done.Action != "updated" || len(done.Steps) != 3 {
		t.Errorf("%v: %+v", err, got)
	}
	base := "PUT " + functionsPath + "/my-function/"
	if !slices.Contains(f.asked, base+"code") || !slices.Contains(f.asked, base+"configuration") || c.Timeout != 30 || len(c.Environment.Variables) != 2 {
		t.Errorf("asked %v, now %+v", f.asked, c)
	}
}

func TestDeployRefusals(t *testing.T) {
	f := newFake(t)
	for name, c := range map[string]struct {
		files map[string]string
		args  []string
		want  string
	}{
		"empty":          {map[string]string{"README": ""}, nil, "no function found"},
		"no handler":     {map[string]string{"app.py": "x = 1"}, nil, "--handler"},
		"wrong runtime":  {map[string]string{"app.py": "def handler(e, c): 0"}, []string{"--runtime", "nodejs22.x"}, "an export named handler"},
		"typescript":     {map[string]string{"index.ts": "export const handler = 1", "package.json": "{}"}, nil, "npx tsc"},
		"no Node.js":     {map[string]string{"index.mjs": "export const handler = async () => 1"}, nil, "the daemon has no Node.js"},
		"not executable": {map[string]string{"bootstrap": "#!/bin/sh"}, nil, "chmod +x"},
		"requirements":   {map[string]string{"app.py": "def handler(e, c): 0", "requirements.txt": "six"}, nil, "python3.12"},
	} {
		got := f.run(t, "", append([]string{"deploy", folder(t, c.files)}, c.args...)...)
		if got.status != ExitError || !strings.Contains(got.err, c.want) {
			t.Errorf("%s: %+v", name, got)
		}
	}
	if len(f.functions) != 0 {
		t.Errorf("made %v", f.functions)
	}
}

func TestServer(t *testing.T) {
	all := []admin.Runtime{{Name: "python3.13"}, {Name: "python3.11", Path: "a"}, {Name: "python3.11", Path: "b"}, {Name: "python3.9"}}
	for want, expect := range map[int]admin.Runtime{13: all[0], 12: all[0], 11: all[1], 10: all[1], 9: all[3], 8: all[3], 14: all[0]} {
		got, err := pythons.server(all, fmt.Sprintf("python3.%d", want), want == 14)
		if err != nil || got != expect {
			t.Errorf("python3.%d is served by %+v, want %+v: %v", want, got, expect, err)
		}
	}
	if got, err := pythons.server(all, "python3.14", false); err == nil {
		t.Errorf("python3.14 is served by %+v, which is older", got)
	}
}

// TestDeployOfWhatDoesNotServe: what the daemon would not serve is refused before anything is installed, of a function that is
// there as of a new one.
func TestDeployOfWhatDoesNotServe(t *testing.T) {
	f := newFake(t)
	have := admin.Runtimes{Runtimes: []admin.Runtime{{Name: "nodejs22.x", Version: "22.12.0", Path: "/no/22"}, {Name: "nodejs20.x", Version: "20.20.2", Path: "/no/20"},
		{Name: "python3.9", Version: "3.9.2", Path: "/no/9"}, {Name: "java17", Version: "17.0.1", Path: "/no/17"}}}
	f.own[admin.RuntimesPath] = have
	dir := folder(t, map[string]string{"index.mjs": "export const handler = async () => 1\n"})
	if got := f.run(t, "", "deploy", dir, "--runtime", "nodejs22.x"); got.status != 0 {
		t.Fatalf("%+v", got)
	}
	have.Runtimes = have.Runtimes[1:]
	f.own[admin.RuntimesPath] = have
	needs := folder(t, map[string]string{"index.mjs": "export const handler = async () => 1\n", "package.json": `{"dependencies":{"no-such-package-of-anybody":"1"}}`})
	for runtime, args := range map[string][]string{
		"nodejs22.x": {dir},
		"nodejs24.x": {needs, "--runtime", "nodejs24.x"},
		"python3.12": {folder(t, map[string]string{"app.py": "def handler(e, c): 0"}), "--runtime", "python3.12"},
		"java21":     {folder(t, map[string]string{"pom.xml": "<project/>"}), "--handler", "a.B::c", "--runtime", "java21"},
	} {
		got := f.run(t, "", append([]string{"deploy"}, args...)...)
		if got.status != ExitError || !strings.Contains(got.err, "runtime "+runtime+" needs that version of ") {
			t.Errorf("%+v", got)
		}
	}
	contains(t, f.run(t, "", "deploy", dir).err, "has only 20.20.2; add one with: artesian runtime add node@22, ")
	have.Nearest = true
	f.own[admin.RuntimesPath] = have
	contains(t, f.run(t, "", "deploy", dir).out, "served by node 20.20.2 (/no/20)")
}

func TestDeployKeepsRuntimeAndHandler(t *testing.T) {
	f := newFake(t)
	const source = "def handler(event, context):\n    return 1\n\ndef other(event, context):\n    return 2\n"
	dir := folder(t, map[string]string{"app.py": source})
	if got := f.run(t, "", "deploy", dir, "--runtime", "python3.9", "--handler", "app.other"); got.status != 0 {
		t.Fatalf("%+v", got)
	}
	contains(t, f.run(t, "", "deploy", dir).out, "unchanged my-function", "runtime python3.9", "handler app.other (kept; --handler names another)")
	contains(t, f.run(t, "", "deploy", dir, "--runtime", "python3.12").out, "  runtime python3.9 → python3.12\n", "updated my-function")
	if got := f.run(t, "", "deploy", dir, "--handler", "app.other"); strings.Contains(got.out, "kept") {
		t.Errorf("it was named: %+v", got)
	}
	if err := os.WriteFile(filepath.Join(dir, "app.py"), []byte("def handler(event, context):\n    return 1\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	contains(t, f.run(t, "", "deploy", dir).out, "  handler app.other → app.handler\n")
	if err := os.Rename(filepath.Join(dir, "app.py"), filepath.Join(dir, "main.py")); err != nil {
		t.Fatal(err)
	}
	contains(t, f.run(t, "", "deploy", dir).out, "  handler app.handler → main.handler\n")
}

func TestDeployLimits(t *testing.T) {
	f := newFake(t)
	dir := folder(t, map[string]string{"app.py": "def handler(event, context): 0"})
	for want, args := range map[string][]string{
		"--memory 64: 128 to 10240 MB":         {"--memory", "64"},
		"--memory 0: 128 to 10240 MB":          {"--memory", "0"},
		`--runtime "python": there is no such`: {"--runtime", "python"},
		"--timeout 20m0s: 1s to 15m":           {"--timeout", "20m"},
		"--env A=…: a name is a letter":        {"--env", "A=1", "--env", "OK=1"},
		`--name "a b": 1 to 64 letters`:        {"--name", "a b"},
	} {
		got := f.run(t, "", append([]string{"deploy", dir}, args...)...)
		contains(t, got.err, want)
		if got.status != ExitUsage {
			t.Errorf("%+v", got)
		}
	}
}

func TestDeployInterrupted(t *testing.T) {
	f := newFake(t)
	dir := folder(t, map[string]string{"go.mod": "module x\n", "main.go": "package main\n"})
	bin, building := t.TempDir(), filepath.Join(t.TempDir(), "building")
	if err := os.WriteFile(filepath.Join(bin, "go"), []byte("#!/bin/sh\necho > "+building+"\nexec sleep 60\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", bin+":"+os.Getenv("PATH"))
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	ctx, interrupt := context.WithCancel(t.Context())
	defer interrupt()
	go func() {
		for range time.Tick(10 * time.Millisecond) {
			if ctx.Err() != nil {
				return
			}
			if _, err := os.Stat(building); err == nil {
				interrupt()
			}
		}
	}()
	var out bytes.Buffer
	p := Program{Stdin: strings.NewReader(""), Stdout: &out, Stderr: &out}
	if status := p.Run(ctx, []string{"deploy", dir, "--data", f.data}); status != ExitInterrupted {
		t.Errorf("status %d: %s", status, &out)
	}
}
