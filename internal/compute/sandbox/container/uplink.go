package container

import (
	"encoding/binary"
	"net"
	"net/netip"
	"os"
	"syscall"

	"golang.org/x/sys/unix"

	"artesian/internal/compute/sandbox"
	"artesian/internal/compute/sandbox/netstack"
)

// tunDevice is what makes TUN devices, on the host.
const tunDevice = "/dev/net/tun"

// tunNode is where the spawner's root has the device that makes TUN devices. No sandbox's root has it.
const tunNode = "/tun"

// uplinkName is a sandbox's device to the internet, and uplinkIndex its number there.
const (
	uplinkName  = "eth0"
	uplinkIndex = 100
)

// nameServer is where programs inside ask for names, see /etc/resolv.conf. The sockets are opened inside and served from
// outside, as the platform's own are.
const (
	nameServer  = "127.0.0.1:53"
	nameBacklog = 16
)

// named reports whether there is anything to reach by name.
func named(s sandbox.Spec) bool { return len(s.Listen) > 0 || s.Internet }

// networkOffered says what this machine's kernel has for us.
func networkOffered() (tun, ipv6 bool) {
	if f, err := os.OpenFile(tunDevice, os.O_RDWR, 0); err == nil {
		tun = true
		_ = f.Close()
	}
	if fd, err := unix.Socket(unix.AF_INET6, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0); err == nil {
		ipv6 = true
		_ = unix.Close(fd)
	}
	return tun, ipv6
}

// ioctls and flags of TUN devices and routes (linux/if_tun.h, linux/route.h, linux/ipv6_route.h).
const (
	tunSetIndex    = 0x400454da
	tunSetOffload  = 0x400454d0
	tunChecksums   = 1 // TUN_F_CSUM
	tunFlags       = unix.IFF_TUN | unix.IFF_NO_PI | unix.IFF_VNET_HDR
	routeUp        = 1
	routeViaOther  = 2
	sizeofRtEntry  = 120
	sizeofIn6Rtmsg = 80
)

// planUplink makes the device to the internet, in the new network namespace and before the spawner's root is left. The
// register of what the daemon gets comes back.
func planUplink(p *program, l layout) reg {
	if l.wire {
		return planWire(p, l)
	}
	tun := p.open("open TUN device", unix.SYS_OPENAT, 0, tunNode, unix.O_RDWR|unix.O_CLOEXEC, 0)
	planQuiet(p, l)
	p.call("number the uplink", unix.SYS_IOCTL, tun, tunSetIndex, word(uplinkIndex))
	p.call("create the uplink", unix.SYS_IOCTL, tun, unix.TUNSETIFF, ifreq(binary.NativeEndian.AppendUint16(nil, tunFlags)))
	// With the namespace, in a worker of the kernel, and not when the daemon closes it: that takes 20 ms of a busy machine.
	p.call("let the uplink go later", unix.SYS_IOCTL, tun, unix.TUNSETPERSIST, 1)
	p.call("leave checksums out", unix.SYS_IOCTL, tun, tunSetOffload, tunChecksums)
	planAddresses(p, l, unix.IFF_UP|unix.IFF_RUNNING)
	return tun
}

// planQuiet has devices of the namespace get no IPv6 address that the kernel makes up: it would look for routers for as
// long as the sandbox lives.
func planQuiet(p *program, l layout) {
	if !l.ipv6 {
		return
	}
	const file = "/proc/sys/net/ipv6/conf/default/addr_gen_mode"
	fd := p.open("open "+file, unix.SYS_OPENAT, 0, file, unix.O_WRONLY|unix.O_CLOEXEC, 0)
	p.call("write "+file, unix.SYS_WRITE, fd, "1", 1)
	p.call("close "+file, unix.SYS_CLOSE, fd)
	p.next--
}

// planAddresses gives the uplink its addresses and routes.
func planAddresses(p *program, l layout, flags uint16) {
	fd := p.open("open socket", unix.SYS_SOCKET, unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	addr := netstack.Inside4
	mask := net.CIDRMask(addr.Bits(), 32)
	p.call("set the uplink's MTU", unix.SYS_IOCTL, fd, unix.SIOCSIFMTU, ifreq(word(netstack.MTU)))
	p.call("set the uplink's address", unix.SYS_IOCTL, fd, unix.SIOCSIFADDR, ifreq(inet(addr.Addr())))
	p.call("set the uplink's mask", unix.SYS_IOCTL, fd, unix.SIOCSIFNETMASK, ifreq(inet(netip.AddrFrom4([4]byte(mask)))))
	p.call("bring the uplink up", unix.SYS_IOCTL, fd, unix.SIOCSIFFLAGS, ifreq(binary.NativeEndian.AppendUint16(nil, flags)))
	p.call("set the route", unix.SYS_IOCTL, fd, unix.SIOCADDRT, route4(netstack.Gateway4))
	p.call("close socket", unix.SYS_CLOSE, fd)
	p.next--
	if !l.ipv6 {
		return
	}
	fd = p.open("open socket", unix.SYS_SOCKET, unix.AF_INET6, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	// Where IPv6 is switched off for devices, which is a way to have the kernel without it, there is none inside either.
	p.allow(syscall.EACCES, "set the uplink's IPv6 address", unix.SYS_IOCTL, fd, unix.SIOCSIFADDR, in6Ifreq(netstack.Inside6))
	p.allow(syscall.EACCES, "set the IPv6 route", unix.SYS_IOCTL, fd, unix.SIOCADDRT, route6())
	p.call("close socket", unix.SYS_CLOSE, fd)
	p.next--
}

// ifreq is a struct ifreq for the uplink.
func ifreq(value []byte) []byte {
	b := make([]byte, 40)
	copy(b, uplinkName)
	copy(b[16:], value)
	return b
}

func word(v uint32) []byte { return binary.NativeEndian.AppendUint32(nil, v) }

// inet is a struct sockaddr_in without a port.
func inet(a netip.Addr) []byte { return sockaddr(netip.AddrPortFrom(a, 0)) }

// route4 is a struct rtentry for everything, by way of a gateway.
func route4(gateway netip.Addr) []byte {
	b := make([]byte, sizeofRtEntry)
	any := inet(netip.IPv4Unspecified())
	copy(b[8:], any)
	copy(b[24:], inet(gateway))
	copy(b[40:], any)
	binary.NativeEndian.PutUint16(b[56:], routeUp|routeViaOther)
	return b
}

// in6Ifreq is a struct in6_ifreq that gives the uplink an address.
func in6Ifreq(a netip.Prefix) []byte {
	return append(append(a.Addr().AsSlice(), word(uint32(a.Bits()))...), word(uplinkIndex)...)
}

// route6 is a struct in6_rtmsg for everything, by way of the uplink.
func route6() []byte {
	b := make([]byte, sizeofIn6Rtmsg)
	binary.NativeEndian.PutUint32(b[56:], 1024) // metric, as other tools have it
	binary.NativeEndian.PutUint32(b[72:], routeUp)
	binary.NativeEndian.PutUint32(b[76:], uplinkIndex)
	return b
}
