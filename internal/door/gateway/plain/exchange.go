package plain

import (
	"context"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"
)

// exchange is one request and its answer: the request's body and context, and the handler's http.ResponseWriter.
type exchange struct {
	c    *conn
	left int64 // of the body

	header   http.Header
	status   int   // 0: not said yet
	declared int64 // length of the answer; -1: not known
	written  int64
	body     []byte // what has been written and not sent
	sent     bool   // the head has gone out
	chunked  bool
	closes   bool  // the connection ends with this answer
	failed   error // the connection's
	over     bool  // the handler has returned
	bounded  bool  // the connection has a write deadline

	mu   sync.Mutex // guards what follows, and conn.watch
	here bool       // all of the body
	done chan struct{}
	err  error // why done is closed
}

func newExchange(c *conn, h head) *exchange {
	return &exchange{c: c, left: h.length, here: h.length == 0, header: make(http.Header, 8), declared: -1}
}

// request makes what the handler gets.
func (x *exchange) request(h head) *http.Request {
	r := &http.Request{Method: h.method, URL: h.url, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Header: h.header, Body: http.NoBody,
		ContentLength: h.length, Host: h.host, RemoteAddr: x.c.addr, RequestURI: h.target}
	if h.length > 0 {
		r.Body = (*body)(x)
	}
	return r.WithContext(x)
}

// body is the request's.
type body exchange

func (b *body) Read(p []byte) (int, error) {
	if b.over {
		return 0, http.ErrBodyReadAfterClose
	}
	return (*exchange)(b).read(p)
}

func (b *body) Close() error { return nil }

func (x *exchange) read(p []byte) (int, error) {
	if x.left == 0 {
		return 0, io.EOF
	}
	p = p[:min(int64(len(p)), x.left)]
	var n int
	var err error
	if c := x.c; c.r < c.w {
		n = copy(p, c.buf[c.r:c.w])
		c.r += n
	} else if n, err = c.nc.Read(p); err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	if x.left -= int64(n); x.left > 0 {
		return n, err
	}
	x.arrived()
	return n, io.EOF
}

// discard reads what the handler left of the body, and reports whether the next request can follow.
func (x *exchange) discard() bool {
	if x.left == 0 {
		return true
	}
	x.c.mayTake(x.c.s.http.ReadHeaderTimeout, 0)
	var room [4 << 10]byte
	for {
		switch _, err := x.read(room[:]); err {
		case nil:
		case io.EOF:
			return true
		default:
			return false
		}
	}
}

// Header implements http.ResponseWriter.
func (x *exchange) Header() http.Header { return x.header }

// WriteHeader implements http.ResponseWriter.
func (x *exchange) WriteHeader(status int) {
	if x.status != 0 || status < 200 { // there is nothing to be told in advance
		return
	}
	x.status = status
	if v := x.header["Content-Length"]; len(v) > 0 {
		if n, err := strconv.ParseInt(v[0], 10, 64); err == nil && n >= 0 {
			x.declared = n
		}
	}
}

func (x *exchange) bodyAllowed() bool {
	return x.status != http.StatusNoContent && x.status != http.StatusNotModified
}

// Write implements http.ResponseWriter.
func (x *exchange) Write(p []byte) (int, error) {
	x.WriteHeader(http.StatusOK)
	switch {
	case x.over:
		return 0, http.ErrHandlerTimeout
	case x.failed != nil:
		return 0, x.failed
	case !x.bodyAllowed():
		return 0, http.ErrBodyNotAllowed
	case x.declared >= 0 && x.written+int64(len(p)) > x.declared:
		x.closes = true // as with net/http: what the client got may not be what was meant
		return 0, http.ErrContentLength
	}
	x.written += int64(len(p))
	if x.written == x.declared && len(p) > 0 {
		return len(p), x.send(p, true)
	}
	if len(x.body)+len(p) <= roomOut/2 {
		x.body = append(x.body, p...)
		return len(p), nil
	}
	return len(p), x.send(p, false)
}

// Flush implements http.Flusher.
func (x *exchange) Flush() { _ = x.FlushError() }

// FlushError sends what has been written.
func (x *exchange) FlushError() error {
	x.WriteHeader(http.StatusOK)
	if x.over || x.failed != nil || x.sent && len(x.body) == 0 {
		return x.failed
	}
	return x.send(nil, false)
}

// finish sends the rest of the answer.
func (x *exchange) finish() {
	x.WriteHeader(http.StatusOK)
	if x.failed == nil && (!x.sent || x.chunked || len(x.body) > 0) {
		_ = x.send(nil, true)
	}
	if x.failed != nil || x.bodyAllowed() && x.declared >= 0 && x.declared != x.written {
		x.closes = true // the client can't tell where the next answer begins
	}
}

