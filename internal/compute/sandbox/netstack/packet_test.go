package netstack

import (
	"encoding/binary"
	"net/netip"
	"testing"
	"time"
)

// packet is a TCP or UDP packet, as far as inspect looks.
func packet(from, to string, proto byte) []byte {
	a, b := netip.MustParseAddr(from), netip.MustParseAddr(to)
	const payload = 24
	if b.Is4() {
		p := make([]byte, header4+payload)
		p[0], p[3], p[6], p[8], p[9] = 0x45, byte(len(p)), 0x40, 64, proto
		copy(p[12:], a.AsSlice())
		copy(p[16:], b.AsSlice())
		return p
	}
	p := make([]byte, header6+payload)
	p[0], p[5], p[6], p[7] = 0x60, payload, proto, 64
	copy(p[8:], a.AsSlice())
	copy(p[24:], b.AsSlice())
	return p
}

func TestInspect(t *testing.T) {
	policy, err := NewPolicy(nil)
	if err != nil {
		t.Fatal(err)
	}
	in4, in6 := Inside4.Addr().String(), Inside6.Addr().String()
	four := func(change func(p []byte)) []byte { p := packet(in4, "1.1.1.1", protoTCP); change(p); return p }
	six := func(change func(p []byte)) []byte { p := packet(in6, "2606:4700::1", protoUDP); change(p); return p }
	for name, c := range map[string]struct {
		p    []byte
		want verdict
	}{
		"TCP":                {packet(in4, "1.1.1.1", protoTCP), pass},
		"UDP over IPv6":      {packet(in6, "2606:4700::1", protoUDP), pass},
		"forbidden":          {packet(in4, "10.0.0.1", protoTCP), refuse},
		"forbidden IPv6":     {packet(in6, "fd00::1", protoTCP), refuse},
		"NAT64 loopback":     {packet(in6, "64:ff9b::7f00:1", protoTCP), refuse},
		"IPv4 in IPv6":       {packet(in6, "::ffff:1.1.1.1", protoTCP), drop},
		"another source":     {packet("1.2.3.4", "1.1.1.1", protoTCP), drop},
		"the gateway":        {packet(Gateway4.String(), "1.1.1.1", protoTCP), drop},
		"another IPv6":       {packet("2606:4700::2", "2606:4700::1", protoTCP), drop},
		"ICMP":               {packet(in4, "1.1.1.1", protoICMP4), drop},
		"ICMPv6":             {packet(in6, "2606:4700::1", protoICMP6), drop},
		"tunnel":             {packet(in4, "1.1.1.1", 41), drop},
		"extension header":   {packet(in6, "2606:4700::1", 43), drop},
		"IPv6 fragment":      {packet(in6, "2606:4700::1", 44), drop},
		"first fragment":     {four(func(p []byte) { p[6] = 0x20 }), drop},
		"later fragment":     {four(func(p []byte) { p[7] = 1 }), drop},
		"options":            {four(func(p []byte) { p[0] = 0x46 }), drop},
		"length too great":   {four(func(p []byte) { p[3]++ }), drop},
		"length too small":   {four(func(p []byte) { p[3]-- }), drop},
		"IPv6 length":        {six(func(p []byte) { p[5]++ }), drop},
		"version":            {four(func(p []byte) { p[0] = 0x55 }), drop},
		"jumbogram":          {six(func(p []byte) { p[4], p[5], p[6] = 0, 0, 0 }), drop},
		"nothing":            {nil, drop},
		"one byte":           {[]byte{0x45}, drop},
		"IPv6 cut":           {packet(in6, "2606:4700::1", protoTCP)[:39], drop},
		"TCP without a head": {func() []byte { p := packet(in4, "1.1.1.1", protoTCP)[:30]; p[3] = 30; return p }(), drop},
	} {
		if got := inspect(c.p, policy.Permits); got != c.want {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}

// valid reports whether the checksums of an ICMP answer are right.
func valid(p []byte) bool {
	if p[0]>>4 == 4 {
		return fold(checksum(p[:header4], 0)) == 0xffff && fold(checksum(p[header4:], 0)) == 0xffff
	}
	return fold(checksum(p[header6:], checksum(p[8:40], uint32(len(p)-header6)+protoICMP6))) == 0xffff
}

func FuzzInspect(f *testing.F) {
	f.Add(packet("192.0.0.2", "1.1.1.1", protoTCP))
	f.Add(packet("192.0.0.2", "10.0.0.1", protoUDP))
	f.Add(packet(Inside6.Addr().String(), "fd00::1", protoTCP))
	policy, err := NewPolicy(nil)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, p []byte) {
		switch inspect(p, policy.Permits) {
		case pass:
			if p[0]>>4 == 4 && int(binary.BigEndian.Uint16(p[2:])) != len(p) {
				t.Error("a packet passed that is not whole")
			}
		case refuse:
			if a := unreachable(p, prohibited); !valid(a) || len(a) > 100 {
				t.Errorf("answer %x to %x", a, p)
			}
		}
	})
}

func TestUnreachable(t *testing.T) {
	for _, ends := range [][2]string{{"192.0.0.2:5", "1.1.1.1:7"}, {"[fdfa:6172:7465::2]:5", "[2606:4700::1]:7"}} {
		from, to := netip.MustParseAddrPort(ends[0]), netip.MustParseAddrPort(ends[1])
		p := unreachable(datagram(from, to), noPort)
		if !valid(p) {
			t.Errorf("answer to %v: %x", ends, p)
		}
		quoted := p[len(p)-8:]
		if binary.BigEndian.Uint16(quoted) != from.Port() || binary.BigEndian.Uint16(quoted[2:]) != to.Port() {
			t.Errorf("quoted %x", quoted)
		}
	}
}

func TestShare(t *testing.T) {
	all := holdings{most: 2 * maxFlows}
	greedy, other := share{of: &all}, share{of: &all}
	taken := map[width]int{}
	for {
		w, ok := greedy.take(true)
		if !ok {
			break
		}
		taken[w]++
	}
	if taken[wide] != wideFlows || taken[wide]+taken[narrow] != maxFlows {
		t.Errorf("took %v", taken)
	}
	all.held = maxHeld // others have the rest
	for i := range certainFlows {
		if w, ok := other.take(true); !ok || w != narrow {
			t.Fatalf("flow %d of another: %v %v", i, w, ok)
		}
	}
	if _, ok := other.take(false); ok {
		t.Error("more was admitted than may be held")
	}
	for range certainFlows {
		other.give(narrow)
	}
	if all.held != maxHeld || other.flows != 0 || all.flows != maxFlows {
		t.Errorf("%d held, %d flows of one and %d of all after it gave its back", all.held, other.flows, all.flows)
	}
	all = holdings{most: 3}
	few := share{of: &all}
	for i := range 4 {
		if _, ok := few.take(true); ok != (i < 3) {
			t.Errorf("flow %d where there are descriptors for 3: %v", i, ok)
		}
	}
}

func TestBucket(t *testing.T) {
	b := bucket{rate: 10, burst: 3}
	now := time.Unix(1000, 0)
	for range 3 {
		if wait := b.take(now); wait != 0 {
			t.Fatalf("wait %v within the burst", wait)
		}
	}
	if wait := b.take(now); wait != 100*time.Millisecond {
		t.Errorf("wait %v", wait)
	}
	if wait := b.take(now.Add(100 * time.Millisecond)); wait != 0 {
		t.Errorf("wait %v after the wait", wait)
	}
}
