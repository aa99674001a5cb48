package container

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"sync"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"artesian/internal/compute/sandbox"
	"artesian/internal/compute/sandbox/container/stage0"
)

// Beside implements sandbox.Sandbox.
func (i *instance) Beside() sandbox.Beside {
	b := sandbox.Beside{Output: i.aside, Ended: i.ended, Main: i.exited}
	if i.spec.Dials > 0 {
		b.Dial = i.dials.dial
	}
	return b
}

// left tells of the end of a process beside the main one.
func (i *instance) left(m stage0.Message) {
	e := exitOf(syscall.WaitStatus(m.Value))
	i.mu.RLock()
	defer i.mu.RUnlock()
	i.ended <- sandbox.Ended{Program: int(m.Op) - 1, Code: e.Code, Signal: e.Signal} // has room for all
}

// mainEnded tells of the end of the main process, which those beside may outlive.
func (i *instance) mainEnded(exit sandbox.Exit) {
	if !i.besides() {
		return
	}
	i.mu.Lock()
	kills, err := i.group.OOMKills()
	exit.OOM, exit.Closed = err == nil && kills > 0, i.killed
	i.exit, i.told = exit, true
	i.mu.Unlock()
	close(i.exited)
}

// besides reports whether anything runs beside the main process.
func (i *instance) besides() bool {
	i.mu.RLock()
	defer i.mu.RUnlock()
	return i.exited != nil
}

// become makes s what the sandbox is for.
func (i *instance) become(s sandbox.Spec) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.spec = s
	i.ended = make(chan sandbox.Ended, len(s.Beside))
	if len(s.Beside) > 0 {
		i.exited = make(chan struct{})
	}
}

// dials are sockets that were opened inside and connect there, wherever they are connected from. One that has been closed is
// disconnected and used again.
type dials struct {
	mu     sync.Mutex
	free   []int
	closed bool
}

func newDials(fds []int) *dials { return &dials{free: fds} }

var errDials = errors.New("all connections into the sandbox are in use")

// A connection under way is looked at after firstLook, then less and less often. It holds no thread meanwhile: who listens inside
// may leave as many connections as it likes waiting.
const (
	firstLook = time.Millisecond
	lastLook  = 50 * time.Millisecond
)

func (d *dials) dial(ctx context.Context, address string) (net.Conn, error) {
	to, err := netip.ParseAddrPort(address)
	if err != nil || !to.Addr().Is4() || !to.Addr().IsLoopback() {
		return nil, fmt.Errorf("connect inside: %q is no IPv4 loopback address with a port", address)
	}
	fd, err := d.take()
	if err != nil {
		return nil, err
	}
	c, err := connect(ctx, fd, to)
	if err != nil {
		d.give(fd)
		return nil, fmt.Errorf("connect inside to %s: %w", address, err)
	}
	return &dialed{Conn: c, free: sync.OnceFunc(func() { d.give(fd) })}, nil
}

func (d *dials) take() (int, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	switch n := len(d.free); {
	case d.closed:
		return -1, os.ErrClosed
	case n == 0:
		return -1, errDials
	default:
		fd := d.free[n-1]
		d.free = d.free[:n-1]
		return fd, nil
	}
}

// give disconnects a socket, so that it can connect anew.
func (d *dials) give(fd int) {
	nowhere := [16]byte{} // a struct sockaddr of the family AF_UNSPEC
	_, _, _ = syscall.Syscall(unix.SYS_CONNECT, uintptr(fd), uintptr(unsafe.Pointer(&nowhere)), unsafe.Sizeof(nowhere))
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		closeAll([]int{fd})
		return
	}
	d.free = append(d.free, fd)
}

// close lets go of the sockets; one in use is closed when its user closes it.
func (d *dials) close() {
	if d == nil {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.closed = true
	closeAll(d.free)
	d.free = nil
}

// connect connects a socket and returns a duplicate of it.
func connect(ctx context.Context, fd int, to netip.AddrPort) (net.Conn, error) {
	err := unix.Connect(fd, &unix.SockaddrInet4{Port: int(to.Port()), Addr: to.Addr().As4()})
	for pause := firstLook; errors.Is(err, unix.EINPROGRESS) || errors.Is(err, unix.EINTR); pause = min(2*pause, lastLook) {
		n, perr := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLOUT}}, 0)
		switch {
		case perr != nil && !errors.Is(perr, unix.EINTR):
			return nil, perr
		case n > 0:
			errno, serr := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ERROR)
			if serr != nil {
				return nil, serr
			}
			if err = nil; errno != 0 {
				err = syscall.Errno(errno)
			}
		default:
			select {
			case <-time.After(pause):
			case <-ctx.Done():
				return nil, ctx.Err()
			}
		}
	}
	if err != nil {
		return nil, err
	}
	own, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	f := os.NewFile(uintptr(own), "connection inside")
	c, err := net.FileConn(f)
	return c, errors.Join(err, f.Close())
}

// dialed gives its socket back when it is closed.
type dialed struct {
	net.Conn
	free func()
}

func (d *dialed) Close() error {
	err := d.Conn.Close()
	d.free()
	return err
}
