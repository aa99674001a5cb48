package plain

import (
	"bytes"
	"log/slog"
	"net"
	"net/http"
	"runtime/debug"
	"sync/atomic"
	"time"

	"artesian/internal/compute/sandbox/direct"
)

// What a connection is doing.
const (
	idle   int32 = iota // waits for a request, or for the rest of its head
	active              // has one
	closed              // is closed by the server
)

const (
	roomIn  = 4 << 10  // for a head, and the small body behind it
	roomOut = 4 << 10  // what a connection keeps for answers; a larger body is not copied
	maxBody = 64 << 10 // of a request; larger ones are net/http's
)

// conn is one connection. Its goroutine owns all of it but what is said otherwise.
type conn struct {
	s     *Server
	nc    net.Conn
	small *direct.Conn // nc, for what is read and written of it in small pieces
	addr  string       // of the client
	state atomic.Int32
	buf   []byte // buf[r:w] has been read and not yet used
	r, w  int
	out   []byte            // where answers are put together
	names map[string]string // headers' names as clients write them, and as Go does
	until time.Time         // the connection's read deadline
	watch *watch            // of the request under way; its exchange's mu guards it
}

func newConn(s *Server, nc net.Conn) *conn {
	return &conn{s: s, nc: nc, small: direct.New(nc), addr: nc.RemoteAddr().String(), buf: make([]byte, roomIn), names: map[string]string{}}
}

func (c *conn) serve() {
	defer c.s.forget(c)
	defer func() { // handlers' own are answer's
		if p := recover(); p != nil {
			_ = c.nc.Close()
			c.s.logPanic(c.addr, p)
		}
	}()
	wait := c.s.http.ReadHeaderTimeout // for the first request, as net/http has it
	for {
		size, ok := c.head(wait)
		if !ok || !c.begin() {
			_ = c.nc.Close()
			return
		}
		h, plain := c.parse(c.buf[c.r : c.r+size])
		if !plain {
			c.handOver()
			return
		}
		c.r += size
		if !c.answer(h) {
			_ = c.nc.Close()
			return
		}
		wait = c.s.http.IdleTimeout
	}
}

// begin says that a request is here; false: the server has closed the connection.
func (c *conn) begin() bool {
	return c.state.CompareAndSwap(idle, active) || c.state.Load() == active
}

// head waits for a whole head and returns its size; 0 means that it is too large to be plain, or that what has come of it is not.
func (c *conn) head(wait time.Duration) (size int, ok bool) {
	if c.r == c.w {
		c.r, c.w = 0, 0
		c.mayTake(wait, wait/4) // more than it must: so a deadline is seldom set
		if !c.read() {
			return 0, false
		}
	}
	for late := false; ; {
		if i := bytes.Index(c.buf[c.r:c.w], []byte("\r\n\r\n")); i >= 0 {
			return i + 4, true
		}
		if strange(c.buf[c.r:c.w]) {
			return 0, true
		}
		if c.r > 0 {
			c.w = copy(c.buf, c.buf[c.r:c.w])
			c.r = 0
		}
		if c.w == len(c.buf) {
			return 0, true
		}
		if !late {
			late = true
			c.mayTake(c.s.http.ReadHeaderTimeout, 0)
		}
		if !c.read() {
			return 0, false
		}
	}
}

// strange reports whether what has come of a head shows already that it is not plain: no method, or a line that ends in its own way.
func strange(b []byte) bool {
	if b[0] < 'A' || b[0] > 'Z' {
		return true
	}
	for from := 0; ; {
		i := bytes.IndexByte(b[from:], '\n')
		if i < 0 {
			return false
		}
		if from += i + 1; from < 2 || b[from-2] != '\r' {
			return true
		}
	}
}

// mayTake lets the next reads take at least so long, and no more than slack longer.
func (c *conn) mayTake(d, slack time.Duration) {
	if d <= 0 {
		if !c.until.IsZero() {
			c.deadline(time.Time{})
		}
		return
	}
	least := time.Now().Add(d)
	if c.until.Before(least) || c.until.After(least.Add(slack)) { // the zero time is before all others
		c.deadline(least.Add(slack))
	}
}

func (c *conn) deadline(t time.Time) {
	c.until = t
	_ = c.nc.SetReadDeadline(t) // a closed connection says so when it is read
}

func (c *conn) read() bool {
	c.state.CompareAndSwap(active, idle)
	n, err := c.small.Read(c.buf[c.w:])
	c.w += n
	return n > 0 || err == nil
}

// handOver gives the connection to net/http, from the first byte that no answer has been given to.
func (c *conn) handOver() {
	if !c.until.IsZero() {
		c.deadline(time.Time{})
	}
	c.s.over.give(&replayed{c.nc, c.buf[c.r:c.w]})
}

// answer has the handler answer one request, and reports whether the connection may take another.
func (c *conn) answer(h head) (again bool) {
	x := newExchange(c, h)
	defer func() {
		if p := recover(); p != nil {
			x.end()
			again = false
			if p != http.ErrAbortHandler {
				c.s.logPanic(c.addr, p)
			}
		}
	}()
	c.s.http.Handler.ServeHTTP(x, x.request(h))
	x.finish()
	x.end()
	if x.bounded {
		_ = c.nc.SetWriteDeadline(time.Time{}) // a closed connection says so when the next head is read
	}
	return x.failed == nil && x.discard() && !x.closes
}

func (s *Server) logPanic(from string, p any) {
	const message = "request panicked"
	if s.http.ErrorLog != nil {
		s.http.ErrorLog.Printf("%s: client %s: %v\n%s", message, from, p, debug.Stack())
		return
	}
	slog.Error(message, "client", from, "panic", p, "stack", string(debug.Stack()))
}
