// Package cgroup limits, freezes, kills and counts groups of processes through Linux control groups: version 1, version 2,
// and both at once (hybrid), as root or within a delegated subtree.
//
// All groups of one Tree have one parent, whose memory limit bounds them together. Freezing, killing and CPU counters use
// cgroup2's core files wherever a cgroup2 hierarchy is mounted, also one without controllers.
package cgroup

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Tree is the parent of all groups of one daemon, in every hierarchy it uses.
type Tree struct {
	memory  place
	cpu     place
	pids    place
	unified string // directory in the cgroup2 hierarchy, with or without controllers; empty when there is none
	freezer string // directory in the v1 freezer hierarchy; only used without cgroup2
	acct    string // directory in the v1 cpuacct hierarchy; only used without cgroup2
	root    int    // of a mount of the unified directory and nothing above it; -1 if none can be made
	dirs    []string
	burst   bool
	peak    bool
	swap    bool
}

// place is where one controller is found.
type place struct {
	dir string // the tree's directory; empty when the controller is missing
	v2  bool
}

// Limits bound one group.
type Limits struct {
	Memory int64 // bytes, swap included
	Pids   int   // processes and threads
}

// Open finds the mounted hierarchies and makes the tree name in them, with limit bytes of memory for all groups together
// (0: no limit). The error names what is missing.
func Open(name string, limit int64) (*Tree, error) {
	found, err := discover("/proc/self/mountinfo", "/proc/self/cgroup")
	if err != nil {
		return nil, err
	}
	t, err := plan(found, name)
	if err != nil {
		return nil, err
	}
	if err := t.create(found); err != nil {
		return nil, err
	}
	if err := t.limitMemory(t.memory.dir, limit); err != nil {
		return nil, fmt.Errorf("limit memory of all sandboxes: %w", err)
	}
	if err := t.weigh(runtime.NumCPU()); err != nil {
		return nil, fmt.Errorf("weigh all sandboxes: %w", err)
	}
	t.confine()
	t.burst = t.cpu.has("cpu.cfs_burst_us", "cpu.max.burst")
	t.peak = t.memory.has("memory.max_usage_in_bytes", "memory.peak")
	t.swap = t.memory.has("memory.memsw.limit_in_bytes", "memory.swap.max")
	return t, nil
}

// plan chooses a place for each controller; cgroup2 wins where a controller is on both sides.
func plan(f found, name string) (*Tree, error) {
	t := &Tree{root: -1}
	var missing []string
	choose := func(controller string) place {
		if f.v2controllers[controller] {
			return place{filepath.Join(f.v2base, name), true}
		}
		if dir, ok := f.v1[controller]; ok {
			return place{filepath.Join(dir, name), false}
		}
		if controller != "cpu" || !f.lent { // systemd does not always lend it; memory without it is better than neither
			missing = append(missing, controller)
		}
		return place{}
	}
	t.memory, t.cpu, t.pids = choose("memory"), choose("cpu"), choose("pids")
	if f.v2base != "" {
		t.unified = filepath.Join(f.v2base, name)
	} else {
		t.freezer, t.acct = choose("freezer").dir, choose("cpuacct").dir
	}
	if len(missing) > 0 {
		return nil, fmt.Errorf("cgroup controllers not available: %s (looked in %s)", strings.Join(missing, ", "), f.describe())
	}
	for _, dir := range []string{t.unified, t.memory.dir, t.cpu.dir, t.pids.dir, t.freezer, t.acct} {
		if dir != "" && !slices.Contains(t.dirs, dir) {
			t.dirs = append(t.dirs, dir)
		}
	}
	return t, nil
}

func (p place) file(v1, v2 string) string {
	if p.v2 {
		return v2
	}
	return v1
}

// has reports whether the kernel offers a file of a controller.
func (p place) has(v1, v2 string) bool {
	if p.dir == "" {
		return false
	}
	_, err := os.Stat(filepath.Join(p.dir, p.file(v1, v2)))
	return err == nil
}

func (t *Tree) create(f found) error {
	if t.memory.v2 || t.cpu.v2 || t.pids.v2 {
		if err := f.delegate(t.wanted()); err != nil {
			return err
		}
	}
	for _, dir := range t.dirs {
		if err := os.Mkdir(dir, 0o755); err != nil && !errors.Is(err, os.ErrExist) {
			return explain("create cgroup", err)
		}
	}
	if w := t.wanted(); len(w) > 0 {
		if err := enable(t.unified, w); err != nil {
			return err
		}
	}
	return nil
}

// confine makes a mount from which descriptors of groups are opened: whoever is given one finds nothing of the machine's other
// groups above it.
func (t *Tree) confine() {
	if t.unified == "" {
		return
	}
	if fd, err := unix.OpenTree(unix.AT_FDCWD, t.unified, unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC); err == nil {
		t.root = fd
	}
}

