package lambda

import (
	"bufio"
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"artesian/internal/compute/lang"
	"artesian/internal/compute/sandbox"
	"artesian/internal/faas"
)

// box is a sandbox of which only the end matters.
type box struct {
	sandbox.Sandbox
	done chan struct{}
}

func (b *box) Done() <-chan struct{} { return b.done }

// api is a session with an HTTP client in the place of a runtime.
type api struct {
	t    testing.TB
	s    *Session
	box  *box
	base string
	http *http.Client
}

func serve(t testing.TB) *api {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	b := &box{done: make(chan struct{})}
	a := &api{t: t, box: b, s: NewSession(b, l), base: "http://" + l.Addr().String() + version, http: &http.Client{Transport: &http.Transport{}}}
	t.Cleanup(func() {
		a.http.CloseIdleConnections()
		_ = a.s.Close()
	})
	return a
}

type reply struct {
	status int
	body   string
	header http.Header
}

func (a *api) do(method, path string, body io.Reader, header ...string) reply {
	a.t.Helper()
	r, err := a.request(method, path, body, header...)
	if err != nil {
		a.t.Fatal(err)
	}
	return r
}

func (a *api) request(method, path string, body io.Reader, header ...string) (reply, error) {
	r, err := http.NewRequestWithContext(context.Background(), method, a.base+path, body)
	if err != nil {
		return reply{}, err
	}
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	res, err := a.http.Do(r)
	if err != nil {
		return reply{}, err
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	return reply{res.StatusCode, string(text), res.Header}, err
}

func (a *api) post(path, body string, header ...string) reply {
	return a.do("POST", path, strings.NewReader(body), header...)
}

// outcome is what an invocation returned.
type result struct {
	failure *lang.Failure
	err     error
	out     string
}

func (a *api) invoke(ctx context.Context, id string) <-chan result {
	c := make(chan result, 1)
	go func() {
		var out bytes.Buffer
		call := lang.Call{RequestID: id, FunctionARN: "arn:f", Trace: "Root=1", Payload: []byte(`{"a":1}`),
			Deadline: time.UnixMilli(1700000000123), ClientContext: []byte("{\n}"), Identity: []byte(`{"cognitoIdentityId":"x"}`)}
		f, err := a.s.Invoke(ctx, call, &out)
		c <- result{f, err, out.String()}
	}()
	return c
}

func (a *api) next() <-chan reply {
	c := make(chan reply, 1)
	go func() {
		r, _ := a.request("GET", "invocation/next", nil) // the end of the test may break it off
		c <- r
	}()
	return c
}

// event makes the runtime ask and the platform call.
func (a *api) event(id string) (reply, <-chan result) {
	next := a.next()
	res := a.invoke(a.t.Context(), id)
	return <-next, res
}

func TestRuntimeAPI(t *testing.T) {
	a := serve(t)
	next := a.next()
	if _, err := a.s.Init(t.Context()); err != nil {
		t.Fatal(err)
	}
	res := a.invoke(t.Context(), "id-1")
	ev := <-next
	if ev.status != 200 || ev.body != `{"a":1}` {
		t.Fatal(ev)
	}
	for name, want := range map[string]string{
		"Lambda-Runtime-Aws-Request-Id": "id-1", "Lambda-Runtime-Deadline-Ms": "1700000000123", "Lambda-Runtime-Trace-Id": "Root=1",
		"Lambda-Runtime-Invoked-Function-Arn": "arn:f", "Lambda-Runtime-Client-Context": "{ }",
		"Lambda-Runtime-Cognito-Identity": `{"cognitoIdentityId":"x"}`, "Content-Type": "application/json",
	} {
		if got := ev.header.Get(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	for _, step := range []struct {
		method, path string
		status       int
		body         string
	}{
		{"POST", "invocation/other/response", 400, "InvalidRequestID"},
		{"POST", "invocation/other/error", 400, "InvalidRequestID"},
		{"GET", "invocation/next", 403, "InvalidStateTransition"},
		{"POST", "init/error", 403, "InvalidStateTransition"},
		{"POST", "invocation/id-1/response", 202, `{"status":"OK"}`},
		{"POST", "invocation/id-1/response", 403, "InvalidStateTransition"},
		{"POST", "invocation/id-1/error", 403, "InvalidStateTransition"},
		{"PUT", "invocation/id-1/response", 405, ""},
		{"GET", "nothing", 404, ""},
	} {
		got := a.do(step.method, step.path, strings.NewReader(`"x"`))
		if got.status != step.status || !strings.Contains(got.body, step.body) {
			t.Errorf("%s %s: %d %s", step.method, step.path, got.status, got.body)
		}
	}
	if r := <-res; r.err != nil || r.failure != nil || r.out != `"x"` {
		t.Fatal(r)
	}
	ev, res = a.event("id-2")
	if got := a.post("invocation/id-1/response", "late"); got.status != 400 {
		t.Error("an answer to the event before:", got)
	}
	doc := `{"errorMessage":"m","errorType":"E"}`
	if got := a.post("invocation/id-2/error", doc); got.status != 202 {
		t.Error(got)
	}
	if r := <-res; r.failure == nil || r.failure.Type != "E" || r.out != doc {
		t.Fatal(r, ev)
	}
}

func TestInitError(t *testing.T) {
	a := serve(t)
	if got := a.post("init/error", `{"errorType":"X"}`, headErrorType, "Runtime.Bad"); got.status != 202 {
		t.Fatal(got)
	}
	_, err := a.s.Init(t.Context())
	var f *lang.Failure
	if !errors.As(err, &f) || f.Type != "Runtime.Bad" || string(f.Document) != `{"errorType":"X"}` {
		t.Fatal(err)
	}
}

func TestInitGoesOnAfterItsContext(t *testing.T) {
	a := serve(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := a.s.Init(ctx); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	a.next()
	if _, err := a.s.Init(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func TestSizeLimit(t *testing.T) {
	for _, c := range []struct {
		name   string
		size   int
		mode   []string
		status int
	}{
		{"largest", faas.MaxResponseBytes, nil, 202},
		{"too large", faas.MaxResponseBytes + 1, nil, 413},
		{"too large by far", 20 << 20, nil, 413},
		{"largest, streamed", faas.MaxResponseBytes, []string{headMode, "streaming"}, 202},
		{"too large for a caller of whole answers, streamed", faas.MaxResponseBytes + 1, []string{headMode, "streaming"}, 413},
	} {
		for _, chunked := range []bool{false, true} {
			a := serve(t)
			_, res := a.event("id")
			var body io.Reader = strings.NewReader(strings.Repeat("x", c.size))
			if chunked {
				body = io.MultiReader(body) // hides the length
			}
			got := a.do("POST", "invocation/id/response", body, c.mode...)
			if c.status != 202 {
				a.next()
			}
			r := <-res
			if got.status != c.status || (c.status == 202) != (r.failure == nil) || r.err != nil {
				t.Fatalf("%s (chunked %v): %d, %v %v", c.name, chunked, got.status, r.failure, r.err)
			}
			if c.status == 202 && len(r.out) != c.size {
				t.Errorf("%s: %d bytes", c.name, len(r.out))
			}
			if c.status != 202 && r.failure.Type != ErrorTooLarge {
				t.Errorf("%s: %s", c.name, r.failure.Type)
			}
			if c.status != 202 && c.mode == nil && r.out != string(r.failure.Document) {
				t.Errorf("%s: %.100s", c.name, r.out)
			}
		}
	}
}

func TestStreamedErrorInTrailers(t *testing.T) {
	a := serve(t)
	_, res := a.event("id")
	doc := `{"errorMessage":"midway"}`
	conn, err := net.Dial("tcp", strings.TrimSuffix(strings.TrimPrefix(a.base, "http://"), version))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprintf(conn, "POST %sinvocation/id/response HTTP/1.1\r\nHost: x\r\n%s: streaming\r\nTransfer-Encoding: chunked\r\nTrailer: %s, %s\r\n\r\n",
		version, headMode, headErrorType, headErrorBody)
	fmt.Fprintf(conn, "3\r\nabc\r\n0\r\n%s: Function.Midway\r\n%s: %s\r\n\r\n", headErrorType, headErrorBody, base64.StdEncoding.EncodeToString([]byte(doc)))
	r := <-res
	if r.failure == nil || r.failure.Type != "Function.Midway" || string(r.failure.Document) != doc || r.out != "abc" || !r.failure.BrokenOff {
		t.Fatal(r)
	}
}

func TestTruncatedAnswer(t *testing.T) {
	a := serve(t)
	_, res := a.event("id")
	conn, err := net.Dial("tcp", strings.TrimSuffix(strings.TrimPrefix(a.base, "http://"), version))
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprintf(conn, "POST %sinvocation/id/response HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nabc", version)
	_ = conn.Close()
	close(a.box.done)
	if r := <-res; r.failure == nil || r.failure.Type != "Runtime.TruncatedResponse" {
		t.Fatal(r)
	}
}

func TestRuntimeEnds(t *testing.T) {
	a := serve(t)
	_, res := a.event("id")
	close(a.box.done)
	if r := <-res; !errors.Is(r.err, lang.ErrExited) {
		t.Fatal(r)
	}
	if _, err := a.s.Init(t.Context()); err != nil {
		t.Fatal("it was initialised:", err)
	}
}

func TestCallerLeaves(t *testing.T) {
	a := serve(t)
	ctx, cancel := context.WithCancel(t.Context())
	next := a.next()
	res := a.invoke(ctx, "id")
	<-next
	cancel()
	if r := <-res; !errors.Is(r.err, context.Canceled) {
		t.Fatal(r)
	}
	if got := a.post("invocation/id/response", "late"); got.status != 400 {
		t.Fatal(got)
	}
}

func TestRuntimeAsksAgain(t *testing.T) {
	a := serve(t)
	first := a.next()
	if _, err := a.s.Init(t.Context()); err != nil {
		t.Fatal(err)
	}
	second := a.next()
	if got := <-first; got.status != 403 {
		t.Fatal(got)
	}
	res := a.invoke(t.Context(), "id")
	<-second
	a.post("invocation/id/response", "1")
	if r := <-res; r.out != "1" {
		t.Fatal(r)
	}
}

func TestNothingIsLeftBehind(t *testing.T) {
	defer goleak.VerifyNone(t)
	a := serve(t)
	a.event("id")
	_ = a.s.Close()
	a.http.CloseIdleConnections()
}

// FuzzRuntimeAPI: whatever a function sends, the platform neither panics nor hangs, and a call gets at most one answer.
func FuzzRuntimeAPI(f *testing.F) {
	f.Add("POST "+version+"invocation/id/response HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nok", true)
	f.Add("POST "+version+"invocation/id/error HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\nA: b\r\n\r\n", true)
	f.Add("POST "+version+"invocation/id/response HTTP/1.1\r\nHost: x\r\n"+headMode+": streaming\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n"+headErrorType+": b\r\n\r\n", true)
	f.Add("GET "+version+"invocation/next HTTP/1.1\r\nHost: x\r\n\r\nGET "+version+"invocation/next HTTP/1.1\r\nHost: x\r\n\r\n", false)
	f.Add("POST "+version+"init/error HTTP/1.0\r\nContent-Length: 99999999999\r\n\r\n{", false)
	f.Add("\x00\xff", false)
	f.Fuzz(func(t *testing.T, input string, called bool) {
		a := serve(t)
		res := make(<-chan result)
		if called {
			_, res = a.event("id")
		}
		conn, err := net.Dial("tcp", strings.TrimSuffix(strings.TrimPrefix(a.base, "http://"), version))
		if err != nil {
			t.Skip(err)
		}
		_, _ = io.WriteString(conn, input)
		_ = conn.(*net.TCPConn).CloseWrite()
		_ = conn.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
		_, _ = io.Copy(io.Discard, conn)
		_ = conn.Close()
		close(a.box.done)
		if called {
			select {
			case <-res:
			case <-time.After(10 * time.Second):
				t.Fatal("the call hangs")
			}
		}
	})
}

// TestInitErrorInAnyState: only the first report is read, nothing is kept of one that comes when there is nothing to report.
func TestInitErrorInAnyState(t *testing.T) {
	dial := func(a *api, text string) net.Conn {
		conn, err := net.Dial("tcp", strings.TrimSuffix(strings.TrimPrefix(a.base, "http://"), version))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close() })
		_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
		if _, err := io.WriteString(conn, text); err != nil {
			t.Fatal(err)
		}
		return conn
	}
	status := func(conn net.Conn) int {
		r, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Fatal(err)
		}
		_ = r.Body.Close()
		return r.StatusCode
	}
	unfinished := "POST " + version + "init/error HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n{"
	huge := strings.Replace(unfinished, "1000", "6000000", 1) // net/http reads small ones to their end before it answers
	t.Run("initialised", func(t *testing.T) {
		a := serve(t)
		a.next()
		if _, err := a.s.Init(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := status(dial(a, huge)); got != 403 {
			t.Error(got)
		}
	})
	t.Run("one at a time", func(t *testing.T) {
		a := serve(t)
		first := dial(a, unfinished)
		reading := func() bool { a.s.mu.Lock(); defer a.s.mu.Unlock(); return a.s.reporting }
		for deadline := time.Now().Add(20 * time.Second); !reading(); time.Sleep(time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatal("it is not being read")
			}
		}
		if got := status(dial(a, huge)); got != 403 {
			t.Error(got)
		}
		_ = first.Close()
		for deadline := time.Now().Add(20 * time.Second); !a.s.beginReport(); time.Sleep(time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatal("one that broke off is still being read")
			}
		}
		a.s.endReport(nil)
		if got := a.post("init/error", `{"errorType":"X"}`); got.status != 202 {
			t.Error("after one that broke off:", got)
		}
	})
	t.Run("too large", func(t *testing.T) {
		a := serve(t)
		if got := a.post("init/error", strings.Repeat("x", maxInitError+1), headErrorType, "Runtime.Bad"); got.status != 413 {
			t.Error(got)
		}
		_, err := a.s.Init(t.Context())
		var f *lang.Failure
		if !errors.As(err, &f) || f.Type != "Runtime.Bad" || !strings.Contains(string(f.Document), "larger than 262144 bytes") {
			t.Error(err)
		}
	})
}

// TestManyConnections: a runtime that lets go of no connection is served on the next one all the same, and so is one
// whose function opens connections without asking anything.
func TestManyConnections(t *testing.T) {
	a := serve(t)
	address := strings.TrimSuffix(strings.TrimPrefix(a.base, "http://"), version)
	for i := range 100 {
		conn, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if i == 50 {
			continue
		}
		_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
		if _, err := io.WriteString(conn, "POST "+version+"invocation/x/response HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		if r, err := http.ReadResponse(bufio.NewReader(conn), nil); err != nil || r.StatusCode != 400 {
			t.Fatal(i, r, err)
		}
	}
	_, res := a.event("id")
	if got := a.post("invocation/id/response", "x"); got.status != 202 {
		t.Error(got)
	}
	if r := <-res; r.out != "x" {
		t.Error(r)
	}
}

// TestLargeFields: what AWS's clients put into header fields passes, more doesn't; trailers are small.
func TestLargeFields(t *testing.T) {
	a := serve(t)
	cause := func(n int) int {
		return a.post("invocation/x/error", "{}", "Lambda-Runtime-Function-XRay-Error-Cause", strings.Repeat("x", n)).status
	}
	if got := cause(1 << 20); got != 400 {
		t.Error("1 MiB:", got)
	}
	more := strings.Repeat("x", maxHeader+8<<10) // the answer may be overtaken by the end of the connection
	if r, err := a.request("POST", "invocation/x/error", nil, "X", more); err == nil && r.status != 431 {
		t.Error("more:", r)
	}
	_, res := a.event("id")
	r, w := io.Pipe()
	go func() { _, _ = io.WriteString(w, "abc"); _ = w.Close() }()
	req, err := http.NewRequestWithContext(t.Context(), "POST", a.base+"invocation/id/response", r)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set(headMode, "streaming")
	req.Trailer = http.Header{headErrorType: {"E"}, headErrorBody: {strings.Repeat("x", 1<<20)}}
	if got, err := a.http.Do(req); err == nil {
		_ = got.Body.Close()
	}
	if r := <-res; r.failure == nil || r.failure.Type != "Runtime.TruncatedResponse" {
		t.Error(r.failure, r.err)
	}
}
