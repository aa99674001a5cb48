package process

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// markPrefix begins an environment entry by which the processes of a sandbox are found, those that left its process group
// included. It is no defence: a process can change its environment.
const markPrefix = "ARTESIAN_SANDBOX="

// clockTick is the unit of CPU times in /proc; it is the same on all architectures built for.
const clockTick = 10 * time.Millisecond

// cpuClock marks a clock's number as that of a process's CPU time; the rest of it is the complement of its id
// (clock_getcpuclockid(3), include/linux/posix-timers.h).
const cpuClock = 2

// marked finds the processes whose environment has an entry that begins with mark.
func marked(mark string) ([]int, error) {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil, err
	}
	var pids []int
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil || pid == os.Getpid() {
			continue
		}
		env, err := os.ReadFile("/proc/" + e.Name() + "/environ")
		if err == nil && bytes.Contains(append([]byte{0}, env...), []byte("\x00"+mark)) {
			pids = append(pids, pid)
		}
	}
	return pids, nil
}

// killMarked kills until none is left: one may fork while others are killed.
func killMarked(ctx context.Context, mark string) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	for {
		pids, err := marked(mark)
		if err != nil || len(pids) == 0 {
			return err
		}
		for _, pid := range pids {
			_ = syscall.Kill(pid, syscall.SIGKILL) // it may be gone
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%d processes do not end", len(pids))
		case <-time.After(time.Millisecond):
		}
	}
}

// measure reads CPU time and resident memory of one process; zeros when it is gone.
func measure(pid int) (cpu time.Duration, memory int64) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, 0
	}
	_, after, _ := strings.Cut(string(b), ") ")
	f := strings.Fields(after) // from the state on, which is field 3 in proc(5)
	if len(f) < 22 {
		return 0, 0
	}
	number := func(i int) int64 { n, _ := strconv.ParseInt(f[i-3], 10, 64); return n }
	cpu = time.Duration(number(16)+number(17)) * clockTick // of children that were waited for
	var own unix.Timespec
	if unix.ClockGettime(int32(^pid<<3|cpuClock), &own) == nil { // its own, to the nanosecond
		cpu += time.Duration(own.Nano())
	}
	return cpu, number(24) * int64(os.Getpagesize())
}
