package functionurl

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"artesian/internal/compute/registry"
	"artesian/internal/faas"
)

// TestClientsWhoReadNothing: responses that nobody takes do not fill the memory, and small ones go on beside them.
func TestClientsWhoReadNothing(t *testing.T) {
	const large = 16 << 20 // more than sockets take
	end := registry.Endpoint{URL: registry.URL{Auth: AuthNone}}
	site := New(Config{
		Endpoint: func(string) (*registry.Endpoint, bool) { return &end, true },
		Trace:    func(*http.Request) string { return "" },
		Now:      time.Now,
		Logger:   slog.New(slog.DiscardHandler),
		Invoke: func(_ context.Context, inv faas.Invocation, out faas.Sink) error {
			n := 10
			if strings.Contains(string(inv.Payload), `"rawPath":"/large"`) {
				n = large
			}
			_ = out.Begin(faas.Head{})
			_, _ = out.Write([]byte(`"` + strings.Repeat("x", n) + `"`))
			return out.End(faas.Tail{})
		},
	})
	site.most = 4 * large
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		v, _ := site.Find(Address{ID: "abc"})
		v.Serve(w, r, nil)
	}))
	defer srv.Close()
	get := func(path string) *http.Response {
		resp, err := http.Get(srv.URL + path)
		if err != nil {
			t.Fatal(err)
		}
		return resp
	}
	var waiting []*http.Response
	for range 3 { // three quarters of what there may be
		resp := get("/large")
		if resp.StatusCode != http.StatusOK {
			t.Fatal(resp.Status)
		}
		waiting = append(waiting, resp)
	}
	for path, want := range map[string]int{"/large": http.StatusServiceUnavailable, "/small": http.StatusOK} {
		resp := get(path)
		_ = resp.Body.Close()
		if resp.StatusCode != want {
			t.Errorf("%s: %s", path, resp.Status)
		}
	}
	for _, resp := range waiting {
		_ = resp.Body.Close()
	}
	for deadline := time.Now().Add(20 * time.Second); site.kept.Load() != 0; time.Sleep(time.Millisecond) { // the condition is polled
		if time.Now().After(deadline) {
			t.Fatalf("%d bytes are counted when all clients are gone", site.kept.Load())
		}
	}
	resp := get("/large")
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		t.Errorf("afterwards: %s", resp.Status)
	}
}

// slowly is a connection that takes a second for each two kilobytes.
type slowly struct {
	http.ResponseWriter
	deadline time.Time
	taken    int
}

func (s *slowly) SetWriteDeadline(t time.Time) error { s.deadline = t; return nil }

func (s *slowly) Write(p []byte) (int, error) {
	time.Sleep(time.Duration(len(p)/2048) * time.Second) // virtual time
	if time.Now().After(s.deadline) {
		return 0, os.ErrDeadlineExceeded
	}
	s.taken += len(p)
	return len(p), nil
}

// TestSlowClient: who takes a part in time, and the next, is given up all the same when the whole takes too long.
func TestSlowClient(t *testing.T) {
	for size, all := range map[int]bool{100 << 10: true, 6 << 20: false} {
		synctest.Test(t, func(t *testing.T) {
			v := &Visit{site: New(Config{}), end: &registry.Endpoint{}}
			w := &slowly{ResponseWriter: httptest.NewRecorder()}
			o := &reply{v: v, w: w, r: httptest.NewRequest("GET", "/", nil), conn: http.NewResponseController(w)}
			begun := time.Now()
			err := o.whole(&response{status: 200, body: make([]byte, size)})
			if (err == nil) != all || (w.taken == size) != all || time.Since(begun) > 5*time.Minute {
				t.Errorf("of %d bytes %d are taken within %v: %v", size, w.taken, time.Since(begun), err)
			}
		})
	}
}
