// Package netstack is the way of sandboxes to the internet. The other end of a sandbox's network device is a TCP/IP stack
// in this process (gVisor's), which ends every connection that comes out of the device and makes one of its own, from this
// machine's network, to the same address, if the policy permits it. So nothing of the host's network is visible inside, no
// firewall of the host has to be mended, and what goes through is bounded and counted.
//
// Names are answered on the sandbox's own loopback, see Names.
package netstack

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// Addresses of every sandbox's device, and of the gateway behind it. IPv4's are those that RFC 6333 has for the inside of
// such a link; IPv6's are private. No network that one may want to reach has them, and C libraries prefer IPv4 from here.
var (
	Inside4  = netip.MustParsePrefix("192.0.0.2/29")
	Gateway4 = netip.MustParseAddr("192.0.0.1")
	Inside6  = netip.MustParsePrefix("fdfa:6172:7465::2/64")
)

// Config of a Network.
type Config struct {
	Allow     []string // ranges of addresses that are not the internet and may be reached, see NewPolicy
	Hosts     []string // names, beside localhost, that lead to the platform
	Resolvers string   // a file like /etc/resolv.conf, which it is unless named
	Logger    *slog.Logger
}

// Network is what the sandboxes of a node share: the policy and the bounds.
type Network struct {
	policy    Policy
	hosts     map[string]bool
	resolvers *resolvers
	log       *slog.Logger
	held      holdings
}

// New checks the configuration.
func New(c Config) (*Network, error) {
	p, err := NewPolicy(c.Allow)
	if err != nil {
		return nil, err
	}
	n := &Network{policy: p, hosts: map[string]bool{}, held: holdings{most: mostFlows()}, log: c.Logger, resolvers: &resolvers{file: c.Resolvers, slots: make(chan struct{}, maxAskingAll)}}
	if c.Resolvers == "" {
		n.resolvers.file = hostResolvers
	}
	for _, h := range c.Hosts {
		n.hosts[strings.ToLower(h)] = true
	}
	return n, nil
}

// errForbidden is a connection that the policy does not permit.
var errForbidden = errors.New("the address may not be reached from a function")

// dial connects from this machine. The address is judged when the socket exists and its destination is settled.
func (n *Network) dial(ctx context.Context, network string, to netip.AddrPort, w width) (net.Conn, error) {
	d := net.Dialer{Timeout: dialTime, FallbackDelay: -1, Control: func(_, address string, c syscall.RawConn) error {
		if err := n.permit(address); err != nil || w == wide {
			return err
		}
		var failed error
		err := c.Control(func(fd uintptr) {
			failed = errors.Join(unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUF, 2*w.stack),
				unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_SNDBUF, 2*w.stack))
		})
		return errors.Join(err, failed)
	}}
	d.SetMultipathTCP(false)
	return d.DialContext(ctx, network, to.String())
}

// permit judges an address in numbers, with its port.
func (n *Network) permit(address string) error {
	to, err := netip.ParseAddrPort(address)
	if err != nil {
		return fmt.Errorf("address %q: %w", address, err)
	}
	if !n.policy.Permits(to.Addr()) {
		return errForbidden
	}
	local, err := isLocal(to.Addr())
	if err != nil {
		return err
	}
	if local && !n.policy.names(to.Addr()) {
		return errForbidden
	}
	return nil
}
