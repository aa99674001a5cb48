package functionurl

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"artesian/internal/compute/registry"
	"artesian/internal/faas"
)

// serve has one URL, abc, in front of a function that does what invoke does.
func serve(t *testing.T, end registry.Endpoint, invoke func(context.Context, faas.Invocation, faas.Sink) error) *httptest.Server {
	end.ID, end.Function = "abc", faas.FunctionID{Scope: faas.Scope{Account: "000000000000", Region: "us-east-1"}, Name: "f"}
	site := New(Config{
		Endpoint: func(id string) (*registry.Endpoint, bool) { return &end, id == "abc" },
		Invoke:   invoke,
		Signer:   func(context.Context) Signer { return Signer{ARN: "signer"} },
		Authorize: func(_ context.Context, action, resource string) error {
			return faas.Errorf(faas.Denied, "%s %s", action, resource)
		},
		Trace:     func(r *http.Request) string { return r.Header.Get("X-Amzn-Trace-Id") },
		WriteTime: 300 * time.Millisecond,
		Now:       time.Now,
		Logger:    slog.New(slog.DiscardHandler),
	})
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		v, ok := site.Find(Address{ID: "abc", Region: "us-east-1"})
		if !ok {
			t.Error("there is no URL")
			return
		}
		body, _ := io.ReadAll(r.Body)
		v.Serve(w, r.WithContext(faas.WithRequestID(r.Context(), "id")), body)
	}))
	t.Cleanup(srv.Close)
	return srv
}

// TestErrors: what the platform can't do is told as AWS does, and nothing of why.
func TestErrors(t *testing.T) {
	for _, c := range []struct {
		err    error
		status int
		body   string
	}{
		{faas.Errorf(faas.TooLarge, "6291457 byte payload"), 413, `{"Message":"Request Entity Too Large"}`},
		{faas.Errorf(faas.Throttled, "Rate Exceeded."), 429, `{"Message":"Rate Exceeded."}`},
		{faas.Errorf(faas.NotFound, "Function not found: arn"), 404, `{"Message":"Function not found: arn"}`},
		{faas.Errorf(faas.Conflict, "it is Pending"), 409, `{"Message":"it is Pending"}`},
		{faas.Errorf(faas.Unavailable, "no memory"), 503, `{"Message":"no memory"}`},
		{errors.New("secret"), 500, `{"Message":"Internal Server Error"}`},
	} {
		for _, mode := range []string{Buffered, Stream} {
			srv := serve(t, registry.Endpoint{URL: registry.URL{Auth: AuthNone, Mode: mode}}, func(context.Context, faas.Invocation, faas.Sink) error { return c.err })
			resp, err := http.Get(srv.URL)
			if err != nil {
				t.Fatal(err)
			}
			body, _ := io.ReadAll(resp.Body)
			_ = resp.Body.Close()
			if resp.StatusCode != c.status || string(body) != c.body || resp.Header.Get("Content-Type") != contentJSON || (resp.Header.Get("Retry-After") != "") != (c.status == 429) {
				t.Errorf("%v: %s %s", c.err, resp.Status, body)
			}
		}
	}
	srv := serve(t, registry.Endpoint{URL: registry.URL{Auth: AuthIAM}}, func(context.Context, faas.Invocation, faas.Sink) error {
		t.Error("invoked without leave")
		return nil
	})
	if resp, err := http.Get(srv.URL); err != nil || resp.StatusCode != 403 {
		t.Error(resp, err)
	}
}

// TestInvocation: the invocation has the URL's alias, the client's trace or a new one, and the event.
func TestInvocation(t *testing.T) {
	for sent, want := range map[string]string{"": "Root=1-", "Root=1-2-3": "Root=1-2-3;Parent=", "Root=1-2-3;Parent=4;Sampled=1": "Root=1-2-3;Parent=4;Sampled=1"} {
		var got faas.Invocation
		srv := serve(t, registry.Endpoint{Qualifier: "live", URL: registry.URL{Auth: AuthNone, Mode: Stream}}, func(_ context.Context, inv faas.Invocation, out faas.Sink) error {
			got = inv
			return errors.Join(out.Begin(faas.Head{ContentType: "text/plain"}), out.End(faas.Tail{}))
		})
		req, _ := http.NewRequest("PUT", srv.URL+"/x", strings.NewReader("body"))
		req.Header.Set("X-Amzn-Trace-Id", sent)
		if resp, err := http.DefaultClient.Do(req); err != nil || resp.StatusCode != 200 || !strings.HasPrefix(resp.Header.Get("X-Amzn-Trace-Id"), "Root=1-") {
			t.Fatal(resp, err)
		}
		if got.ID != "id" || got.Qualifier != "live" || !got.Stream || !strings.HasPrefix(got.Trace, want) || !strings.Contains(got.Trace, ";Parent=") && sent != "" ||
			!strings.Contains(string(got.Payload), `"rawPath":"/x"`) || got.Received.IsZero() {
			t.Errorf("%+v", got)
		}
	}
}

// TestSilentClient: who takes nothing within the time is given up, and the connection with it.
func TestSilentClient(t *testing.T) {
	told := make(chan error, 1)
	srv := serve(t, registry.Endpoint{URL: registry.URL{Auth: AuthNone, Mode: Stream}}, func(_ context.Context, _ faas.Invocation, out faas.Sink) error {
		err := out.Begin(faas.Head{ContentType: "text/plain"})
		for err == nil {
			_, err = out.Write(make([]byte, 1<<20))
		}
		told <- err
		return err
	})
	resp, err := http.Get(srv.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	select {
	case <-told:
	case <-time.After(20 * time.Second):
		t.Fatal("the response waits for ever")
	}
	if n, err := io.Copy(io.Discard, resp.Body); err == nil {
		t.Errorf("the response ends well after %d bytes", n)
	}
}

// TestSwellingBody: a body that is allowed, and too large as text in an event, is refused before the event is made.
func TestSwellingBody(t *testing.T) {
	srv := serve(t, registry.Endpoint{URL: registry.URL{Auth: AuthNone, Mode: Buffered}}, func(context.Context, faas.Invocation, faas.Sink) error {
		t.Error("invoked")
		return nil
	})
	for kind, size := range map[string]int{"text/plain": faas.MaxRequestBytes/6 + 1, "image/png": faas.MaxRequestBytes/4*3 + 3} {
		resp, err := http.Post(srv.URL, kind, strings.NewReader(strings.Repeat("\x01", size)))
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if resp.StatusCode != http.StatusRequestEntityTooLarge {
			t.Errorf("%s: %s", kind, resp.Status)
		}
	}
}
