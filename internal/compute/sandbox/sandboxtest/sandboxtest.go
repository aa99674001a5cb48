// Package sandboxtest is what every isolation level has to pass.
package sandboxtest

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"artesian/internal/compute/sandbox"
)

// PayloadEnv names a ready-made payload, for machines without a Go tool chain.
const PayloadEnv = "ARTESIAN_TEST_PAYLOAD"

// patience bounds every wait of the suite.
const patience = 30 * time.Second

// Payload builds the program that the suite runs inside, and returns its path.
func Payload(t testing.TB) string {
	return Build(t, "artesian/internal/compute/sandbox/sandboxtest/payload", PayloadEnv)
}

// suite is what the cases share.
type suite struct {
	maker   sandbox.Maker
	own     Lister
	payload string
	ids     int
}

// Conformance checks a maker. Cases for what its Report says is not enforced are skipped. Own lists what the maker has
// beyond this process, to find leaks; it may be nil.
func Conformance(t *testing.T, m sandbox.Maker, own Lister) {
	s := &suite{maker: m, own: own, payload: Payload(t)}
	for _, c := range []struct {
		name  string
		needs string // a guarantee of Report
		run   func(*suite, *testing.T)
	}{
		{"exit code", "", (*suite).exitCode},
		{"killed by a signal", "", (*suite).crash},
		{"arguments, environment, directory, output", "", (*suite).say},
		{"channel", "", (*suite).channel},
		{"listener inside", "", (*suite).listener},
		{"programs beside", "", (*suite).beside},
		{"programs beside end with the sandbox", "", (*suite).besideEnds},
		{"connections inside", "", (*suite).dial},
		{"mount", "", (*suite).mount},
		{"mount is read-only", "file system", (*suite).readOnly},
		{"descriptors", "", (*suite).descriptors},
		{"signal", "", (*suite).signal},
		{"freeze and thaw", "", (*suite).freeze},
		{"close kills the whole tree", "", (*suite).killTree},
		{"close kills a frozen tree", "", (*suite).killFrozen},
		{"the end of the main process ends all", "", (*suite).orphans},
		{"memory limit", "memory limit", (*suite).memory},
		{"memory limit kills all processes", "memory limit", (*suite).memoryOfChild},
		{"memory over the limit is noticed", "memory watch", (*suite).memoryWatched},
		{"cpu quota", "cpu quota", (*suite).quota},
		{"process limit", "process limit", (*suite).processes},
		{"open files", "", (*suite).files},
		{"tmp has the configured size", "size of /tmp", (*suite).tmpSize},
		{"tmp is not charged as memory", "/tmp beside memory", (*suite).tmpMemory},
		{"usage", "", (*suite).usage},
		{"after close", "", (*suite).afterClose},
		{"a start that fails", "", (*suite).failedStart},
		{"a start whose context is over", "", (*suite).cancelledStart},
		{"a bad spec", "", (*suite).badSpec},
		{"the same id twice", "", (*suite).sameID},
		{"nothing leaks", "", (*suite).leaks},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.needs != "" && !Enforced(m, c.needs) {
				t.Skipf("level %s does not enforce: %s", m.Level(), c.needs)
			}
			c.run(s, t)
		})
	}
}

// Enforced reports whether a maker says that it enforces a guarantee.
func Enforced(m sandbox.Maker, name string) bool {
	for _, g := range m.Report() {
		if g.Name == name {
			return g.Enforced
		}
	}
	return false
}

// Spec runs the payload with arguments within ordinary limits.
func Spec(id, payload string, args ...string) sandbox.Spec {
	return sandbox.Spec{
		ID: id, Owner: "owner-of-" + id,
		Mounts:   []sandbox.Mount{{Source: filepath.Dir(payload), Target: "/var/task"}},
		Argv:     append([]string{"/var/task/" + filepath.Base(payload)}, args...),
		Env:      []string{"NAME=value"},
		Dir:      "/var/task",
		MemoryMB: 128, TmpMB: 512, Pids: 64, Files: 256,
	}
}

