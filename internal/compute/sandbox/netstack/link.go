package netstack

import (
	"errors"
	"io"
	"os"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// MTU of a sandbox's device: the largest IP packet that there is, so that nothing an ordinary socket sends is fragmented.
const MTU = 65535

// Link carries whole IP packets between a sandbox's network device and this process.
type Link interface {
	// Receive waits for the next packet from inside and hands it to use, which must not keep it. The error is io.EOF
	// after Close.
	Receive(use func(packet []byte)) error
	// Send hands one packet, given in parts, to the inside. A packet that finds no room is lost.
	Send(parts [][]byte) error
	Close() error
}

// vnetHeader is the length of the struct virtio_net_hdr before each packet of a TUN device. All zero, it says that a
// checksum is there and the packet is one; on what comes from inside, checksums need not be there.
const vnetHeader = 10

// buffers hold one packet each while it is looked at. A link that waits holds none.
var buffers = sync.Pool{New: func() any { return new([vnetHeader + MTU]byte) }}

// tun is the Link to a TUN device that was opened with IFF_NO_PI and IFF_VNET_HDR.
type tun struct {
	file *os.File
	raw  syscall.RawConn
}

// NewTUN takes over the descriptor of a TUN device.
func NewTUN(fd int) (Link, error) {
	f, raw, err := polled(fd, "tun")
	if err != nil {
		return nil, err
	}
	return &tun{f, raw}, nil
}

// polled takes over a descriptor on which goroutines may wait.
func polled(fd int, name string) (*os.File, syscall.RawConn, error) {
	if err := unix.SetNonblock(fd, true); err != nil {
		return nil, nil, errors.Join(os.NewSyscallError("fcntl", err), unix.Close(fd))
	}
	f := os.NewFile(uintptr(fd), name)
	raw, err := f.SyscallConn()
	if err != nil {
		return nil, nil, errors.Join(err, f.Close())
	}
	return f, raw, nil
}

// Receive implements Link.
func (t *tun) Receive(use func([]byte)) error {
	var failed error
	err := t.raw.Read(func(fd uintptr) bool {
		b := buffers.Get().(*[vnetHeader + MTU]byte)
		defer buffers.Put(b)
		n, err := unix.Read(int(fd), b[:])
		switch {
		case errors.Is(err, unix.EAGAIN):
			return false
		case err != nil:
			failed = err
		case n > vnetHeader:
			use(b[vnetHeader:n])
		}
		return true
	})
	if errors.Is(err, os.ErrClosed) {
		return io.EOF
	}
	return errors.Join(err, failed)
}

var noHeader [vnetHeader]byte

// Send implements Link. Such a device takes a packet at once or never.
func (t *tun) Send(parts [][]byte) error {
	all := make([][]byte, 0, 8)
	all = append(append(all, noHeader[:]), parts...)
	var failed error
	err := t.raw.Write(func(fd uintptr) bool {
		_, failed = unix.Writev(int(fd), all)
		return true
	})
	return errors.Join(err, failed)
}

// Close implements Link.
func (t *tun) Close() error { return t.file.Close() }
