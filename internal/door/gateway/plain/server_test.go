package plain_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"artesian/internal/door/gateway/plain"
)

// started is a server of either kind on a free port.
func started(t *testing.T, s *http.Server, own bool) (addr string, stop interface {
	Shutdown(context.Context) error
	Close() error
}) {
	t.Helper()
	s.ErrorLog = log.New(io.Discard, "", 0)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if own {
		p := plain.New(s)
		go func() { _ = p.Serve(l) }()
		t.Cleanup(func() { _ = p.Close() })
		return l.Addr().String(), p
	}
	go func() { _ = s.Serve(l) }()
	t.Cleanup(func() { _ = s.Close() })
	return l.Addr().String(), s
}

// client is a connection by hand.
type client struct {
	net.Conn
	*bufio.Reader
}

func dial(t *testing.T, addr string) *client {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	_ = c.SetDeadline(time.Now().Add(20 * time.Second))
	return &client{c, bufio.NewReader(c)}
}

func (c *client) Read(p []byte) (int, error) { return c.Reader.Read(p) }

func (c *client) send(t *testing.T, text string) {
	t.Helper()
	if _, err := io.WriteString(c, text); err != nil {
		t.Fatal(err)
	}
}

// answer reads one answer and says all of it that matters.
func (c *client) answer(method string) string {
	resp, err := http.ReadResponse(c.Reader, &http.Request{Method: method})
	if err != nil {
		return "no answer"
	}
	body, err := io.ReadAll(resp.Body)
	if d, derr := http.ParseTime(resp.Header.Get("Date")); derr != nil || time.Since(d) > time.Minute {
		return "no date"
	}
	resp.Header.Del("Date")
	if len(body) > 100 {
		body = fmt.Appendf(nil, "%d bytes %.10s", len(body), body)
	}
	return fmt.Sprintf("%s %v %d %v close=%t %q %v", resp.Status, resp.Header, resp.ContentLength, resp.TransferEncoding, resp.Close, body, err)
}

// handle does what the path says.
func handle(w http.ResponseWriter, r *http.Request) {
	rc := http.NewResponseController(w)
	switch r.URL.Path {
	case "/echo":
		b, err := io.ReadAll(r.Body)
		fmt.Fprintf(w, "%s %s %s %v %v %q %v", r.Method, r.Host, r.RequestURI, r.Header, r.ContentLength, b, err)
	case "/typed":
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Content-Length", "2")
		_, _ = w.Write([]byte("{}"))
	case "/nothing":
	case "/unread":
		_, _ = w.Write([]byte("short"))
	case "/204":
		w.WriteHeader(http.StatusNoContent)
		if _, err := w.Write([]byte("x")); !errors.Is(err, http.ErrBodyNotAllowed) {
			panic(err)
		}
	case "/304":
		w.Header().Set("Content-Type", "text/plain")
		w.Header().Set("Content-Length", "5")
		w.Header().Set("Etag", "e")
		w.WriteHeader(http.StatusNotModified)
	case "/large":
		_, _ = w.Write(bytes.Repeat([]byte("<html>"), 100_000))
	case "/pieces":
		for i := range 5 {
			_, _ = fmt.Fprintf(w, "piece %d ", i)
			if i%2 == 0 {
				_ = rc.Flush()
			}
		}
		_, _ = w.Write(bytes.Repeat([]byte("x"), 70_000))
	case "/flushed":
		_ = rc.Flush()
	case "/declared":
		w.Header().Set("Content-Length", "8")
		_, _ = w.Write([]byte("1234"))
		_ = rc.Flush()
		_, _ = w.Write([]byte("5678"))
		if _, err := w.Write([]byte("9")); !errors.Is(err, http.ErrContentLength) {
			panic(err)
		}
	case "/few":
		w.Header().Set("Content-Length", "8")
		_, _ = w.Write([]byte("1234"))
	case "/inject":
		w.Header().Set("X-A", "a\r\nX-B: b")
		w.Header()["X C\r\nX-D"] = []string{"c"}
		w.Header().Add("X-E", " 1 ")
		w.Header().Add("X-E", "2")
		w.Header().Set("Content-Type", "text/plain")
		w.WriteHeader(http.StatusTeapot)
		w.WriteHeader(http.StatusOK)
		_, _ = w.Write([]byte("tea"))
	case "/hurried":
		w.Header().Set("Content-Length", "2")
		_, _ = w.Write([]byte("{}"))
		_ = rc.Flush()
		_ = rc.SetWriteDeadline(time.Unix(1, 0))
	case "/panic":
		panic("by intent")
	case "/abort":
		_, _ = w.Write([]byte("half"))
		_ = rc.Flush()
		panic(http.ErrAbortHandler)
	}
}

