// Package watch reads from /proc what the processes of one sandbox use, for machines where no control group may be had.
// It sees exactly the processes of a pid namespace, through the /proc that is mounted for them.
package watch

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// tick is the unit of CPU times in /proc; it is the same on all architectures built for.
const tick = 10 * time.Millisecond

// cpuClock marks a clock's number as that of a process's CPU time; the rest of it is the complement of its id
// (clock_getcpuclockid(3), include/linux/posix-timers.h).
const cpuClock = 2

// Namespace is the inside of one sandbox. Its methods may be called from any goroutine, Close once and last.
type Namespace struct {
	proc, shm, tmp int // descriptors of what is mounted there
	main           int // the main process's id outside
	mainInside     string
}

// Use is what a sandbox uses.
type Use struct {
	CPU    time.Duration // of living processes and of those that their parents waited for
	Memory int64         // bytes of its processes and of /dev/shm that are shared with nobody outside; approximate
	Tmp    int64         // bytes in /tmp
}

// Open takes the ids outside of a sandbox's first process and of its main process.
func Open(first, main int) (*Namespace, error) {
	n := &Namespace{proc: -1, shm: -1, tmp: -1, main: main}
	root := "/proc/" + strconv.Itoa(first) + "/root/"
	for name, fd := range map[string]*int{"proc": &n.proc, "dev/shm": &n.shm, "tmp": &n.tmp} {
		var err error
		if *fd, err = unix.Open(root+name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0); err != nil {
			n.Close()
			return nil, fmt.Errorf("open sandbox's /%s: %w", name, err)
		}
	}
	var err error
	if n.mainInside, err = innermost(main); err != nil {
		n.Close()
		return nil, err
	}
	return n, nil
}

// innermost is a process's id in its own pid namespace.
func innermost(pid int) (string, error) {
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/status")
	if err != nil {
		return "", err
	}
	for line := range strings.Lines(string(b)) {
		if ids, ok := strings.CutPrefix(line, "NSpid:"); ok {
			f := strings.Fields(ids)
			return f[len(f)-1], nil
		}
	}
	return "", errors.New("the kernel tells no NSpid")
}

// Close gives the descriptors back.
func (n *Namespace) Close() {
	for _, fd := range []int{n.proc, n.shm, n.tmp} {
		if fd >= 0 {
			_ = unix.Close(fd)
		}
	}
}

// Read returns what is used now. Memory that a fork shares with its parent is counted in both.
func (n *Namespace) Read() (Use, error) {
	u := Use{Tmp: used(n.tmp), Memory: used(n.shm)}
	pids, err := n.processes()
	if err != nil {
		return u, err
	}
	for _, pid := range pids {
		resident, shared := n.pages(pid)
		u.Memory += resident - shared
		own, waited := n.times(pid)
		if pid == n.mainInside {
			if exact, ok := clock(n.main); ok {
				own = exact
			}
		}
		u.CPU += own + waited
	}
	return u, nil
}

// Exact returns the memory that Read approximates, what several processes share counted once. It costs the kernel a walk
// through all their page tables.
func (n *Namespace) Exact() (int64, error) {
	total := used(n.shm)
	pids, err := n.processes()
	if err != nil {
		return 0, err
	}
	for _, pid := range pids {
		b, err := n.read(pid + "/smaps_rollup")
		if err != nil {
			continue // it is gone
		}
		total += kilobytes(b, "Pss_Anon:") + kilobytes(b, "SwapPss:")
	}
	return total, nil
}

// processes lists all in the namespace by their ids there.
func (n *Namespace) processes() ([]string, error) {
	fd, err := unix.Openat(n.proc, ".", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	defer func() { _ = unix.Close(fd) }()
	var names []string
	buf := make([]byte, 8192)
	for {
		k, err := unix.ReadDirent(fd, buf)
		if err != nil {
			return nil, fmt.Errorf("list sandbox's processes: %w", err)
		}
		if k == 0 {
			break
		}
		_, _, names = syscall.ParseDirent(buf[:k], -1, names)
	}
	var pids []string
	for _, name := range names {
		if name[0] >= '1' && name[0] <= '9' {
			pids = append(pids, name)
		}
	}
	return pids, nil
}

func (n *Namespace) read(name string) ([]byte, error) {
	fd, err := unix.Openat(n.proc, name, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	defer func() { _ = unix.Close(fd) }()
	buf := make([]byte, 4096)
	k, err := unix.Read(fd, buf)
	return buf[:max(k, 0)], err
}

// pages returns a process's resident memory in bytes, and how much of it are files and shared memory.
func (n *Namespace) pages(pid string) (resident, shared int64) {
	b, err := n.read(pid + "/statm")
	f := bytes.Fields(b)
	if err != nil || len(f) < 3 {
		return 0, 0
	}
	return integer(f[1]) * int64(os.Getpagesize()), integer(f[2]) * int64(os.Getpagesize())
}

// times returns a process's CPU time and that of its children that it has waited for.
func (n *Namespace) times(pid string) (own, waited time.Duration) {
	b, err := n.read(pid + "/stat")
	if err != nil {
		return 0, 0
	}
	return parseTimes(b)
}

// parseTimes takes fields 14 to 17 of proc_pid_stat(5). The name before them may hold anything.
func parseTimes(stat []byte) (own, waited time.Duration) {
	at := bytes.LastIndexByte(stat, ')')
	f := bytes.Fields(stat[at+1:]) // from the state on, which is field 3
	if at < 0 || len(f) < 15 {
		return 0, 0
	}
	return time.Duration(integer(f[11])+integer(f[12])) * tick, time.Duration(integer(f[13])+integer(f[14])) * tick
}

// clock reads a process's CPU time to the nanosecond.
func clock(pid int) (time.Duration, bool) {
	var t unix.Timespec
	err := unix.ClockGettime(int32(^pid<<3|cpuClock), &t)
	return time.Duration(t.Nano()), err == nil
}

// used returns how many bytes are in a tmpfs.
func used(fd int) int64 {
	var st unix.Statfs_t
	if err := unix.Fstatfs(fd, &st); err != nil {
		return 0
	}
	return int64(st.Blocks-st.Bfree) * st.Bsize
}

// kilobytes finds a "key N kB" line.
func kilobytes(text []byte, key string) int64 {
	for line := range bytes.Lines(text) {
		if v, ok := bytes.CutPrefix(line, []byte(key)); ok {
			if f := bytes.Fields(v); len(f) > 0 {
				return integer(f[0]) << 10
			}
		}
	}
	return 0
}

func integer(b []byte) int64 {
	n, _ := strconv.ParseInt(string(b), 10, 63)
	return n
}
