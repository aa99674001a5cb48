package netstack

import (
	"encoding/binary"
	"net/netip"
)

// verdict on a packet that a function sent.
type verdict int

const (
	pass   verdict = iota
	drop           // no function's ordinary sockets send such a packet
	refuse         // its destination may not be reached: the sender is told
)

// Sizes and numbers of the protocols (RFC 791, 8200, 792, 4443).
const (
	header4, header6 = 20, 40
	protoTCP         = 6
	protoUDP         = 17
	protoICMP4       = 1
	protoICMP6       = 58
)

// inspect judges one IP packet, whole and as it left the sandbox. Only TCP and UDP pass, from the sandbox's own addresses,
// without IP options, extension headers or fragments.
func inspect(p []byte, permits func(netip.Addr) bool) verdict {
	if len(p) == 0 {
		return drop
	}
	var from, to netip.Addr
	var proto byte
	rest := 0
	switch p[0] {
	case 0x45: // version 4 and five words: no options
		if len(p) < header4 || int(binary.BigEndian.Uint16(p[2:])) != len(p) || binary.BigEndian.Uint16(p[6:])&0x3fff != 0 {
			return drop
		}
		from, to, proto, rest = netip.AddrFrom4([4]byte(p[12:])), netip.AddrFrom4([4]byte(p[16:])), p[9], header4
	default:
		if p[0]>>4 != 6 || len(p) < header6 || int(binary.BigEndian.Uint16(p[4:]))+header6 != len(p) {
			return drop
		}
		from, to, proto, rest = netip.AddrFrom16([16]byte(p[8:])), netip.AddrFrom16([16]byte(p[24:])), p[6], header6
	}
	if from != Inside4.Addr() && from != Inside6.Addr() || to.Is4In6() {
		return drop
	}
	if proto == protoTCP && len(p) < rest+20 || proto == protoUDP && len(p) < rest+8 || proto != protoTCP && proto != protoUDP {
		return drop
	}
	if !permits(to) {
		return refuse
	}
	return pass
}

// reason why something cannot be reached, as code of an ICMP and of an ICMPv6 message.
type reason struct{ code4, code6 byte }

var (
	prohibited = reason{13, 1} // administratively
	noPort     = reason{3, 4}
)

// unreachable is the ICMP answer, from its destination, to a packet that inspect let pass or refused.
func unreachable(p []byte, why reason) []byte {
	if p[0]>>4 == 4 {
		return unreachable4(p, why.code4)
	}
	quoted := p[:min(len(p), header6+8)]
	b := make([]byte, header6+8+len(quoted))
	b[0] = 0x60
	binary.BigEndian.PutUint16(b[4:], uint16(8+len(quoted)))
	b[6], b[7] = protoICMP6, 64
	copy(b[8:24], p[24:40])
	copy(b[24:40], p[8:24])
	icmp := b[header6:]
	icmp[0], icmp[1] = 1, why.code6
	copy(icmp[8:], quoted)
	sum := checksum(b[8:40], uint32(len(icmp))+protoICMP6)
	binary.BigEndian.PutUint16(icmp[2:], ^fold(checksum(icmp, sum)))
	return b
}

func unreachable4(p []byte, code byte) []byte {
	quoted := p[:min(len(p), header4+8)]
	b := make([]byte, header4+8+len(quoted))
	b[0] = 0x45
	binary.BigEndian.PutUint16(b[2:], uint16(len(b)))
	b[8], b[9] = 64, protoICMP4
	copy(b[12:16], p[16:20])
	copy(b[16:20], p[12:16])
	binary.BigEndian.PutUint16(b[10:], ^fold(checksum(b[:header4], 0)))
	icmp := b[header4:]
	icmp[0], icmp[1] = 3, code
	copy(icmp[8:], quoted)
	binary.BigEndian.PutUint16(icmp[2:], ^fold(checksum(icmp, 0)))
	return b
}

// datagram is the head of a UDP packet from inside, as much of it as an ICMP message quotes.
func datagram(from, to netip.AddrPort) []byte {
	var b []byte
	if to.Addr().Is4() {
		b = make([]byte, header4+8)
		b[0], b[3], b[8], b[9] = 0x45, byte(len(b)), 64, protoUDP
		copy(b[12:], from.Addr().AsSlice())
		copy(b[16:], to.Addr().AsSlice())
	} else {
		b = make([]byte, header6+8)
		b[0], b[5], b[6], b[7] = 0x60, 8, protoUDP, 64
		copy(b[8:], from.Addr().AsSlice())
		copy(b[24:], to.Addr().AsSlice())
	}
	head := b[len(b)-8:]
	binary.BigEndian.PutUint16(head, from.Port())
	binary.BigEndian.PutUint16(head[2:], to.Port())
	head[5] = 8
	return b
}

// checksum adds b to an internet checksum (RFC 1071).
func checksum(b []byte, sum uint32) uint32 {
	for ; len(b) > 1; b = b[2:] {
		sum += uint32(binary.BigEndian.Uint16(b))
	}
	if len(b) == 1 {
		sum += uint32(b[0]) << 8
	}
	return sum
}

func fold(sum uint32) uint16 {
	for sum>>16 != 0 {
		sum = sum&0xffff + sum>>16
	}
	return uint16(sum)
}
