package netstack

import (
	"encoding/binary"
	"errors"
	"io"
	"os"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// Hardware addresses of a sandbox's device, where that is one of a pair of Ethernet devices, and of the other.
var (
	Near = [6]byte{2, 0, 0, 0, 0, 2}
	Far  = [6]byte{2, 0, 0, 0, 0, 1}
)

// etherHeader is the length of a frame's head.
const etherHeader = 14

// wire is the Link to such a pair: a packet socket on the other device, with PACKET_VNET_HDR.
type wire struct {
	file *os.File
	raw  syscall.RawConn
}

var frames = sync.Pool{New: func() any { return new([vnetHeader + etherHeader + MTU]byte) }}

// NewWire takes over the descriptor of a packet socket.
func NewWire(fd int) (Link, error) {
	f, raw, err := polled(fd, "wire")
	if err != nil {
		return nil, err
	}
	return &wire{f, raw}, nil
}

// Receive implements Link. What is no IP packet is passed over.
func (w *wire) Receive(use func([]byte)) error {
	var failed error
	err := w.raw.Read(func(fd uintptr) bool {
		b := frames.Get().(*[vnetHeader + etherHeader + MTU]byte)
		defer frames.Put(b)
		n, err := unix.Read(int(fd), b[:])
		switch {
		case errors.Is(err, unix.EAGAIN):
			return false
		case errors.Is(err, unix.ENETDOWN): // told once, when the pair comes up or goes
		case err != nil:
			failed = err
		case n > vnetHeader+etherHeader && isIP(b[vnetHeader:]):
			use(b[vnetHeader+etherHeader : n])
		}
		return true
	})
	if errors.Is(err, os.ErrClosed) {
		return io.EOF
	}
	return errors.Join(err, failed)
}

// isIP reports whether a frame carries IPv4 or IPv6.
func isIP(frame []byte) bool {
	kind := binary.BigEndian.Uint16(frame[12:])
	return kind == unix.ETH_P_IP || kind == unix.ETH_P_IPV6
}

// headOf is what stands before a packet in a frame to the sandbox, of each version.
func headOf(kind uint16) []byte {
	b := append(make([]byte, vnetHeader), Near[:]...)
	return binary.BigEndian.AppendUint16(append(b, Far[:]...), kind)
}

var head4, head6 = headOf(unix.ETH_P_IP), headOf(unix.ETH_P_IPV6)

// Send implements Link.
func (w *wire) Send(parts [][]byte) error {
	head := head4
	if parts[0][0]>>4 == 6 {
		head = head6
	}
	all := make([][]byte, 0, 8)
	all = append(append(all, head), parts...)
	var failed error
	err := w.raw.Write(func(fd uintptr) bool {
		_, failed = unix.Writev(int(fd), all)
		return true
	})
	if errors.Is(failed, unix.EAGAIN) || errors.Is(failed, unix.ENOBUFS) {
		return err // lost, as on any wire
	}
	return errors.Join(err, failed)
}

// Close implements Link.
func (w *wire) Close() error { return w.file.Close() }
