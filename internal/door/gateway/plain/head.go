package plain

import (
	"net/http"
	"net/url"
	"strings"
)

// head is what a plain request says of itself.
type head struct {
	method, target string
	url            *url.URL
	host           string
	header         http.Header
	length         int64 // of the body
}

// maxLength bounds the digits of a length.
const maxLength = 15

// maxNames bounds how many names of headers a connection remembers, and maxName how long they are.
const (
	maxNames = 32
	maxName  = 48
)

// parse reads a head, which ends with an empty line; false where it is not plain. It accepts a part of what RFC 9112 and net/http do, and
// what it accepts it reads as they do (FuzzParse).
func (c *conn) parse(b []byte) (h head, plain bool) {
	if len(b) == 0 {
		return h, false
	}
	text := string(b)
	line, rest, _ := strings.Cut(text, "\r\n")
	if !h.requestLine(line) {
		return h, false
	}
	lines := strings.Count(rest, "\r\n") - 1
	if lines < 1 {
		return h, false
	}
	h.header = make(http.Header, lines)
	values := make([]string, 0, lines)
	for {
		line, rest, _ = strings.Cut(rest, "\r\n")
		if line == "" {
			break
		}
		colon := strings.IndexByte(line, ':')
		if colon <= 0 || !isName(line[:colon]) {
			return h, false
		}
		value, ok := trimmed(line[colon+1:])
		if !ok {
			return h, false
		}
		name := c.canonical(line[:colon])
		keep, ok := h.weigh(name, value)
		if !ok {
			return h, false
		}
		if !keep {
			continue
		}
		if before := h.header[name]; before != nil {
			h.header[name] = append(before, value)
			continue
		}
		values = append(values, value)
		h.header[name] = values[len(values)-1 : len(values) : len(values)]
	}
	return h, h.host != "" && rest == ""
}

func (h *head) requestLine(line string) bool {
	method, rest, _ := strings.Cut(line, " ")
	target, version, _ := strings.Cut(rest, " ")
	switch method {
	case "GET", "POST", "PUT", "PATCH", "DELETE":
	default:
		return false
	}
	if version != "HTTP/1.1" || target == "" || target[0] != '/' {
		return false
	}
	for i := range len(target) {
		if target[i] <= ' ' || target[i] >= 0x7f {
			return false
		}
	}
	u, err := url.ParseRequestURI(target)
	h.method, h.target, h.url = method, target, u
	return err == nil
}

// weigh looks at the headers that say where a request ends and how it is answered. keep is whether handlers see it.
func (h *head) weigh(name, value string) (keep, plain bool) {
	switch name {
	case "Host":
		if h.host != "" || !isHost(value) {
			return false, false
		}
		h.host = value
		return false, true
	case "Content-Length":
		if h.header[name] != nil || value == "" || len(value) > maxLength {
			return false, false
		}
		for i := range len(value) {
			if value[i] < '0' || value[i] > '9' {
				return false, false
			}
			h.length = 10*h.length + int64(value[i]-'0')
		}
		return true, h.length <= maxBody
	case "Connection":
		return true, strings.EqualFold(value, "keep-alive")
	case "Transfer-Encoding", "Expect", "Upgrade", "Trailer", "Te", "Http2-Settings", "Pragma", "Proxy-Connection":
		return false, false
	}
	return true, true
}

// canonical is a name in Go's way of writing it.
func (c *conn) canonical(name string) string {
	if known, ok := c.names[name]; ok {
		return known
	}
	known := http.CanonicalHeaderKey(name)
	if len(c.names) < maxNames && len(name) <= maxName {
		c.names[strings.Clone(name)] = strings.Clone(known) // not the whole head
	}
	return known
}

// isName accepts names that need no second look.
func isName(s string) bool {
	for i := range len(s) {
		c := s[i]
		if !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '-') {
			return false
		}
	}
	return true
}

// trimmed is a value without the blanks around it; false if anything in it is not printable ASCII.
func trimmed(s string) (string, bool) {
	for len(s) > 0 && s[0] == ' ' {
		s = s[1:]
	}
	for len(s) > 0 && s[len(s)-1] == ' ' {
		s = s[:len(s)-1]
	}
	for i := range len(s) {
		if s[i] < ' ' || s[i] >= 0x7f {
			return s, false
		}
	}
	return s, true
}

func isHost(s string) bool {
	if s == "" {
		return false
	}
	for i := range len(s) {
		c := s[i]
		if !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '-' || c == '.' || c == ':' || c == '[' || c == ']' || c == '_') {
			return false
		}
	}
	return true
}
