package container

import (
	"golang.org/x/sys/unix"
)

// Without root whatever functions take of what the kernel counts by user is their daemon's user's, too. So a sandbox may
// have a share of that user's limit only, and all together not all of it: limits of their user namespaces say so.
var shared = []string{"max_inotify_instances", "max_inotify_watches", "max_fanotify_groups", "max_fanotify_marks"}

const (
	shareOfOne = 8 // a sandbox's part of the limit is one of so many
	leastShare = 8 // but no less than this
)

// share is a limit that a user namespace gives itself.
type share struct {
	name  string
	value int
}

// readShares returns the limits for all sandboxes together, and for one.
func readShares() (all, one []share) {
	for _, name := range shared {
		limit, err := readInt("/proc/sys/user/" + name)
		if err != nil {
			continue // this kernel does not count it
		}
		limit = min(limit, 1<<30)
		all = append(all, share{name, limit - limit/4})
		one = append(one, share{name, max(limit/shareOfOne, min(leastShare, limit))})
	}
	return all, one
}

// planShares sets limits in the user namespace of the process that runs p.
func planShares(p *program, shares []share) {
	for _, s := range shares {
		file := "/proc/sys/user/" + s.name
		fd := p.open("open "+file, unix.SYS_OPENAT, 0, file, unix.O_WRONLY|unix.O_CLOEXEC, 0)
		p.call("write "+file, unix.SYS_WRITE, fd, itoa(s.value), len(itoa(s.value)))
		p.call("close "+file, unix.SYS_CLOSE, fd)
		p.next--
	}
}
