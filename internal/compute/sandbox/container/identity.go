package container

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// identity is a zygote's user and group. No other zygote has that user, and no sandbox; without root there are no ids to give.
type identity struct {
	own      bool
	uid, gid int
}

// zygotesGroup owns the group of all zygotes, who may leave their own control group for one that lets them in.
const zygotesGroup = "zygotes of all accounts"

// identity gives a zygote one. unidentified takes it back.
func (m *Maker) identity(id string) (identity, error) {
	if !m.standing.root {
		return identity{}, nil
	}
	uid, err := m.uids.take("zygote " + id)
	if err != nil {
		return identity{}, err
	}
	who := identity{own: true, uid: uid}
	if who.gid, err = m.uids.take(zygotesGroup); err != nil {
		m.uids.give("zygote " + id)
		return identity{}, err
	}
	if m.tree != nil {
		if err := m.tree.Leave(who.gid); err != nil {
			m.unidentified(id, who)
			return identity{}, err
		}
	}
	return who, nil
}

func (m *Maker) unidentified(id string, who identity) {
	if who.own {
		m.uids.give("zygote " + id)
		m.uids.give(zygotesGroup)
	}
}

// namespacesOf opens the namespaces of a pidfd's process, in the order of namespaceFiles. The caller closes what comes back, also with an
// error.
func namespacesOf(pidfd int) (fds []int, err error) {
	pid, _, err := numbers(pidfd)
	if err != nil {
		return nil, err
	}
	dir, err := unix.Open("/proc/"+itoa(pid)+"/ns", unix.O_PATH|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("open namespaces: %w", err)
	}
	defer closeAll([]int{dir})
	for _, name := range namespaceFiles {
		fd, err := unix.Openat(dir, name, unix.O_RDONLY|unix.O_CLOEXEC, 0)
		if err != nil {
			return fds, fmt.Errorf("open %s namespace: %w", name, err)
		}
		fds = append(fds, fd)
	}
	// As long as it is there, its number was nobody else's.
	if err := unix.PidfdSendSignal(pidfd, 0, nil, 0); err != nil {
		return fds, os.ErrProcessDone
	}
	return fds, nil
}
