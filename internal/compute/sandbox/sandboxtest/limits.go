package sandboxtest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"sort"
	"strings"
	"testing"
	"time"

	"artesian/internal/compute/sandbox"
	"artesian/internal/faas"
)

func (s *suite) freeze(t *testing.T) {
	spec := s.spec("tick")
	spec.Channel = true
	b := s.start(t, spec)
	buf := make([]byte, 4096)
	next := func(within time.Duration) error {
		if err := b.Channel().SetReadDeadline(time.Now().Add(within)); err != nil {
			t.Fatal(err)
		}
		_, err := b.Channel().Read(buf)
		return err
	}
	for range 3 {
		if err := next(patience); err != nil {
			t.Fatalf("no tick while running: %v", err)
		}
		for range 2 { // twice: it is idempotent
			if err := b.Freeze(); err != nil {
				t.Fatal(err)
			}
		}
		stopped := time.Now()
		for next(100*time.Millisecond) == nil {
			if time.Since(stopped) > patience {
				t.Fatal("ticks go on while frozen")
			}
		}
		for range 2 {
			if err := b.Thaw(); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := next(patience); err != nil {
		t.Fatalf("no tick after thaw: %v", err)
	}
}

// killTree checks by the output's end that no process is left: each holds the pipe.
func (s *suite) killTree(t *testing.T) {
	spec := s.spec("tree", "3")
	b := s.start(t, spec)
	readUntil(t, b, "leaf", 8)
	pids := processesOf(t, spec)
	if len(pids) < 8 {
		t.Fatalf("%d processes of the sandbox found, want at least 8", len(pids))
	}
	s.closeAndLook(t, b, spec)
	if !b.Exit().Closed {
		t.Errorf("exit = %+v, want closed", b.Exit())
	}
}

func (s *suite) killFrozen(t *testing.T) {
	spec := s.spec("tree", "3")
	b := s.start(t, spec)
	readUntil(t, b, "leaf", 8)
	if err := b.Freeze(); err != nil {
		t.Fatal(err)
	}
	s.closeAndLook(t, b, spec)
}

func (s *suite) closeAndLook(t *testing.T, b sandbox.Sandbox, spec sandbox.Spec) {
	t.Helper()
	began := time.Now()
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("close took %v", took)
	}
	if left := processesOf(t, spec); len(left) > 0 {
		t.Errorf("processes left: %v", left)
	}
}

func processesOf(t *testing.T, spec sandbox.Spec) []string {
	t.Helper()
	return Processes(t, filepath.Join(spec.Mounts[0].Source, filepath.Base(spec.Argv[0])))
}

// Processes finds the processes on this machine that run a program, zombies apart.
func Processes(t testing.TB, program string) []string {
	t.Helper()
	want, err := os.Stat(program)
	if err != nil {
		t.Fatal(err)
	}
	exes, err := filepath.Glob("/proc/[0-9]*/exe")
	if err != nil {
		t.Fatal(err)
	}
	var pids []string
	for _, exe := range exes {
		if is, err := os.Stat(exe); err == nil && os.SameFile(is, want) {
			pids = append(pids, filepath.Base(filepath.Dir(exe)))
		}
	}
	return pids
}

func (s *suite) orphans(t *testing.T) {
	spec := s.spec("orphan")
	b := s.start(t, spec)
	Await(t, b)
	if left := processesOf(t, spec); len(left) > 0 {
		t.Errorf("processes left after the main one: %v", left)
	}
	if b.Exit() != (sandbox.Exit{}) {
		t.Errorf("exit = %+v", b.Exit())
	}
}

func (s *suite) memory(t *testing.T) {
	if out, exit := s.run(t, s.spec("eat", "64")); out != "ate 64\n" || exit != (sandbox.Exit{}) {
		t.Errorf("64 MB of 128: %q, %+v", out, exit)
	}
	b := s.start(t, s.spec("eat", "256"))
	Await(t, b)
	if b.Exit() != (sandbox.Exit{Code: -1, Signal: 9, OOM: true}) {
		t.Errorf("256 MB of 128: %+v, want killed for lack of memory", b.Exit())
	}
	u, err := b.Usage()
	if err != nil || u.Peak < 120<<20 || u.Peak > 130<<20 {
		t.Errorf("peak %d, want about 128 MB: %v", u.Peak, err)
	}
}

func (s *suite) memoryOfChild(t *testing.T) {
	b := s.start(t, s.spec("eat-child", "256"))
	Await(t, b)
	if e := b.Exit(); !e.OOM || e.Signal != 9 || e.Closed {
		t.Errorf("exit = %+v, want the whole sandbox killed for its child's lack of memory", e)
	}
}

func (s *suite) quota(t *testing.T) {
	b := s.start(t, s.spec("spin"))
	readUntil(t, b, "spinning", 1)
	for _, cores := range []float64{0.2, 0.1, 0.25} {
		if err := b.SetCPU(cores); err != nil {
			t.Fatal(err)
		}
		s.use(t, b, 100*time.Millisecond)                              // what was saved up before
		if got := s.use(t, b, 500*time.Millisecond); got > cores*1.6 { // ticks come late on a busy or emulated machine
			t.Errorf("quota %g cores, used %g", cores, got)
		}
		s.progress(t, b)
	}
	if err := b.SetCPU(0); err != nil {
		t.Fatal(err)
	}
	if got := s.use(t, b, 500*time.Millisecond); got < 0.32 { // others may use this machine
		t.Errorf("no quota, used %g cores", got)
	}
}

// progress waits until a sandbox has computed for another 20 ms: a quota slows it, and does not stop it.
func (s *suite) progress(t *testing.T, b sandbox.Sandbox) {
	t.Helper()
	first, err := b.Usage()
	for deadline := time.Now().Add(patience); err == nil; time.Sleep(time.Millisecond) {
		var now sandbox.Usage
		if now, err = b.Usage(); now.CPU-first.CPU >= 20*time.Millisecond {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal("the quota has stopped it")
		}
	}
	t.Fatal(err)
}

// use returns how many cores a sandbox keeps busy.
func (s *suite) use(t *testing.T, b sandbox.Sandbox, window time.Duration) float64 {
	t.Helper()
	began := time.Now()
	before, err := b.Usage()
	if err != nil {
		t.Fatal(err)
	}
	<-time.After(window) // the measured time itself
	after, err := b.Usage()
	if err != nil {
		t.Fatal(err)
	}
	return float64(after.CPU-before.CPU) / float64(time.Since(began))
}

func (s *suite) processes(t *testing.T) {
	spec := s.spec("threads")
	if out, exit := s.run(t, spec); !strings.Contains(out, "refused true\n") || exit != (sandbox.Exit{}) { // some children fail to start a thread, and say so
		t.Errorf("processes without end: %q, %+v", out, exit)
	}
}

func (s *suite) files(t *testing.T) {
	spec := s.spec("files")
	spec.Files = 100
	out, _ := s.run(t, spec)
	var n int
	if _, err := fmt.Sscanf(out, "refused %d true\n", &n); err != nil || n > 97 || n < 80 {
		t.Errorf("open files of 100: %q", out)
	}
}

func (s *suite) tmpSize(t *testing.T) {
	spec := s.spec("fill", "200")
	spec.TmpMB = 64
	out, _ := s.run(t, spec)
	var n int
	if _, err := fmt.Sscanf(out, "refused %d true\n", &n); err != nil || n < 62 || n > 66 {
		t.Errorf("200 MB into a /tmp of 64: %q", out)
	}
}

func (s *suite) tmpMemory(t *testing.T) {
	b := s.start(t, s.spec("fill", "500"))
	if out := ReadAll(t, b); out != "filled 500\n" {
		t.Errorf("500 MB into a /tmp of 512 with 128 MB of memory: %q", out)
	}
	Await(t, b)
	if b.Exit() != (sandbox.Exit{}) {
		t.Errorf("exit = %+v", b.Exit())
	}
}

func (s *suite) usage(t *testing.T) {
	b := s.start(t, s.spec("eat", "32", "stay"))
	readUntil(t, b, "ate 32", 1)
	u, err := b.Usage()
	if err != nil {
		t.Fatal(err)
	}
	if u.CPU <= 0 || u.Memory < 32<<20 || u.Peak < u.Memory {
		t.Errorf("usage %+v of a process that uses 32 MB", u)
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	last, err := b.Usage()
	if err != nil || last.CPU < u.CPU || last.Peak < u.Peak {
		t.Errorf("usage after close %+v, before %+v: %v", last, u, err)
	}
	if p := b.Started(); p.Sandbox <= 0 || p.Exec <= 0 {
		t.Errorf("phases %+v", p)
	}
}

func (s *suite) afterClose(t *testing.T) {
	b := s.start(t, s.spec("wait"))
	results := make(chan error)
	for range 3 {
		go func() { results <- b.Close() }()
	}
	for range 3 {
		if err := <-results; err != nil {
			t.Errorf("close: %v", err)
		}
	}
	select {
	case <-b.Done():
	default:
		t.Error("done is open after close")
	}
	for name, f := range map[string]func() error{
		"freeze": b.Freeze, "thaw": b.Thaw, "signal": func() error { return b.Signal(15) }, "set cpu": func() error { return b.SetCPU(1) },
	} {
		if err := f(); !errors.Is(err, os.ErrClosed) {
			t.Errorf("%s after close: %v, want %v", name, err, os.ErrClosed)
		}
	}
}

func (s *suite) failedStart(t *testing.T) {
	before := Snapshot(t)
	for want, change := range map[string]func(*sandbox.Spec){
		"no such file":      func(p *sandbox.Spec) { p.Argv = []string{"/var/task/nothing"} },
		"permission denied": func(p *sandbox.Spec) { p.Argv = []string{"/var/task"} },
		"/nowhere":          func(p *sandbox.Spec) { p.Mounts = append(p.Mounts, sandbox.Mount{Source: "/nowhere", Target: "/opt"}) },
		"/no/dir":           func(p *sandbox.Spec) { p.Dir = "/no/dir" },
	} {
		spec := s.spec("wait")
		change(&spec)
		b, err := s.maker.Start(context.Background(), spec)
		if err == nil {
			t.Errorf("start with %s succeeded: %v", want, b.Close())
		} else if !strings.Contains(err.Error(), want) && !errors.Is(err, os.ErrNotExist) {
			t.Errorf("start: %v, want it to say %q", err, want)
		}
	}
	before.Compare(t)
}

func (s *suite) cancelledStart(t *testing.T) {
	before := Snapshot(t)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if b, err := s.maker.Start(ctx, s.spec("wait")); !errors.Is(err, context.Canceled) {
		t.Errorf("start: %v, %v", b, err)
	}
	before.Compare(t)
}

func (s *suite) badSpec(t *testing.T) {
	for field, change := range map[string]func(*sandbox.Spec){
		"id":     func(p *sandbox.Spec) { p.ID = "../x" },
		"owner":  func(p *sandbox.Spec) { p.Owner = "" },
		"argv":   func(p *sandbox.Spec) { p.Argv = nil },
		"dir":    func(p *sandbox.Spec) { p.Dir = "here" },
		"memory": func(p *sandbox.Spec) { p.MemoryMB = 0 },
		"tmp":    func(p *sandbox.Spec) { p.TmpMB = 0 },
		"cpu":    func(p *sandbox.Spec) { p.CPU = -1 },
		"pids":   func(p *sandbox.Spec) { p.Pids = 0 },
		"files":  func(p *sandbox.Spec) { p.Files = 0 },
		"listen": func(p *sandbox.Spec) { p.Listen = []string{"localhost:80"} },
		"mount":  func(p *sandbox.Spec) { p.Mounts = []sandbox.Mount{{Source: "/usr", Target: "/proc/x"}} },
		"env":    func(p *sandbox.Spec) { p.Env = []string{"A=\x00"} },
	} {
		spec := s.spec("wait")
		change(&spec)
		_, err := s.maker.Start(context.Background(), spec)
		if faas.KindOf(err) != faas.Invalid || !strings.Contains(err.Error(), field) {
			t.Errorf("%s: %v, want an invalid %s", field, err, field)
		}
	}
}

func (s *suite) sameID(t *testing.T) {
	spec := s.spec("wait")
	s.start(t, spec)
	if _, err := s.maker.Start(context.Background(), spec); faas.KindOf(err) != faas.Conflict {
		t.Errorf("second start of %s: %v", spec.ID, err)
	}
}

func (s *suite) leaks(t *testing.T) {
	cycle := func() {
		spec := s.spec("echo")
		spec.Channel, spec.Listen = true, []string{freeAddress(t)}
		b, err := s.maker.Start(context.Background(), spec)
		if err != nil {
			t.Fatal(err)
		}
		if err := b.Close(); err != nil {
			t.Fatal(err)
		}
	}
	cycle() // what is made once
	before := Snapshot(t)
	for range 10 {
		cycle()
	}
	before.Compare(t)
}

// Resources are what a sandbox must not leave behind.
type Resources map[string][]string

// Snapshot lists file descriptors, goroutines, mounts, loop devices and control groups.
func Snapshot(t testing.TB) Resources {
	t.Helper()
	r := Resources{}
	list := func(pattern string) []string {
		names, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		sort.Strings(names)
		return names
	}
	fds := list("/proc/self/fd/*")
	r["descriptors"] = []string{fmt.Sprint(len(fds))}
	r["goroutines"] = []string{fmt.Sprint(runtime.NumGoroutine())}
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	r["mounts"] = strings.Split(string(mounts), "\n")
	r["loop devices"] = list("/sys/block/loop*/loop/backing_file")
	r["cgroups"] = append(list("/sys/fs/cgroup/artesian-*/*/"), list("/sys/fs/cgroup/*/artesian-*/*/")...)
	return r
}

// Compare waits until nothing is there that was not in r: the kernel frees some things a moment later.
func (r Resources) Compare(t testing.TB) {
	t.Helper()
	deadline := time.Now().Add(5 * time.Second)
	for kind, before := range r {
		for {
			after := Snapshot(t)[kind]
			if !more(before, after) {
				break
			}
			if time.Now().After(deadline) {
				t.Errorf("%s before: %v\nafter: %v", kind, before, after)
				break
			}
			time.Sleep(time.Millisecond)
		}
	}
}

func more(before, after []string) bool {
	if len(before) == 1 && len(after) == 1 { // a count
		var a, b int
		if _, err := fmt.Sscan(before[0], &b); err == nil {
			if _, err := fmt.Sscan(after[0], &a); err == nil {
				return a > b
			}
		}
	}
	return len(after) > len(before)
}
