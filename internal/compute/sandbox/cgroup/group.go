package cgroup

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// period is the length of time a CPU quota is for. The kernel's default of 100 ms would stop a small function for most of
// a call; quotas below a millisecond are not accepted, so tiny ones get the longer period.
const (
	period     = 20 * time.Millisecond
	longPeriod = 100 * time.Millisecond
	leastQuota = time.Millisecond
)

// Group is one sandbox's control group in every hierarchy. Its methods may be called from any goroutine; it belongs to
// one owner, who calls Remove once.
type Group struct {
	tree *Tree
	id   string
	dir  int // the cgroup2 directory, or -1

	cpu    sync.Mutex    // held over the writes that make a quota
	period time.Duration // version 1: what a quota is for; 0: not known
	bursts bool          // there may be a burst

	gauges gauges
}

// New makes a group. Its CPU is not limited until SetCPU.
func (t *Tree) New(id string, l Limits) (*Group, error) {
	g := &Group{tree: t, id: id, dir: -1}
	if err := g.create(l); err != nil {
		return nil, errors.Join(err, g.Remove(context.Background()))
	}
	return g, nil
}

func (g *Group) create(l Limits) error {
	t := g.tree
	for _, dir := range t.dirs {
		if err := syscall.Mkdir(filepath.Join(dir, g.id), 0o755); err != nil {
			return fmt.Errorf("create cgroup %s: %w", filepath.Join(dir, g.id), err)
		}
	}
	if err := g.Limit(l); err != nil {
		return err
	}
	if t.memory.v2 {
		if err := write(g.path(t.memory), "memory.oom.group", "1"); err != nil {
			return fmt.Errorf("kill as a group: %w", err)
		}
	}
	if t.Quota() && !t.cpu.v2 { // a call's first quota has less to write then
		if err := g.setPeriod(period); err != nil {
			return fmt.Errorf("limit cpu: %w", err)
		}
	}
	if t.unified != "" {
		fd, err := t.openUnified(g.id)
		if err != nil {
			return err
		}
		g.dir = fd
	}
	return nil
}

// Limit sets other limits.
func (g *Group) Limit(l Limits) error {
	if err := g.tree.limitMemory(g.path(g.tree.memory), l.Memory); err != nil {
		return fmt.Errorf("limit memory: %w", err)
	}
	if err := write(g.path(g.tree.pids), "pids.max", strconv.Itoa(l.Pids)); err != nil {
		return fmt.Errorf("limit processes: %w", err)
	}
	return nil
}

func (g *Group) path(p place) string { return filepath.Join(p.dir, g.id) }

// Dir is a descriptor of the group's cgroup2 directory, for CLONE_INTO_CGROUP, or -1. It stays the group's.
func (g *Group) Dir() int { return g.dir }

// Admit lets a user's processes begin a child's life in the group, if Leave lets them leave theirs.
func (g *Group) Admit(uid int) error {
	if g.dir < 0 || uid == 0 {
		return nil
	}
	if err := unix.Fchownat(g.dir, "cgroup.procs", uid, -1, 0); err != nil {
		return fmt.Errorf("let a user into cgroup %s: %w", g.id, err)
	}
	return nil
}

// Joins opens the v1 files to which a process writes "0" to enter the group. A process that moves its own only thread
// needs none of the global locks that cgroup.procs takes. The caller closes the descriptors.
func (g *Group) Joins() ([]int, error) {
	var fds []int
	for _, dir := range g.tree.dirs {
		if dir == g.tree.unified {
			continue
		}
		fd, err := syscall.Open(filepath.Join(dir, g.id, "tasks"), syscall.O_WRONLY|syscall.O_CLOEXEC, 0)
		if err != nil {
			for _, fd := range fds {
				_ = syscall.Close(fd)
			}
			return nil, fmt.Errorf("open cgroup %s: %w", g.id, err)
		}
		fds = append(fds, fd)
	}
	return fds, nil
}

// SetCPU sets the quota in cores, with burst of as much again where the kernel has it; 0 lifts it.
func (g *Group) SetCPU(cores float64) error {
	if !g.tree.Quota() {
		return nil // as the Tree says
	}
	quota, per := time.Duration(cores*float64(period)), period
	if cores > 0 && quota < leastQuota {
		quota, per = max(time.Duration(cores*float64(longPeriod)), leastQuota), longPeriod
	}
	g.cpu.Lock()
	defer g.cpu.Unlock()
	dir := g.path(g.tree.cpu)
	burst := func(d time.Duration) error {
		if !g.tree.burst || d == 0 && !g.bursts {
			return nil
		}
		g.bursts = true
		err := write(dir, g.tree.cpu.file("cpu.cfs_burst_us", "cpu.max.burst"), micros(d))
		if err == nil {
			g.bursts = d > 0
		}
		return err
	}
	// A burst may not exceed its quota, so it goes first and comes last.
	if err := burst(0); err != nil {
		return err
	}
	if err := g.setQuota(dir, cores > 0, quota, per); err != nil || cores <= 0 {
		return err
	}
	return burst(quota)
}

