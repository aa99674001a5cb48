package plain

import (
	"sync/atomic"
	"time"
)

// watch reads from a connection while its request is answered, to learn of the client's leaving. What it reads is the next request's.
type watch struct {
	stopping atomic.Bool
	stopped  chan struct{}
	one      [1]byte
	n        int
}

// look begins to watch. The caller holds mu, and nobody reads the connection.
func (x *exchange) look() {
	if x.c.watch != nil {
		return
	}
	w := &watch{stopped: make(chan struct{})}
	x.c.watch = w
	if !x.c.until.IsZero() {
		x.c.deadline(time.Time{})
	}
	go func() {
		defer close(w.stopped)
		var err error
		w.n, err = x.c.nc.Read(w.one[:])
		if w.n == 0 && err != nil && !w.stopping.Load() {
			x.cancel()
		}
	}()
}

// arrived begins to watch where somebody wants to know, now that the body is here.
func (x *exchange) arrived() {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.here = true
	if x.done != nil && x.err == nil {
		x.look()
	}
}

// end is the end of the handler: nobody watches any more, and the context is cancelled.
func (x *exchange) end() {
	x.over = true
	x.cancel()
	w := x.c.watch // nobody begins to watch any more
	if w == nil {
		return
	}
	x.c.watch = nil
	w.stopping.Store(true)
	x.c.deadline(time.Unix(1, 0))
	<-w.stopped
	x.c.deadline(time.Time{})
	if w.n == 0 {
		return
	}
	if c := x.c; c.w == len(c.buf) { // there is room: the head of this request is used up
		c.w = copy(c.buf, c.buf[c.r:c.w])
		c.r = 0
	}
	x.c.buf[x.c.w] = w.one[0]
	x.c.w++
}
