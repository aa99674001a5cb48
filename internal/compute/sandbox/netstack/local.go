package netstack

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"os"

	"golang.org/x/sys/unix"
)

// isLocal asks the kernel whether a connection to addr would end on this machine: all addresses of all its interfaces, as
// they are now, and whatever else its routes deliver to itself or to more than one receiver.
func isLocal(addr netip.Addr) (bool, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_ROUTE)
	if err != nil {
		return true, os.NewSyscallError("socket", err)
	}
	defer func() { _ = unix.Close(fd) }()
	if err := unix.Sendto(fd, routeRequest(addr), 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return true, os.NewSyscallError("sendto", err)
	}
	answer := make([]byte, 4096)
	n, _, err := unix.Recvfrom(fd, answer, 0)
	if err != nil {
		return true, os.NewSyscallError("recvfrom", err)
	}
	return routeIsLocal(answer[:n])
}

// routeRequest is an RTM_GETROUTE for one address.
func routeRequest(addr netip.Addr) []byte {
	family, raw := byte(unix.AF_INET), addr.AsSlice()
	if addr.Is6() {
		family = unix.AF_INET6
	}
	size := unix.SizeofNlMsghdr + unix.SizeofRtMsg + unix.SizeofRtAttr + len(raw)
	b := binary.NativeEndian.AppendUint32(nil, uint32(size))
	b = binary.NativeEndian.AppendUint16(b, unix.RTM_GETROUTE)
	b = binary.NativeEndian.AppendUint16(b, unix.NLM_F_REQUEST)
	b = append(b, make([]byte, 8)...) // sequence and port
	b = append(b, family, byte(8*len(raw)), 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)
	b = binary.NativeEndian.AppendUint16(b, uint16(unix.SizeofRtAttr+len(raw)))
	b = binary.NativeEndian.AppendUint16(b, unix.RTA_DST)
	return append(b, raw...)
}

// routeIsLocal reads the kernel's answer: anything but an ordinary route to one receiver elsewhere counts as local.
func routeIsLocal(b []byte) (bool, error) {
	if len(b) < unix.SizeofNlMsghdr+4 {
		return true, fmt.Errorf("ask for a route: an answer of %d bytes", len(b))
	}
	body := b[unix.SizeofNlMsghdr:]
	switch kind := binary.NativeEndian.Uint16(b[4:]); {
	case kind == unix.NLMSG_ERROR:
		return true, unix.Errno(-int32(binary.NativeEndian.Uint32(body)))
	case kind != unix.RTM_NEWROUTE || len(body) < unix.SizeofRtMsg:
		return true, fmt.Errorf("ask for a route: an answer of kind %d", kind)
	}
	return body[7] != unix.RTN_UNICAST, nil
}
