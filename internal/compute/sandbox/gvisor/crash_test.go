package gvisor

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"testing"
	"time"

	"artesian/internal/compute/sandbox/container"
	"artesian/internal/compute/sandbox/sandboxtest"
)

const daemonEnv = "ARTESIAN_TEST_DAEMON_DIR"

// TestDaemonProcess is no test: it is the daemon that TestCrash kills.
func TestDaemonProcess(t *testing.T) {
	dir := os.Getenv(daemonEnv)
	if dir == "" {
		t.Skip("only runs as the daemon of TestCrash")
	}
	m := openIn(t, dir, 1<<30)
	for i := range 2 {
		s, err := m.Start(context.Background(), sandboxtest.Spec(fmt.Sprintf("crash-%d", i), os.Getenv(sandboxtest.PayloadEnv), "wait"))
		if err != nil {
			t.Fatal(err)
		}
		if i == 0 {
			if err := s.Freeze(); err != nil {
				t.Fatal(err)
			}
		}
	}
	fmt.Println("ready")
	select {}
}

// kernels lists the processes of kernels whose supervisors run in a data directory's sandboxes; none are ours otherwise.
func kernels(t *testing.T) (pids []string) {
	for _, pid := range sandboxtest.Processes(t, "/proc/self/exe") {
		if b, err := os.ReadFile("/proc/" + pid + "/cmdline"); err == nil && strings.HasPrefix(string(b), "runsc-") {
			pids = append(pids, pid)
		}
	}
	return pids
}

// TestCrash kills a daemon: nothing of its kernels lives on, and the next one starts.
func TestCrash(t *testing.T) {
	dir := t.TempDir()
	openIn(t, t.TempDir(), 1<<30) // to see what is missing here
	kill, _ := sandboxtest.Daemon(t, "TestDaemonProcess", daemonEnv+"="+dir, sandboxtest.PayloadEnv+"="+sandboxtest.Payload(t))
	if n := len(kernels(t)); n < 4 {
		t.Errorf("%d processes of two kernels, want at least 4", n)
	}
	kill()
	for deadline := time.Now().Add(20 * time.Second); len(kernels(t)) > 0; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("processes of kernels left: %v", kernels(t))
		}
	}
	m := openIn(t, dir, 1<<30)
	if err := m.Sweep(context.Background()); err != nil {
		t.Fatal(err)
	}
	s, err := m.Start(context.Background(), sandboxtest.Spec("crash-0", sandboxtest.Payload(t), "exit", "3"))
	if err != nil {
		t.Fatal(err)
	}
	sandboxtest.Await(t, s)
	if s.Exit().Code != 3 {
		t.Errorf("exit %+v", s.Exit())
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

// openIn makes a Maker on a directory, or skips with what is missing.
func openIn(t testing.TB, dir string, nodeMemory int64) *Maker {
	t.Helper()
	log := slog.New(slog.DiscardHandler)
	outer, err := container.New(container.Config{Dir: dir, NodeMemory: nodeMemory, Logger: log})
	if err != nil {
		t.Skip(err)
	}
	t.Cleanup(func() {
		if err := outer.Close(); err != nil {
			t.Errorf("close maker: %v", err)
		}
	})
	m, err := New(outer, container.Self, log)
	if err != nil {
		t.Skip(err)
	}
	return m
}
