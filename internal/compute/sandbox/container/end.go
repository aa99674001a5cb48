package container

import (
	"context"
	"errors"
	"net"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"artesian/internal/compute/sandbox"
	"artesian/internal/compute/sandbox/container/stage0"
)

// watch starts what follows the sandbox until its end.
func (i *instance) watch() (err error) {
	if i.oom, err = i.group.WatchOOM(); err != nil {
		return err
	}
	if i.oom != nil {
		go i.killOnOOM()
	}
	if w := i.watcher(); w != nil && i.main >= 0 {
		if err := i.beginWatch(w); err != nil {
			return err
		}
	}
	i.watched = true
	go i.follow()
	return nil
}

// follow waits for the end of the main process and then of all.
func (i *instance) follow() {
	w := i.watcher()
	exit := sandbox.Exit{Code: -1, Signal: syscall.SIGKILL} // unless it can still tell
	for {
		m, fds, err := i.control.receive()
		if err == nil && i.answers != nil && (m.Kind == stage0.Running || m.Kind == stage0.Failed) {
			i.answers <- report{m, fds} // has room for all
			continue
		}
		closeAll(fds)
		if err != nil {
			break
		}
		switch m.Kind {
		case stage0.Exited:
			exit = exitOf(syscall.WaitStatus(m.Value))
			i.mainEnded(exit)
		case stage0.Left:
			i.left(m)
		default:
			if w != nil {
				w.answered(m.Kind)
			}
		}
	}
	if w != nil {
		close(w.answers)
	}
	if i.answers != nil {
		close(i.answers)
	}
	i.awaitEnd()
	if i.besides() && !i.told {
		i.mainEnded(exit)
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	if !i.told {
		kills, err := i.group.OOMKills()
		exit.OOM = err == nil && kills > 0
		exit.Closed = i.killed
		i.exit = exit
	}
	_, _ = i.readUsage() // the last values read stay when the counters cannot be
	close(i.done)
}

func exitOf(w syscall.WaitStatus) sandbox.Exit {
	if w.Signaled() {
		return sandbox.Exit{Code: -1, Signal: w.Signal()}
	}
	return sandbox.Exit{Code: w.ExitStatus()}
}

// awaitEnd returns once the first process is gone. The kernel lets it go only after all others in its pid namespace.
func (i *instance) awaitEnd() {
	if i.first != nil {
		awaitProcess(i.first)
	}
}

// awaitProcess returns once the process of a pidfd is gone.
func awaitProcess(pidfd *os.File) {
	raw, err := pidfd.SyscallConn()
	if err != nil {
		return
	}
	_ = raw.Read(func(fd uintptr) bool {
		p := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
		n, err := unix.Poll(p, 0)
		return n > 0 || err != nil && !errors.Is(err, unix.EINTR)
	})
}

// killOnOOM kills all processes when the memory limit has killed one: what is left of a function without one of its
// processes is in no defined state. Version 1 has no such switch; version 2 does it by itself.
func (i *instance) killOnOOM() {
	var event [8]byte
	for {
		if _, err := i.oom.Read(event[:]); err != nil {
			return
		}
		// The event precedes the kill, and tells also of a lack in the tree that hits somebody else.
		for pause := time.Millisecond; pause < 100*time.Millisecond; pause *= 2 {
			var kills int64
			err := i.use(func() (err error) { kills, err = i.group.OOMKills(); return err })
			if err != nil {
				return
			}
			if kills > 0 {
				i.kill()
				return
			}
			select {
			case <-i.done:
				return
			case <-time.After(pause):
			}
		}
	}
}

// kill ends all processes. It does not wait.
func (i *instance) kill() {
	i.mu.RLock()
	defer i.mu.RUnlock()
	if i.closed {
		return
	}
	var err error
	if i.group != nil {
		err = i.group.Kill()
	}
	if i.first != nil { // whoever kills a pid namespace's first process kills all
		raw, e := i.first.SyscallConn()
		if e == nil {
			e = raw.Control(func(fd uintptr) { _ = unix.PidfdSendSignal(int(fd), unix.SIGKILL, nil, 0) }) // it may be gone
		}
		err = errors.Join(err, e)
	}
	if err != nil {
		i.maker.log.Warn("kill sandbox", "sandbox", i.id, "error", err)
	}
}

// abort ends a start whose context is over. If there is no process yet, there soon is, or the news that there is none.
func (i *instance) abort() {
	i.mu.Lock()
	i.aborted = true
	i.mu.Unlock()
	i.kill()
}

// Close implements sandbox.Sandbox.
func (i *instance) Close() error {
	i.mu.Lock()
	select {
	case <-i.done:
	default:
		i.killed = true
	}
	i.mu.Unlock()
	i.kill()
	if i.watched {
		<-i.done
	} else {
		i.awaitEnd()
	}
	return i.release()
}

// release gives back all that start made. The processes are gone. A burst of ends keeps a few threads busy, and not as many as
// there are ends.
func (i *instance) release() error {
	i.maker.tidying <- struct{}{}
	defer func() { <-i.maker.tidying }()
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.closed {
		return nil
	}
	i.closed = true
	var errs []error
	for _, l := range i.listeners {
		errs = append(errs, l.Close())
	}
	if i.channel != nil {
		errs = append(errs, i.channel.Close())
	}
	if i.names != nil {
		errs = append(errs, i.names.Close())
	}
	if i.uplink != nil {
		errs = append(errs, i.uplink.Close())
	}
	for _, f := range []*os.File{i.output, i.aside, i.first, i.oom} {
		if f != nil {
			errs = append(errs, f.Close())
		}
	}
	if i.control != nil {
		i.control.close()
	}
	if i.stub != nil {
		i.stub.close()
	}
	i.unanswered()
	closeAll([]int{i.main})
	i.dials.close()
	if i.tmp != nil {
		i.tmp.close()
	}
	if i.plain != "" {
		errs = append(errs, os.RemoveAll(i.plain))
	}
	if i.group != nil {
		errs = append(errs, i.group.Remove(context.Background()))
	}
	if i.within != nil {
		i.within.leave()
	}
	if i.uid != 0 {
		i.maker.uids.give(i.owner)
	}
	if !i.watched {
		close(i.done)
		if i.exited != nil {
			close(i.exited)
		}
	}
	i.maker.forget(i.id)
	return onlyOpen(errs)
}

// onlyOpen leaves out that a user of the sandbox has closed a channel or listener already.
func onlyOpen(errs []error) error {
	var rest []error
	for _, err := range errs {
		if err != nil && !errors.Is(err, net.ErrClosed) && !errors.Is(err, os.ErrClosed) {
			rest = append(rest, err)
		}
	}
	return errors.Join(rest...)
}