// send writes the head, where it has not gone out, what has been kept of the body, and more of it; last says that nothing follows.
func (x *exchange) send(more []byte, last bool) error {
	out := x.c.out[:0]
	if !x.sent {
		x.sent = true
		out = x.appendHead(out, last, more)
	}
	n := len(x.body) + len(more)
	if x.chunked && n > 0 {
		out = append(strconv.AppendInt(out, int64(n), 16), "\r\n"...)
	}
	out = append(out, x.body...)
	x.body = x.body[:0]
	tail := ""
	switch {
	case x.chunked && n > 0 && last:
		tail = "\r\n0\r\n\r\n"
	case x.chunked && n > 0:
		tail = "\r\n"
	case x.chunked && last:
		tail = "0\r\n\r\n"
	}
	if len(more) <= roomOut/2 {
		out = append(append(out, more...), tail...)
		_, x.failed = x.c.small.Write(out)
	} else {
		v := net.Buffers{out, more, []byte(tail)}
		_, x.failed = v.WriteTo(x.c.nc)
	}
	if cap(out) <= roomOut {
		x.c.out = out
	}
	return x.failed
}

// appendHead appends the head of an answer of which last says whether what is there is all of it.
func (x *exchange) appendHead(out []byte, last bool, more []byte) []byte {
	out = append(strconv.AppendInt(append(out, "HTTP/1.1 "...), int64(x.status), 10), ' ')
	out = append(append(out, http.StatusText(x.status)...), "\r\n"...)
	for name, values := range x.header {
		switch {
		case name == "Content-Length", name == "Transfer-Encoding", !validName(name), name == "Content-Type" && x.status == http.StatusNotModified:
			continue
		case name == "Connection":
			x.closes = x.closes || len(values) > 0 && strings.EqualFold(values[0], "close")
			continue
		}
		for _, v := range values {
			out = appendField(out, name, v)
		}
	}
	if _, set := x.header["Date"]; !set {
		out = appendField(out, "Date", x.c.s.now(time.Now()))
	}
	if x.bodyAllowed() {
		if _, set := x.header["Content-Type"]; !set && len(x.body)+len(more) > 0 && x.header["Content-Encoding"] == nil {
			first := x.body
			if len(first) == 0 {
				first = more
			}
			out = appendField(out, "Content-Type", http.DetectContentType(first))
		}
		if x.declared < 0 && last {
			x.declared = x.written
		}
		if x.declared >= 0 {
			out = append(strconv.AppendInt(append(out, "Content-Length: "...), x.declared, 10), "\r\n"...)
		} else {
			x.chunked = true
			out = append(out, "Transfer-Encoding: chunked\r\n"...)
		}
	}
	if x.closes = x.closes || x.c.s.closing.Load(); x.closes {
		out = append(out, "Connection: close\r\n"...)
	}
	return append(out, "\r\n"...)
}

// appendField appends a header. A line break in its value would begin another one: it becomes blanks, as with net/http.
func appendField(out []byte, name, value string) []byte {
	out = append(append(out, name...), ": "...)
	from := len(out)
	out = append(out, strings.TrimSpace(value)...)
	for i := from; i < len(out); i++ {
		if out[i] == '\r' || out[i] == '\n' {
			out[i] = ' '
		}
	}
	return append(out, "\r\n"...)
}

// validName accepts what RFC 9110 calls a token.
func validName(s string) bool {
	for i := range len(s) {
		c := s[i]
		if !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.IndexByte("!#$%&'*+-.^_`|~", c) >= 0) {
			return false
		}
	}
	return s != ""
}

// SetReadDeadline is for http.ResponseController: it bounds the body's arrival, so it does nothing where that is here.
func (x *exchange) SetReadDeadline(t time.Time) error {
	if x.over {
		return http.ErrHandlerTimeout
	}
	if int64(x.c.w-x.c.r) >= x.left {
		return nil
	}
	x.c.deadline(t)
	return nil
}

// SetWriteDeadline is for http.ResponseController. It ends with the request.
func (x *exchange) SetWriteDeadline(t time.Time) error {
	if x.over {
		return http.ErrHandlerTimeout
	}
	x.bounded = !t.IsZero()
	return x.c.nc.SetWriteDeadline(t)
}

// Deadline implements context.Context.
func (x *exchange) Deadline() (time.Time, bool) { return time.Time{}, false }

// Value implements context.Context.
func (x *exchange) Value(key any) any {
	switch key {
	case http.ServerContextKey:
		return x.c.s.http
	case http.LocalAddrContextKey:
		return x.c.nc.LocalAddr()
	}
	return nil
}

// Err implements context.Context.
func (x *exchange) Err() error {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.err
}

// Done implements context.Context. From the first time that it is asked for, the connection is watched.
func (x *exchange) Done() <-chan struct{} {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.done == nil {
		x.done = make(chan struct{})
		if x.err != nil {
			close(x.done)
		} else if x.here {
			x.look()
		}
	}
	return x.done
}

// cancel ends the context.
func (x *exchange) cancel() {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.err != nil {
		return
	}
	x.err = context.Canceled
	if x.done != nil {
		close(x.done)
	}
}
