package lambda

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"artesian/internal/compute/lang"
	"artesian/internal/faas"
)

// streamed calls with a caller who takes a stream. What it gets, content type first, comes over the pipe.
func (a *api) streamed(ctx context.Context, id string) (*io.PipeReader, <-chan result) {
	r, w := io.Pipe()
	c := make(chan result, 1)
	go func() {
		call := lang.Call{RequestID: id, Stream: func(contentType string) error {
			_, err := fmt.Fprintf(w, "<%s>", contentType)
			return err
		}}
		f, err := a.s.Invoke(ctx, call, w)
		c <- result{failure: f, err: err}
		_ = w.Close()
	}()
	return r, c
}

func read(t *testing.T, r io.Reader, want string) {
	t.Helper()
	b := make([]byte, len(want))
	if _, err := io.ReadFull(r, b); err != nil || string(b) != want {
		t.Fatalf("%q %v, want %q", b, err, want)
	}
}

// TestStream: the content type comes before the first byte, each piece before the next one is written, and a caller who
// does not read holds the runtime up.
func TestStream(t *testing.T) {
	a := serve(t)
	next := a.next()
	out, res := a.streamed(t.Context(), "id")
	<-next
	body, feed := io.Pipe()
	answered := make(chan reply, 1)
	go func() {
		answered <- a.do("POST", "invocation/id/response", body, headMode, "streaming", "Content-Type", "text/event-stream")
	}()
	read(t, out, "<text/event-stream>")
	for _, piece := range []string{"one", "two"} {
		if _, err := io.WriteString(feed, piece); err != nil {
			t.Fatal(err)
		}
		read(t, out, piece)
	}
	_ = feed.Close()
	if got := <-answered; got.status != 202 {
		t.Error(got)
	}
	if r := <-res; r.err != nil || r.failure != nil {
		t.Error(r)
	}
	// The runtime asks again, and its next answer is a whole one.
	next = a.next()
	whole := a.invoke(t.Context(), "id-2")
	<-next
	a.post("invocation/id-2/response", "2", "Content-Type", "text/plain")
	if r := <-whole; r.out != "2" {
		t.Error(r)
	}
}

// zeros is n bytes of nothing.
type zeros int

func (z *zeros) Read(p []byte) (int, error) {
	n := min(len(p), int(*z))
	if *z -= zeros(n); n == 0 {
		return 0, io.EOF
	}
	return n, nil
}

// TestStreamLimit: a stream may be larger than a whole answer, up to its own limit; and only where both want one.
func TestStreamLimit(t *testing.T) {
	for _, c := range []struct {
		size   int
		mode   string
		status int
	}{
		{faas.MaxStreamBytes, "streaming", 202},
		{faas.MaxStreamBytes + 1, "streaming", 413},
		{faas.MaxResponseBytes + 1, "", 413},
	} {
		a := serve(t)
		next := a.next()
		out, res := a.streamed(t.Context(), "id")
		<-next
		passed := make(chan int64, 1)
		go func() {
			n, _ := io.Copy(io.Discard, out)
			passed <- n
		}()
		z := zeros(c.size)
		header := []string{"Content-Type", "x"}
		if c.mode != "" {
			header = append(header, headMode, c.mode)
		}
		got := a.do("POST", "invocation/id/response", &z, header...)
		if c.status != 202 {
			a.next()
		}
		r := <-res
		if got.status != c.status || (r.failure == nil) != (c.status == 202) || r.err != nil {
			t.Fatalf("%d: %v %v", c.size, got, r)
		}
		n := <-passed
		if c.status == 202 && n != int64(len("<x>")+c.size) {
			t.Errorf("%d of %d bytes", n, c.size)
		}
		if c.status != 202 && (r.failure.Type != ErrorTooLarge || r.failure.BrokenOff != (c.mode != "") ||
			!strings.Contains(string(r.failure.Document), fmt.Sprint(c.size-1))) {
			t.Errorf("%s: %s %v", r.failure.Type, r.failure.Document, r.failure.BrokenOff)
		}
	}
}

// TestLastWordsOfAStream: what the process sent before it ended reaches a caller who reads slowly.
func TestLastWordsOfAStream(t *testing.T) {
	a := serve(t)
	next := a.next()
	out, res := a.streamed(t.Context(), "id")
	<-next
	answered := make(chan reply, 1)
	go func() {
		answered <- a.do("POST", "invocation/id/response", strings.NewReader(strings.Repeat("x", 100_000)), headMode, "streaming")
	}()
	read(t, out, "<>")
	close(a.box.done)
	select {
	case r := <-res:
		t.Fatal("given up:", r)
	case <-time.After(3 * lastWords): // nothing is waited for: that nothing happens is what is tested
	}
	if b, err := io.ReadAll(out); err != nil || len(b) != 100_000 {
		t.Errorf("%d bytes, %v", len(b), err)
	}
	if r := <-res; r.err != nil || r.failure != nil {
		t.Error(r)
	}
	if got := <-answered; got.status != http.StatusAccepted {
		t.Error(got)
	}
}

// TestLargeTrailers: an error that does not fit is told to be one.
func TestLargeTrailers(t *testing.T) {
	a := serve(t)
	_, res := a.event("id")
	conn, err := net.Dial("tcp", strings.TrimSuffix(strings.TrimPrefix(a.base, "http://"), version))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprintf(conn, "POST %sinvocation/id/response HTTP/1.1\r\nHost: x\r\n%s: streaming\r\nTransfer-Encoding: chunked\r\nTrailer: %s, %s\r\n\r\n",
		version, headMode, headErrorType, headErrorBody)
	fmt.Fprintf(conn, "3\r\nabc\r\n0\r\n%s: Function.Midway\r\n%s: %s\r\n\r\n", headErrorType, headErrorBody, strings.Repeat("x", 10_000))
	if r := <-res; r.failure == nil || !strings.Contains(string(r.failure.Document), "too large for trailers") || r.out != "abc" || !r.failure.BrokenOff {
		t.Fatal(r)
	}
}
