package container

import (
	"fmt"
	"log/slog"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"artesian/internal/compute/sandbox"
	"artesian/internal/compute/sandbox/sandboxtest"
)

const zygoteDaemonEnv = "ARTESIAN_TEST_ZYGOTE_DAEMON_DIR"

// TestZygoteDaemonProcess is no test: it is the daemon that TestZygoteCrash kills.
func TestZygoteDaemonProcess(t *testing.T) {
	dir := os.Getenv(zygoteDaemonEnv)
	if dir == "" {
		t.Skip("only runs as the daemon of TestZygoteCrash")
	}
	m, err := New(Config{Dir: dir, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	z := stems(t, m, forked(t)).(*zygote)
	raw, err := z.process.SyscallConn()
	if err == nil {
		err = raw.Control(func(fd uintptr) { fmt.Println("process", processOf(t, int(fd))) })
	}
	if err != nil {
		t.Fatal(err)
	}
	s := sandboxtest.CellSpec("waits", "")
	s.Mounts = sandboxtest.Spec("waits", os.Getenv(sandboxtest.PayloadEnv)).Mounts
	for _, s := range []sandbox.Spec{s, {ID: "fork", Fork: z, Channel: true, Dir: "/", MemoryMB: 64, TmpMB: 512, Pids: 16, Files: 64}} {
		c, err := m.Prepare(t.Context(), s)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Println("process", processOf(t, c.(*cell).i.main))
	}
	fmt.Println("ready")
	select {}
}

// processOf is the process id of a pidfd.
func processOf(t *testing.T, pidfd int) (pid int) {
	t.Helper()
	info, err := os.ReadFile("/proc/self/fdinfo/" + itoa(pidfd))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(info)) {
		_, _ = fmt.Sscanf(line, "Pid: %d", &pid)
	}
	return pid
}

// TestZygoteCrash: a zygote, its child that waits and a main process that waits for its program end with the daemon.
func TestZygoteCrash(t *testing.T) {
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
	_ = forked(t)
	kill, said := sandboxtest.Daemon(t, "TestZygoteDaemonProcess", zygoteDaemonEnv+"="+dir, sandboxtest.PayloadEnv+"="+sandboxtest.Payload(t))
	var processes []unix.PollFd
	for _, line := range said {
		var pid int
		if _, err := fmt.Sscanf(line, "process %d", &pid); err != nil {
			t.Log(line)
			continue
		}
		fd, err := unix.PidfdOpen(pid, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = unix.Close(fd) }()
		processes = append(processes, unix.PollFd{Fd: int32(fd), Events: unix.POLLIN})
	}
	kill()
	if len(processes) != 3 {
		t.Fatalf("%d processes, want 3", len(processes))
	}
	for i := range processes {
		if n, err := unix.Poll(processes[i:i+1], int((5 * time.Second).Milliseconds())); n != 1 {
			t.Errorf("process %d of the daemon lives on: %v", i, err)
		}
	}
	if err := m.Sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
	if ids, err := groups(m); err != nil || len(ids) != 0 {
		t.Errorf("control groups after the sweep: %v, %v", ids, err)
	}
}