func (s *suite) spec(args ...string) sandbox.Spec {
	s.ids++
	return Spec("conformance-"+strconv.Itoa(s.ids), s.payload, args...)
}

// start starts a sandbox and closes it at the test's end.
func (s *suite) start(t *testing.T, spec sandbox.Spec) sandbox.Sandbox {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	b, err := s.maker.Start(ctx, spec)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return b
}

// run starts a sandbox and returns what it printed and how it ended.
func (s *suite) run(t *testing.T, spec sandbox.Spec) (string, sandbox.Exit) {
	t.Helper()
	b := s.start(t, spec)
	out := ReadAll(t, b)
	Await(t, b)
	return out, b.Exit()
}

// ReadAll returns all output, which ends with the last process.
func ReadAll(t testing.TB, b sandbox.Sandbox) string {
	t.Helper()
	return ReadAllWithin(t, b, patience)
}

// ReadAllWithin is ReadAll for what takes longer than usual.
func ReadAllWithin(t testing.TB, b sandbox.Sandbox, limit time.Duration) string {
	t.Helper()
	if err := b.Output().SetReadDeadline(time.Now().Add(limit)); err != nil {
		t.Fatal(err)
	}
	out, err := io.ReadAll(b.Output())
	if err != nil {
		t.Fatalf("output so far %q: %v", out, err)
	}
	return string(out)
}

// Await waits for the end of a sandbox.
func Await(t testing.TB, b sandbox.Sandbox) {
	t.Helper()
	select {
	case <-b.Done():
	case <-time.After(patience):
		t.Fatal("sandbox does not end")
	}
}

// readUntil reads output until it holds n times text.
func readUntil(t *testing.T, b sandbox.Sandbox, text string, n int) {
	t.Helper()
	if err := b.Output().SetReadDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	var got []byte
	buf := make([]byte, 4096)
	for bytes.Count(got, []byte(text)) < n {
		k, err := b.Output().Read(buf)
		got = append(got, buf[:k]...)
		if err != nil {
			t.Fatalf("output %q: %v", got, err)
		}
	}
}

func (s *suite) exitCode(t *testing.T) {
	for _, code := range []int{0, 3, 255} {
		if _, exit := s.run(t, s.spec("exit", strconv.Itoa(code))); exit != (sandbox.Exit{Code: code}) {
			t.Errorf("exit = %+v, want code %d", exit, code)
		}
	}
}

func (s *suite) crash(t *testing.T) {
	if _, exit := s.run(t, s.spec("crash")); exit != (sandbox.Exit{Code: -1, Signal: 9}) {
		t.Errorf("exit = %+v, want signal 9 by itself", exit)
	}
}

func (s *suite) say(t *testing.T) {
	spec := s.spec("say", "a", "b c")
	out, _ := s.run(t, spec)
	dir := spec.Dir
	if s.maker.Level() == sandbox.Process {
		dir = spec.Mounts[0].Source
	}
	for _, want := range []string{"args=a,b c\n", "dir=" + dir + "\n", "env=NAME=value", "to stderr\n"} {
		if !strings.Contains(out, want) {
			t.Errorf("output %q lacks %q", out, want)
		}
	}
	whole := "env=NAME=value\n"
	if s.maker.Level() == sandbox.GVisor {
		whole = "env=NAME=value,HOME=/home/sbx_user1051\n" // its runtime adds that
	}
	if s.maker.Level() != sandbox.Process && !strings.Contains(out, whole) {
		t.Errorf("output %q: the environment has more than was given", out)
	}
}

func (s *suite) channel(t *testing.T) {
	spec := s.spec("echo")
	spec.Channel = true
	b := s.start(t, spec)
	message := bytes.Repeat([]byte("there and back "), 10000)
	go func() { _, _ = b.Channel().Write(message) }()
	got := make([]byte, len(message))
	if err := b.Channel().SetReadDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(b.Channel(), got); err != nil || !bytes.Equal(got, message) {
		t.Errorf("echo of %d bytes: %v, same: %v", len(message), err, bytes.Equal(got, message))
	}
	if err := b.Channel().CloseWrite(); err != nil {
		t.Fatal(err)
	}
	Await(t, b)
	if b.Exit() != (sandbox.Exit{}) {
		t.Errorf("exit = %+v: the end of the channel did not arrive", b.Exit())
	}
}

