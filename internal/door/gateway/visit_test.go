package gateway_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"artesian/internal/compute/registry"
	"artesian/internal/door/aws/functionurl"
	"artesian/internal/door/gateway"
	"artesian/internal/faas"
)

// urls are two: open, which anybody may call, and closed. The function behind says how large its event was.
func urls(c *gateway.Config) {
	c.BodyTime = 300 * time.Millisecond
	c.URLs = functionurl.New(functionurl.Config{
		Endpoint: func(id string) (*registry.Endpoint, bool) {
			auth, ok := map[string]string{"open": functionurl.AuthNone, "closed": functionurl.AuthIAM}[id]
			return &registry.Endpoint{URL: registry.URL{ID: id, Auth: auth, Mode: functionurl.Buffered},
				Function: faas.FunctionID{Scope: faas.Scope{Account: "000000000000", Region: "us-east-1"}, Name: "f"}}, ok
		},
		Invoke: func(_ context.Context, inv faas.Invocation, out faas.Sink) error {
			if err := out.Begin(faas.Head{}); err != nil {
				return err
			}
			_, _ = fmt.Fprintf(out, `"function got %d"`, len(inv.Payload)/(1<<20))
			return out.End(faas.Tail{})
		},
		Signer:    func(context.Context) functionurl.Signer { return functionurl.Signer{} },
		Authorize: func(context.Context, string, string) error { return nil },
		Trace:     func(*http.Request) string { return "" },
		Now:       time.Now,
		Logger:    slog.New(slog.DiscardHandler),
	})
}

// TestURLsApart: by its name a request is either for a URL or for the platform, whatever it is signed for and wherever it goes.
func TestURLsApart(t *testing.T) {
	url := edge(t, urls)
	for _, c := range []struct {
		host, path string
		signed     bool
		status     int
		body       string
	}{
		{"open.lambda-url.us-east-1.localhost", "/open", false, 200, "function got 0"},
		{"open.lambda-url.us-east-1.localhost:80", "/all/x", true, 200, "function got 0"},
		{"open.lambda-url.us-east-1.cloud.example.org", "/", true, 200, "function got 0"},
		{"open.lambda-url.us-east-1.localhost", "/_artesian/url/closed/", false, 200, "function got 0"},
		{"open.lambda-url.eu-west-1.localhost", "/", false, 403, `{"Message":null}`},
		{"none.lambda-url.us-east-1.localhost", "/", true, 403, `{"Message":null}`},
		{"open.lambda-url.us-east-1.evil.example", "/", false, 421, "UnknownHost"},
		{"open.lambda-url.us-east-1.fd00::1", "/", false, 421, "UnknownHost"},
		{"lambda-url.localhost", "/", true, 421, "UnknownHost"},
		{"closed.lambda-url.us-east-1.localhost", "/", false, 403, `{"Message":"Forbidden"}`},
		{"closed.lambda-url.us-east-1.localhost", "/", true, 403, `{"Message":"Forbidden"}`}, // signed for echo
		{"localhost", "/_artesian/url/open/x", false, 200, "function got 0"},
		{"localhost", "/_artesian/url/closed/x", false, 403, `{"Message":"Forbidden"}`},
		{"localhost", "/_artesian/url/none/x", false, 403, `{"Message":null}`},
		{"localhost", "/_artesian/url/../api/ps", false, 403, `{"Message":null}`},
		{"evil.example", "/_artesian/url/open/", false, 421, "UnknownHost"},
		{"localhost", "/open", false, 200, "one"},
		{"localhost", "/x", true, 200, "caller"},
		{"open.localhost", "/x", true, 200, "caller"},
	} {
		header := []string{"Host", c.host}
		if c.signed {
			header = append(header, "Authorization", signature)
		}
		resp, body := ask(t, "GET", url+c.path, nil, header...)
		if resp.StatusCode != c.status || !strings.Contains(body, c.body) {
			t.Errorf("%s%s: %s %s", c.host, c.path, resp.Status, body)
		}
	}
}

// TestURLBodies: what anybody may send is bounded in size and time, and nothing is read of who may not.
func TestURLBodies(t *testing.T) {
	url := edge(t, urls)
	ten := strings.Repeat("x", 10<<20)
	if resp, body := ask(t, "POST", url, strings.NewReader(ten[:5<<20]), "Host", "open.lambda-url.us-east-1.localhost", "Content-Type", "text/plain"); resp.StatusCode != 200 || body != "function got 5" {
		t.Error(resp.Status, body)
	}
	if resp, body := ask(t, "POST", url, strings.NewReader(ten), "Host", "open.lambda-url.us-east-1.localhost"); resp.StatusCode != 413 || !strings.Contains(body, "Too Large") {
		t.Error(resp.Status, body)
	}
	if resp, body := ask(t, "POST", url, io.MultiReader(strings.NewReader(ten)), "Host", "open.lambda-url.us-east-1.localhost"); resp.StatusCode != 413 || !strings.Contains(body, "Too Large") {
		t.Error("without a length:", resp.Status, body)
	}
	for host, want := range map[string]int{"open": 400, "closed": 403} { // a body that does not come
		conn, err := net.Dial("tcp", strings.TrimPrefix(url, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
		fmt.Fprintf(conn, "POST / HTTP/1.1\r\nHost: %s.lambda-url.us-east-1.localhost\r\nContent-Length: 1000\r\n\r\nx", host)
		resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil || resp.StatusCode != want {
			t.Errorf("%s: %v %v", host, resp, err)
		}
	}
}
