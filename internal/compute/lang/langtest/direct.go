// Package langtest runs language runtimes in tests without isolation or privileges.
package langtest

import (
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"artesian/internal/compute/sandbox"
)

// Direct is a plain child process behind sandbox.Sandbox. Paths inside are replaced by those on the host that are
// mounted there, in arguments, environment and working directory.
type Direct struct {
	cmd       *exec.Cmd
	channel   *net.UnixConn
	output    *os.File
	listeners []net.Listener
	done      chan struct{}
	once      sync.Once
}

// Start runs spec until the test ends.
func Start(t testing.TB, spec sandbox.Spec) *Direct {
	t.Helper()
	d := &Direct{done: make(chan struct{})}
	inside := func(s string) string { return onHost(spec.Mounts, s) }
	for range spec.Listen {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		d.listeners = append(d.listeners, l)
	}
	here := d.Here(spec)
	d.cmd = &exec.Cmd{Path: inside(spec.Argv[0]), Env: here.Env, Dir: here.Dir, SysProcAttr: &syscall.SysProcAttr{Setpgid: true}}
	for _, a := range spec.Argv {
		d.cmd.Args = append(d.cmd.Args, inside(a))
	}
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	d.output, d.cmd.Stdout, d.cmd.Stderr = r, w, w
	if spec.Channel {
		theirs := d.pair(t)
		defer theirs.Close()
		d.cmd.ExtraFiles = []*os.File{theirs}
	}
	err = d.cmd.Start()
	_ = w.Close()
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		_ = d.cmd.Wait()
		close(d.done)
	}()
	t.Cleanup(func() { _ = d.Close() })
	return d
}

// Here returns spec with the environment and the working directory that they are on the host.
func (d *Direct) Here(spec sandbox.Spec) *sandbox.Spec {
	env := make([]string, 0, len(spec.Env))
	for _, kv := range spec.Env {
		name, value, _ := strings.Cut(kv, "=")
		if name != "LD_LIBRARY_PATH" && name != "PATH" {
			value = onHost(spec.Mounts, value)
		}
		for i, addr := range spec.Listen {
			value = strings.ReplaceAll(value, addr, d.listeners[i].Addr().String())
		}
		env = append(env, name+"="+value)
	}
	spec.Env, spec.Dir = env, onHost(spec.Mounts, spec.Dir)
	return &spec
}

func (d *Direct) pair(t testing.TB) *os.File {
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	ours := os.NewFile(uintptr(fds[0]), "channel")
	defer ours.Close()
	c, err := net.FileConn(ours)
	if err != nil {
		t.Fatal(err)
	}
	d.channel = c.(*net.UnixConn)
	return os.NewFile(uintptr(fds[1]), "channel")
}

// onHost replaces a path that starts with the target of a mount, the most specific one, and each of a list of paths.
func onHost(mounts []sandbox.Mount, path string) string {
	if first, rest, list := strings.Cut(path, ":"); list && filepath.IsAbs(first) && filepath.IsAbs(rest) {
		return onHost(mounts, first) + ":" + onHost(mounts, rest)
	}
	if !filepath.IsAbs(path) {
		return path
	}
	var best sandbox.Mount
	for _, m := range mounts {
		if (path == m.Target || strings.HasPrefix(path, m.Target+"/")) && len(m.Target) > len(best.Target) {
			best = m
		}
	}
	return best.Source + strings.TrimPrefix(path, best.Target)
}

func (d *Direct) Channel() *net.UnixConn        { return d.channel }
func (d *Direct) Output() *os.File              { return d.output }
func (d *Direct) Listeners() []net.Listener     { return d.listeners }
func (d *Direct) Beside() sandbox.Beside        { return sandbox.Beside{} }
func (d *Direct) SetCPU(float64) error          { return nil }
func (d *Direct) Freeze() error                 { return d.signal(syscall.SIGSTOP) }
func (d *Direct) Thaw() error                   { return d.signal(syscall.SIGCONT) }
func (d *Direct) Signal(s syscall.Signal) error { return d.cmd.Process.Signal(s) }
func (d *Direct) Usage() (sandbox.Usage, error) { return sandbox.Usage{}, nil }
func (d *Direct) Done() <-chan struct{}         { return d.done }
func (d *Direct) Started() sandbox.Phases       { return sandbox.Phases{} }
func (d *Direct) signal(s syscall.Signal) error { return syscall.Kill(-d.cmd.Process.Pid, s) }

// Exit implements sandbox.Sandbox.
func (d *Direct) Exit() sandbox.Exit {
	<-d.done
	s := d.cmd.ProcessState.Sys().(syscall.WaitStatus)
	e := sandbox.Exit{Code: s.ExitStatus()}
	if s.Signaled() {
		e.Signal = s.Signal()
	}
	return e
}

// Close implements sandbox.Sandbox.
func (d *Direct) Close() error {
	err := d.signal(syscall.SIGKILL)
	<-d.done
	d.once.Do(func() {
		if d.channel != nil {
			_ = d.channel.Close()
		}
		for _, l := range d.listeners {
			_ = l.Close()
		}
	})
	if errors.Is(err, syscall.ESRCH) {
		return nil
	}
	return err
}
