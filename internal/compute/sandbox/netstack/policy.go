package netstack

import (
	"fmt"
	"net/netip"
)

// reserved are the ranges that are not the internet: what IANA's registries of special-purpose addresses do not call
// globally reachable, multicast, and the ways to write an IPv4 address in IPv6 that a host may take for the former
// (https://www.iana.org/assignments/iana-ipv4-special-registry, …-ipv6-special-registry).
var reserved = [...]netip.Prefix{
	netip.MustParsePrefix("0.0.0.0/8"), // a connection to it reaches the host itself
	netip.MustParsePrefix("10.0.0.0/8"),
	netip.MustParsePrefix("100.64.0.0/10"), // shared by carriers
	netip.MustParsePrefix("127.0.0.0/8"),
	netip.MustParsePrefix("169.254.0.0/16"), // link-local, clouds' metadata
	netip.MustParsePrefix("172.16.0.0/12"),
	netip.MustParsePrefix("192.0.0.0/24"),
	netip.MustParsePrefix("192.0.2.0/24"), // documentation
	netip.MustParsePrefix("192.88.99.0/24"),
	netip.MustParsePrefix("192.168.0.0/16"),
	netip.MustParsePrefix("198.18.0.0/15"),   // benchmarks
	netip.MustParsePrefix("198.51.100.0/24"), // documentation
	netip.MustParsePrefix("203.0.113.0/24"),  // documentation
	netip.MustParsePrefix("224.0.0.0/4"),     // multicast
	netip.MustParsePrefix("240.0.0.0/4"),     // for later, broadcast
	netip.MustParsePrefix("::/3"),            // unspecified, loopback, IPv4-mapped and -compatible, NAT64 (see nat64)
	netip.MustParsePrefix("2001::/23"),       // Teredo, ORCHID and other protocols
	netip.MustParsePrefix("2001:db8::/32"),   // documentation
	netip.MustParsePrefix("2002::/16"),       // 6to4
	netip.MustParsePrefix("3fff::/20"),       // documentation
	netip.MustParsePrefix("4000::/2"),        // not given to anybody
	netip.MustParsePrefix("8000::/2"),
	netip.MustParsePrefix("c000::/3"),
	netip.MustParsePrefix("e000::/4"),
	netip.MustParsePrefix("f000::/5"),
	netip.MustParsePrefix("f800::/6"),
	netip.MustParsePrefix("fc00::/7"), // private
	netip.MustParsePrefix("fe00::/9"),
	netip.MustParsePrefix("fe80::/10"), // link-local
	netip.MustParsePrefix("fec0::/10"),
	netip.MustParsePrefix("ff00::/8"), // multicast
}

// nat64 leads to the IPv4 address in its last four bytes (RFC 6052).
var nat64 = netip.MustParsePrefix("64:ff9b::/96")

// closed ranges cannot be opened: no connection from a sandbox gets there, as to a loopback, which is the sandbox's own, or
// it would mean something else.
var closed = [...]netip.Prefix{
	netip.MustParsePrefix("0.0.0.0/8"), netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("224.0.0.0/4"), netip.MustParsePrefix("255.255.255.255/32"),
	netip.MustParsePrefix("::/127"), netip.MustParsePrefix("::ffff:0:0/96"), nat64, netip.MustParsePrefix("ff00::/8"),
}

// Policy says which addresses a function may reach: the internet, and what is opened beside it.
type Policy struct {
	opened []netip.Prefix
}

// NewPolicy opens ranges of addresses that are not the internet. Each must lie within one such range: a wide one would
// open more than whoever wrote it had in mind. This node's own addresses are opened by a range of that one address only.
func NewPolicy(opened []string) (Policy, error) {
	var p Policy
	for _, text := range opened {
		prefix, err := netip.ParsePrefix(text)
		if err != nil {
			addr, e := netip.ParseAddr(text)
			if e != nil || addr.Zone() != "" {
				return Policy{}, fmt.Errorf("%.100q is no range of addresses such as 10.1.0.0/16", text)
			}
			prefix = netip.PrefixFrom(addr, addr.BitLen())
		}
		if prefix != prefix.Masked() {
			return Policy{}, fmt.Errorf("%s has bits beyond its length; write %s", text, prefix.Masked())
		}
		for _, c := range closed {
			if c.Overlaps(prefix) && c.Bits() <= prefix.Bits() {
				return Policy{}, fmt.Errorf("%s cannot be reached by any function: it lies in %s", text, c)
			}
		}
		if !inReserved(prefix) {
			return Policy{}, fmt.Errorf("%s lies in none of the reserved ranges: the internet is open anyway, and a range that holds more than one reserved range is too wide", text)
		}
		p.opened = append(p.opened, prefix)
	}
	return p, nil
}

func inReserved(p netip.Prefix) bool {
	for _, r := range reserved {
		if r.Bits() <= p.Bits() && r.Contains(p.Addr()) {
			return true
		}
	}
	return false
}

// Permits reports whether a function may reach addr, as far as the address tells: this node's own addresses are known
// only when a connection is made.
func (p Policy) Permits(addr netip.Addr) bool {
	addr = plain(addr)
	if !addr.IsValid() {
		return false
	}
	for _, c := range closed {
		if c.Contains(addr) {
			return false
		}
	}
	for _, o := range p.opened {
		if o.Contains(addr) {
			return true
		}
	}
	for _, r := range reserved {
		if r.Contains(addr) {
			return false
		}
	}
	return true
}

// names reports whether a range of this one address is opened.
func (p Policy) names(addr netip.Addr) bool {
	addr = plain(addr)
	for _, o := range p.opened {
		if o.IsSingleIP() && o.Contains(addr) {
			return true
		}
	}
	return false
}

// plain is the IPv4 address that an IPv6 address stands for, or the address itself; none for one with a zone.
func plain(addr netip.Addr) netip.Addr {
	if addr.Zone() != "" {
		return netip.Addr{}
	}
	addr = addr.Unmap()
	if nat64.Contains(addr) {
		b := addr.As16()
		return netip.AddrFrom4([4]byte(b[12:]))
	}
	return addr
}
