package framed

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"artesian/internal/compute/lang"
	"artesian/internal/compute/sandbox"
)

// box is a sandbox of which only the channel and the end matter.
type box struct {
	sandbox.Sandbox
	conn *net.UnixConn
	done chan struct{}
}

func (b *box) Channel() *net.UnixConn { return b.conn }
func (b *box) Done() <-chan struct{}  { return b.done }

// pair is a session with the other end of its channel.
func pair(t testing.TB) (*Session, *box, net.Conn) {
	t.Helper()
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	var conns [2]net.Conn
	for i, fd := range fds {
		f := os.NewFile(uintptr(fd), "channel")
		if conns[i], err = net.FileConn(f); err != nil {
			t.Fatal(err)
		}
		_ = f.Close()
		t.Cleanup(func() { _ = conns[i].Close() })
	}
	b := &box{conn: conns[0].(*net.UnixConn), done: make(chan struct{})}
	return New(b), b, conns[1]
}

func frame(kind byte, payload string) string {
	return string(append([]byte{kind}, binary.BigEndian.AppendUint32(nil, uint32(len(payload)))...)) + payload
}

func ready(t testing.TB) (*Session, *box, net.Conn) {
	t.Helper()
	s, b, other := pair(t)
	say(t, other, frame('H', "\x01")+frame('R', ""))
	if _, err := s.Init(t.Context()); err != nil {
		t.Fatal(err)
	}
	return s, b, other
}

func say(t testing.TB, c net.Conn, text string) {
	t.Helper()
	if _, err := c.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
}

func TestInit(t *testing.T) {
	for _, c := range []struct{ name, said, want string }{
		{"another version", frame('H', "\x02"), "a greeting of protocol [2], not 1,"},
		{"no greeting", frame('R', ""), "frame 'R' of 0 bytes instead of 'H'"},
		{"long greeting", frame('H', strings.Repeat("x", 65)), "frame 'H' of 65 bytes"},
		{"answer before a call", frame('H', "\x01") + frame('A', "\x00\x00\x00\x00"), "frame 'A' of 4 bytes instead of 'R'"},
		{"wrong error", frame('H', "\x01") + frame('I', "\x00"), "an error of 1 bytes"},
		{"wrong type", frame('H', "\x01") + frame('I', "\x00\x05abc"), "an error type of 5 bytes"},
		{"huge error", frame('H', "\x01") + "I\xff\xff\xff\xff", "frame 'I' of 4294967295 bytes"},
		{"error", frame('H', "\x01") + frame('I', "\x00\x01E{}"), "function error E"},
	} {
		s, _, other := pair(t)
		say(t, other, c.said)
		_, err := s.Init(t.Context())
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", c.name, err)
		}
		if _, again := s.Init(t.Context()); again != err {
			t.Errorf("%s: then %v", c.name, again)
		}
	}
}

func TestCallOnTheWire(t *testing.T) {
	s, _, other := ready(t)
	go func() {
		c := lang.Call{RequestID: "id", FunctionARN: "a\x00rn", Trace: "t", Deadline: time.UnixMilli(5), Payload: []byte("event"), ClientContext: []byte("{\x00}"), Identity: []byte("i"), Tenant: "blue"}
		_, _ = s.Invoke(context.Background(), c, new(bytes.Buffer))
	}()
	want := frame('C', "\x00\x00\x00\x01\x00\x00\x00\x16id\x00a rn\x00t\x005\x00{ }\x00i\x00blueevent")
	got := make([]byte, len(want))
	if _, err := other.Read(got); err != nil {
		t.Fatal(err)
	}
	if string(got) != want {
		t.Errorf("%q\n%q", got, want)
	}
	say(t, other, frame('A', "\x00\x00\x00\x01"))
}

func TestEndOfTheProcess(t *testing.T) {
	s, b, other := ready(t)
	_ = other.Close()
	close(b.done)
	if _, err := s.Invoke(t.Context(), lang.Call{}, new(bytes.Buffer)); !errors.Is(err, lang.ErrExited) {
		t.Fatal(err)
	}
}

func TestCloseEndsAWait(t *testing.T) {
	s, b, _ := pair(t)
	got := make(chan error, 1)
	go func() {
		_, err := s.Init(context.Background())
		got <- err
	}()
	_ = s.Close()
	close(b.done)
	if err := <-got; !errors.Is(err, lang.ErrExited) {
		t.Fatal(err)
	}
}

// FuzzSession: whatever a runtime writes, Init and Invoke return, an answer is taken only if it is this call's, and no more
// than the limit is.
func FuzzSession(f *testing.F) {
	hello := frame('H', "\x01")
	f.Add([]byte(hello + frame('R', "") + frame('A', "\x00\x00\x00\x01{}")))
	f.Add([]byte(hello + frame('R', "") + frame('E', "\x00\x00\x00\x01\x00\x01E{}")))
	f.Add([]byte(hello + frame('I', "\x00\x01E{}")))
	f.Add([]byte(hello + frame('R', "") + "A\xff\xff\xff\xff"))
	f.Fuzz(func(t *testing.T, said []byte) {
		s, b, other := pair(t)
		if _, err := other.Write(said[:min(len(said), 32<<10)]); err != nil {
			t.Skip(err)
		}
		_ = other.(*net.UnixConn).CloseWrite()
		close(b.done)
		if _, err := s.Init(t.Context()); err != nil {
			return
		}
		var out bytes.Buffer
		failure, err := s.Invoke(t.Context(), lang.Call{RequestID: "r", Payload: []byte("1")}, &out)
		if err == nil && failure == nil && !bytes.Contains(said, append([]byte("\x00\x00\x00\x01"), out.Bytes()...)) {
			t.Fatalf("%q came of %q", out.Bytes(), said)
		}
		if _, err := s.Invoke(t.Context(), lang.Call{}, &out); err == nil && !bytes.Contains(said, []byte("\x00\x00\x00\x02")) {
			t.Fatalf("a second answer came of %q", said)
		}
	})
}
