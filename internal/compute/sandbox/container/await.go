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
	"artesian/internal/compute/sandbox/netstack"
)

// report is one of stage 0, with the descriptors that came with it.
type report struct {
	stage0.Message
	fds []int
}

// expected is the report that a program ends with.
type expected struct {
	kind uint32
	fds  int
}

// await follows the reports until the one that is expected.
func (i *instance) await(p *program, want expected) (report, error) {
	for {
		m, fds, err := i.control.receive()
		if err != nil {
			closeAll(fds)
			if errors.Is(err, io.EOF) {
				err = errors.New("it ended before its program ran")
			}
			return report{}, err
		}
		switch {
		case m.Kind == stage0.Failed:
			closeAll(fds)
			return report{}, p.failure(m)
		case m.Kind == stage0.Spawned && len(fds) == 1:
			if err := i.spawned(fds[0]); err != nil {
				return report{}, err
			}
		case m.Kind == stage0.Left:
			i.left(m)
		case m.Kind == want.kind && len(fds) == want.fds:
			return report{m, fds}, nil
		default:
			closeAll(fds)
			return report{}, fmt.Errorf("unexpected report %d with %d descriptors", m.Kind, len(fds))
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

// socketCount is how many sockets and devices a plan hands out.
func socketCount(s sandbox.Spec) int {
	n := len(s.Listen) + s.Dials
	if named(s) {
		n += 2
	}
	if s.Internet {
		n++
	}
	return n
}

// runs takes over the main process's pidfd and notes how long the start took so far.
func (i *instance) runs(m stage0.Message, main int) error {
	i.mu.Lock()
	i.main = main
	i.mu.Unlock()
	var began unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &began); err != nil {
		return err
	}
	start := began.Nano() - time.Since(i.began).Nanoseconds()
	if m.Forked < start { // it ran before
		m.Forked = m.Now
	}
	i.phases = sandbox.Phases{Sandbox: time.Duration(m.Forked - start), Exec: time.Duration(m.Now - m.Forked)}
	return nil
}

// takeSockets takes over what the plan opened inside: listeners, the name server's sockets, the uplink.
func (i *instance) takeSockets(fds []int) error {
	var errs []error
	for n := range i.spec.Listen {
		l, err := listenerOf(fds[n])
		if err == nil {
			i.listeners = append(i.listeners, l)
		}
		errs = append(errs, err)
	}
	rest := fds[len(i.spec.Listen):]
	i.dials = newDials(rest[:i.spec.Dials])
	rest = rest[i.spec.Dials:]
	if named(i.spec) {
		errs = append(errs, i.serveNames(rest[0], rest[1]))
		rest = rest[2:]
	}
	if i.spec.Internet {
		open := netstack.NewTUN
		if i.maker.layout.wire {
			open = netstack.NewWire
		}
		link, err := open(rest[0])
		if err == nil {
			i.uplink = i.maker.net.Attach(link)
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// listenerOf takes over the descriptor of a listening socket.
func listenerOf(fd int) (net.Listener, error) {
	f := os.NewFile(uintptr(fd), "sandbox socket")
	l, err := net.FileListener(f)
	return l, errors.Join(err, f.Close())
}

// serveNames answers questions for names on two sockets inside.
func (i *instance) serveNames(datagrams, streams int) error {
	f := os.NewFile(uintptr(datagrams), "sandbox socket")
	c, err := net.FilePacketConn(f)
	l, e := listenerOf(streams)
	if err = errors.Join(err, f.Close(), e); err != nil {
		return err
	}
	i.names = i.maker.net.ServeNames(c, l, i.spec.Internet)
	return nil
}
