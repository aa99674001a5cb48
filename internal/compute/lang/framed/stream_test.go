package framed

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"testing"

	"artesian/internal/compute/lang"
	"artesian/internal/faas"
)

// call1 is the number of the first call.
const call1 = "\x00\x00\x00\x01"

// page is a caller who takes a stream.
type page struct {
	bytes.Buffer
	kinds []string
	err   error
}

func (p *page) call() lang.Call {
	return lang.Call{Stream: func(kind string) error {
		p.kinds = append(p.kinds, kind)
		return nil
	}}
}

func (p *page) Write(b []byte) (int, error) {
	if p.err != nil {
		return 0, p.err
	}
	return p.Buffer.Write(b)
}

func TestStream(t *testing.T) {
	begin := frame('S', call1+"text/plain")
	gone := errors.New("gone")
	for _, c := range []struct {
		name, said string
		refuses    error
		out        string
		failure    string
		err        string
	}{
		{name: "pieces", said: begin + frame('D', call1+"ab") + frame('D', call1) + frame('D', call1+"c") + frame('F', call1), out: "abc"},
		{name: "nothing", said: begin + frame('F', call1)},
		{name: "error midway", said: begin + frame('D', call1+"ab") + frame('E', call1+"\x00\x01X{}"), out: "ab", failure: "X"},
		{name: "error before the first byte", said: begin + frame('E', call1+"\x00\x01X{}"), failure: "X"},
		{name: "caller gone", said: begin + frame('D', call1+"ab") + frame('D', call1+"c") + frame('F', call1), refuses: gone, err: "gone"},
		{name: "end with more", said: begin + frame('F', call1+"x"), err: "frame 'F' of 1 bytes instead of the next piece"},
		{name: "second beginning", said: begin + begin, err: "frame 'S' of 10 bytes instead of the next piece"},
		{name: "answer in a stream", said: begin + frame('A', call1+"x"), err: "frame 'A' of 1 bytes instead of the next piece"},
		{name: "piece of another call", said: begin + frame('D', "\x00\x00\x00\x02x"), err: "an answer to call 2 during call 1"},
		{name: "piece without a stream", said: frame('D', call1+"x"), err: "frame 'D' of 1 bytes instead of an answer"},
		{name: "end without a stream", said: frame('F', call1), err: "frame 'F' of 0 bytes instead of an answer"},
		{name: "long content type", said: frame('S', call1+strings.Repeat("x", maxType+1)), err: "a content type of 257 bytes"},
		{name: "wild content type", said: frame('S', call1+"a\r\nb: c"), err: "a content type with byte 0x0d"},
	} {
		s, _, other := ready(t)
		p := &page{err: c.refuses}
		say(t, other, c.said)
		f, err := s.Invoke(t.Context(), p.call(), p)
		if (err == nil) != (c.err == "") || err != nil && !strings.Contains(err.Error(), c.err) {
			t.Errorf("%s: %v", c.name, err)
		}
		if (f == nil) != (c.failure == "") || f != nil && (f.Type != c.failure || !f.BrokenOff || string(f.Document) != "{}") {
			t.Errorf("%s: failure %+v", c.name, f)
		}
		if p.String() != c.out {
			t.Errorf("%s: %q", c.name, p.String())
		}
		if strings.HasPrefix(c.said, begin) && strings.Join(p.kinds, "|") != "text/plain" {
			t.Errorf("%s: content types %q", c.name, p.kinds)
		}
		if c.err == "" || c.refuses != nil { // the session goes on
			say(t, other, frame('A', "\x00\x00\x00\x02next"))
			var out bytes.Buffer
			if _, err := s.Invoke(t.Context(), lang.Call{}, &out); err != nil || out.String() != "next" {
				t.Errorf("%s: then %q %v", c.name, out.String(), err)
			}
		}
	}
}

