package container

import (
	"errors"
	"io"
	"os"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"

	"artesian/internal/compute/sandbox/container/stage0"
)

// conn is our end of a socket on which stage 0 reports.
type conn struct {
	file *os.File
	raw  syscall.RawConn
}

// newConn makes a socket pair and returns our end and the descriptor of the other, which the caller closes.
func newConn() (*conn, int, error) {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, -1, os.NewSyscallError("socketpair", err)
	}
	if err := unix.SetNonblock(pair[0], true); err != nil {
		return nil, -1, errors.Join(err, unix.Close(pair[0]), unix.Close(pair[1]))
	}
	f := os.NewFile(uintptr(pair[0]), "sandbox control")
	raw, err := f.SyscallConn()
	if err != nil {
		return nil, -1, errors.Join(err, f.Close(), unix.Close(pair[1]))
	}
	return &conn{f, raw}, pair[1], nil
}

// receive waits for the next report and the descriptors with it; io.EOF once the other side is gone.
func (c *conn) receive() (stage0.Message, []int, error) {
	var m stage0.Message
	var fds []int
	var result error
	buf := unsafe.Slice((*byte)(unsafe.Pointer(&m)), unsafe.Sizeof(m))
	rights := make([]byte, unix.CmsgSpace(4*stage0.MaxFDs))
	err := c.raw.Read(func(fd uintptr) bool {
		n, oobn, _, _, err := unix.Recvmsg(int(fd), buf, rights, unix.MSG_CMSG_CLOEXEC)
		switch {
		case errors.Is(err, unix.EAGAIN), errors.Is(err, unix.EINTR):
			return false
		case err != nil:
			result = err
		case n == 0:
			result = io.EOF
		case n != len(buf):
			result = io.ErrUnexpectedEOF
		}
		fds = parseRights(rights[:oobn])
		return true
	})
	return m, fds, errors.Join(err, result)
}

func parseRights(b []byte) []int {
	if len(b) == 0 {
		return nil
	}
	messages, err := unix.ParseSocketControlMessage(b)
	if err != nil {
		return nil
	}
	var fds []int
	for i := range messages {
		if got, err := unix.ParseUnixRights(&messages[i]); err == nil {
			fds = append(fds, got...)
		}
	}
	return fds
}

// send passes a program and its descriptors on.
func (c *conn) send(program []byte, fds []int) error {
	var result error
	err := c.raw.Write(func(fd uintptr) bool {
		result = unix.Sendmsg(int(fd), program, unix.UnixRights(fds...), nil, unix.MSG_NOSIGNAL)
		return !errors.Is(result, unix.EAGAIN) && !errors.Is(result, unix.EINTR)
	})
	return errors.Join(err, result)
}

// enlarge lets one message be n bytes long.
func (c *conn) enlarge(n int) error {
	var result error
	err := c.raw.Control(func(fd uintptr) {
		result = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_SNDBUF, n)
	})
	return errors.Join(err, result)
}

func (c *conn) close() { _ = c.file.Close() }

func closeAll(fds []int) {
	for _, fd := range fds {
		if fd >= 0 {
			_ = unix.Close(fd)
		}
	}
}
