package netstack

import (
	"encoding/binary"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// pipe is a Link whose inside is the test.
type pipe struct {
	out    chan []byte // from the sandbox
	in     chan []byte // to it
	closed chan struct{}
}

func newPipe() *pipe {
	return &pipe{out: make(chan []byte), in: make(chan []byte, 100), closed: make(chan struct{})}
}

func (p *pipe) Receive(use func([]byte)) error {
	select {
	case b := <-p.out:
		use(b)
		return nil
	case <-p.closed:
		return io.EOF
	}
}

func (p *pipe) Send(parts [][]byte) error {
	var b []byte
	for _, part := range parts {
		b = append(b, part...)
	}
	select {
	case p.in <- b:
	default: // lost
	}
	return nil
}

func (p *pipe) Close() error { close(p.closed); return nil }

// reachable is an address of this machine that may be opened, with a listener on it.
func reachable(t *testing.T) net.Listener {
	t.Helper()
	own, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range own {
		p := netip.MustParsePrefix(a.String())
		if _, err := NewPolicy([]string{p.Addr().String()}); err != nil || !p.Addr().Is4() {
			continue
		}
		l, err := net.Listen("tcp", p.Addr().String()+":0")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = l.Close() })
		return l
	}
	t.Skip("needs a private address of this machine")
	return nil
}

// segment is a TCP packet from inside without payload or checksum.
func segment(to netip.AddrPort, from uint16, flags byte, seq, ack uint32) []byte {
	p := packet(Inside4.Addr().String(), to.Addr().String(), protoTCP)[:header4+20]
	p[3] = byte(len(p))
	head := p[header4:]
	binary.BigEndian.PutUint16(head, from)
	binary.BigEndian.PutUint16(head[2:], to.Port())
	binary.BigEndian.PutUint32(head[4:], seq)
	binary.BigEndian.PutUint32(head[8:], ack)
	head[12], head[13] = 5<<4, flags
	binary.BigEndian.PutUint16(head[14:], 65535)
	return p
}

func attach(t *testing.T, allow string) (*Uplink, *pipe) {
	t.Helper()
	n, err := New(Config{Allow: []string{allow}, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	p := newPipe()
	return n.Attach(p), p
}

func closes(t *testing.T, u *Uplink) {
	t.Helper()
	done := make(chan error)
	go func() { done <- u.Close() }()
	select {
	case err := <-done:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("it does not close")
	}
}

// TestCloseDuringHandshake closes while the sandbox owes the last packet of a handshake, and leaves no goroutine.
func TestCloseDuringHandshake(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	l := reachable(t)
	to := netip.MustParseAddrPort(l.Addr().String())
	u, p := attach(t, to.Addr().String())
	p.out <- segment(to, 4000, 2, 100, 0)
	answer := <-p.in
	if flags := answer[header4+13]; flags != 0x12 {
		t.Errorf("flags %#x, want SYN and ACK", flags)
	}
	closes(t, u)
	if sent, received := u.Counters(); sent != 40 || received < 40 {
		t.Errorf("%d and %d bytes counted", sent, received)
	}
	_ = l.Close()
}

// TestIdleUplink costs a goroutine, and no stack.
func TestIdleUplink(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	u, p := attach(t, "10.0.0.1")
	p.out <- packet(Inside4.Addr().String(), "10.9.9.9", protoUDP)
	if b := <-p.in; b[9] != protoICMP4 || b[header4] != 3 || b[header4+1] != 13 {
		t.Errorf("a forbidden packet met %x", b)
	}
	closes(t, u)
	if u.stack != nil {
		t.Error("a forbidden packet made a stack")
	}
}
