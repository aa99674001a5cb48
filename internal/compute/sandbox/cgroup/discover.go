package cgroup

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sort"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// found is what this machine has mounted.
type found struct {
	v1            map[string]string // controller to the directory under which groups are made
	v2base        string            // the same for cgroup2; empty when it is not mounted
	v2controllers map[string]bool
	v2own         bool // v2base holds this very process
	lent          bool // v2base is the one group that this user may write to
}

func (f found) describe() string {
	var parts []string
	for c, dir := range f.v1 {
		parts = append(parts, c+" at "+dir)
	}
	sort.Strings(parts)
	if f.v2base != "" {
		parts = append(parts, "cgroup2 at "+f.v2base)
	}
	if len(parts) == 0 {
		return "/proc/self/mountinfo: no cgroup file system is mounted"
	}
	return strings.Join(parts, ", ")
}

// discover reads the mounted hierarchies. Groups are made at the top of each hierarchy that is visible here; on cgroup2
// within the daemon's own group if that was delegated to it (systemd's Delegate=yes).
func discover(mountinfo, self string) (found, error) {
	f := found{v1: map[string]string{}, v2controllers: map[string]bool{}}
	mounts, err := os.ReadFile(mountinfo)
	if err != nil {
		return f, err
	}
	for _, line := range strings.Split(string(mounts), "\n") {
		point, kind, options := parseMount(line)
		switch kind {
		case "cgroup":
			for _, o := range strings.Split(options, ",") {
				if _, dup := f.v1[o]; !dup {
					f.v1[o] = point
				}
			}
		case "cgroup2":
			if f.v2base == "" {
				f.v2base = point
			}
		}
	}
	if f.v2base == "" {
		return f, nil
	}
	own, err := ownGroup(self)
	if err != nil {
		return f, err
	}
	switch {
	case own == "/":
		f.v2own = true
	case delegated(filepath.Join(f.v2base, own)):
		f.v2base, f.v2own = filepath.Join(f.v2base, own), true
	case lent(f.v2base, filepath.Join(f.v2base, own)):
		f.v2base, f.v2own, f.lent = filepath.Join(f.v2base, own), true, true
	}
	controllers, err := os.ReadFile(filepath.Join(f.v2base, "cgroup.controllers"))
	if err != nil {
		return f, err
	}
	for _, c := range strings.Fields(string(controllers)) {
		f.v2controllers[c] = true
	}
	return f, nil
}

// parseMount takes mount point, type and super options from a line of mountinfo (proc(5)).
func parseMount(line string) (point, kind, options string) {
	before, after, ok := strings.Cut(line, " - ")
	left, right := strings.Fields(before), strings.Fields(after)
	if !ok || len(left) < 5 || len(right) < 3 {
		return "", "", ""
	}
	return left[4], right[0], right[2]
}

// ownGroup is this process's path in the cgroup2 hierarchy.
func ownGroup(self string) (string, error) {
	b, err := os.ReadFile(self)
	if err != nil {
		return "", err
	}
	for _, line := range strings.Split(string(b), "\n") {
		if path, ok := strings.CutPrefix(line, "0::"); ok {
			// An earlier daemon may have moved whoever started this one, see delegate.
			return cmp.Or(strings.TrimSuffix(path, "/"+daemonLeaf), "/"), nil
		}
	}
	return "/", nil
}

// daemonLeaf is the group for the daemon itself in a base that is its own.
const daemonLeaf = "artesian-daemon"

// delegated reports systemd's mark on a group it leaves to us.
func delegated(dir string) bool {
	var value [8]byte
	for _, name := range []string{"trusted.delegate", "user.delegate"} {
		if n, err := syscall.Getxattr(dir, name, value[:]); err == nil && n == 1 && value[0] == '1' {
			return true
		}
	}
	return false
}

// lent reports that a group is ours although the hierarchy is not: how delegation shows to who is not root.
func lent(top, dir string) bool {
	may := func(dir string) bool {
		for _, file := range []string{".", "cgroup.procs", "cgroup.subtree_control"} {
			if unix.Access(filepath.Join(dir, file), unix.W_OK) != nil {
				return false
			}
		}
		return true
	}
	return !may(top) && may(dir)
}

// delegate makes controllers available to groups below the base. A group may not hold both processes and controlled
// children: if the daemon's own group is the base, its processes move to a leaf of their own.
func (f found) delegate(controllers []string) error {
	err := enable(f.v2base, controllers)
	if !f.v2own || !errors.Is(err, syscall.EBUSY) && !errors.Is(err, syscall.EOPNOTSUPP) {
		return err
	}
	leaf := filepath.Join(f.v2base, daemonLeaf)
	if err := os.Mkdir(leaf, 0o755); err != nil && !errors.Is(err, os.ErrExist) {
		return fmt.Errorf("create cgroup for the daemon itself: %w", err)
	}
	pids, err := os.ReadFile(filepath.Join(f.v2base, "cgroup.procs"))
	if err != nil {
		return err
	}
	for _, pid := range strings.Fields(string(pids)) {
		if err := write(leaf, "cgroup.procs", pid); err != nil && !errors.Is(err, syscall.ESRCH) {
			return fmt.Errorf("move process %s out of %s: %w", pid, f.v2base, err)
		}
	}
	return enable(f.v2base, controllers)
}

// enable lets the children of dir use controllers. All go in one write: some alone would make a group that holds processes
// a threaded one, where memory cannot be controlled any more.
func enable(dir string, controllers []string) error {
	have, err := os.ReadFile(filepath.Join(dir, "cgroup.subtree_control"))
	if err != nil {
		return err
	}
	var want []string
	for _, c := range controllers {
		if !slices.Contains(strings.Fields(string(have)), c) {
			want = append(want, "+"+c)
		}
	}
	if len(want) == 0 {
		return nil
	}
	if err := write(dir, "cgroup.subtree_control", strings.Join(want, " ")); err != nil {
		return explain("enable cgroup controllers", err)
	}
	return nil
}
