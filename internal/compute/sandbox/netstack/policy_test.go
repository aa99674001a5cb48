package netstack

import (
	"net"
	"net/netip"
	"strings"
	"testing"
)

func TestPolicy(t *testing.T) {
	standard, err := NewPolicy(nil)
	if err != nil {
		t.Fatal(err)
	}
	opened, err := NewPolicy([]string{"10.20.0.0/16", "192.168.1.7", "169.254.169.254/32", "fd00:1::/32"})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		addr                 string
		permitted, andOpened bool
	}{
		{"1.1.1.1", true, true}, {"9.255.255.255", true, true}, {"11.0.0.0", true, true}, {"100.63.255.255", true, true}, {"100.128.0.0", true, true},
		{"172.15.255.255", true, true}, {"172.32.0.0", true, true}, {"192.0.1.0", true, true}, {"223.255.255.255", true, true},
		{"2606:4700::1111", true, true}, {"2a00::1", true, true}, {"2001:200::1", true, true}, {"::ffff:1.1.1.1", true, true}, {"64:ff9b::1.1.1.1", true, true},
		{"0.0.0.0", false, false}, {"0.1.2.3", false, false}, {"10.0.0.1", false, false}, {"10.20.3.4", false, true}, {"10.21.0.0", false, false},
		{"100.64.0.1", false, false}, {"127.0.0.1", false, false}, {"127.9.9.9", false, false}, {"169.254.169.254", false, true}, {"169.254.169.253", false, false},
		{"172.16.0.1", false, false}, {"172.31.255.255", false, false}, {"192.0.0.1", false, false}, {"192.0.2.1", false, false}, {"192.88.99.1", false, false},
		{"192.168.1.7", false, true}, {"192.168.1.8", false, false}, {"198.18.0.1", false, false}, {"198.51.100.1", false, false}, {"203.0.113.1", false, false},
		{"224.0.0.1", false, false}, {"239.255.255.250", false, false}, {"240.0.0.1", false, false}, {"255.255.255.255", false, false},
		{"::", false, false}, {"::1", false, false}, {"::7f00:1", false, false}, {"::ffff:127.0.0.1", false, false}, {"::ffff:10.20.0.1", false, true},
		{"64:ff9b::7f00:1", false, false}, {"64:ff9b::10.20.0.1", false, true}, {"64:ff9b:1::1", false, false}, {"100::1", false, false},
		{"2001::1", false, false}, {"2001:db8::1", false, false}, {"2002:7f00:1::", false, false}, {"3fff::1", false, false}, {"5f00::1", false, false},
		{"fc00::1", false, false}, {"fd00:1::5", false, true}, {"fd00:ec2::254", false, false}, {"fe80::1", false, false}, {"fe80::1%eth0", false, false},
		{"fec0::1", false, false}, {"ff02::1", false, false}, {"ff0e::1", false, false},
	} {
		a := netip.MustParseAddr(c.addr)
		if got := standard.Permits(a); got != c.permitted {
			t.Errorf("%s: permitted %v", c.addr, got)
		}
		if got := opened.Permits(a); got != c.andOpened {
			t.Errorf("%s: permitted %v where some are opened", c.addr, got)
		}
	}
	if standard.Permits(netip.Addr{}) {
		t.Error("no address is permitted")
	}
	if !opened.names(netip.MustParseAddr("192.168.1.7")) || opened.names(netip.MustParseAddr("10.20.0.1")) {
		t.Error("an address is named by a range of itself alone")
	}
}

func TestPolicyRefuses(t *testing.T) {
	for text, want := range map[string]string{
		"": "no range", "10.0.0.0/33": "no range", "example.org": "no range", "fe80::1%eth0": "no range", "10.1.0.0/8": "write 10.0.0.0/8",
		"0.0.0.0/0": "too wide", "::/0": "too wide", "8.8.8.0/24": "is open anyway", "8.0.0.0/5": "too wide", "2606:4700::/32": "is open anyway",
		"127.0.0.0/8": "cannot be reached", "127.0.0.1": "cannot be reached", "::1": "cannot be reached", "0.0.0.0": "cannot be reached",
		"224.0.0.0/4": "cannot be reached", "255.255.255.255": "cannot be reached", "::ffff:10.0.0.0/104": "cannot be reached", "64:ff9b::/96": "cannot be reached",
		"ff02::1": "cannot be reached",
	} {
		if _, err := NewPolicy([]string{text}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
}

// FuzzPolicy agrees with the standard library on what is private, link-local, multicast or loopback.
func FuzzPolicy(f *testing.F) {
	f.Add([]byte{10, 0, 0, 1})
	f.Add([]byte(net.ParseIP("fe80::1")))
	p, err := NewPolicy(nil)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		a, ok := netip.AddrFromSlice(raw)
		if !ok {
			return
		}
		b := plain(a)
		if p.Permits(a) && (!b.IsGlobalUnicast() || b.IsPrivate() || b.IsLoopback() || b.IsLinkLocalUnicast()) {
			t.Errorf("%v is permitted", a)
		}
	})
}

func TestIsLocal(t *testing.T) {
	for addr, want := range map[string]bool{"127.0.0.1": true, "127.3.4.5": true, "255.255.255.255": true} {
		if got, err := isLocal(netip.MustParseAddr(addr)); err != nil || got != want {
			t.Errorf("%s: %v, %v", addr, got, err)
		}
	}
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range addrs {
		p := netip.MustParsePrefix(a.String())
		if got, err := isLocal(p.Addr()); err != nil || !got {
			t.Errorf("%s of this machine: %v, %v", p.Addr(), got, err)
		}
	}
}

func FuzzRouteAnswer(f *testing.F) {
	f.Add(routeRequest(netip.MustParseAddr("1.2.3.4")))
	f.Fuzz(func(t *testing.T, b []byte) {
		if local, err := routeIsLocal(b); err != nil && !local {
			t.Error("what was not understood is not local")
		}
	})
}
