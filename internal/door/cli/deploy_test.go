package cli

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

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
	got := f.run(t, "", "deploy", dir, "--memory", "256", "--env", "A=1,2", "--env", "B=x")
	if got.status != 0 {
		t.Fatalf("%+v", got)
	}
	contains(t, got.out, "role", "create", "created my-function in", "runtime python3.12, served by python 3.12.1 (/no/python3.12)", "handler app.handler", "artesian invoke my-function")
	c := f.functions["my-function"]
	if c.MemorySize != 256 || c.Role != "arn:aws:iam::000000000000:role/artesian-default" || c.Environment.Variables["A"] != "1,2" || c.State != "Active" {
		t.Errorf("created %+v", c)
	}

	f.asked = nil
	got = f.run(t, "", "deploy", dir, "--memory", "256", "--env", "A=1,2", "--env", "B=x")
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
		"wrong runtime":  {map[string]string{"app.py": "def handler(e, c): 0"}, []string{"--runtime", "nodejs22.x"}, "neither a bootstrap nor a go.mod"},
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
		if got := server(all, want); got != expect {
			t.Errorf("python3.%d is served by %+v, want %+v", want, got, expect)
		}
	}
}
