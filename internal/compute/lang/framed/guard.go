package framed

import (
	"net"
	"sync"
	"time"
)

// guard ends reads and writes of calls that run out of time. One timer serves all calls of a session: it is seldom earlier than
// a call's end, so most calls neither set nor stop it.
type guard struct {
	conn *net.UnixConn

	mu    sync.Mutex // guards what follows
	until time.Time  // when the call under way is over; zero without one
	cut   bool       // the socket's deadline is in the past
	timer *time.Timer
	armed time.Time // when timer fires; zero: it does not
}

// begin bounds a call, until end.
func (g *guard) begin(until time.Time) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.until = until
	if g.armed.IsZero() || until.Before(g.armed) {
		g.arm(until)
	}
}

// arm lets the timer fire at a time. The caller holds the lock.
func (g *guard) arm(at time.Time) {
	if g.timer == nil {
		g.timer = time.AfterFunc(time.Until(at), g.tick)
	} else {
		g.timer.Reset(time.Until(at))
	}
	g.armed = at
}

func (g *guard) tick() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.armed = time.Time{}
	switch {
	case g.until.IsZero():
	case time.Now().Before(g.until): // a later call's
		g.arm(g.until)
	default:
		g.cut = true
		_ = g.conn.SetDeadline(time.Unix(1, 0)) // a closed socket ends reads, too
	}
}

// end is the end of the call.
func (g *guard) end() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.until = time.Time{}
	if g.cut {
		g.cut = false
		_ = g.conn.SetDeadline(time.Time{})
	}
}

// stop lets go of the timer.
func (g *guard) stop() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.timer != nil {
		g.timer.Stop()
	}
}
