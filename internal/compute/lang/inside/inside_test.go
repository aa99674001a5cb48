package inside

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// counted says how many accepted connections of a listener are open.
type counted struct {
	net.Listener
	open, most atomic.Int64
}

func (l *counted) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	if n := l.open.Add(1); n > l.most.Load() {
		l.most.Store(n)
	}
	return &countedConn{c, l}, nil
}

type countedConn struct {
	net.Conn
	l *counted
}

func (c *countedConn) Close() error {
	err := c.Conn.Close()
	if err == nil {
		c.l.open.Add(-1)
	}
	return err
}

func serve(t *testing.T, limit int, h http.HandlerFunc) *counted {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c := &counted{Listener: l}
	s := &http.Server{Handler: h}
	done := make(chan error, 1)
	go func() { done <- Serve(s, c, limit) }()
	t.Cleanup(func() {
		_ = s.Close()
		if err := <-done; err != http.ErrServerClosed {
			t.Error(err)
		}
	})
	return c
}

func dial(t *testing.T, l net.Listener) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	_ = c.SetDeadline(time.Now().Add(20 * time.Second))
	return c
}

const request = "GET / HTTP/1.1\r\nHost: x\r\n\r\n"

func answered(t *testing.T, c net.Conn) {
	t.Helper()
	r, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	if _, err := io.Copy(io.Discard, r.Body); err != nil || r.StatusCode != http.StatusOK {
		t.Fatal(r.Status, err)
	}
}

// TestManyConnections: a thousand connections hold no more than the limit and the one that waits; those that have had their
// answer, or never ask, make way for the next.
func TestManyConnections(t *testing.T) {
	l := serve(t, 4, func(http.ResponseWriter, *http.Request) {})
	for i := range 1000 {
		c := dial(t, l)
		if i == 500 {
			continue
		}
		if _, err := io.WriteString(c, request); err != nil {
			t.Fatal(err)
		}
		answered(t, c)
	}
	if n := l.most.Load(); n > 5 {
		t.Errorf("%d connections at once", n)
	}
}

// TestSilentConnections: connections that ask nothing lock nobody out, and take the place of none that does.
func TestSilentConnections(t *testing.T) {
	l := serve(t, 2, func(http.ResponseWriter, *http.Request) {})
	asks := dial(t, l)
	for range 2 { // two of them have places by and by, the first of them beside the one that asks
		if _, err := io.WriteString(asks, request); err != nil {
			t.Fatal(err)
		}
		answered(t, asks)
		_ = dial(t, l)
		_ = dial(t, l)
	}
	last := dial(t, l)
	if _, err := io.WriteString(last, request); err != nil {
		t.Fatal(err)
	}
	answered(t, last)
	if n := l.most.Load(); n > 3 {
		t.Errorf("%d connections at once", n)
	}
}

// TestBusyConnectionsStay: with a request under way in each, the next waits and none is cut.
func TestBusyConnectionsStay(t *testing.T) {
	begun, release := make(chan struct{}, 30), make(chan struct{})
	l := serve(t, 20, func(http.ResponseWriter, *http.Request) {
		begun <- struct{}{}
		<-release
	})
	var all []net.Conn
	for range 30 {
		c := dial(t, l)
		if _, err := io.WriteString(c, request); err != nil {
			t.Fatal(err)
		}
		all = append(all, c)
	}
	for range 20 {
		<-begun
	}
	select {
	case <-begun:
		t.Error("more requests at once than connections")
	default:
	}
	close(release)
	for _, c := range all {
		answered(t, c)
	}
}

func TestCloseWhileOneWaits(t *testing.T) {
	defer goleak.VerifyNone(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	counted := &counted{Listener: l}
	begun, release := make(chan struct{}, 1), make(chan struct{})
	s := &http.Server{Handler: http.HandlerFunc(func(http.ResponseWriter, *http.Request) { begun <- struct{}{}; <-release })}
	done := make(chan error, 1)
	go func() { done <- Serve(s, counted, 1) }()
	c := dial(t, l)
	if _, err := io.WriteString(c, request); err != nil {
		t.Fatal(err)
	}
	<-begun
	dial(t, l)
	for deadline := time.Now().Add(10 * time.Second); counted.open.Load() < 2 && time.Now().Before(deadline); {
		runtime.Gosched()
	}
	_ = s.Close()
	if err := <-done; err != http.ErrServerClosed {
		t.Error(err)
	}
	close(release)
	for deadline := time.Now().Add(10 * time.Second); counted.open.Load() > 0; runtime.Gosched() {
		if time.Now().After(deadline) {
			t.Fatal(counted.open.Load(), "connections are left")
		}
	}
}
