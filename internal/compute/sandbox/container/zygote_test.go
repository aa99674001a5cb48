package container

import (
	"bytes"
	"context"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"artesian/internal/compute/lang"
	"artesian/internal/compute/lang/framed"
	"artesian/internal/compute/lang/host"
	"artesian/internal/compute/lang/host/hosttest"
	"artesian/internal/compute/sandbox"
	"artesian/internal/compute/sandbox/cgroup"
	"artesian/internal/compute/sandbox/sandboxtest"
	"artesian/internal/faas"
)

// forked is Python as zygotes fork it, or the test is skipped.
func forked(t testing.TB) lang.Forked {
	t.Helper()
	return forkedOf(t, host.Config{})
}

func forkedOf(t testing.TB, c host.Config) lang.Forked {
	t.Helper()
	c.Dir, c.Path, c.Home, c.Nearest = t.TempDir(), os.Getenv("PATH"), os.Getenv("HOME"), true
	hosttest.Remember(t, c.Dir)
	catalog := host.New(c)
	t.Cleanup(catalog.Close)
	r, err := catalog.Resolve("python3.11")
	if err != nil {
		t.Skip("no Python here:", err)
	}
	return r.(lang.Forked)
}

// startZygote starts one of r and waits until it can fork.
func startZygote(t testing.TB, m *Maker, r lang.Forked) *zygote {
	t.Helper()
	spec := r.Zygote()
	spec.ID = "zygote-" + strings.ToLower(faas.NewUUID())
	z, err := m.Zygote(t.Context(), spec)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = z.Close() })
	if err := z.Ready(t.Context()); err != nil {
		t.Fatal(err)
	}
	return z.(*zygote)
}

// child is a process that a zygote forked into a sandbox, beside the main process of that.
type child struct {
	*instance
	pid     int
	channel *net.UnixConn
	output  *os.File
}

func (c *child) Channel() *net.UnixConn { return c.channel }
func (c *child) Output() *os.File       { return c.output }

// place is a sandbox with what a function's would have, whose main process waits.
func place(t testing.TB, m *Maker, r lang.Forked, code string) (*instance, sandbox.Spec) {
	t.Helper()
	payload := sandboxtest.Payload(t)
	spec := sandboxtest.Spec("f"+strings.ToLower(faas.NewUUID()), payload, "echo")
	spec.Channel = true
	spec.Mounts[0].Target = "/opt"
	spec.Argv[0] = "/opt/" + filepath.Base(payload)
	wait := spec
	var v faas.Version
	v.Handler, v.MemoryMB, v.ID.Name = "app.handler", 128, "f"
	r.Prepare(&spec, v, code, "stream")
	wait.Mounts = spec.Mounts
	sb, err := m.Start(t.Context(), wait)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = sb.Close() })
	return sb.(*instance), spec
}

// forkInto has z fork into i.
func forkInto(t testing.TB, z *zygote, i *instance) (*child, error) {
	t.Helper()
	e := entry{spec: i.spec, layout: i.maker.layout, group: -1, null: int(i.maker.spawner.null.Fd())}
	raw, err := i.first.SyscallConn()
	if err == nil {
		err = raw.Control(func(fd uintptr) { e.namespaces, err = namespacesOf(int(fd)) })
	}
	if err != nil {
		t.Fatal(err)
	}
	defer closeAll(e.namespaces)
	if g, ok := i.group.(*cgroup.Group); ok {
		e.group = g.Dir()
		e.layout.group = e.group >= 0
		if err := g.Admit(z.who.uid); err != nil {
			t.Fatal(err)
		}
		if e.joins, err = g.Joins(); err != nil {
			t.Fatal(err)
		}
		e.layout.joins = len(e.joins)
		defer closeAll(e.joins)
	} else {
		e.layout.pids = i.spec.Pids
	}
	c := &child{instance: i}
	if c.channel, e.channel, err = newChannel(); err != nil {
		t.Fatal(err)
	}
	if c.output, e.output, err = newOutput(); err != nil {
		t.Fatal(err)
	}
	defer closeAll([]int{e.channel, e.output})
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	c.pid, err = z.fork(ctx, e)
	t.Cleanup(func() {
		_ = c.channel.Close()
		_ = c.output.Close()
	})
	return c, err
}

// TestFork: a zygote's child serves a function.
func TestFork(t *testing.T) {
	m := open(t, 4<<30)
	r := forked(t)
	z := startZygote(t, m, r)
	code := t.TempDir()
	writeFile(t, filepath.Join(code, "app.py"), `
import os, sys
print("loaded", os.getcwd())
def handler(e, c): return [e, os.getuid(), os.getgid(), os.environ["_HANDLER"], c.function_name, os.getppid(), sys.argv]
`)
	i, spec := place(t, m, r, code)
	c, err := forkInto(t, z, i)
	if err != nil {
		t.Fatal(err)
	}
	s := r.Adopt(c, &spec, faas.Version{})
	out := serve(t, c, s, `"event"`)
	if want := `["event", 993, 990, "app.handler", "f", 1, ["/var/runtime/bootstrap.py"]]`; out != want {
		t.Errorf("it answered %s, not %s", out, want)
	}
	if z.Forks() != 1 {
		t.Errorf("%d forks were counted", z.Forks())
	}
}

// serve initialises a function and calls it once.
func serve(t testing.TB, c *child, s lang.Session, event string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	var out bytes.Buffer
	_, err := s.Init(ctx)
	if err == nil {
		var f *lang.Failure
		if f, err = s.Invoke(ctx, lang.Call{RequestID: "id", Payload: []byte(event), Deadline: time.Now().Add(time.Minute)}, &out); err == nil && f == nil {
			return out.String()
		}
	}
	_ = c.output.SetReadDeadline(time.Now().Add(time.Second))
	printed, _ := io.ReadAll(c.output)
	t.Fatalf("%v: %s\n%s", err, out.String(), printed)
	return ""
}

func writeFile(t testing.TB, name, text string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// BenchmarkFork is a fork from a zygote into a sandbox that is there, until the child can be assigned.
func BenchmarkFork(b *testing.B) {
	m := open(b, 4<<30)
	r := forked(b)
	z := startZygote(b, m, r)
	i, _ := place(b, m, r, b.TempDir())
	var fork time.Duration
	inside, outside := cpu(b, i.group), cpu(b, z.group)
	for b.Loop() {
		begun := time.Now()
		c, err := forkInto(b, z, i)
		if err != nil {
			b.Fatal(err)
		}
		fork += time.Since(begun)
		if err := framed.Greeting(b.Context(), c.channel); err != nil {
			b.Fatal(err)
		}
		_ = c.channel.Close() // it ends
		_ = c.output.Close()
	}
	per := func(d time.Duration) float64 { return float64(d.Microseconds()) / float64(b.N) }
	b.ReportMetric(per(fork), "µs/fork")
	b.ReportMetric(per(cpu(b, i.group)-inside), "cpu-µs/child")
	b.ReportMetric(per(cpu(b, z.group)-outside), "cpu-µs/zygote")
}

// cpu is the processor time that a control group has used; 0 without one.
func cpu(b *testing.B, g bounds) time.Duration {
	c, err := g.Counters()
	if err != nil {
		b.Fatal(err)
	}
	return c.CPU
}
