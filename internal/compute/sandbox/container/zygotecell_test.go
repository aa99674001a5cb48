package container

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"artesian/internal/compute/lang"
	"artesian/internal/compute/sandbox"
	"artesian/internal/compute/sandbox/sandboxtest"
	"artesian/internal/faas"
)

// stemProgram is a zygote whose children are stems, see package sandboxtest.
const stemProgram = `
import json, os, sys
import _artesian_zygote
_artesian_zygote.run([], "/nothing", [], [])
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

// stems starts a zygote of stems.
func stems(t testing.TB, m *Maker, r lang.Forked) sandbox.Zygote {
	t.Helper()
	dir := t.TempDir()
	writeFile(t, filepath.Join(dir, "stem.py"), stemProgram)
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	spec := r.Zygote()
	spec.ID = "zygote-" + strings.ToLower(faas.NewUUID())
	spec.Mounts = append(spec.Mounts, sandbox.Mount{Source: dir, Target: "/var/stem"})
	spec.Argv = []string{spec.Argv[0], "-S", "/var/stem/stem.py"}
	z, err := m.Zygote(t.Context(), spec)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = z.Close() })
	if err := z.Ready(t.Context()); err != nil {
		t.Fatal(err)
	}
	return z
}

// TestForkConformance: what a zygote has forked is a sandbox like any other.
func TestForkConformance(t *testing.T) {
	r := forked(t)
	for name, late := range map[string]bool{"ahead": false, "on the path": true} {
		t.Run(name, func(t *testing.T) {
			m := open(t, 4<<30)
			sandboxtest.Conformance(t, sandboxtest.Cells{Ahead: m, Fork: stems(t, m, r), Late: late}, own(t, m))
		})
	}
}

// TestAttacksOnForks: what a zygote has forked withstands the same attacks.
func TestAttacksOnForks(t *testing.T) {
	r := forked(t)
	for name, late := range map[string]bool{"ahead": false, "on the path": true} {
		t.Run(name, func(t *testing.T) {
			m := open(t, 1<<30)
			testAttacks(t, m, sandboxtest.Cells{Ahead: m, Fork: stems(t, m, r), Late: late})
		})
	}
}

// TestForkEnds: how a forked main process ends is told, also when that happens before anything was asked of it.
func TestForkEnds(t *testing.T) {
	m := open(t, 1<<30)
	z := stems(t, m, forked(t))
	c, err := m.Prepare(t.Context(), sandbox.Spec{ID: "early", Fork: z, Channel: true, Dir: "/", MemoryMB: 64, TmpMB: 512, Pids: 16, Files: 64})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.(*cell).i.Signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	<-c.Done()
	if err := c.Close(); err != nil {
		t.Error(err)
	}
	payload := sandboxtest.Payload(t)
	b, err := (sandboxtest.Cells{Ahead: m, Fork: z}).Start(t.Context(), sandboxtest.Spec("late", payload, "exit", "7"))
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
