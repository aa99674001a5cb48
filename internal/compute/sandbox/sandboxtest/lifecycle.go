package sandboxtest

import (
	"context"
	"errors"
	"os"
	"strings"
	"testing"

	"artesian/internal/compute/sandbox"
	"artesian/internal/faas"
)

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
	before := Snapshot(t, s.own)
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
	before.Compare(t, s.own)
}

func (s *suite) cancelledStart(t *testing.T) {
	before := Snapshot(t, s.own)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if b, err := s.maker.Start(ctx, s.spec("wait")); !errors.Is(err, context.Canceled) {
		t.Errorf("start: %v, %v", b, err)
	}
	before.Compare(t, s.own)
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
	before := Snapshot(t, s.own)
	for range 10 {
		cycle()
	}
	before.Compare(t, s.own)
}
