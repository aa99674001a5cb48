package container

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
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

// examine says in words what of a held process would not be the same in a copy, or would be shared with it, and makes it ready to
// be copied.
func (o *original) examine(t *tracee) error {
	proc := "/proc/" + itoa(o.pid)
	for _, look := range []func(string) error{o.alone, o.files, o.memory, o.traces} {
		if err := look(proc); err != nil {
			return err
		}
	}
	if err := t.detour(); err != nil {
		return err
	}
	if err := t.arm(); err != nil {
		return err
	}
	at, _, err := t.do(unix.SYS_MMAP, 0, 4096, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS, ^uint64(0))
	if err != nil {
		return err
	}
	err = askItself(t, at)
	_, _, e := t.do(unix.SYS_MUNMAP, at, 4096)
	return errors.Join(err, e)
}

// askItself asks the process itself, with room at an address.
func askItself(t *tracee, at uint64) error {
	var b [32]byte
	for _, which := range []uint64{unix.ITIMER_REAL, unix.ITIMER_VIRTUAL, unix.ITIMER_PROF} {
		if _, _, err := t.do(unix.SYS_GETITIMER, which, at); err != nil {
			return err
		}
		if err := t.read(at, b[:]); err != nil {
			return err
		}
		if b != [32]byte{} {
			return errors.New("it has set a timer")
		}
	}
	return nil
}

// alone looks for other threads and processes, and for filters that are not ours: one of its own would be in force in copies
// behind the kernel's back, and ask who is not there.
func (o *original) alone(proc string) error {
	threads, err := statusOf(proc, "Threads")
	if err != nil {
		return err
	}
	if threads != 1 {
		return fmt.Errorf("it has %d threads", threads)
	}
	filters, err := statusOf(proc, "Seccomp_filters")
	if err == nil && filters != 1 { // whoever is filtered itself holds nobody, see Copies
		err = errors.New("it has set a filter of system calls")
	}
	if err != nil {
		return err
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

// statusOf is a number in a process's status.
func statusOf(proc, name string) (n int, err error) {
	b, err := os.ReadFile(proc + "/status")
	if err != nil {
		return 0, err
	}
	_, rest, ok := strings.Cut(string(b), "\n"+name+":\t") // names, which are in front, are escaped
	if !ok {
		return 0, fmt.Errorf("%s/status: no %s", proc, name)
	}
	line, _, _ := strings.Cut(rest, "\n")
	return strconv.Atoi(line)
}

// files looks for descriptors beside those that a copy gets anew, and for signals that those would send.
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
		case n == "0" && name == "/dev/null", (n == "1" || n == "2") && name == out, n == "3" && name == o.i.far:
		case len(n) == 1 && n <= "3":
			return fmt.Errorf("its descriptor %s is %s", n, printable(name))
		default:
			return fmt.Errorf("it has %s open", printable(name))
		}
		if tells, err := signals(proc + "/fdinfo/" + f.Name()); err != nil || tells {
			return errors.Join(err, fmt.Errorf("its descriptor %s sends signals", f.Name()))
		}
	}
	if len(open) != channelFD+1 {
		return errors.New("it has closed its standard input or output")
	}
	return nil
}

// signals reports whether a descriptor has O_ASYNC set.
func signals(fdinfo string) (bool, error) {
	b, err := os.ReadFile(fdinfo)
	if err != nil {
		return false, err
	}
	_, rest, _ := strings.Cut(string(b), "flags:\t")
	line, _, _ := strings.Cut(rest, "\n")
	flags, err := strconv.ParseUint(line, 8, 64)
	return flags&unix.O_ASYNC != 0, err
}

// printable is a name that a function has given to something, for people: on one line, and not longer than it need be.
func printable(name string) string {
	quoted := strconv.Quote(name)
	quoted = quoted[1 : len(quoted)-1]
	if len(quoted) > mostName {
		return strings.ToValidUTF8(quoted[:mostName], "") + "…"
	}
	return quoted
}

const mostName = 100

// outputName is how /proc names the pipe of the output.
func (o *original) outputName() (name string, err error) {
	raw, err := o.i.output.SyscallConn()
	if err != nil {
		return "", err
	}
	e := raw.Control(func(fd uintptr) { name, err = os.Readlink("/proc/self/fd/" + itoa(int(fd))) })
	return name, errors.Join(err, e)
}

// memory looks for what a fork shares: shared mappings, and files that are not in read-only mounts, for whoever maps one has a way
// to it without a descriptor. The program that it executes is such a way, too.
func (o *original) memory(proc string) error {
	exe, err := os.Readlink(proc + "/exe")
	if err != nil {
		return err
	}
	if !o.mounted(exe) {
		return fmt.Errorf("it executes %s", printable(exe))
	}
	f, err := os.Open(proc + "/maps")
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		name, shared, writable, err := mapping(lines.Text())
		switch ours := o.mounted(name); {
		case err != nil:
			return err
		case shared && (writable || !ours):
			return fmt.Errorf("it shares memory, of %q", name)
		case name != "" && name[0] != '[' && !ours:
			return fmt.Errorf("it has mapped %s", printable(name))
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
		if err := empty(proc+"/root"+dir, dir); err != nil {
			return err
		}
	}
	o.dir, err = os.Readlink(proc + "/cwd")
	if err == nil && o.dir != "/" && !o.mounted(o.dir) {
		err = fmt.Errorf("its working directory is %s", printable(o.dir))
	}
	return err
}

// empty looks into a directory, which may hold any number of files.
func empty(at, dir string) error {
	f, err := os.Open(at)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	left, err := f.Readdirnames(2)
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	for _, name := range left {
		if name != "lost+found" {
			return fmt.Errorf("it has left %s in %s", printable(name), dir)
		}
	}
	return nil
}