func (s *suite) listener(t *testing.T) {
	address := freeAddress(t)
	spec := s.spec("dial", address)
	spec.Listen = []string{address}
	b := s.start(t, spec)
	if len(b.Listeners()) != 1 {
		t.Fatalf("%d listeners, want 1", len(b.Listeners()))
	}
	go func() {
		c, err := b.Listeners()[0].Accept()
		if err != nil {
			return
		}
		_, _ = io.WriteString(c, "pong\n")
		_ = c.Close()
	}()
	if out := ReadAll(t, b); out != "pong\n" {
		t.Errorf("dialled from inside: %q", out)
	}
}

// freeAddress is one that nothing listens on; levels without a network of their own share it with the host.
func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr().String()
}

func (s *suite) mount(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := errors.Join(os.WriteFile(file, []byte("content"), 0o644), os.Chmod(dir, 0o755)); err != nil {
		t.Fatal(err)
	}
	spec := s.spec("read", "/opt/deep/file")
	spec.Mounts = append(spec.Mounts, sandbox.Mount{Source: dir, Target: "/opt/deep"})
	if out, exit := s.run(t, spec); out != "content" || exit.Code != 0 {
		t.Errorf("file in a mounted directory: %q, %+v", out, exit)
	}
	spec = s.spec("read", "/opt/name")
	spec.Mounts = append(spec.Mounts, sandbox.Mount{Source: file, Target: "/opt/name"})
	if out, exit := s.run(t, spec); out != "content" || exit.Code != 0 {
		t.Errorf("mounted file: %q, %+v", out, exit)
	}
}

func (s *suite) readOnly(t *testing.T) {
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	for _, file := range []string{"/opt/new", "/new", "/etc/new"} {
		spec := s.spec("write", file)
		spec.Mounts = append(spec.Mounts, sandbox.Mount{Source: dir, Target: "/opt"})
		if out, exit := s.run(t, spec); exit.Code != 1 || !strings.Contains(out, "read-only file system") && !deniedFirst(s.maker, file, out) {
			t.Errorf("write %s: %q, %+v", file, out, exit)
		}
	}
	if out, exit := s.run(t, s.spec("write", "/tmp/new")); exit.Code != 0 {
		t.Errorf("write to /tmp: %q", out)
	}
}

// deniedFirst: gVisor looks whether the user may write to a directory before it looks whether anybody may.
func deniedFirst(m sandbox.Maker, file, out string) bool {
	return m.Level() == sandbox.GVisor && !strings.HasPrefix(file, "/opt/") && strings.Contains(out, "permission denied")
}

func (s *suite) descriptors(t *testing.T) {
	if out, _ := s.run(t, s.spec("fds")); out != "0\n1\n2\n" {
		t.Errorf("descriptors without channel: %q", out)
	}
	spec := s.spec("fds")
	spec.Channel = true
	if out, _ := s.run(t, spec); out != "0\n1\n2\n3\n" {
		t.Errorf("descriptors with channel: %q", out)
	}
}

func (s *suite) signal(t *testing.T) {
	b := s.start(t, s.spec("wait"))
	if err := b.Signal(15); err != nil {
		t.Fatal(err)
	}
	Await(t, b)
	if b.Exit() != (sandbox.Exit{Code: -1, Signal: 15}) && b.Exit() != (sandbox.Exit{Code: 2}) {
		t.Errorf("exit = %+v, want signal 15", b.Exit())
	}
	if err := b.Signal(15); !errors.Is(err, os.ErrProcessDone) {
		t.Errorf("signal after the end: %v, want %v", err, os.ErrProcessDone)
	}
}
