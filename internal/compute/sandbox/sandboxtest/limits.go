package sandboxtest

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"artesian/internal/compute/sandbox"
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
		if r, ok := b.(sandbox.Reclaimer); ok { // with somewhere to go for its memory or not, it goes on after
			if err := r.Reclaim(); err != nil {
				t.Fatal(err)
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
	pids := s.processesOf(t, spec)
	if len(pids) < 8 && s.maker.Level() != sandbox.GVisor || len(pids) == 0 {
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
	if left := s.processesOf(t, spec); len(left) > 0 {
		t.Errorf("processes left: %v", left)
	}
}

func (s *suite) processesOf(t *testing.T, spec sandbox.Spec) []string {
	t.Helper()
	if s.maker.Level() == sandbox.GVisor { // the machine sees processes of the kernel inside, not those that it runs
		var kernels []string
		for _, pid := range Processes(t, "/proc/self/exe") {
			if b, err := os.ReadFile("/proc/" + pid + "/cmdline"); err == nil && strings.HasPrefix(string(b), "runsc-") {
				kernels = append(kernels, pid)
			}
		}
		return kernels
	}
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
	if left := s.processesOf(t, spec); len(left) > 0 {
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

// memoryWatched is for levels that cannot limit memory, and kill who has passed the limit.
func (s *suite) memoryWatched(t *testing.T) {
	if out, exit := s.run(t, s.spec("eat", "64")); out != "ate 64\n" || exit != (sandbox.Exit{}) {
		t.Errorf("64 MB of 128: %q, %+v", out, exit)
	}
	for _, args := range [][]string{{"eat", "256", "stay"}, {"eat-child", "256", "stay"}, {"eat-shm", "100", "50"}} {
		b := s.start(t, s.spec(args...))
		Await(t, b)
		if b.Exit() != (sandbox.Exit{Code: -1, Signal: 9, OOM: true}) {
			t.Errorf("%v with 128 MB: %+v, want killed for lack of memory", args, b.Exit())
		}
	}
	b := s.start(t, s.spec("eat-frozen", "256"))
	readUntil(t, b, "ready", 1)
	if err := b.Freeze(); err != nil {
		t.Fatal(err)
	}
	Await(t, b)
	if b.Exit() != (sandbox.Exit{Code: -1, Signal: 9, OOM: true}) {
		t.Errorf("256 MB of 128 by who goes on after a stop: %+v, want killed for lack of memory", b.Exit())
	}
	b = s.start(t, s.spec("eat-shared", "70", "3"))
	readUntil(t, b, "ate 70", 1)
	for range 10 { // looks, at least
		<-time.After(50 * time.Millisecond)
		if u, err := b.Usage(); err != nil || u.Memory < 70<<20 {
			t.Fatalf("usage %+v, %v", u, err)
		}
	}
	select {
	case <-b.Done():
		t.Errorf("70 MB that four processes share, with 128 MB: %+v", b.Exit())
	default:
	}
}

func (s *suite) quota(t *testing.T) {
	b := s.start(t, s.spec("spin"))
	readUntil(t, b, "spinning", 1)
	for _, cores := range []float64{0.2, 0.1, 0.25} {
		if err := b.SetCPU(cores); err != nil {
			t.Fatal(err)
		}
		s.use(t, b, 100*time.Millisecond) // what was saved up before
		windows := 0
		for s.use(t, b, 500*time.Millisecond) > cores*1.3 { // a tick comes late on a busy or emulated machine
			if windows++; windows == 10 {
				t.Fatalf("quota of %g cores: it uses more all the time", cores)
			}
		}
		s.progress(t, b)
	}
	if err := b.SetCPU(0); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(patience); s.use(t, b, 200*time.Millisecond) < 0.3; { // others may use this machine
		if time.Now().After(deadline) {
			t.Fatal("the quota is lifted, and it still uses less than 0.3 cores")
		}
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
	cells, _ := s.maker.(Cells)
	if p := b.Started(); p.Sandbox <= 0 || (p.Exec <= 0) == (cells.Stem == "" && cells.Fork == nil && cells.Copy == nil) {
		t.Errorf("phases %+v; only what ran before took no time to be executed", p)
	}
}
