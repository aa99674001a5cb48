package netstack

import (
	"context"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv4"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv6"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
	"gvisor.dev/gvisor/pkg/tcpip/transport/udp"
)

// Uplink is one sandbox's way out. Until the sandbox sends its first packet it is one goroutine that waits.
type Uplink struct {
	net    *Network
	link   Link
	ctx    context.Context
	cancel context.CancelFunc
	share  share
	ended  chan struct{} // closed when nothing is read any more

	sent, received atomic.Int64

	// Of the reader alone.
	endpoint *endpoint
	stack    *stack.Stack
	packets  bucket

	mu     sync.Mutex
	closed bool
	flows  sync.WaitGroup // added to under mu, while not closed
	dials  bucket
	udp    map[*association]struct{}
}

// Attach serves what comes out of a link until Close.
func (n *Network) Attach(l Link) *Uplink {
	ctx, cancel := context.WithCancel(context.Background())
	u := &Uplink{
		net: n, link: l, ctx: ctx, cancel: cancel, share: share{of: &n.held}, ended: make(chan struct{}),
		packets: bucket{rate: packetRate, burst: packetsAtOnce}, dials: bucket{rate: dialRate, burst: dialsAtOnce},
		udp: map[*association]struct{}{},
	}
	u.endpoint = &endpoint{send: u.send}
	go u.read()
	return u
}

// Counters are the bytes of IP packets that have passed so far: sent by the sandbox, and received.
func (u *Uplink) Counters() (sent, received int64) { return u.sent.Load(), u.received.Load() }

// Close ends all connections and returns when nothing of them is left. The link is closed with it.
func (u *Uplink) Close() error {
	u.mu.Lock()
	u.closed = true
	u.mu.Unlock()
	u.cancel()
	err := u.link.Close()
	<-u.ended
	u.flows.Wait()
	if u.stack != nil {
		u.stack.Destroy()
	}
	return err
}

// read takes packets in as fast as the sandbox's rate allows; what it sends faster its own device drops.
func (u *Uplink) read() {
	defer close(u.ended)
	for u.link.Receive(u.packet) == nil {
		if pause := u.packets.take(time.Now()); pause > 0 {
			select {
			case <-time.After(pause):
			case <-u.ctx.Done():
			}
		}
	}
}

func (u *Uplink) packet(p []byte) {
	switch inspect(p, u.net.policy.Permits) {
	case refuse:
		_ = u.send([][]byte{unreachable(p, prohibited)}) // lost like any packet may be
	case pass:
		u.sent.Add(int64(len(p)))
		if u.stack == nil {
			u.stack = u.newStack()
		}
		u.endpoint.deliver(p)
	}
}

func (u *Uplink) send(parts [][]byte) error {
	n := 0
	for _, p := range parts {
		n += len(p)
	}
	if err := u.link.Send(parts); err != nil {
		return err
	}
	u.received.Add(int64(n))
	return nil
}

// begin admits something that Close has to wait for.
func (u *Uplink) begin() bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.closed {
		return false
	}
	u.flows.Add(1)
	return true
}

// dialNow reports whether the sandbox may make one more connection now.
func (u *Uplink) dialNow() bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.dials.take(time.Now()) == 0
}

const nic = 1

// newStack makes a stack that takes every address for its own and hands every connection to this Uplink.
func (u *Uplink) newStack() *stack.Stack {
	s := stack.New(stack.Options{
		NetworkProtocols:   []stack.NetworkProtocolFactory{ipv4.NewProtocol, ipv6.NewProtocol},
		TransportProtocols: []stack.TransportProtocolFactory{tcp.NewProtocol, udp.NewProtocol},
	})
	sack, moderate, idle := tcpip.TCPSACKEnabled(true), tcpip.TCPModerateReceiveBufferOption(false), tcpip.TCPTimeWaitTimeoutOption(time.Second)
	linger := tcpip.TCPLingerTimeoutOption(5 * time.Second)
	for _, o := range []tcpip.SettableTransportProtocolOption{
		&sack, &moderate, &idle, &linger,
		&tcpip.TCPReceiveBufferSizeRangeOption{Min: 4 << 10, Default: wide.stack, Max: wide.stack},
		&tcpip.TCPSendBufferSizeRangeOption{Min: 4 << 10, Default: wide.stack, Max: wide.stack},
	} {
		if err := s.SetTransportProtocolOption(tcp.ProtocolNumber, o); err != nil {
			u.net.log.Warn("set up a sandbox's network", "error", err.String())
		}
	}
	u.install(s)
	return s
}

func (u *Uplink) install(s *stack.Stack) {
	note := func(err tcpip.Error) {
		if err != nil {
			u.net.log.Warn("set up a sandbox's network", "error", err.String())
		}
	}
	s.SetTransportProtocolHandler(tcp.ProtocolNumber, tcp.NewForwarder(s, wide.stack, maxDials, u.connect).HandlePacket)
	s.SetTransportProtocolHandler(udp.ProtocolNumber, udp.NewForwarder(s, u.associate).HandlePacket)
	note(s.CreateNIC(nic, u.endpoint))
	note(s.SetPromiscuousMode(nic, true))
	note(s.SetSpoofing(nic, true))
	s.SetRouteTable([]tcpip.Route{{Destination: header.IPv4EmptySubnet, NIC: nic}, {Destination: header.IPv6EmptySubnet, NIC: nic}})
}

// ends are where a connection from inside comes from and is to go.
func ends(id stack.TransportEndpointID) (from, to netip.AddrPort) {
	a, _ := netip.AddrFromSlice(id.RemoteAddress.AsSlice())
	b, _ := netip.AddrFromSlice(id.LocalAddress.AsSlice())
	return netip.AddrPortFrom(a, id.RemotePort), netip.AddrPortFrom(b, id.LocalPort)
}