// TestLikeNetHTTP: to a client there is no difference.
func TestLikeNetHTTP(t *testing.T) {
	const host = " HTTP/1.1\r\nHost: localhost\r\n"
	two := "GET /typed" + host + "\r\nPOST /echo" + host + "Content-Length: 2\r\n\r\nab"
	for name, requests := range map[string][]string{
		"echo":         {"POST /echo?a=b" + host + "X-a: 1\r\nX-A: 2\r\nContent-Length: 5\r\n\r\nhello", "GET /echo" + host + "\r\n"},
		"typed":        {"GET /typed" + host + "\r\n", "GET /typed" + host + "\r\n"},
		"nothing":      {"GET /nothing" + host + "\r\n", "DELETE /nothing" + host + "\r\n"},
		"unread":       {"POST /unread" + host + "Content-Length: 60000\r\n\r\n" + strings.Repeat("u", 60000), "GET /typed" + host + "\r\n"},
		"no content":   {"GET /204" + host + "\r\n", "GET /typed" + host + "\r\n"},
		"not modified": {"GET /304" + host + "\r\n", "GET /typed" + host + "\r\n"},
		"large":        {"GET /large" + host + "\r\n", "GET /typed" + host + "\r\n"},
		"pieces":       {"GET /pieces" + host + "\r\n", "GET /pieces" + host + "\r\n"},
		"flushed":      {"GET /flushed" + host + "\r\n", "GET /typed" + host + "\r\n"},
		"declared":     {"GET /declared" + host + "\r\n", "GET /typed" + host + "\r\n"},
		"few":          {"GET /few" + host + "\r\n", "GET /typed" + host + "\r\n"},
		"inject":       {"GET /inject" + host + "\r\n", "GET /typed" + host + "\r\n"},
		"hurried":      {"GET /hurried" + host + "\r\n", "GET /typed" + host + "\r\n"},
		"panic":        {"GET /panic" + host + "\r\n", "GET /typed" + host + "\r\n"},
		"abort":        {"GET /abort" + host + "\r\n", "GET /typed" + host + "\r\n"},
		"pipelined":    {two, "", "GET /typed" + host + "\r\n"},
		"chunked":      {"POST /echo" + host + "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n", "GET /typed" + host + "\r\n"},
		"large body":   {"POST /unread" + host + "Content-Length: 100000\r\n\r\n" + strings.Repeat("u", 100000), "GET /typed" + host + "\r\n"},
		"close":        {"GET /typed" + host + "Connection: close\r\n\r\n", "GET /typed" + host + "\r\n"},
		"old":          {"GET /typed HTTP/1.0\r\n\r\n"},
		"no host":      {"GET /typed HTTP/1.1\r\n\r\n"},
		"two hosts":    {"GET /typed" + host + "Host: b\r\n\r\n"},
		"smuggled":     {"POST /echo" + host + "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /typed" + host + "\r\n"},
		"two lengths":  {"POST /echo" + host + "Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello"},
		"line feeds":   {"GET /typed HTTP/1.1\nHost: localhost\n\n", "GET /typed" + host + "\r\n"},
		"long head":    {"GET /typed" + host + "X-Long: " + strings.Repeat("l", 10000) + "\r\n\r\n", "GET /typed" + host + "\r\n"},
		"longer head":  {"GET /typed" + host + "X-Long: " + strings.Repeat("l", 100000) + "\r\n\r\n"},
		"no HTTP":      {"\x16\x03\x01 something else\r\n\r\n"},
		"bad target":   {"GET /%zz" + host + "\r\n"},
		"late mistake": {"GET /typed" + host + "\r\n", "GET /typed" + host + "X: \x00\r\n\r\n"},
	} {
		t.Run(name, func(t *testing.T) {
			var got [2][]string
			for i, own := range []bool{false, true} {
				addr, _ := started(t, &http.Server{Handler: http.HandlerFunc(handle), MaxHeaderBytes: 64 << 10}, own)
				c := dial(t, addr)
				for _, text := range requests {
					_, _ = io.WriteString(c, text) // it may be closed
					method, _, _ := strings.Cut(text, " ")
					got[i] = append(got[i], c.answer(method))
				}
			}
			for n := range got[0] {
				if got[0][n] != got[1][n] {
					t.Errorf("answer %d:\n%s\nnet/http:\n%s", n, got[1][n], got[0][n])
				}
			}
		})
	}
}