// openUnified opens the cgroup2 directory of a group.
func (t *Tree) openUnified(id string) (int, error) {
	if t.root >= 0 {
		return unix.Openat(t.root, id, unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	}
	return unix.Open(filepath.Join(t.unified, id), unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
}

// Leave lets the processes of a user group go from one group of the tree to another that admits them. Whether anything may be
// moved is decided where both are below.
func (t *Tree) Leave(gid int) error {
	if t.unified == "" {
		return nil
	}
	file := filepath.Join(t.unified, "cgroup.procs")
	if err := errors.Join(os.Chown(file, -1, gid), os.Chmod(file, 0o664)); err != nil {
		return fmt.Errorf("let a group leave its cgroup: %w", err)
	}
	return nil
}

// explain adds what an administrator can do.
func explain(what string, err error) error {
	switch {
	case errors.Is(err, syscall.EROFS):
		return fmt.Errorf("%s: %w: the cgroup file system must be writable here (in a container engine: a private, writable cgroup namespace)", what, err)
	case errors.Is(err, syscall.EACCES), errors.Is(err, syscall.EPERM):
		return fmt.Errorf("%s: %w: run as root or in a delegated group (systemd-run --user --scope -p Delegate=yes)", what, err)
	}
	return fmt.Errorf("%s: %w", what, err)
}

// wanted lists the controllers that are used through cgroup2.
func (t *Tree) wanted() []string {
	var names []string
	for i, p := range []place{t.cpu, t.memory, t.pids} {
		if p.v2 {
			names = append(names, []string{"cpu", "memory", "pids"}[i])
		}
	}
	return names
}

// limitMemory bounds a group's memory and swap together.
func (t *Tree) limitMemory(dir string, limit int64) error {
	if t.memory.v2 {
		value := "max"
		if limit > 0 {
			value = strconv.FormatInt(limit, 10)
		}
		return errors.Join(write(dir, "memory.max", value), optional(write(dir, "memory.swap.max", "0")))
	}
	if limit <= 0 {
		limit = -1
	}
	value := strconv.FormatInt(limit, 10)
	// The limit with swap may never be below the one without: raising and lowering need opposite orders.
	if err := write(dir, "memory.limit_in_bytes", value); err != nil {
		if err := optional(write(dir, "memory.memsw.limit_in_bytes", value)); err != nil {
			return err
		}
		return write(dir, "memory.limit_in_bytes", value)
	}
	return optional(write(dir, "memory.memsw.limit_in_bytes", value))
}

// weight is how much all groups together weigh on a busy core, in ordinary processes. A new group weighs as much as one of them
// on all cores together, so that functions waited for whatever ran beside them, the daemon's and its clients' threads first.
const weight = 2

// weigh sets the tree's share of busy cores. In it the groups share alike.
func (t *Tree) weigh(cores int) error {
	switch {
	case t.cpu.dir == "":
		return nil
	case t.cpu.v2:
		return optional(write(t.cpu.dir, "cpu.weight", strconv.Itoa(min(weight*cores*100, 10_000))))
	}
	return optional(write(t.cpu.dir, "cpu.shares", strconv.Itoa(min(weight*cores*1024, 262_144))))
}

// optional forgets that a file is not there: the kernel was built without what it controls.
func optional(err error) error {
	if errors.Is(err, syscall.ENOENT) {
		return nil
	}
	return err
}

// Groups lists the ids of all groups in the tree, those of a killed daemon included.
func (t *Tree) Groups() ([]string, error) {
	seen := map[string]bool{}
	var ids []string
	for _, dir := range t.dirs {
		entries, err := os.ReadDir(dir)
		if err != nil {
			return nil, err
		}
		for _, e := range entries {
			if e.IsDir() && !seen[e.Name()] {
				seen[e.Name()] = true
				ids = append(ids, e.Name())
			}
		}
	}
	return ids, nil
}

// Sweep kills and removes every group of the tree.
func (t *Tree) Sweep(ctx context.Context) error {
	ids, err := t.Groups()
	if err != nil {
		return err
	}
	var errs []error
	for _, id := range ids {
		g := &Group{tree: t, id: id, dir: -1}
		errs = append(errs, g.Kill(), g.Remove(ctx))
	}
	return errors.Join(errs...)
}

// Close removes the tree; its groups must be gone.
func (t *Tree) Close() error {
	var errs []error
	if t.root >= 0 {
		errs = append(errs, syscall.Close(t.root))
		t.root = -1
	}
	for _, dir := range t.dirs {
		if err := os.Remove(dir); err != nil && !errors.Is(err, os.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// Describe says which hierarchies are in use, for start-up and doctor.
func (t *Tree) Describe() string {
	switch {
	case t.memory.v2:
		return "cgroup v2"
	case t.unified != "":
		return "cgroup v1, frozen and killed through cgroup2"
	}
	return "cgroup v1, frozen through the v1 freezer"
}

// Peak reports whether the kernel keeps the high-water mark of memory (v2: since 5.19).
func (t *Tree) Peak() bool { return t.peak }

// Swap reports whether a memory limit includes swap.
func (t *Tree) Swap() bool { return t.swap }

// FrozenDie reports whether a frozen process can be killed. The v1 freezer lets it die only when it thaws.
func (t *Tree) FrozenDie() bool { return t.unified != "" }

// Quota reports whether CPU time can be limited.
func (t *Tree) Quota() bool { return t.cpu.dir != "" }

// Burst reports whether a quota can be exceeded for a moment.
func (t *Tree) Burst() bool { return t.burst }

// retry calls f until it succeeds, ctx ends or two seconds are over; it returns f's last error.
func retry(ctx context.Context, f func() error) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	for pause := 100 * time.Microsecond; ; pause = min(2*pause, 50*time.Millisecond) {
		err := f()
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(pause):
		}
	}
}
