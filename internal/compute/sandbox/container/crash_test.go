package container

import (
	"bufio"
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"artesian/internal/compute/sandbox/sandboxtest"
)

const daemonEnv = "ARTESIAN_TEST_DAEMON_DIR"

// TestDaemonProcess is no test: it is the daemon that TestCrash kills.
func TestDaemonProcess(t *testing.T) {
	dir := os.Getenv(daemonEnv)
	if dir == "" {
		t.Skip("only runs as the daemon of TestCrash")
	}
	m, err := New(Config{Dir: dir, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 5 {
		s, err := m.Start(context.Background(), sandboxtest.Spec(fmt.Sprintf("crash-%d", i), os.Getenv(sandboxtest.PayloadEnv), "tree", "3"))
		if err != nil {
			t.Fatal(err)
		}
		for leaves := bufio.NewScanner(s.Output()); strings.Count(leaves.Text(), "leaf") < 1 && leaves.Scan(); {
		}
		if i%2 == 0 {
			if err := s.Freeze(); err != nil {
				t.Fatal(err)
			}
		}
	}
	for i, stem := range []string{"", os.Getenv(sandboxtest.PayloadEnv)} {
		if _, err := m.Prepare(context.Background(), sandboxtest.CellSpec(fmt.Sprintf("crash-cell-%d", i), stem)); err != nil {
			t.Fatal(err)
		}
	}
	fmt.Println("ready")
	select {}
}

// TestCrash kills a daemon: nothing of its sandboxes and cells lives on, and the next one finds and removes what is left.
func TestCrash(t *testing.T) {
	dir := t.TempDir()
	m, err := New(Config{Dir: dir, Logger: slog.New(slog.DiscardHandler)}) // the next daemon; made first to see what is missing here
	if err != nil {
		missing(t, err)
	}
	t.Cleanup(func() {
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	})
	payload := sandboxtest.Payload(t)
	before := sandboxtest.Snapshot(t, own(t, m))
	kill, _ := sandboxtest.Daemon(t, "TestDaemonProcess", daemonEnv+"="+dir, sandboxtest.PayloadEnv+"="+payload)
	if n := len(sandboxtest.Processes(t, payload)); n < 10 {
		t.Fatalf("%d processes in the sandboxes, want at least 10", n)
	}
	killed := time.Now()
	kill()
	if m.tree == nil || m.tree.FrozenDie() {
		awaitNone(t, payload, killed)
	}
	if ids, err := groups(m); err != nil || len(ids) != 7 && m.tree != nil {
		t.Errorf("control groups left by the daemon: %v, %v; want 7, else this test shows nothing", ids, err)
	}
	if err := m.Sweep(context.Background()); err != nil {
		t.Fatal(err)
	}
	awaitNone(t, payload, time.Now())
	if ids, err := groups(m); err != nil || len(ids) != 0 {
		t.Errorf("control groups after the sweep: %v, %v", ids, err)
	}
	want := 1
	if !m.standing.root {
		want = 3
	}
	if n := spawners(t); n != want {
		t.Errorf("%d processes of stage 0, want the %d of this test's spawner only", n, want)
	}
	left, err := filepath.Glob(filepath.Join(dir, plainPrefix+"*"))
	if err != nil || len(left) > 0 {
		t.Errorf("files after the sweep: %v, %v", left, err)
	}
	before.Compare(t, own(t, m))
}

// groups lists a Maker's control groups, if it has any.
func groups(m *Maker) ([]string, error) {
	if m.tree == nil {
		return nil, nil
	}
	return m.tree.Groups()
}

// awaitNone waits until no process runs a program, at most two seconds.
func awaitNone(t *testing.T, program string, since time.Time) {
	t.Helper()
	for len(sandboxtest.Processes(t, program)) > 0 {
		if time.Since(since) > 2*time.Second {
			t.Fatalf("processes left after 2 s: %v", sandboxtest.Processes(t, program))
		}
		time.Sleep(time.Millisecond)
	}
}

// spawners counts the processes that stage 0 made of this program and that serve this test's Makers or its daemons'.
func spawners(t *testing.T) int {
	t.Helper()
	n := 0
	for _, pid := range sandboxtest.Processes(t, "/proc/self/exe") {
		b, err := os.ReadFile("/proc/" + pid + "/cmdline")
		if err == nil && strings.HasPrefix(string(b), "artesian-spawner") {
			n++
		}
	}
	return n
}
