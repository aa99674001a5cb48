package sigv4

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// canonicalForms is how many readings of a request a signer may have signed. Form 0 is the specification's. Bit 0 takes
// the query string as it was sent, bit 1 the path: without removing dot segments (S3: decoded and encoded anew). Bit 2
// leaves the session token out of the query string: some clients add it to a presigned URL after signing.
const canonicalForms = 8

// appendCanonical appends the canonical request in the given form. It reports false for a form that does not exist or
// is the same as an earlier one.
func (a *auth) appendCanonical(b []byte, r *http.Request, form int, path, query string, payload []byte) ([]byte, bool) {
	if form&4 != 0 && !a.unsignedToken {
		return b, false
	}
	b = append(b, r.Method...)
	b = append(b, '\n')
	var ok bool
	if b, ok = a.appendPath(b, path, form&2 != 0); !ok {
		return b, false
	}
	b = append(b, '\n')
	if b, ok = appendQuery(b, query, form&1 != 0, form&4 != 0); !ok {
		return b, false
	}
	b = append(b, '\n')
	for name := range strings.SplitSeq(a.signedHeaders, ";") {
		b = append(b, name...)
		b = append(b, ':')
		b = appendHeader(b, r, name)
		b = append(b, '\n')
	}
	b = append(b, '\n')
	b = append(b, a.signedHeaders...)
	b = append(b, '\n')
	return append(b, payload...), true
}

// appendPath appends the path, each byte of which is encoded once more unless the service is S3.
func (a *auth) appendPath(b []byte, path string, other bool) ([]byte, bool) {
	if a.service == serviceS3 {
		if !other {
			return append(b, path...), true
		}
		from := len(b)
		b, ok := appendRecoded(b, path, '/')
		return b, ok && string(b[from:]) != path
	}
	clean := cleanPath(path)
	if other {
		if clean == path {
			return b, false
		}
		clean = path
	}
	return appendEscaped(b, clean, '/'), true
}

// cleanPath removes empty and dot segments as the specification asks (RFC 3986, 5.2.4, and repeated slashes).
func cleanPath(path string) string {
	if !strings.Contains(path, "//") && !strings.Contains(path, "/.") {
		return path
	}
	var kept []string
	for part := range strings.SplitSeq(path, "/") {
		switch {
		case part == "" || part == ".":
		case part == "..":
			kept = kept[:max(0, len(kept)-1)]
		default:
			kept = append(kept, part)
		}
	}
	clean := "/" + strings.Join(kept, "/")
	if len(kept) > 0 && strings.HasSuffix(path, "/") {
		clean += "/"
	}
	return clean
}

type parameter struct{ name, value string }

// appendQuery appends the parameters, sorted by name and value, without the signature itself. As sent means that names
// and values are not decoded and encoded anew.
func appendQuery(b []byte, query string, asSent, tokenless bool) ([]byte, bool) {
	if query == "" {
		return b, !asSent
	}
	var room [16]parameter
	params, changed := room[:0], false
	for pair := range strings.SplitSeq(query, "&") {
		name, value, _ := strings.Cut(pair, "=")
		if name == "X-Amz-Signature" || tokenless && name == "X-Amz-Security-Token" {
			continue
		}
		p := parameter{name, value}
		if !asSent || !changed {
			var ok bool
			recoded := parameter{}
			if recoded, ok = p.recode(); !ok {
				return b, false
			}
			changed = changed || recoded != p || pair == ""
			if !asSent {
				p = recoded
			}
		}
		if pair != "" || asSent {
			params = append(params, p)
		}
	}
	if asSent && !changed {
		return b, false
	}
	slices.SortFunc(params, func(x, y parameter) int {
		if c := strings.Compare(x.name, y.name); c != 0 {
			return c
		}
		return strings.Compare(x.value, y.value)
	})
	for i, p := range params {
		if i > 0 {
			b = append(b, '&')
		}
		b = append(b, p.name...)
		b = append(b, '=')
		b = append(b, p.value...)
	}
	return b, true
}

func (p parameter) recode() (parameter, bool) {
	name, ok1 := recoded(p.name)
	value, ok2 := recoded(p.value)
	return parameter{name, value}, ok1 && ok2
}

// recoded decodes a query component and encodes it in the canonical way, without a copy where it already is so.
func recoded(s string) (string, bool) {
	canonical := true
	for i := 0; i < len(s) && canonical; i++ {
		switch c := s[i]; {
		case unreserved(c):
		case c == '%' && i+2 < len(s) && upperHex(s[i+1]) && upperHex(s[i+2]) && !unreserved(unhex(s[i+1])<<4|unhex(s[i+2])):
			i += 2
		default:
			canonical = false
		}
	}
	if canonical {
		return s, true
	}
	b, ok := appendRecoded(make([]byte, 0, len(s)+16), strings.ReplaceAll(s, "+", " "), 0)
	return string(b), ok
}

// appendRecoded decodes s and appends it encoded. It reports false if s has a % that no two hexadecimal digits follow.
func appendRecoded(b []byte, s string, keep byte) ([]byte, bool) {
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c == '%' {
			if i+2 >= len(s) || !isHex(s[i+1]) || !isHex(s[i+2]) {
				return b, false
			}
			c = unhex(s[i+1])<<4 | unhex(s[i+2])
			i += 2
		}
		b = appendByte(b, c, keep)
	}
	return b, true
}

func appendEscaped(b []byte, s string, keep byte) []byte {
	for i := range len(s) {
		b = appendByte(b, s[i], keep)
	}
	return b
}

func appendByte(b []byte, c, keep byte) []byte {
	if unreserved(c) || c == keep && c != 0 {
		return append(b, c)
	}
	const digits = "0123456789ABCDEF"
	return append(b, '%', digits[c>>4], digits[c&15])
}

func unreserved(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '-' || c == '_' || c == '.' || c == '~'
}

func upperHex(c byte) bool { return '0' <= c && c <= '9' || 'A' <= c && c <= 'F' }

func isHex(c byte) bool { return upperHex(c) || 'a' <= c && c <= 'f' }

func unhex(c byte) byte {
	switch {
	case c <= '9':
		return c - '0'
	case c <= 'F':
		return c - 'A' + 10
	}
	return c - 'a' + 10
}

// appendHeader appends the values of a header joined by commas, with runs of white space made one space.
func appendHeader(b []byte, r *http.Request, name string) []byte {
	switch name {
	case "host":
		return appendFolded(b, r.Host)
	case "content-length":
		if r.Header["Content-Length"] == nil && r.ContentLength >= 0 {
			return strconv.AppendInt(b, r.ContentLength, 10)
		}
	}
	for i, value := range headerValues(r, name) {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendFolded(b, value)
	}
	return b
}

// headerValues looks a lower-case header name up without making a copy of it in the usual case.
func headerValues(r *http.Request, name string) []string {
	var room [64]byte
	if len(name) > len(room) {
		return r.Header.Values(name)
	}
	up := true
	for i := range len(name) {
		c := name[i]
		if up && 'a' <= c && c <= 'z' {
			c -= 'a' - 'A'
		}
		room[i] = c
		up = c == '-'
	}
	return r.Header[string(room[:len(name)])]
}

func appendFolded(b []byte, s string) []byte {
	from := len(b)
	gap := false
	for i := range len(s) {
		c := s[i]
		if c == ' ' || c == '\t' {
			gap = true
			continue
		}
		if gap && len(b) > from {
			b = append(b, ' ')
		}
		gap = false
		b = append(b, c)
	}
	return b
}
