package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

const prSetChildSubreaper = 36

// adopt makes processes that lose their parent children of this one, so that the tree of a daemon holds all of them.
func adopt() { _, _, _ = syscall.RawSyscall(syscall.SYS_PRCTL, prSetChildSubreaper, 1, 0) }

// process is what /proc tells of one.
type process struct {
	pid, parent int
	cpu         time.Duration
}

// tick is the unit of /proc's CPU times.
const tick = 10 * time.Millisecond

func readProcess(pid int) (p process, ok bool) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return p, false
	}
	_, rest, _ := strings.Cut(string(b[strings.LastIndexByte(string(b), ')'):]), " ")
	f := strings.Fields(rest) // from the state on, the third field
	if len(f) < 15 {
		return p, false
	}
	n := func(i int) int64 { v, _ := strconv.ParseInt(f[i], 10, 64); return v }
	return process{pid: pid, parent: int(n(1)), cpu: ran(pid, time.Duration(n(11)+n(12))*tick) + time.Duration(n(13)+n(14))*tick}, true
}

// ran is the CPU time of a process's threads to the nanosecond, or what is known of it in ticks where the kernel does not tell. A
// thread that has ended is missing.
func ran(pid int, ticks time.Duration) time.Duration {
	threads, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", pid))
	sum := time.Duration(0)
	for _, t := range threads {
		b, err := os.ReadFile(t)
		first, _, _ := strings.Cut(string(b), " ")
		ns, perr := strconv.ParseInt(first, 10, 64)
		if err != nil || perr != nil {
			return ticks
		}
		sum += time.Duration(ns)
	}
	if sum == 0 {
		return ticks
	}
	return sum
}

// switches are how often a process's threads have been taken from the processor, by themselves or by others. A thread that has ended is
// missing.
func switches(pid int) (sum int64) {
	threads, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/status", pid))
	for _, t := range threads {
		b, err := os.ReadFile(t)
		if err != nil {
			continue
		}
		for line := range strings.Lines(string(b)) {
			if label, n, _ := strings.Cut(line, ":"); strings.HasSuffix(label, "voluntary_ctxt_switches") {
				v, _ := strconv.ParseInt(strings.TrimSpace(n), 10, 64)
				sum += v
			}
		}
	}
	return sum
}

// tree returns a process and all that descend from it.
func tree(root int) []process {
	entries, _ := filepath.Glob("/proc/[0-9]*")
	children := map[int][]process{}
	for _, e := range entries {
		pid, _ := strconv.Atoi(filepath.Base(e))
		if p, ok := readProcess(pid); ok {
			children[p.parent] = append(children[p.parent], p)
		}
	}
	first, _ := readProcess(root)
	all := []process{first}
	for i := 0; i < len(all); i++ {
		all = append(all, children[all[i].pid]...)
	}
	return all
}

// pss is a process's memory in bytes, of what it shares its share.
func pss(pid int) int64 { return sizeIn(fmt.Sprintf("/proc/%d/smaps_rollup", pid), "Pss:") }

// sizeIn reads a line of kilobytes.
func sizeIn(file, label string) int64 {
	b, err := os.ReadFile(file)
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(b)) {
		if rest, ok := strings.CutPrefix(line, label); ok {
			kb, _ := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
			return kb << 10
		}
	}
	return 0
}

// pidSpace names the namespace of a process's numbers.
func pidSpace(pid int) string {
	s, _ := os.Readlink(fmt.Sprintf("/proc/%d/ns/pid", pid))
	return s
}