// TestPiecesComeAtOnce: a piece is passed on before the next is written, also one whose frame has not come in full.
func TestPiecesComeAtOnce(t *testing.T) {
	s, _, other := ready(t)
	r, w := io.Pipe()
	go func() {
		_, _ = s.Invoke(context.Background(), lang.Call{Stream: func(string) error { return nil }}, w)
		_ = w.Close()
	}()
	say(t, other, frame('S', call1))
	b := make([]byte, 2)
	for _, piece := range []string{frame('D', call1+"ab"), frame('D', call1+"abcd")[:11], "cd", frame('D', call1+"xy")} {
		say(t, other, piece)
		if _, err := io.ReadFull(r, b); err != nil || string(b) != piece[len(piece)-2:] {
			t.Fatalf("%q %v", b, err)
		}
	}
	say(t, other, frame('F', call1))
	if rest, err := io.ReadAll(r); err != nil || len(rest) > 0 {
		t.Errorf("%q %v", rest, err)
	}
}

// TestStreamLimits: beyond the limit the rest is dropped, the failure says so, and the runtime is not held up.
func TestStreamLimits(t *testing.T) {
	for _, c := range []struct {
		name   string
		stream func(string) error
		size   int
		fits   bool
	}{
		{"whole, largest", nil, faas.MaxResponseBytes, true},
		{"whole, beyond", nil, faas.MaxResponseBytes + 1, false},
		{"stream, largest", func(string) error { return nil }, faas.MaxStreamBytes, true},
		{"stream, beyond", func(string) error { return nil }, faas.MaxStreamBytes + 1, false},
	} {
		s, _, other := ready(t)
		go write(other, c.size)
		var n count
		f, err := s.Invoke(t.Context(), lang.Call{Stream: c.stream}, &n)
		if err != nil || (f == nil) != c.fits || c.fits && int(n) != c.size || int(n) > c.size {
			t.Errorf("%s: %d bytes, %v %v", c.name, n, f, err)
		}
		if f != nil && (f.Type != "Function.ResponseSizeTooLarge" || !f.BrokenOff) {
			t.Errorf("%s: %+v", c.name, f)
		}
	}
}

type count int

func (c *count) Write(p []byte) (int, error) {
	*c += count(len(p))
	return len(p), nil
}

// write streams size bytes.
func write(c net.Conn, size int) {
	_, _ = io.WriteString(c, frame('S', call1))
	piece := frame('D', call1+strings.Repeat("x", 1<<20))
	for ; size >= 1<<20; size -= 1 << 20 {
		_, _ = io.WriteString(c, piece)
	}
	_, _ = io.WriteString(c, frame('D', call1+strings.Repeat("x", size))+frame('F', call1))
}

// FuzzStream: whatever a runtime streams, Invoke returns, and what it passes on was said.
func FuzzStream(f *testing.F) {
	f.Add([]byte(frame('S', call1+"text/plain") + frame('D', call1+"ab") + frame('F', call1)))
	f.Add([]byte(frame('S', call1) + frame('E', call1+"\x00\x01E{}")))
	f.Add([]byte(frame('S', call1) + "D\xff\xff\xff\xff"))
	f.Fuzz(func(t *testing.T, said []byte) {
		s, b, other := ready(t)
		if _, err := other.Write(said[:min(len(said), 32<<10)]); err != nil {
			t.Skip(err)
		}
		_ = other.(*net.UnixConn).CloseWrite()
		close(b.done)
		p := &page{}
		failure, err := s.Invoke(t.Context(), p.call(), p)
		if len(p.kinds) > 1 || len(p.kinds) == 1 && !bytes.Contains(said, []byte(call1+p.kinds[0])) {
			t.Fatalf("content types %q came of %q", p.kinds, said)
		}
		if p.Len() > len(said) || err == nil && failure != nil && len(p.kinds) == 1 && !failure.BrokenOff {
			t.Fatalf("%d bytes, failure %+v of %q", p.Len(), failure, said)
		}
	})
}
