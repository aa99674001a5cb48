package cgroup

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"time"
	"unsafe"
)

// Counters are a group's totals since it was made.
type Counters struct {
	CPU    time.Duration
	Memory int64 // bytes now
	Peak   int64 // bytes; 0 where the kernel keeps none (v2 before 5.19)
}

// gauges are the files that Counters reads, once a call on the warm way: opened at the first reading and kept open, for
// opening costs most of a reading.
type gauges struct {
	mu     sync.Mutex
	opened bool
	closed bool
	cpu    gauge
	memory gauge
	peak   gauge
	buf    [1024]byte // cpu.stat begins with what is read of it
}

// gauge is one open file; without a path, what the kernel does not have.
type gauge struct {
	fd   int
	path string
}

// Counters reads the group's totals; os.ErrClosed once the group is removed.
func (g *Group) Counters() (Counters, error) {
	var c Counters
	s := &g.gauges
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := g.openGauges(); err != nil {
		return c, err
	}
	buf := s.buf[:]
	cpu, unit := "", time.Nanosecond
	if g.tree.unified != "" {
		cpu, unit = "usage_usec", time.Microsecond
	}
	n, err := s.cpu.read(buf, cpu)
	if err != nil {
		return c, err
	}
	c.CPU = time.Duration(n) * unit
	if c.Memory, err = s.memory.read(buf, ""); err != nil {
		return c, err
	}
	if s.peak.path != "" {
		c.Peak, err = s.peak.read(buf, "")
	}
	return c, err
}

func (g *Group) openGauges() error {
	s := &g.gauges
	switch {
	case s.closed:
		return os.ErrClosed
	case s.opened:
		return nil
	}
	t, memory := g.tree, g.path(g.tree.memory)
	cpu := filepath.Join(t.unified, g.id, "cpu.stat")
	if t.unified == "" {
		cpu = filepath.Join(t.acct, g.id, "cpuacct.usage")
	}
	paths := []string{cpu, filepath.Join(memory, t.memory.file("memory.usage_in_bytes", "memory.current"))}
	if t.peak {
		paths = append(paths, filepath.Join(memory, t.memory.file("memory.max_usage_in_bytes", "memory.peak")))
	}
	files := []*gauge{&s.cpu, &s.memory, &s.peak}
	for i, path := range paths {
		fd, err := syscall.Open(path, syscall.O_RDONLY|syscall.O_CLOEXEC, 0)
		if err != nil {
			closeGauges(files[:i])
			return &os.PathError{Op: "open", Path: path, Err: err}
		}
		*files[i] = gauge{fd, path}
	}
	s.opened = true
	return nil
}

func closeGauges(files []*gauge) {
	for _, f := range files {
		if f.path != "" {
			_ = syscall.Close(f.fd)
		}
		*f = gauge{}
	}
}

// close gives the files back; there is no reading after it.
func (s *gauges) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	closeGauges([]*gauge{&s.cpu, &s.memory, &s.peak})
}

// read takes the number that the file holds, or that follows key in it.
func (f *gauge) read(buf []byte, key string) (int64, error) {
	n, err := f.pread(buf)
	if err != nil {
		return 0, &os.PathError{Op: "read", Path: f.path, Err: err}
	}
	text := buf[:n]
	if key != "" {
		var ok bool
		if text, ok = value(text, key); !ok {
			return 0, fmt.Errorf("no %s in %s", key, f.path)
		}
	}
	return strconv.ParseInt(string(bytes.TrimSpace(text)), 10, 64)
}

// pread reads the file from its beginning. The kernel prints it, or sums it up first, within microseconds: the scheduler is not told, for it would
// wake its monitor for every call of a function.
func (f *gauge) pread(buf []byte) (int, error) {
	n, _, errno := syscall.RawSyscall6(syscall.SYS_PREAD64, uintptr(f.fd), uintptr(unsafe.Pointer(unsafe.SliceData(buf))), uintptr(len(buf)), 0, 0, 0)
	if errno != 0 {
		return 0, errno
	}
	return int(n), nil
}

// value finds a "key value" line.
func value(text []byte, key string) ([]byte, bool) {
	for line := range bytes.Lines(text) {
		if k, v, ok := bytes.Cut(line, []byte(" ")); ok && string(k) == key {
			return v, true
		}
	}
	return nil, false
}
