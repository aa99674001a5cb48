package container

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"artesian/internal/compute/lang"
	"artesian/internal/compute/sandbox"
	"artesian/internal/compute/sandbox/sandboxtest"
	"artesian/internal/faas"
)

// twinProgram is a template whose copies are stems, see package sandboxtest. What it does first stands for a function's
// initialisation.
const twinProgram = `
import json, os, sys
exec(sys.argv[1])
while os.read(3, 1 << 16) != b"T\0\0\0\0":
    pass
pid = os.fork()
if pid:
    os.write(3, b"N\0\0\0\4" + pid.to_bytes(4, "big"))
    os._exit(0)
os.setsid()
line = b""
while not line.endswith(b"\n"):
    line += os.read(3, 1 << 16)
told = json.loads(line)
try:
    os.chdir(told["Dir"])
    if os.path.isdir(told["Argv"][0]):
        raise PermissionError(13, "Permission denied", told["Argv"][0])
    os.stat(told["Argv"][0])
except OSError as e:
    os.write(3, ("%s: %s\n" % (e.strerror.lower(), e.filename)).encode())
    os._exit(1)
os.write(3, b"\n")
os.set_inheritable(3, told["Channel"])
os.execve(told["Argv"][0], told["Argv"], dict(v.split("=", 1) for v in told["Env"]))
`

// templateSpec is of a sandbox in which a program of Python's runs that becomes a template when it has done what first says.
func templateSpec(t testing.TB, r lang.Forked, first string) sandbox.Spec {
	t.Helper()
	dir := t.TempDir()
	writeFile(t, filepath.Join(dir, "twin.py"), twinProgram)
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	z := r.Zygote()
	spec := sandboxtest.Spec("template-"+strings.ToLower(faas.NewUUID()), sandboxtest.Payload(t), "echo")
	spec.Mounts = append(slices.Clone(z.Mounts), sandbox.Mount{Source: dir, Target: "/var/stem"})
	spec.Argv, spec.Env, spec.Dir = []string{z.Argv[0], "-S", "/var/stem/twin.py", first}, z.Env, "/"
	spec.Channel, spec.Template = true, true
	return spec
}

// startTemplate starts a sandbox of templateSpec and makes a template of it.
func startTemplate(t testing.TB, m *Maker, r lang.Forked, first string) (*instance, sandbox.Template, error) {
	t.Helper()
	b, err := m.Start(t.Context(), templateSpec(t, r, first))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.Close() })
	o, err := m.Template(t.Context(), b)
	if err == nil {
		t.Cleanup(func() { _ = o.Close() })
	}
	return b.(*instance), o, err
}

// TestCopy: a template's copy is a sandbox.
func TestCopy(t *testing.T) {
	m := open(t, 4<<30)
	r := forked(t)
	_, o, err := startTemplate(t, m, r, "")
	if err != nil {
		t.Fatal(err)
	}
	payload := sandboxtest.Payload(t)
	b, err := (sandboxtest.Cells{Ahead: m, Copy: o}).Start(context.Background(), sandboxtest.Spec("copy", payload, "exit", "7"))
	if err != nil {
		t.Fatal(err)
	}
	sandboxtest.Await(t, b)
	if b.Exit() != (sandbox.Exit{Code: 7}) {
		t.Errorf("%+v", b.Exit())
	}
	if err := b.Close(); err != nil {
		t.Error(err)
	}
}

// copies is a maker whose sandboxes are copies of a template, made ahead or when they are wanted.
func copies(t *testing.T, m *Maker, ahead bool) sandboxtest.Cells {
	t.Helper()
	_, o, err := startTemplate(t, m, forked(t), "")
	if err != nil {
		t.Fatal(err)
	}
	return sandboxtest.Cells{Ahead: m, Copy: o, Seen: ahead}
}

// TestCopyConformance: what was copied is a sandbox like any other.
func TestCopyConformance(t *testing.T) {
	for name, ahead := range map[string]bool{"ahead": true, "on the path": false} {
		t.Run(name, func(t *testing.T) {
			m := open(t, 4<<30)
			sandboxtest.Conformance(t, copies(t, m, ahead), own(t, m))
		})
	}
}

// TestAttacksOnCopies: what was copied withstands the same attacks.
func TestAttacksOnCopies(t *testing.T) {
	for name, ahead := range map[string]bool{"ahead": true, "on the path": false} {
		t.Run(name, func(t *testing.T) {
			m := open(t, 1<<30)
			testAttacks(t, m, copies(t, m, ahead))
		})
	}
}
