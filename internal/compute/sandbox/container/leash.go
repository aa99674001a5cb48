package container

import (
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// leash are the processes that a thread of ours holds, so that another can end them all when that one waits for one of them in
// vain. As long as a process is in it, nobody has reaped it, so its id is its own.
type leash struct {
	mu   sync.Mutex
	pids map[int]bool
}

func (l *leash) add(pid int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.pids == nil {
		l.pids = map[int]bool{}
	}
	l.pids[pid] = true
}

func (l *leash) remove(pid int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.pids, pid)
}

// within ends all of them unless it is stopped before the time is up.
func (l *leash) within(d time.Duration) *time.Timer {
	return time.AfterFunc(d, func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		for pid := range l.pids {
			_ = unix.Kill(pid, unix.SIGKILL)
		}
	})
}
