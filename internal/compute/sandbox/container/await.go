package container

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"artesian/internal/compute/sandbox"
	"artesian/internal/compute/sandbox/container/stage0"
)

// await follows the reports until the main process is executed.
func (i *instance) await(p *program) error {
	for {
		m, fds, err := i.control.receive()
		if err != nil {
			closeAll(fds)
			if errors.Is(err, io.EOF) {
				err = errors.New("it ended before its program ran")
			}
			return err
		}
		switch {
		case m.Kind == stage0.Failed:
			closeAll(fds)
			return p.failure(m)
		case m.Kind == stage0.Spawned && len(fds) == 1:
			if err := i.spawned(fds[0]); err != nil {
				return err
			}
		case m.Kind == stage0.Running && len(fds) == socketCount(i.spec)+1:
			return i.running(m, fds)
		default:
			closeAll(fds)
			return fmt.Errorf("unexpected report %d with %d descriptors", m.Kind, len(fds))
		}
	}
}

// spawned keeps the descriptor of the first process, whose end is the end of all.
func (i *instance) spawned(pidfd int) error {
	if err := unix.SetNonblock(pidfd, true); err != nil {
		return errors.Join(err, unix.Close(pidfd))
	}
	i.mu.Lock()
	i.first = os.NewFile(uintptr(pidfd), "sandbox process")
	aborted := i.aborted
	i.mu.Unlock()
	if aborted {
		i.kill()
	}
	return nil
}

// socketCount is how many sockets a plan opens inside.
func socketCount(s sandbox.Spec) int {
	if len(s.Listen) == 0 {
		return 0
	}
	return len(s.Listen) + 1 // and the name server's
}

func (i *instance) running(m stage0.Message, fds []int) error {
	last := len(fds) - 1
	i.main = fds[last]
	var errs []error
	for n, fd := range fds[:last] {
		f := os.NewFile(uintptr(fd), "sandbox socket")
		if n < len(i.spec.Listen) {
			l, err := net.FileListener(f)
			if err == nil {
				i.listeners = append(i.listeners, l)
			}
			errs = append(errs, err, f.Close())
			continue
		}
		c, err := net.FilePacketConn(f)
		if err == nil {
			i.names = c
			go serveNames(c)
		}
		errs = append(errs, err, f.Close())
	}
	var began unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &began); err != nil {
		return err
	}
	start := began.Nano() - time.Since(i.began).Nanoseconds()
	i.phases = sandbox.Phases{Sandbox: time.Duration(m.Forked - start), Exec: time.Duration(m.Now - m.Forked)}
	return errors.Join(errs...)
}
