package gateway

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"artesian/internal/door/aws/sigv4"
	"artesian/internal/faas"
)

func arriving(g *Gateway) arrival {
	return arrival{budget: &g.bodies, conn: http.NewResponseController(httptest.NewRecorder()), time: time.Minute, begun: time.Now()}
}

func request(body io.Reader, declared int64) *http.Request {
	r := httptest.NewRequest("POST", "http://localhost/", body)
	r.ContentLength = declared
	return r
}

// TestMemoryFollowsWhatArrives: what a body declares and doesn't bring costs little.
func TestMemoryFollowsWhatArrives(t *testing.T) {
	g := New(Config{})
	for declared, most := range map[int64]int64{10: 10, smallBody: smallBody, 70 << 20: smallBody, -1: unknownBody} {
		in := arriving(g)
		body, err := in.read(request(bytes.NewReader([]byte("few")), declared), 70<<20)
		if in.held > most || g.bodies.used.Load() != in.held {
			t.Errorf("%d declared: %d bytes are held, %d counted", declared, in.held, g.bodies.used.Load())
		}
		if declared > 0 && faas.KindOf(err) != faas.Invalid || declared < 0 && (err != nil || string(body) != "few") {
			t.Errorf("%d declared: %q %v", declared, body, err)
		}
		if in.letGo(); g.bodies.used.Load() != 0 {
			t.Errorf("%d bytes are still counted", g.bodies.used.Load())
		}
	}
}

func TestBodyLimits(t *testing.T) {
	const limit = 300 << 10
	for _, size := range []int{0, 1, unknownBody - 1, unknownBody, unknownBody + 1, smallBody, smallBody + 1, limit - 1, limit, limit + 1, 2 * limit} {
		for _, declared := range []int64{int64(size), -1} {
			g := New(Config{})
			sent := bytes.Repeat([]byte("abc"), size/3+1)[:size]
			in := arriving(g)
			body, err := in.read(request(bytes.NewReader(sent), declared), limit)
			if size <= limit && (err != nil || !bytes.Equal(body, sent)) || size > limit && faas.KindOf(err) != faas.TooLarge {
				t.Errorf("%d bytes, %d declared: %d %v", size, declared, len(body), err)
			}
			if in.held > limit+1 {
				t.Errorf("%d bytes, %d declared: %d held", size, declared, in.held)
			}
		}
	}
}

// TestBudget: when large bodies have filled their part, one more is told to come again, and small ones still get in.
func TestBudget(t *testing.T) {
	g := New(Config{})
	g.bodies.all, g.bodies.large = 1<<20, 700<<10
	read := func(size int) (arrival, error) {
		in := arriving(g)
		_, err := in.read(request(bytes.NewReader(make([]byte, size)), int64(size)), 1<<20)
		return in, err
	}
	first, err := read(300 << 10)
	if err != nil {
		t.Fatal(err)
	}
	second, err := read(300 << 10)
	if faas.KindOf(err) != faas.Throttled {
		t.Errorf("a second large body: %v", err)
	}
	second.letGo()
	var small []arrival
	for range 8 {
		in, err := read(smallBody)
		if err != nil {
			t.Errorf("a small body: %v", err)
		}
		small = append(small, in)
	}
	for {
		in, err := read(smallBody)
		small = append(small, in)
		if err != nil {
			if faas.KindOf(err) != faas.Throttled {
				t.Error(err)
			}
			break
		}
	}
	if held := g.bodies.used.Load(); held > 1<<20 {
		t.Errorf("%d bytes are held", held)
	}
	for _, in := range append(small, first) {
		in.letGo()
	}
	if held := g.bodies.used.Load(); held != 0 {
		t.Errorf("%d bytes are held after all have gone", held)
	}
	if in, err := read(300 << 10); err != nil {
		t.Error("after all have gone:", err)
	} else {
		in.letGo()
	}
}

func TestBrokenBody(t *testing.T) {
	g := New(Config{})
	in := arriving(g)
	if _, err := in.read(request(io.MultiReader(bytes.NewReader([]byte("a")), failing{}), 5), 10); faas.KindOf(err) != faas.Invalid || !errors.Is(err, errCut) {
		t.Error(err)
	}
}

var errCut = errors.New("connection cut")

type failing struct{}

func (failing) Read([]byte) (int, error) { return 0, errCut }

// BenchmarkSmallBody is on the way of every call.
func BenchmarkSmallBody(b *testing.B) {
	g, payload := New(Config{}), make([]byte, 200)
	w := httptest.NewRecorder()
	src := bytes.NewReader(payload)
	r := request(src, int64(len(payload)))
	r.Body = io.NopCloser(src)
	b.ReportAllocs()
	for b.Loop() {
		src.Reset(payload)
		in := arrival{budget: &g.bodies, conn: http.NewResponseController(w), time: time.Minute, begun: time.Now()}
		if _, err := in.read(r, 6<<20); err != nil {
			b.Fatal(err)
		}
		in.letGo()
	}
}

// TestLetGo: when a request has ended, however it did, its body counts no more.
func TestLetGo(t *testing.T) {
	const authorization = "AWS4-HMAC-SHA256 Credential=KEY/20260102/us-east-1/artesian/aws4_request, SignedHeaders=host, Signature=0"
	for name, fails := range map[string]error{"refused": faas.Errorf(faas.Denied, "no"), "panicked": nil} {
		g := New(Config{
			Services: map[string]Service{"artesian": &API{Logger: slog.New(slog.DiscardHandler)}},
			Known:    func(string, string) bool { return true },
			Logger:   slog.New(slog.DiscardHandler),
		})
		held := int64(0)
		g.cfg.Authenticate = func(*http.Request, *sigv4.Signature, []byte, string) (context.Context, error) {
			if held = g.bodies.used.Load(); fails == nil {
				panic("defect")
			}
			return nil, fails
		}
		r := request(bytes.NewReader(make([]byte, 1000)), 1000)
		r.Header.Set("Authorization", authorization)
		r.Header.Set("X-Amz-Date", "20260102T000000Z")
		g.ServeHTTP(httptest.NewRecorder(), r)
		if after := g.bodies.used.Load(); held != 1000 || after != 0 {
			t.Errorf("%s: %d bytes during the request, %d after it", name, held, after)
		}
	}
}
