// Package direct reads and writes small pieces on sockets that never block, without telling Go's scheduler of each system call.
//
// The scheduler is told of a system call because it may take long: it wakes the monitor that would take the processor away meanwhile. A
// call on a non-blocking socket does not wait, so there is nothing to take away, and the monitor of a daemon that is idle between two calls
// may sleep through them. Waiting for data is the poller's affair, as always; deadlines and Close work as always.
package direct

import (
	"io"
	"net"
	"os"
	"syscall"
	"unsafe"
)

// Most is how many bytes are read or written in one piece at most: the copy of more takes so long that the scheduler had better know.
const Most = 16 << 10

// Conn is a socket. One goroutine may read and one may write at a time.
type Conn struct {
	net.Conn
	raw     syscall.RawConn // nil: what the connection is made of is not known
	in, out piece
	reading func(fd uintptr) bool
	writing func(fd uintptr) bool
}

// piece is one read or write on its way.
type piece struct {
	p     []byte
	n     int
	errno syscall.Errno
}

// New returns c with quicker reads and writes of small pieces. c is a TCP or Unix socket of package net; anything else is left as it is.
func New(c net.Conn) *Conn {
	d := &Conn{Conn: c}
	s, ok := c.(syscall.Conn)
	if !ok {
		return d
	}
	raw, err := s.SyscallConn()
	if err != nil {
		return d
	}
	d.raw = raw
	d.reading = func(fd uintptr) bool { return d.in.call(syscall.SYS_READ, fd) }
	d.writing = func(fd uintptr) bool { return d.out.call(syscall.SYS_WRITE, fd) }
	return d
}

// call reports whether the socket was ready.
func (s *piece) call(trap, fd uintptr) bool {
	for {
		n, _, errno := syscall.RawSyscall(trap, fd, uintptr(unsafe.Pointer(unsafe.SliceData(s.p))), uintptr(len(s.p)))
		switch errno {
		case syscall.EINTR:
			continue
		case syscall.EAGAIN:
			return false
		case 0:
			s.n, s.errno = int(n), 0
		default:
			s.n, s.errno = 0, errno
		}
		return true
	}
}

// Read implements net.Conn.
func (c *Conn) Read(p []byte) (int, error) {
	if c.raw == nil || len(p) == 0 {
		return c.Conn.Read(p)
	}
	c.in.p = p[:min(len(p), Most)]
	err := c.raw.Read(c.reading)
	c.in.p = nil
	switch {
	case err != nil:
		return 0, err
	case c.in.errno != 0:
		return 0, &net.OpError{Op: "read", Net: c.RemoteAddr().Network(), Addr: c.RemoteAddr(), Err: os.NewSyscallError("read", c.in.errno)}
	case c.in.n == 0:
		return 0, io.EOF
	}
	return c.in.n, nil
}

// Write implements net.Conn.
func (c *Conn) Write(p []byte) (int, error) {
	if c.raw == nil || len(p) == 0 || len(p) > Most {
		return c.Conn.Write(p)
	}
	for done := 0; ; {
		c.out.p = p[done:]
		err := c.raw.Write(c.writing)
		c.out.p = nil
		if err == nil && c.out.errno != 0 {
			err = &net.OpError{Op: "write", Net: c.RemoteAddr().Network(), Addr: c.RemoteAddr(), Err: os.NewSyscallError("write", c.out.errno)}
		}
		if err != nil {
			return done, err
		}
		if done += c.out.n; done == len(p) {
			return done, nil
		}
	}
}
