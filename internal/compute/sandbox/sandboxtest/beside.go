package sandboxtest

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"artesian/internal/compute/sandbox"
)

// program runs the payload beside the main one.
func program(s sandbox.Spec, args ...string) sandbox.Program {
	return sandbox.Program{Argv: append([]string{s.Argv[0]}, args...), Env: []string{"BESIDE=yes"}}
}

func ended(t *testing.T, b sandbox.Sandbox) sandbox.Ended {
	t.Helper()
	select {
	case e := <-b.Beside().Ended:
		return e
	case <-time.After(patience):
		t.Fatal("no program beside ended")
		return sandbox.Ended{}
	}
}

// beside: programs beside the main one have their own environment and output and no channel; their end is told and ends nothing.
func (s *suite) beside(t *testing.T) {
	spec := s.spec("echo")
	spec.Channel = true
	spec.Beside = []sandbox.Program{program(spec, "exit", "3"), program(spec, "say", "aside"), program(spec, "fds"), program(spec, "crash")}
	b := s.start(t, spec)
	got := map[int]sandbox.Ended{}
	for range spec.Beside {
		e := ended(t, b)
		got[e.Program] = e
	}
	want := map[int]sandbox.Ended{0: {Program: 0, Code: 3}, 1: {Program: 1}, 2: {Program: 2}, 3: {Program: 3, Code: -1, Signal: syscall.SIGKILL}}
	for n, w := range want {
		if got[n] != w {
			t.Errorf("program %d ended as %+v, want %+v", n, got[n], w)
		}
	}
	select {
	case <-b.Done():
		t.Fatal("the main process ended with those beside")
	default:
	}
	if err := b.Beside().Output.SetReadDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	out, err := io.ReadAll(b.Beside().Output)
	if err != nil || !strings.Contains(string(out), "args=aside\n") || !strings.Contains(string(out), "env=BESIDE=yes") || !lines(string(out), "0", "1", "2") ||
		strings.Contains(string(out), "2\n3\n") {
		t.Errorf("output %q, %v", out, err)
	}
	if err := b.Channel().CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if out := ReadAll(t, b); out != "" {
		t.Errorf("the main process printed %q", out)
	}
}

// besideEnds: those beside outlive the main process, whose end is told, and end with Close; the sandbox ends with the last of them.
func (s *suite) besideEnds(t *testing.T) {
	for _, how := range []string{"signal", "close"} {
		spec := s.spec("wait")
		spec.Beside = []sandbox.Program{program(spec, "wait"), program(spec, "tree", "2")}
		b := s.start(t, spec)
		if how == "signal" {
			killMain(t, b)
			if err := b.Signal(syscall.SIGTERM); err == nil {
				t.Error("a main process that has ended got a signal")
			}
		}
		if err := b.Close(); err != nil {
			t.Errorf("%s: %v", how, err)
		}
	}
	spec := s.spec("wait")
	address := freeAddress(t)
	spec.Beside, spec.Dials = []sandbox.Program{program(spec, "exit", "3"), program(spec, "once", address)}, 1
	b := s.start(t, spec)
	ended(t, b)
	c := s.dialed(t, b, address)
	killMain(t, b)
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	if e := ended(t, b); e.Program != 1 || e.Code != 3 {
		t.Errorf("the program that ran on ended as %+v", e)
	}
	Await(t, b)
	if e := b.Exit(); e.Signal != syscall.SIGKILL || e.Closed {
		t.Errorf("exit %+v", e)
	}
	spec = s.spec("wait")
	spec.Beside = []sandbox.Program{{Argv: []string{"/var/task/nothing"}}}
	if b, err := s.maker.Start(context.Background(), spec); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("start beside what isn't there: %v, %v", b, err)
	}
}

// dialed connects to a program that listens soon.
func (s *suite) dialed(t *testing.T, b sandbox.Sandbox, address string) net.Conn {
	t.Helper()
	for end := time.Now().Add(patience); ; {
		c, err := b.Beside().Dial(context.Background(), address)
		if err == nil {
			return c
		}
		if time.Now().After(end) {
			t.Fatal(err)
		}
	}
}

func killMain(t *testing.T, b sandbox.Sandbox) {
	t.Helper()
	if err := b.Signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	select {
	case <-b.Beside().Main:
	case <-time.After(patience):
		t.Fatal("the end of the main process is not told")
	}
	if e := b.Exit(); e.Signal != syscall.SIGKILL || e.Closed || e.OOM {
		t.Errorf("exit %+v", e)
	}
}

// dial: what listens inside is reached, as often as one likes, by as many connections as were asked for.
func (s *suite) dial(t *testing.T) {
	address := freeAddress(t)
	spec := s.spec("serve", address)
	spec.Dials = 1
	b := s.start(t, spec)
	readUntil(t, b, "serving\n", 1)
	for range 5 {
		c, err := b.Beside().Dial(context.Background(), address)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(c, "ping\n"); err != nil {
			t.Fatal(err)
		}
		if line, err := bufio.NewReader(c).ReadString('\n'); err != nil || line != "ping\n" {
			t.Errorf("answer %q, %v", line, err)
		}
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	}
	if c, err := b.Beside().Dial(context.Background(), freeAddress(t)); err == nil {
		t.Errorf("connected to nothing: %v", c.Close())
	}
	if c, err := b.Beside().Dial(context.Background(), "192.0.2.1:80"); err == nil {
		t.Errorf("connected to elsewhere: %v", c.Close())
	}
}

// lines reports whether text has lines, wherever: several programs write.
func lines(text string, want ...string) bool {
	all := strings.Split(text, "\n")
	return !slices.ContainsFunc(want, func(w string) bool { return !slices.Contains(all, w) })
}
