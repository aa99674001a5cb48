package functionurl

import (
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"artesian/internal/compute/registry"
	"artesian/internal/faas"
)

// methods are what CORS may allow; OPTIONS is always answered.
var methods = []string{"GET", "PUT", "POST", "DELETE", "HEAD", "PATCH", "*"}

// CheckCORS refuses settings that contradict themselves or can never match. That credentials are allowed to all origins is no
// contradiction, as on AWS: the answer then names the origin that asks.
func CheckCORS(c *registry.CORS) error {
	for _, l := range []struct {
		member string
		values []string
		valid  func(string) bool
		needs  string
	}{
		{"AllowOrigins", c.Origins, origin, "an origin, such as https://www.example.com, or *"},
		{"AllowMethods", c.Methods, func(m string) bool { return slices.Contains(methods, m) }, "one of " + strings.Join(methods, ", ")},
		{"AllowHeaders", c.Headers, fieldName, "the name of a header, or *"},
		{"ExposeHeaders", c.Expose, fieldName, "the name of a header, or *"},
	} {
		for i, v := range l.values {
			if v != "*" && !l.valid(v) {
				return faas.Errorf(faas.Invalid, "Cors.%s: %.100q is not allowed: %s is needed", l.member, v, l.needs)
			}
			if v == "*" && len(l.values) > 1 {
				return faas.Errorf(faas.Invalid, "Cors.%s contradicts itself: * stands for all, so it stands alone", l.member)
			}
			if slices.Contains(l.values[:i], v) {
				return faas.Errorf(faas.Invalid, "Cors.%s has %.100q twice", l.member, v)
			}
		}
	}
	return nil
}

// origin reports whether s is scheme://host[:port] and nothing more.
func origin(s string) bool {
	u, err := url.Parse(s)
	return err == nil && u.Scheme != "" && u.Host != "" && u.Scheme+"://"+u.Host == s && u.Hostname() != "" && !strings.Contains(s, "*")
}

// preflight reports whether a request asks whether another may be made.
func preflight(r *http.Request) bool {
	return r.Method == http.MethodOptions && r.Header.Get("Origin") != "" && r.Header.Get("Access-Control-Request-Method") != ""
}

// allow adds to h what c says to a page of the request's origin. Pages of origins that are not allowed get nothing, so browsers
// keep the response from them.
func allow(c *registry.CORS, h http.Header, r *http.Request) {
	from := r.Header.Get("Origin")
	if c == nil || len(c.Origins) == 0 {
		return
	}
	h.Add("Vary", "Origin")
	all := slices.Contains(c.Origins, "*")
	if from == "" || !all && !slices.Contains(c.Origins, from) || !fieldValue(from) {
		return
	}
	if all && !c.Credentials {
		from = "*"
	}
	h.Add("Access-Control-Allow-Origin", from)
	if c.Credentials {
		h.Add("Access-Control-Allow-Credentials", "true")
	}
	if !preflight(r) {
		if len(c.Expose) > 0 {
			h.Add("Access-Control-Expose-Headers", strings.Join(c.Expose, ","))
		}
		return
	}
	if len(c.Methods) > 0 {
		h.Add("Access-Control-Allow-Methods", strings.Join(spelled(c, c.Methods, methods[:len(methods)-1]), ","))
	}
	if asked := r.Header.Values("Access-Control-Request-Headers"); len(c.Headers) > 0 {
		h.Add("Access-Control-Allow-Headers", strings.Join(spelled(c, c.Headers, asked), ","))
	}
	if c.MaxAge != nil {
		h.Add("Access-Control-Max-Age", strconv.Itoa(*c.MaxAge))
	}
}

// spelled is list, with * replaced by what it stands for where browsers take it for a name: in requests with credentials.
func spelled(c *registry.CORS, list, meant []string) []string {
	if c.Credentials && slices.Contains(list, "*") {
		return meant
	}
	return list
}
