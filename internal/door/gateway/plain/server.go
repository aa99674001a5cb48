// Package plain serves HTTP/1.1 requests of the plain kind with less work than net/http, and hands every other one, with its connection,
// to net/http.
//
// A request is plain when its head is all that a usual client sends, written in the one way that leaves nothing to interpret (see head.go): no
// transfer encoding, no expectation, no upgrade, one Host, at most one length, a small head. Whatever else comes is net/http's to judge, from
// its first byte on, and so is all that follows on that connection. So there is no second opinion about where a request ends.
//
// What is saved is what a call does not need: one goroutine reads, answers and writes; nobody watches the connection while a request is
// answered unless somebody wants to know whether the client is still there (Context.Done is asked for); deadlines are set when they are needed; an
// answer leaves in one write. For handlers everything is as with net/http, but that there is no Hijack, no trailer and no full duplex, that headers
// count until they are sent, and that Context.Err alone does not notice a client that leaves.
package plain

import (
	"context"
	"errors"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// Server answers plain requests by an http.Server's handler and within its ReadHeaderTimeout and IdleTimeout, and has that server answer the
// others.
type Server struct {
	http    *http.Server
	over    *handover
	date    atomic.Pointer[dated]
	closing atomic.Bool

	mu        sync.Mutex // guards what follows
	listeners map[net.Listener]struct{}
	conns     map[*conn]struct{}
	serving   bool // the http.Server waits for connections
}

// New returns a server in front of s, which serves nothing by itself.
func New(s *http.Server) *Server {
	return &Server{http: s, over: &handover{conns: make(chan net.Conn), closed: make(chan struct{})},
		listeners: map[net.Listener]struct{}{}, conns: map[*conn]struct{}{}}
}

// acceptPause is how long a server waits when the machine has no descriptor or memory left for a connection.
const acceptPause = 50 * time.Millisecond

// Serve answers on l until Shutdown or Close; then its error is http.ErrServerClosed.
func (s *Server) Serve(l net.Listener) error {
	if !s.listen(l) {
		_ = l.Close()
		return http.ErrServerClosed
	}
	s.over.addr.CompareAndSwap(nil, new(l.Addr()))
	for {
		c, err := l.Accept()
		switch {
		case err == nil:
			s.open(c)
		case s.closing.Load():
			return http.ErrServerClosed
		case errors.Is(err, syscall.EMFILE), errors.Is(err, syscall.ENFILE), errors.Is(err, syscall.ENOBUFS), errors.Is(err, syscall.ENOMEM):
			time.Sleep(acceptPause)
		default:
			return err
		}
	}
}

func (s *Server) listen(l net.Listener) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closing.Load() {
		return false
	}
	s.listeners[l] = struct{}{}
	if !s.serving {
		s.serving = true
		go func() { _ = s.http.Serve(s.over) }() // its end is Shutdown's or Close's
	}
	return true
}

func (s *Server) open(nc net.Conn) {
	c := newConn(s, nc)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closing.Load() {
		_ = nc.Close()
		return
	}
	s.conns[c] = struct{}{}
	go c.serve()
}

func (s *Server) forget(c *conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.conns, c)
}

// drainPoll is how often Shutdown looks whether the last request has been answered.
const drainPoll = 5 * time.Millisecond

// Shutdown accepts nothing more, closes connections that wait for a request, net/http's too, and returns when all requests are answered,
// or with ctx's error.
func (s *Server) Shutdown(ctx context.Context) error {
	s.stopListening()
	s.http.SetKeepAlivesEnabled(false) // its own Shutdown comes when nothing can be handed over any more
	tick := time.NewTicker(drainPoll)
	defer tick.Stop()
	for s.closeIdle() > 0 {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return errors.Join(ctx.Err(), s.http.Shutdown(ctx))
		}
	}
	return s.http.Shutdown(ctx)
}

// Close ends all connections at once.
func (s *Server) Close() error {
	s.stopListening()
	s.mu.Lock()
	for c := range s.conns {
		c.state.Store(closed)
		_ = c.nc.Close()
	}
	s.mu.Unlock()
	return s.http.Close()
}

func (s *Server) stopListening() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closing.Store(true)
	for l := range s.listeners {
		_ = l.Close()
		delete(s.listeners, l)
	}
}

// closeIdle closes the connections without a request and returns how many others there are.
func (s *Server) closeIdle() (left int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.conns {
		if c.state.CompareAndSwap(idle, closed) {
			_ = c.nc.Close()
			continue
		}
		left++
	}
	return left
}

// dated is a second and its Date header.
type dated struct {
	second int64
	text   string
}

// now returns the Date header of a time.
func (s *Server) now(at time.Time) string {
	second := at.Unix()
	if d := s.date.Load(); d != nil && d.second == second {
		return d.text
	}
	d := &dated{second, at.UTC().Format(http.TimeFormat)}
	s.date.Store(d)
	return d.text
}

// handover is a listener of connections whose first bytes have been read.
type handover struct {
	conns  chan net.Conn
	addr   atomic.Pointer[net.Addr]
	once   sync.Once
	closed chan struct{}
}

func (h *handover) give(c net.Conn) {
	select {
	case h.conns <- c:
	case <-h.closed:
		_ = c.Close()
	}
}

func (h *handover) Accept() (net.Conn, error) {
	select {
	case c := <-h.conns:
		return c, nil
	case <-h.closed:
		return nil, net.ErrClosed
	}
}

func (h *handover) Close() error {
	h.once.Do(func() { close(h.closed) })
	return nil
}

func (h *handover) Addr() net.Addr {
	if a := h.addr.Load(); a != nil {
		return *a
	}
	return &net.TCPAddr{}
}

// replayed is a connection some of which has been read.
type replayed struct {
	net.Conn
	read []byte
}

func (r *replayed) Read(p []byte) (int, error) {
	if len(r.read) > 0 {
		n := copy(p, r.read)
		r.read = r.read[n:]
		return n, nil
	}
	return r.Conn.Read(p)
}

// CloseWrite is what net/http asks for before it closes a connection on which something may still arrive.
func (r *replayed) CloseWrite() error {
	if c, ok := r.Conn.(interface{ CloseWrite() error }); ok {
		return c.CloseWrite()
	}
	return nil
}