func (g *Group) setQuota(dir string, limited bool, quota, per time.Duration) error {
	switch {
	case g.tree.cpu.v2 && limited:
		return write(dir, "cpu.max", micros(quota)+" "+micros(per))
	case g.tree.cpu.v2:
		return write(dir, "cpu.max", "max")
	case limited:
		return errors.Join(g.setPeriod(per), write(dir, "cpu.cfs_quota_us", micros(quota)))
	}
	return write(dir, "cpu.cfs_quota_us", "-1")
}

func (g *Group) setPeriod(per time.Duration) error {
	if per == g.period {
		return nil
	}
	err := write(g.path(g.tree.cpu), "cpu.cfs_period_us", micros(per))
	if err == nil {
		g.period = per
	}
	return err
}

func micros(d time.Duration) string { return strconv.FormatInt(d.Microseconds(), 10) }

// Freeze stops every process of the group, Thaw lets them go on. Both are idempotent.
func (g *Group) Freeze() error { return g.freeze("1", "FROZEN") }

// Thaw undoes Freeze.
func (g *Group) Thaw() error { return g.freeze("0", "THAWED") }

func (g *Group) freeze(v2, v1 string) error {
	if g.tree.unified != "" {
		return write(filepath.Join(g.tree.unified, g.id), "cgroup.freeze", v2)
	}
	return write(filepath.Join(g.tree.freezer, g.id), "freezer.state", v1)
}

// Kill kills every process of the group, also frozen ones. It does not wait until they are gone.
func (g *Group) Kill() error {
	if g.tree.unified != "" {
		err := write(filepath.Join(g.tree.unified, g.id), "cgroup.kill", "1")
		return optional(err)
	}
	pids, err := g.Processes()
	if err != nil {
		return optional(err)
	}
	for _, pid := range pids {
		_ = syscall.Kill(pid, syscall.SIGKILL)
	}
	return optional(g.Thaw()) // a process frozen by v1 dies when it thaws
}

// Processes lists the ids of the processes in the group.
func (g *Group) Processes() ([]int, error) {
	b, err := os.ReadFile(filepath.Join(g.path(g.tree.memory), "cgroup.procs"))
	if err != nil {
		return nil, err
	}
	var pids []int
	for _, f := range strings.Fields(string(b)) {
		if pid, err := strconv.Atoi(f); err == nil && pid > 0 {
			pids = append(pids, pid)
		}
	}
	return pids, nil
}

// Remove deletes the group. Its processes must be gone or dying; it waits up to two seconds for them.
func (g *Group) Remove(ctx context.Context) error {
	if g.dir >= 0 {
		_ = syscall.Close(g.dir)
		g.dir = -1
	}
	g.gauges.close()
	var errs []error
	for _, dir := range g.tree.dirs {
		path := filepath.Join(dir, g.id)
		err := retry(ctx, func() error {
			return optional(syscall.Rmdir(path))
		})
		if err != nil {
			errs = append(errs, fmt.Errorf("remove cgroup %s: %w", path, err))
		}
	}
	return errors.Join(errs...)
}

// OOMKills counts the processes of the group that a memory limit, its own or the tree's, has killed.
func (g *Group) OOMKills() (int64, error) {
	return field(g.path(g.tree.memory), g.tree.memory.file("memory.oom_control", "memory.events"), "oom_kill")
}

// WatchOOM returns a file that becomes readable (8 bytes) whenever the group, or the tree around it, runs out of memory.
// It is nil where the kernel itself kills the whole group. The caller closes it.
func (g *Group) WatchOOM() (*os.File, error) {
	if g.tree.memory.v2 {
		return nil, nil
	}
	event, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		return nil, err
	}
	dir := g.path(g.tree.memory)
	control, err := syscall.Open(filepath.Join(dir, "memory.oom_control"), syscall.O_RDONLY|syscall.O_CLOEXEC, 0)
	if err == nil {
		err = write(dir, "cgroup.event_control", fmt.Sprintf("%d %d", event, control))
		_ = syscall.Close(control)
	}
	if err != nil {
		_ = syscall.Close(event)
		return nil, fmt.Errorf("watch for lack of memory: %w", err)
	}
	return os.NewFile(uintptr(event), "oom"), nil
}
