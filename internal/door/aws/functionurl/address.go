// Package functionurl serves the HTTP endpoints of functions: requests become events in payload format 2.0, what the function
// returns becomes the response (https://docs.aws.amazon.com/lambda/latest/dg/urls-invocation.html).
package functionurl

import (
	"net"
	"net/netip"
	"strings"

	"artesian/internal/faas"
)

// label tells the names of URLs from those of the platform: ID.lambda-url.REGION.NAME.
const label = "lambda-url"

// Prefix is below what path URLs are reached by clients that can't resolve their names: Prefix + ID, and the path.
const Prefix = "/_artesian/url/"

// Address is where a request was sent.
type Address struct {
	ID     string
	Region string // by name only
	Domain string // by name only: the platform's own name
	Path   string // by path only: what precedes the function's path
}

// ParseHost reads a host name, in lower case and without port. user reports whether the name is one of URLs, well formed or
// not: no such name is ever the platform's own. a is empty when it is not well formed.
func ParseHost(host string) (a Address, user bool) {
	if !strings.Contains(host, label) { // all requests to the platform itself
		return Address{}, false
	}
	labels := strings.Split(strings.TrimSuffix(host, "."), ".")
	for i, l := range labels {
		if l != label {
			continue
		}
		if i != 1 || len(labels) < 4 || !validID(labels[0]) || !faas.ValidRegion(labels[2]) {
			return Address{}, true
		}
		domain := strings.Join(labels[3:], ".")
		if _, err := netip.ParseAddr(domain); err == nil {
			return Address{}, true // an address has no names below it
		}
		return Address{ID: labels[0], Region: labels[2], Domain: domain}, true
	}
	return Address{}, false
}

// ParsePath reads the path of a request, still encoded. user reports whether it is below Prefix.
func ParsePath(path string) (a Address, user bool) {
	rest, ok := strings.CutPrefix(path, Prefix)
	if !ok {
		return Address{}, false
	}
	id, _, _ := strings.Cut(rest, "/")
	if !validID(id) {
		return Address{}, true
	}
	return Address{ID: id, Path: Prefix + id}, true
}

// validID reports whether s may be a URL's id: 1 to 63 of a-z and 0-9.
func validID(s string) bool {
	if len(s) == 0 || len(s) > 63 {
		return false
	}
	for _, c := range []byte(s) {
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') {
			return false
		}
	}
	return true
}

// Location is the URL by which the caller who reached the platform at base (scheme://host[:port]) reaches id: by name where
// base has one, below localhost where it is a loopback address, and by path where it is another address.
func Location(base, id, region string) string {
	scheme, host, _ := strings.Cut(base, "://")
	name, port, err := net.SplitHostPort(host)
	if err != nil {
		name, port = strings.Trim(host, "[]"), ""
	}
	if ip, err := netip.ParseAddr(name); err == nil {
		if !ip.IsLoopback() {
			return base + Prefix + id + "/"
		}
		name = "localhost"
	} else if strings.HasSuffix(name, ".localhost") {
		name = "localhost"
	}
	if port != "" {
		name += ":" + port
	}
	return scheme + "://" + id + "." + label + "." + region + "." + name + "/"
}
