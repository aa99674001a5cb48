package container

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"artesian/internal/compute/lang"
	"artesian/internal/compute/lang/host"
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

// TestStuckZygote: nobody waits for a zygote that does not fork, and it ends, so that another takes its place.
func TestStuckZygote(t *testing.T) {
	m := open(t, 1<<30)
	z := stems(t, m, forked(t)).(*zygote)
	z.patience = 50 * time.Millisecond
	raw, err := z.process.SyscallConn()
	if err == nil {
		err = raw.Control(func(fd uintptr) { err = unix.PidfdSendSignal(int(fd), unix.SIGSTOP, nil, 0) })
	}
	if err != nil {
		t.Fatal(err)
	}
	s := sandboxtest.Spec("stuck", sandboxtest.Payload(t), "exit", "7")
	s.Fork, s.Channel = z, true
	if b, err := m.Start(t.Context(), s); err == nil {
		t.Errorf("forked by a process that is stopped: %v", b.Close())
	}
	<-z.Done()
}

// BenchmarkForked is a cold call of a Python function for which a child waits: from the request for its sandbox to the answer. What
// the child's memory comes to (its share of what it shares included), and its own, is told, too.
func BenchmarkForked(b *testing.B) {
	m := open(b, 4<<30)
	r := forkedOf(b, host.Config{Packs: folder(os.Getenv("ARTESIAN_BENCH_PACK"))})
	z := startZygote(b, m, r)
	code := b.TempDir()
	writeFile(b, filepath.Join(code, "app.py"), "import json\ndef handler(e, c): return e\n")
	v := faas.Version{Handler: "app.handler", MemoryMB: 128}
	var prepare, become time.Duration
	var left []sandbox.Sandbox
	for b.Loop() {
		b.StopTimer()
		made := sandbox.Spec{ID: "f" + strings.ToLower(faas.NewUUID()), Fork: z, MemoryMB: 128, TmpMB: 512, Pids: 64, Files: 256}
		r.Generic(&made, 128)
		begun := time.Now()
		c, err := m.Prepare(b.Context(), made)
		if err != nil {
			b.Fatal(err)
		}
		prepare += time.Since(begun)
		b.StartTimer()
		begun = time.Now()
		s := made
		s.Fork, s.Mounts, s.Env = nil, nil, nil
		s.Owner = "f"
		r.Prepare(&s, v, code, "stream")
		sb, err := c.Become(b.Context(), s)
		if err != nil {
			b.Fatal(err)
		}
		become += time.Since(begun)
		session := r.Adopt(sb, &s, v)
		_, err = session.Init(b.Context())
		if err == nil {
			_, err = session.Invoke(b.Context(), lang.Call{RequestID: "id", Payload: []byte("1"), Deadline: time.Now().Add(time.Minute)}, io.Discard)
		}
		if err != nil {
			b.Fatal(err)
		}
		b.StopTimer()
		if left = append(left, sb); len(left) == 20 {
			b.ReportMetric(rollup(b, sb, "Pss:"), "pss-KB")
			b.ReportMetric(rollup(b, sb, "Private_Dirty:"), "own-KB")
			for _, sb := range left {
				u, _ := sb.Usage()
				b.ReportMetric(float64(u.CPU.Microseconds()), "cpu-µs")
				b.ReportMetric(float64(u.Memory>>10), "charged-KB")
				_ = sb.Close()
			}
			left = nil
		}
		b.StartTimer()
	}
	for _, sb := range left {
		_ = sb.Close()
	}
	b.ReportMetric(float64(prepare.Microseconds())/float64(b.N), "µs/prepare")
	b.ReportMetric(float64(become.Microseconds())/float64(b.N), "µs/become")
}

// rollup is a field of the main process's /proc/…/smaps_rollup, in KB.
func rollup(b *testing.B, sb sandbox.Sandbox, field string) float64 {
	pid, err := pidOf(sb.(*instance).main)
	if err != nil {
		b.Fatal(err)
	}
	text, err := os.ReadFile("/proc/" + itoa(pid) + "/smaps_rollup")
	if err != nil {
		b.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(text), field)
	var kb float64
	_, _ = fmt.Sscan(rest, &kb)
	return kb
}
