package app

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"artesian/internal/account/identity"
	"artesian/internal/door/gateway"
	"artesian/internal/faas"
)

func TestUntrusted(t *testing.T) {
	const data, uid = "/var/lib/artesian", 500
	root, dir := file{"/", fs.ModeDir | 0o755, 0}, file{"/opt", fs.ModeDir | 0o755, 0}
	program := func(mode fs.FileMode, uid int) file { return file{"/opt/python", mode, uid} }
	for name, c := range map[string]struct {
		chain []file
		want  string // in the error; empty is none
	}{
		"of root":                   {[]file{program(0o755, 0), dir, root}, ""},
		"of the daemon's user":      {[]file{program(0o700, uid), {"/opt", fs.ModeDir | 0o700, uid}, root}, ""},
		"setuid":                    {[]file{program(0o755|fs.ModeSetuid, 0), dir, root}, ""},
		"of another user":           {[]file{program(0o755, 501), dir, root}, "id 501"},
		"a folder of another user":  {[]file{program(0o755, 0), {"/opt", fs.ModeDir | 0o755, 501}, root}, `"/opt" belongs`},
		"group may write":           {[]file{program(0o775, 0), dir, root}, "mode 0775"},
		"others may write":          {[]file{program(0o757, 0), dir, root}, "mode 0757"},
		"group may write to folder": {[]file{program(0o755, 0), {"/opt", fs.ModeDir | 0o775, 0}, root}, `"/opt" can be written`},
		"sticky folder":             {[]file{program(0o755, 0), {"/opt", fs.ModeDir | fs.ModeSticky | 0o777, 0}, root}, `"/opt" can be written`},
		"the root is open":          {[]file{program(0o755, 0), dir, {"/", fs.ModeDir | 0o777, 0}}, `"/" can be written`},
		"not executable":            {[]file{program(0o644, 0), dir, root}, "not an executable"},
		"a folder":                  {[]file{program(fs.ModeDir|0o755, 0), dir, root}, "not an executable"},
		"a device":                  {[]file{program(fs.ModeDevice|0o755, 0), dir, root}, "not an executable"},
		"a package":                 {[]file{{data + "/code/abc/evil", 0o755, 0}, root}, "data directory"},
		"the data directory":        {[]file{{data, fs.ModeDir | 0o755, 0}, root}, "data directory"},
		"beside the data directory": {[]file{{data + "-tools", 0o755, 0}, root}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			err := untrusted(c.chain, data, uid)
			if c.want == "" && err != nil || c.want != "" && (faas.KindOf(err) != faas.Denied || !strings.Contains(faas.Message(err), c.want)) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}

// TestTrustedProgram follows links to where a file really is.
func TestTrustedProgram(t *testing.T) {
	data := t.TempDir()
	evil := filepath.Join(data, "code", "sha", "evil")
	if err := os.MkdirAll(filepath.Dir(evil), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(evil, []byte("#!/bin/sh\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	elsewhere := t.TempDir()
	link, alias := filepath.Join(elsewhere, "python3.13"), filepath.Join(elsewhere, "data")
	if err := os.Symlink(evil, link); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(data, alias); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct{ path, data, want string }{
		"package":                      {evil, data, "data directory"},
		"link to a package":            {link, data, "data directory"},
		"data directory named by link": {evil, alias, "data directory"},
		"dots":                         {"/usr/.." + evil, data, "data directory"},
		"folder open to all":           {evil, elsewhere, "can be written by others"}, // a test's folder is below a sticky one
		"relative":                     {"bin/python3", data, "not absolute"},
		"nowhere":                      {filepath.Join(data, "none"), data, "does not lead"},
		"empty":                        {"", data, "not absolute"},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := trustedProgram(c.path, c.data); err == nil || !strings.Contains(faas.Message(err), c.want) {
				if name == "folder open to all" && err == nil {
					t.Skip("the folder for temporary files is not open to all")
				}
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
	if real, err := trustedProgram("/bin/sh", data); err != nil || !filepath.IsAbs(real) {
		t.Errorf("%q %v", real, err)
	}
}

func TestGone(t *testing.T) {
	path := filepath.Join(t.TempDir(), "python")
	if got := gone(path); got == "" {
		t.Error("a file that isn't there is not noted")
	}
	for _, path := range []string{"", "/bin/sh"} {
		if got := gone(path); got != "" {
			t.Errorf("%q: %s", path, got)
		}
	}
}

func TestOwnerOnly(t *testing.T) {
	const owner, role, session = "arn:aws:iam::000000000000:user/admin", "arn:aws:iam::000000000000:role/f", "arn:aws:sts::000000000000:assumed-role/f/f"
	for name, c := range map[string]struct {
		arn     string
		op      gateway.Operation
		role    string
		allowed bool
	}{
		"owner":                   {owner, gateway.Operation{Action: "artesian:AddRuntime", Owner: true}, "", true},
		"another account":         {"arn:aws:iam::111122223333:user/admin", gateway.Operation{Action: "artesian:AddRuntime", Owner: true}, "", false},
		"another user":            {"arn:aws:iam::000000000000:user/eve", gateway.Operation{Action: "artesian:AddRuntime", Owner: true}, "", false},
		"nobody":                  {"", gateway.Operation{Action: "artesian:AddRuntime", Owner: true}, "", false},
		"another account's usage": {"arn:aws:iam::111122223333:user/admin", gateway.Operation{Action: "artesian:GetCost"}, "", true},
		"a function changes it":   {session, gateway.Operation{Action: "artesian:AddRuntime", Resource: "*", Owner: true}, role, false},
		"a function looks at it":  {session, gateway.Operation{Action: "artesian:GetDoctor", Resource: "*"}, role, false},
		"a function's account":    {session, gateway.Operation{Action: "artesian:GetCost", Resource: "arn:artesian:node:us-east-1:000000000000:cost"}, role, true},
	} {
		err := ownerOnly(c.op, identity.Principal{ARN: c.arn, Role: c.role}, owner)
		if (err == nil) != c.allowed || err != nil && faas.KindOf(err) != faas.Denied {
			t.Errorf("%s: %v", name, err)
		}
	}
}
