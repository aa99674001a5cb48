package container

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"artesian/internal/compute/sandbox"
	"artesian/internal/compute/sandbox/cgroup"
)

// channelFD is the descriptor that is the channel inside.
const channelFD = 3

var errNotWaiting = errors.New("it does not wait for its next call")

// readWait bounds how long a process may take from its last word to the read of the next.
const readWait = 2 * time.Second

// awaitRead returns once the process waits in a read of descriptor 3.
func awaitRead(ctx context.Context, pid int) error {
	ctx, cancel := context.WithTimeout(ctx, readWait)
	defer cancel()
	for pause := 100 * time.Microsecond; ; pause = min(2*pause, 50*time.Millisecond) {
		b, err := os.ReadFile("/proc/" + itoa(pid) + "/syscall")
		if err != nil {
			return err
		}
		if f := strings.Fields(string(b)); len(f) > 2 && f[0] == itoa(unix.SYS_READ) && f[1] == "0x3" {
			return nil
		}
		select {
		case <-ctx.Done():
			return errNotWaiting
		case <-time.After(pause):
		}
	}
}

// examine says in words what of a held process would not be the same in a copy, or would be shared with it. The address where the C
// library keeps its thread's id comes back.
func (o *original) examine(t *tracee) (tid uint64, err error) {
	proc := "/proc/" + itoa(o.pid)
	for _, look := range []func(string) error{o.alone, o.files, o.memory, o.traces} {
		if err := look(proc); err != nil {
			return 0, err
		}
	}
	at, _, err := t.do(unix.SYS_MMAP, 0, 4096, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS, ^uint64(0))
	if err != nil {
		return 0, err
	}
	tid, err = askItself(t, at)
	_, _, e := t.do(unix.SYS_MUNMAP, at, 4096)
	return tid, errors.Join(err, e)
}

// askItself asks the process itself, with room at an address.
func askItself(t *tracee, at uint64) (tid uint64, err error) {
	var b [32]byte
	for _, which := range []uint64{unix.ITIMER_REAL, unix.ITIMER_VIRTUAL, unix.ITIMER_PROF} {
		if _, _, err := t.do(unix.SYS_GETITIMER, which, at); err != nil {
			return 0, err
		}
		if err := t.read(at, b[:]); err != nil {
			return 0, err
		}
		if b != [32]byte{} {
			return 0, errors.New("it has set a timer")
		}
	}
	if _, _, err := t.do(unix.SYS_PRCTL, unix.PR_GET_TID_ADDRESS, at); err != nil {
		return 0, fmt.Errorf("find thread id: %w", err)
	}
	err = t.read(at, b[:8])
	return binary.NativeEndian.Uint64(b[:]), err
}

// alone looks for other threads and processes.
func (o *original) alone(proc string) error {
	tasks, err := os.ReadDir(proc + "/task")
	if err != nil {
		return err
	}
	if len(tasks) != 1 {
		return fmt.Errorf("it has %d threads", len(tasks))
	}
	return o.i.use(func() error {
		g, ok := o.i.group.(*cgroup.Group)
		if !ok {
			return errNoCopies
		}
		all, err := g.Processes()
		if err == nil && len(all) != 2 { // the first process, and it
			err = fmt.Errorf("it has started %d processes", len(all)-2)
		}
		return err
	})
}

// files looks for descriptors beside those that a copy gets anew.
func (o *original) files(proc string) error {
	open, err := os.ReadDir(proc + "/fd")
	if err != nil {
		return err
	}
	out, err := o.outputName()
	if err != nil {
		return err
	}
	for _, f := range open {
		name, err := os.Readlink(proc + "/fd/" + f.Name())
		if err != nil {
			return err
		}
		switch n := f.Name(); {
		case n == "0" && name == "/dev/null", (n == "1" || n == "2") && name == out, n == "3" && strings.HasPrefix(name, "socket:"):
		case len(n) == 1 && n < "3":
			return fmt.Errorf("its descriptor %s is %s", n, name)
		default:
			return fmt.Errorf("it has %s open", name)
		}
	}
	if len(open) != channelFD+1 {
		return errors.New("it has closed its standard input or output")
	}
	return nil
}

// outputName is how /proc names the pipe of the output.
func (o *original) outputName() (name string, err error) {
	raw, err := o.i.output.SyscallConn()
	if err != nil {
		return "", err
	}
	e := raw.Control(func(fd uintptr) { name, err = os.Readlink("/proc/self/fd/" + itoa(int(fd))) })
	return name, errors.Join(err, e)
}

// memory looks for what a fork shares.
func (o *original) memory(proc string) error {
	f, err := os.Open(proc + "/maps")
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		name, shared, writable, err := mapping(lines.Text())
		if err != nil {
			return err
		}
		if shared && (writable || !o.mounted(name)) {
			return fmt.Errorf("it shares memory, of %q", name)
		}
	}
	return lines.Err()
}

// mapping reads a line of /proc/pid/maps: https://www.kernel.org/doc/html/latest/filesystems/proc.html
func mapping(line string) (name string, shared, writable bool, err error) {
	part := strings.SplitN(line, " ", 6)
	if len(part) < 6 || len(part[1]) != 4 || part[1][3] != 's' && part[1][3] != 'p' {
		return "", false, false, fmt.Errorf("read maps: %q", line)
	}
	return strings.TrimLeft(part[5], " "), part[1][3] == 's', part[1][1] == 'w', nil
}

// mounted reports whether a file is one of the read-only mounts.
func (o *original) mounted(name string) bool {
	for _, m := range o.i.spec.Mounts {
		if path := filepath.Clean(name); filepath.IsAbs(name) && sandbox.Within(path, m.Target) {
			return true
		}
	}
	return false
}

// traces looks for what a process leaves outside of itself.
func (o *original) traces(proc string) (err error) {
	if timers, err := os.ReadFile(proc + "/timers"); err == nil && len(timers) > 0 {
		return errors.New("it has set a timer")
	}
	for _, dir := range []string{"/tmp", "/dev/shm"} {
		left, err := os.ReadDir(proc + "/root" + dir)
		if err != nil {
			return err
		}
		for _, f := range left {
			if f.Name() != "lost+found" {
				return fmt.Errorf("it has left %s in %s", f.Name(), dir)
			}
		}
	}
	o.dir, err = os.Readlink(proc + "/cwd")
	if err == nil && o.dir != "/" && !o.mounted(o.dir) {
		err = fmt.Errorf("its working directory is %s", o.dir)
	}
	return err
}
