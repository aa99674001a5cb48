package container

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"os/user"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// standing is what this process may do on this machine.
type standing struct {
	root     bool // everything: root, and in no user namespace but the first
	uid, gid int
	ids      ids    // for functions, beside our own; none: all run as we do
	why      string // that there are none
}

// ids are user and group ids that may be mapped into a user namespace of ours.
type ids struct {
	uid, gid int // the first of each, as they are called here
	count    int
	helped   bool // by newuidmap and newgidmap, which are set-uid root
}

// mostIDs bounds what is taken of a range.
const mostIDs = 1 << 16

// Capabilities without which root is none (a container engine's default, for instance).
var rootNeeds = []int{unix.CAP_SYS_ADMIN, unix.CAP_SETUID, unix.CAP_SETGID, unix.CAP_MKNOD}

// stand finds out. Dir is the data directory's, which chooses among ids.
func stand(dir string) (standing, error) {
	s := standing{uid: os.Geteuid(), gid: os.Getegid()}
	caps, err := effective()
	if err != nil {
		return s, err
	}
	first, err := firstNamespace("/proc/self/uid_map")
	if err != nil {
		return s, err
	}
	s.root = s.uid == 0 && first && hasAll(caps, rootNeeds...)
	switch {
	case s.root:
	case hasAll(caps, unix.CAP_SETUID, unix.CAP_SETGID):
		own, err := newUIDs(dir)
		if err != nil || own.base <= s.uid {
			s.why = "this user namespace has no other ids"
			return s, nil
		}
		s.ids = ids{uid: own.base, gid: own.base, count: 2 * own.count}
	default:
		s.ids, err = subordinate(s.uid)
		if err != nil {
			s.why = err.Error()
		}
	}
	return s, nil
}

// lone says that functions have no ids beside our own.
func (s standing) lone() bool { return !s.root && s.ids.count == 0 }

// effective returns this thread's effective capabilities.
func effective() (uint64, error) {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if err := unix.Capget(&header, &data[0]); err != nil {
		return 0, fmt.Errorf("read capabilities: %w", err)
	}
	return uint64(data[1].Effective)<<32 | uint64(data[0].Effective), nil
}

func hasAll(have uint64, want ...int) bool {
	for _, c := range want {
		if have>>c&1 == 0 {
			return false
		}
	}
	return true
}

// firstNamespace reports whether an id map is that of the first user namespace, where every id is itself.
func firstNamespace(file string) (bool, error) {
	b, err := os.ReadFile(file)
	if err != nil {
		return false, err
	}
	f := strings.Fields(string(b))
	return len(f) == 3 && f[0] == "0" && f[1] == "0" && f[2] == "4294967295", nil
}

// subordinate finds the ids that /etc/subuid and /etc/subgid leave to a user. The error says what is missing.
func subordinate(uid int) (ids, error) {
	for _, tool := range []string{"newuidmap", "newgidmap"} {
		if _, err := exec.LookPath(tool); err != nil {
			return ids{}, fmt.Errorf("%s (package uidmap) is not installed", tool)
		}
	}
	names := []string{strconv.Itoa(uid)}
	if u, err := user.LookupId(names[0]); err == nil {
		names = append(names, u.Username)
	}
	found := ids{helped: true, count: mostIDs}
	for file, first := range map[string]*int{"/etc/subuid": &found.uid, "/etc/subgid": &found.gid} {
		text, err := os.ReadFile(file)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return ids{}, err
		}
		var count int
		if *first, count = rangeOf(string(text), names); count < 2 {
			return ids{}, fmt.Errorf("%s has no ids for user %s", file, names[len(names)-1])
		}
		found.count = min(found.count, count)
	}
	return found, nil
}

// rangeOf returns the largest range that a file of the form of subuid(5) has for a user by one of its names.
func rangeOf(text string, names []string) (first, count int) {
	for lines := bufio.NewScanner(strings.NewReader(text)); lines.Scan(); {
		f := strings.Split(strings.TrimSpace(lines.Text()), ":")
		if len(f) != 3 {
			continue
		}
		start, err := strconv.ParseUint(f[1], 10, 31)
		n, err2 := strconv.ParseUint(f[2], 10, 31)
		for _, name := range names {
			if f[0] == name && err == nil && err2 == nil && int(n) > count {
				first, count = int(start), int(n)
			}
		}
	}
	return first, count
}

// hints adds to an error what on this machine may be its cause.
func (s standing) hints(err error) error {
	if s.root {
		return err
	}
	for _, h := range []struct{ file, value, text string }{
		{"/proc/sys/kernel/unprivileged_userns_clone", "0", "user namespaces are for root only here: sysctl kernel.unprivileged_userns_clone=1"},
		{"/proc/sys/kernel/apparmor_restrict_unprivileged_userns", "1",
			"AppArmor leaves user namespaces without rights here: sysctl kernel.apparmor_restrict_unprivileged_userns=0, or a profile with `userns,` for this program"},
	} {
		if b, e := os.ReadFile(h.file); e == nil && strings.TrimSpace(string(b)) == h.value {
			return fmt.Errorf("%w (%s; or start as root)", err, h.text)
		}
	}
	return err
}
