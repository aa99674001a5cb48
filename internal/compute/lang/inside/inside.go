// Package inside serves HTTP on the listeners that stand in sandboxes, where whoever connects is a function: each
// connection is a descriptor and memory of the daemon's, so there are few.
package inside

import (
	"net"
	"net/http"
	"slices"
	"sync"
	"time"
)

// silentTime is how long a connection may take to its first request while another one waits for its place.
const silentTime = time.Second

// Serve is s.Serve on l with at most limit connections at once; limit is at least 1. One more is accepted and waits, the
// rest wait in the kernel. For one that waits, the oldest that has made no request within silentTime is closed, else the
// one that has been idle longest: a function that opens a new one for each request without closing the last doesn't lock
// itself out. Those with a request under way stay. It sets s.ConnState.
func Serve(s *http.Server, l net.Listener, limit int) error {
	b := &bounded{Listener: l, limit: limit, changed: make(chan struct{}), closed: make(chan struct{})}
	s.ConnState = b.state
	return s.Serve(b)
}

// bounded is a listener with few connections.
type bounded struct {
	net.Listener
	limit  int
	closed chan struct{}
	once   sync.Once

	mu      sync.Mutex
	open    int
	silent  []*placed     // have made no request yet, oldest first
	idle    []*placed     // have had an answer, the longest idle first
	changed chan struct{} // closed at the next change of what is above
}

// Accept implements net.Listener.
func (b *bounded) Accept() (net.Conn, error) {
	c, err := b.Listener.Accept()
	if err != nil {
		return nil, err
	}
	if !b.place() {
		_ = c.Close()
		return nil, net.ErrClosed
	}
	return &placed{Conn: c, since: time.Now(), free: sync.OnceFunc(b.free)}, nil
}

// place waits for a place; false when the listener is closed first.
func (b *bounded) place() bool {
	for {
		b.mu.Lock()
		if b.open < b.limit {
			b.open++
			b.mu.Unlock()
			return true
		}
		changed := b.changed
		oldest, later := b.dispensable(time.Now())
		b.mu.Unlock()
		if oldest != nil {
			_ = oldest.Close() // gives its place free
			continue
		}
		select {
		case <-changed:
		case <-later:
		case <-b.closed:
			return false
		}
	}
}

// dispensable takes out the connection that may be closed for another; nil when there is none, and then later says when
// there may be one, unless something changes before. The caller holds the lock.
func (b *bounded) dispensable(now time.Time) (c *placed, later <-chan time.Time) {
	switch {
	case len(b.silent) > 0:
		if left := silentTime - now.Sub(b.silent[0].since); left > 0 {
			return nil, time.After(left)
		}
		c, b.silent = b.silent[0], b.silent[1:]
	case len(b.idle) > 0:
		c, b.idle = b.idle[0], b.idle[1:]
	}
	return c, nil
}

func (b *bounded) free() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.open--
	b.signal()
}

// signal wakes who waits for a place. The caller holds the lock.
func (b *bounded) signal() {
	close(b.changed)
	b.changed = make(chan struct{})
}

// state is told by the server how its connections fare.
func (b *bounded) state(c net.Conn, s http.ConnState) {
	b.mu.Lock()
	defer b.mu.Unlock()
	p, ok := c.(*placed)
	if !ok {
		return
	}
	same := func(o *placed) bool { return o == p }
	b.silent, b.idle = slices.DeleteFunc(b.silent, same), slices.DeleteFunc(b.idle, same)
	switch s {
	case http.StateNew:
		b.silent = append(b.silent, p)
	case http.StateIdle:
		b.idle = append(b.idle, p)
	}
	b.signal()
}

// Close implements net.Listener. Connections live on.
func (b *bounded) Close() error {
	b.once.Do(func() { close(b.closed) })
	return b.Listener.Close()
}

// placed gives its place free when it is closed.
type placed struct {
	net.Conn
	since time.Time
	free  func()
}

func (p *placed) Close() error {
	defer p.free()
	return p.Conn.Close()
}