// TestPieces: a request may come in pieces, and its body after its head.
func TestPieces(t *testing.T) {
	addr, _ := started(t, &http.Server{Handler: http.HandlerFunc(handle), ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 10 * time.Second}, true)
	c := dial(t, addr)
	for _, text := range []string{
		"POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\n0123456789",
		"POST /unread HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\n0123456789",
	} {
		want := ""
		for cut := range len(text) {
			c.send(t, text[:cut])
			c.send(t, text[cut:])
			got := c.answer("POST")
			if want == "" {
				want = got
			}
			if !strings.HasPrefix(got, "200 OK") || got != want {
				t.Fatalf("cut at %d: %s, want %s", cut, got, want)
			}
		}
	}
}

// TestLeft: a client that leaves is noticed by who asks for it; before, after and without its body.
func TestLeft(t *testing.T) {
	for name, text := range map[string]string{
		"no body": "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
		"body":    "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nb",
	} {
		t.Run(name, func(t *testing.T) {
			asked, left := make(chan context.Context), make(chan error)
			addr, _ := started(t, &http.Server{IdleTimeout: time.Minute, Handler: http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				done := r.Context().Done() // before its body is read
				_, _ = io.ReadAll(r.Body)
				asked <- r.Context()
				<-done
				left <- r.Context().Err()
			})}, true)
			c := dial(t, addr)
			c.send(t, text)
			if ctx := <-asked; ctx.Err() != nil {
				t.Fatal("left already")
			}
			_ = c.Close()
			if err := <-left; !errors.Is(err, context.Canceled) {
				t.Error(err)
			}
		})
	}
}

// TestWatched: the first byte of the next request, which who watched has read, is not lost, and a context ends with its request.
func TestWatched(t *testing.T) {
	var contexts []context.Context
	next := make(chan struct{})
	addr, _ := started(t, &http.Server{IdleTimeout: time.Minute, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		contexts = append(contexts, r.Context())
		_ = r.Context().Done()
		if r.URL.Path == "/wait" {
			<-next
		}
		handle(w, r)
	})}, true)
	c := dial(t, addr)
	const typed = "GET /typed HTTP/1.1\r\nHost: a\r\n\r\n"
	c.send(t, "GET /wait HTTP/1.1\r\nHost: a\r\n\r\n")
	c.send(t, typed)
	close(next)
	for i := range 10 {
		if got := c.answer("GET"); !strings.HasPrefix(got, "200 OK") {
			t.Fatalf("answer %d: %s", i, got)
		}
		if i > 0 {
			c.send(t, typed)
		}
	}
	if got := c.answer("GET"); !strings.HasPrefix(got, "200 OK") {
		t.Fatal(got)
	}
	for _, ctx := range contexts[:10] {
		<-ctx.Done()
		if ctx.Err() != context.Canceled {
			t.Error(ctx.Err())
		}
	}
}

// TestTimes: who sends nothing, half a head, or half a body is not waited for.
func TestTimes(t *testing.T) {
	const short = 50 * time.Millisecond
	failed := make(chan error, 1)
	addr, _ := started(t, &http.Server{ReadHeaderTimeout: short, IdleTimeout: short, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(short))
		if r.ContentLength > 0 && r.URL.Path == "/" {
			_, err := io.ReadAll(r.Body)
			failed <- err
		}
	})}, true)
	for _, text := range []string{"", "GET / HTTP/1.1\r\nHo", "GET / HTTP/1.1\r\nHost: a\r\n\r\n", "POST /unread HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nb"} {
		c := dial(t, addr)
		c.send(t, text)
		if _, err := io.ReadAll(c); err != nil {
			t.Errorf("%q: %v", text, err)
		}
	}
	c := dial(t, addr)
	c.send(t, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nb")
	if err := <-failed; !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Error(err)
	}
}

