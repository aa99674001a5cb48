package plain

import (
	"io"
	"log"
	"net"
	"net/http"
	"testing"
	"time"
)

// pair is a connection and the other end of it.
func pair(t *testing.T) (ours, theirs net.Conn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if theirs, err = net.Dial("tcp", l.Addr().String()); err != nil {
		t.Fatal(err)
	}
	if ours, err = l.Accept(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = ours.Close(), theirs.Close() })
	_ = theirs.SetDeadline(time.Now().Add(20 * time.Second))
	return ours, theirs
}

// TestOwnPanic: a mistake in reading a request is its connection's end, not the daemon's.
func TestOwnPanic(t *testing.T) {
	ours, theirs := pair(t)
	c := newConn(New(&http.Server{ErrorLog: log.New(io.Discard, "", 0)}), ours)
	c.names = nil // it can't be written to
	go c.serve()
	if _, err := io.WriteString(theirs, "GET / HTTP/1.1\r\nHost: a\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	if b, err := io.ReadAll(theirs); len(b) > 0 || err != nil {
		t.Errorf("%q %v", b, err)
	}
}

// TestHandedOverEnds: net/http can say that nothing more comes and still read, so that its last answer arrives.
func TestHandedOverEnds(t *testing.T) {
	ours, theirs := pair(t)
	r, ok := any(&replayed{Conn: ours}).(interface{ CloseWrite() error })
	if !ok {
		t.Fatal("net/http does not see how")
	}
	if err := r.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if b, err := io.ReadAll(theirs); len(b) > 0 || err != nil {
		t.Errorf("%q %v", b, err)
	}
	if _, err := io.WriteString(theirs, "rest"); err != nil {
		t.Fatal(err)
	}
	if n, err := ours.Read(make([]byte, 4)); n != 4 || err != nil {
		t.Errorf("%d bytes, %v", n, err)
	}
}
