package container

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"artesian/internal/compute/sandbox"
	"artesian/internal/compute/sandbox/sandboxtest"
)

// run starts the payload and returns what it printed.
func run(t *testing.T, m *Maker, change func(*sandbox.Spec), args ...string) string {
	t.Helper()
	spec := sandboxtest.Spec("one", sandboxtest.Payload(t), args...)
	if change != nil {
		change(&spec)
	}
	s, err := m.Start(context.Background(), spec)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}()
	out := sandboxtest.ReadAll(t, s)
	sandboxtest.Await(t, s)
	return out
}

func TestNamesBelowLocalhost(t *testing.T) {
	m := open(t, 0)
	listen := func(s *sandbox.Spec) { s.Listen = []string{"127.0.0.1:4566"} }
	if out := run(t, m, listen, "resolve", "id.lambda-url.us-east-1.localhost"); out != "127.0.0.1\n" {
		t.Errorf("a name below localhost: %q", out)
	}
	if out := run(t, m, listen, "resolve", "example.com"); !strings.Contains(out, "no such host") {
		t.Errorf("another name: %q", out)
	}
}

// TestPlainTmp is for a machine without loop devices: the function has a /tmp, Report says that it has no size, and what
// the function makes of it cannot lead the daemon astray when it removes it.
func TestPlainTmp(t *testing.T) {
	m := open(t, 0)
	m.noDisks = errors.New("no loop devices")
	if sandboxtest.Enforced(m, "size of /tmp") {
		t.Error("the size of a plain directory is reported as enforced")
	}
	outside := t.TempDir()
	precious := filepath.Join(outside, "precious")
	if err := os.WriteFile(precious, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	if out := run(t, m, nil, "link", outside); out != "" {
		t.Errorf("links in /tmp: %q", out)
	}
	if _, err := os.Stat(precious); err != nil {
		t.Errorf("a file outside: %v", err)
	}
	if left, err := filepath.Glob(filepath.Join(m.dir, plainPrefix+"*")); err != nil || len(left) > 0 {
		t.Errorf("left: %v, %v", left, err)
	}
}

// TestSpawnerDies: its sandboxes die with it, and the next start brings a new one.
func TestSpawnerDies(t *testing.T) {
	m := open(t, 0)
	payload := sandboxtest.Payload(t)
	s, err := m.Start(context.Background(), sandboxtest.Spec("first", payload, "tree", "3"))
	if err != nil {
		t.Fatal(err)
	}
	killSpawner(t, m)
	sandboxtest.Await(t, s)
	if left := sandboxtest.Processes(t, payload); len(left) > 0 {
		t.Errorf("processes left: %v", left)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	<-m.spawner.done
	if out := run(t, m, nil, "fds"); out != "0\n1\n2\n" {
		t.Errorf("after the spawner's death: %q", out)
	}
}

func killSpawner(t *testing.T, m *Maker) {
	t.Helper()
	if err := syscall.Kill(m.spawner.pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
}

func TestManyAtOnce(t *testing.T) {
	m := open(t, 0)
	payload := sandboxtest.Payload(t)
	before := sandboxtest.Snapshot(t, own(t, m))
	var all sync.WaitGroup
	for n := range 40 {
		all.Go(func() {
			spec := sandboxtest.Spec(fmt.Sprintf("many-%d", n), payload, "fds")
			spec.Listen, spec.Channel = []string{"127.0.0.1:4566"}, true
			s, err := m.Start(context.Background(), spec)
			if err != nil {
				t.Error(err)
				return
			}
			if out := sandboxtest.ReadAll(t, s); out != "0\n1\n2\n3\n" {
				t.Errorf("sandbox %d has descriptors %q", n, out)
			}
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	before.Compare(t, own(t, m))
}

// TestCancelledStarts cuts starts short at every moment.
func TestCancelledStarts(t *testing.T) {
	m := open(t, 0)
	spec := sandboxtest.Spec("cut", sandboxtest.Payload(t), "wait")
	s, err := m.Start(context.Background(), spec)
	if err != nil {
		t.Fatal(err)
	}
	whole := s.Started().Sandbox + s.Started().Exec
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	before := sandboxtest.Snapshot(t, own(t, m))
	for n := range 30 {
		ctx, cancel := context.WithTimeout(context.Background(), whole*time.Duration(n)/25)
		s, err := m.Start(ctx, spec)
		cancel()
		switch {
		case err == nil:
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		case !errors.Is(err, context.DeadlineExceeded):
			t.Errorf("start cut short: %v", err)
		}
	}
	before.Compare(t, own(t, m))
}

func TestUIDs(t *testing.T) {
	u := &uids{base: 1000, count: 2, lent: map[string]*loan{}}
	take := func(owner string) int {
		t.Helper()
		uid, err := u.take(owner)
		if err != nil {
			t.Fatal(err)
		}
		return uid
	}
	a, again, b := take("a"), take("a"), take("b")
	if a != again || a == b || a+1 == b || b+1 == a {
		t.Errorf("a has %d and %d, b has %d", a, again, b)
	}
	if _, err := u.take("c"); err == nil {
		t.Error("a third owner of two got an id")
	}
	u.give("a")
	if _, err := u.take("c"); err == nil {
		t.Error("an owner who still has a sandbox lost its id")
	}
	u.give("a")
	if c := take("c"); c != a {
		t.Errorf("c has %d, want the %d that was given back", c, a)
	}
}

func TestReadMap(t *testing.T) {
	file := filepath.Join(t.TempDir(), "uid_map")
	if err := os.WriteFile(file, []byte("         0       1000          1\n         1     100000      65536\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	first, last, err := readMap(file)
	if err != nil || first != 1 || last != 65536 {
		t.Errorf("last range = %d to %d, %v", first, last, err)
	}
}