// TestShutdown: what waits is closed, what is answered is answered, and told that nothing follows.
func TestShutdown(t *testing.T) {
	begun, end := make(chan struct{}), make(chan struct{})
	addr, s := started(t, &http.Server{IdleTimeout: time.Minute, Handler: http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/slow" {
			close(begun)
			<-end
		}
	})}, true)
	fresh, used, busy := dial(t, addr), dial(t, addr), dial(t, addr)
	used.send(t, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
	used.answer("GET")
	busy.send(t, "GET /slow HTTP/1.1\r\nHost: a\r\n\r\n")
	<-begun
	short, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if err := s.Shutdown(short); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a request is under way, and Shutdown says %v", err)
	}
	for _, c := range []*client{fresh, used} {
		if b, err := io.ReadAll(c); len(b) > 0 || err != nil {
			t.Errorf("%q %v", b, err)
		}
	}
	ended := make(chan error)
	go func() { ended <- s.Shutdown(t.Context()) }()
	close(end)
	if got := busy.answer("GET"); !strings.Contains(got, "close=true") {
		t.Error(got)
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if c, err := net.Dial("tcp", addr); err == nil {
		_ = c.Close()
		t.Error("it still listens")
	}
}

// TestShutdownOfHalves: who has sent a part of a head, and holds the rest back, does not hold up the end, and neither does a connection
// that is net/http's: what waits there is closed while others are still answered here.
func TestShutdownOfHalves(t *testing.T) {
	begun, end := make(chan struct{}), make(chan struct{})
	addr, s := started(t, &http.Server{Handler: http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/slow" {
			close(begun)
			<-end
		}
	})}, true)
	half, over, busy := dial(t, addr), dial(t, addr), dial(t, addr)
	half.send(t, "GET / HTTP/1.1\r\nHost: a\r\n\r\nGET / HTTP/1.1\r\nHo") // both come at once
	over.send(t, "HEAD / HTTP/1.1\r\nHost: a\r\n\r\n")
	for c, method := range map[*client]string{half: "GET", over: "HEAD"} {
		if got := c.answer(method); !strings.HasPrefix(got, "200 OK") {
			t.Fatal(got)
		}
	}
	busy.send(t, "GET /slow HTTP/1.1\r\nHost: a\r\n\r\n")
	<-begun
	ended := make(chan error)
	go func() { ended <- s.Shutdown(t.Context()) }()
	for _, c := range []*client{half, over} {
		if b, err := io.ReadAll(c); len(b) > 0 || errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("%q %v", b, err)
		}
	}
	close(end)
	if got := busy.answer("GET"); !strings.HasPrefix(got, "200 OK") {
		t.Error(got)
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

func TestClose(t *testing.T) {
	begun := make(chan struct{})
	addr, s := started(t, &http.Server{Handler: http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		close(begun)
		<-r.Context().Done()
	})}, true)
	c := dial(t, addr)
	c.send(t, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
	<-begun
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if got := c.answer("GET"); got != "no answer" {
		t.Error(got)
	}
}

// scarce is a listener on a machine that has no descriptor left for a while.
type scarce struct {
	net.Listener
	fails []error
}

func (s *scarce) Accept() (net.Conn, error) {
	if len(s.fails) == 0 {
		return s.Listener.Accept()
	}
	err := s.fails[0]
	s.fails = s.fails[1:]
	return nil, &net.OpError{Op: "accept", Err: os.NewSyscallError("accept4", err)}
}

// TestScarce: a machine that has no descriptor left for a moment is no reason to stop; a broken listener is.
func TestScarce(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := plain.New(&http.Server{Handler: http.HandlerFunc(handle)})
	ended := make(chan error, 1)
	go func() { ended <- s.Serve(&scarce{l, []error{syscall.EMFILE, syscall.ENFILE}}) }()
	c := dial(t, l.Addr().String())
	c.send(t, "GET /typed HTTP/1.1\r\nHost: a\r\n\r\n")
	if got := c.answer("GET"); !strings.HasPrefix(got, "200 OK") {
		t.Error(got)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if err := <-ended; !errors.Is(err, http.ErrServerClosed) {
		t.Error(err)
	}
	if err := plain.New(&http.Server{}).Serve(&scarce{l, []error{syscall.EINVAL}}); !errors.Is(err, syscall.EINVAL) {
		t.Error(err)
	}
}
