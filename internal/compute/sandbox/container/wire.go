package container

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"syscall"

	"golang.org/x/sys/unix"

	"artesian/internal/compute/sandbox/container/stage0"
	"artesian/internal/compute/sandbox/netstack"
)

// Where a user may not make TUN devices, a sandbox's uplink is one of a pair of Ethernet devices. The other is in a network
// namespace in which nothing runs, and a packet socket there is what the daemon gets.

// wireIndex is the other device's number; a number of its own has the kernel bring the pair up at once.
const wireIndex = uplinkIndex + 1

// namespaceFD is a descriptor's number that a message to the kernel can name. None of the others comes near.
const namespaceFD = 900

// Of linux/veth.h, linux/if_link.h and linux/if_packet.h.
const (
	peerInfo       = 1  // VETH_INFO_PEER
	packetVnet     = 15 // PACKET_VNET_HDR
	packetIncoming = 23 // PACKET_IGNORE_OUTGOING
	packetRoom     = 4 << 20
)

// planWire makes the pair. The packet socket's register comes back.
func planWire(p *program, l layout) reg {
	one := word(1)
	planQuiet(p, l)
	wire := p.open("open packet socket", unix.SYS_SOCKET, unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
	p.call("have packets with checksums left out", unix.SYS_SETSOCKOPT, wire, unix.SOL_PACKET, packetVnet, one, len(one))
	p.allow(syscall.ENOPROTOOPT, "have incoming packets only", unix.SYS_SETSOCKOPT, wire, unix.SOL_PACKET, packetIncoming, one, len(one))
	for _, option := range []int{unix.SO_RCVBUF, unix.SO_SNDBUF} { // the kernel gives what this machine allows
		p.call("widen packet socket", unix.SYS_SETSOCKOPT, wire, unix.SOL_SOCKET, option, word(packetRoom), 4)
	}
	far := p.open("open socket", unix.SYS_SOCKET, unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	ns := p.open("open network namespace", unix.SYS_OPENAT, 0, "/proc/thread-self/ns/net", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	p.call("number network namespace", unix.SYS_DUP3, ns, namespaceFD, unix.O_CLOEXEC)
	p.call("create network namespace", unix.SYS_UNSHARE, unix.CLONE_NEWNET)
	planQuiet(p, l)
	kernel := p.open("open netlink socket", unix.SYS_SOCKET, unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_ROUTE)
	message := newPair()
	// A refusal shows in the next step: there is no such device then.
	p.call("create the uplink", unix.SYS_SENDTO, kernel, message, len(message), 0, 0, 0)
	p.call("bring the wire up", unix.SYS_IOCTL, far, unix.SIOCSIFFLAGS, ifreq(binary.NativeEndian.AppendUint16(nil, unix.IFF_UP|unix.IFF_NOARP)))
	at := sockaddrLink()
	p.call("bind packet socket", unix.SYS_BIND, wire, at, len(at))
	for _, fd := range []reg{far, ns, kernel} {
		p.call("close socket", unix.SYS_CLOSE, fd)
	}
	p.call("close network namespace", unix.SYS_CLOSE, namespaceFD)
	p.next = wire + 1
	planAddresses(p, l, unix.IFF_UP|unix.IFF_RUNNING|unix.IFF_NOARP)
	return wire
}

// newPair is the message to rtnetlink that makes the pair: the uplink here, the other in the namespace of namespaceFD.
func newPair() []byte {
	device := func(index int, address [6]byte, rest ...[]byte) []byte {
		b := binary.NativeEndian.AppendUint32(make([]byte, 4), uint32(index)) // struct ifinfomsg
		b = append(b, make([]byte, 8)...)
		b = append(b, attribute(unix.IFLA_IFNAME, []byte(uplinkName+"\x00"))...)
		b = append(b, attribute(unix.IFLA_ADDRESS, address[:])...)
		b = append(b, attribute(unix.IFLA_MTU, word(netstack.MTU))...)
		for _, r := range rest {
			b = append(b, r...)
		}
		return b
	}
	peer := device(wireIndex, netstack.Far, attribute(unix.IFLA_NET_NS_FD, word(namespaceFD)))
	link := append(attribute(unix.IFLA_INFO_KIND, []byte("veth\x00")), attribute(unix.IFLA_INFO_DATA, attribute(peerInfo, peer))...)
	body := device(uplinkIndex, netstack.Near, attribute(unix.IFLA_LINKINFO, link))
	b := binary.NativeEndian.AppendUint32(nil, uint32(unix.SizeofNlMsghdr+len(body)))
	b = binary.NativeEndian.AppendUint16(b, unix.RTM_NEWLINK)
	b = binary.NativeEndian.AppendUint16(b, unix.NLM_F_REQUEST|unix.NLM_F_CREATE|unix.NLM_F_EXCL)
	return append(append(b, make([]byte, 8)...), body...)
}

// attribute is a struct rtattr with its value, padded.
func attribute(kind uint16, value []byte) []byte {
	b := binary.NativeEndian.AppendUint16(nil, uint16(unix.SizeofRtAttr+len(value)))
	b = append(binary.NativeEndian.AppendUint16(b, kind), value...)
	for len(b)%4 != 0 {
		b = append(b, 0)
	}
	return b
}

// sockaddrLink is a struct sockaddr_ll for all that arrives at the other device.
func sockaddrLink() []byte {
	b := binary.NativeEndian.AppendUint16(nil, unix.AF_PACKET)
	b = binary.BigEndian.AppendUint16(b, unix.ETH_P_ALL)
	return append(binary.NativeEndian.AppendUint32(b, wireIndex), make([]byte, 12)...)
}

// probeWire makes a pair once and says why it cannot be made.
func (m *Maker) probeWire() error {
	const owner = "probe of the network"
	uid, err := m.uids.take(owner)
	if err != nil {
		return err
	}
	defer m.uids.give(owner)
	c, far, err := newConn()
	if err != nil {
		return err
	}
	defer c.close()
	l := m.layout
	l.hostUID = uid
	p := &program{clone: unix.CLONE_NEWUSER | unix.CLONE_CLEAR_SIGHAND, owner: uid, group: none, next: 1}
	p.uids, p.gids = idMap(l, insideUID), idMap(l, insideGID)
	planIdentity(p, l, slots{})
	wire := planUplink(p, l)
	p.send(stage0.Running, wire, 1)
	code, err := p.encode()
	if err == nil {
		err = m.spawner.conn.send(code, []int{far})
	}
	closeAll([]int{far})
	if err != nil {
		return err
	}
	for {
		message, fds, err := c.receive()
		closeAll(fds)
		switch {
		case errors.Is(err, io.EOF):
			return errors.New("it ended before it had a network")
		case err != nil:
			return err
		case message.Kind == stage0.Failed:
			return fmt.Errorf("a pair of devices: %w", p.failure(message))
		case message.Kind == stage0.Running:
			return nil
		}
	}
}
