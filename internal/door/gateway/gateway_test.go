package gateway_test

import (
	"bytes"
	"context"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"artesian/internal/account/identity"
	"artesian/internal/door/aws/sigv4"
	"artesian/internal/door/gateway"
	"artesian/internal/faas"
)

// echo is a service that answers with what it was given.
type echo struct{ limit int64 }

func (e echo) Limit(*http.Request) int64 { return e.limit }

func (e echo) Serve(w http.ResponseWriter, r *http.Request, body []byte) {
	c, _ := gateway.CallerFrom(r.Context())
	fmt.Fprintf(w, "%s %d %s", c.ARN, len(body), bytes.TrimRight(body, "x"))
}

func (e echo) Refuse(w http.ResponseWriter, _ *http.Request, err error) {
	status := map[faas.Kind]int{faas.TooLarge: 413, faas.Unauthenticated: 403, faas.Invalid: 400}[faas.KindOf(err)]
	http.Error(w, faas.Message(err), status)
}

// edge starts a gateway in which the key KEY is known and signs for anything.
func edge(t *testing.T, change ...func(*gateway.Config)) string {
	t.Helper()
	cfg := gateway.Config{
		Services: map[string]gateway.Service{"echo": echo{4 << 20}},
		Known:    func(key, _ string) bool { return key == "KEY" },
		Authenticate: func(r *http.Request, s *sigv4.Signature, body []byte, service string) (context.Context, error) {
			if service == "" {
				_, err := sigv4.New(nobody).Verify(r, s, body, time.Now(), sigv4.JSON)
				return nil, err
			}
			if !strings.Contains(r.Header.Get("Authorization")+r.URL.RawQuery, "KEY") {
				return nil, faas.Errorf(faas.Unauthenticated, "who is it, with %d bytes?", len(body))
			}
			return gateway.WithCaller(r.Context(), gateway.Caller{ARN: "caller", Service: service}), nil
		},
		Open:   map[string]http.Handler{"/open": text("one"), "/all/": text("all")},
		Hosts:  []string{"Cloud.Example.org", "FD00:0::1"},
		Logger: slog.New(slog.DiscardHandler),
	}
	for _, c := range change {
		c(&cfg)
	}
	s := httptest.NewUnstartedServer(nil)
	s.Config = gateway.NewServer(gateway.New(cfg), cfg.Logger)
	s.Start()
	t.Cleanup(s.Close)
	return s.URL
}

func text(s string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, s) })
}

func nobody(string) (string, identity.Principal, bool) { return "", identity.Principal{}, false }

// signature is well formed together with the header X-Amz-Date of ask.
const signature = "AWS4-HMAC-SHA256 Credential=KEY/20260102/us-east-1/echo/aws4_request, SignedHeaders=host, Signature=0"

// ask sends a request; headers are in pairs, of which Host and none is as in HTTP.
func ask(t *testing.T, method, url string, body io.Reader, header ...string) (*http.Response, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, body)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("X-Amz-Date", "20260102T000000Z")
	for i := 0; i < len(header); i += 2 {
		if r.Header.Set(header[i], header[i+1]); header[i] == "Host" {
			r.Host = header[i+1]
		}
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp, string(b)
}

func TestHosts(t *testing.T) {
	url := edge(t)
	for host, want := range map[string]int{
		"localhost": 200, "LocalHost:4566": 200, "api.localhost:1": 200, "127.0.0.1": 200, "127.1.2.3:80": 200, "[::1]:4566": 200, "[::1]": 200, "[0:0::1]:1": 200, "[fd00::1]:80": 200, "[::ffff:127.0.0.1]": 200,
		"[fd00::2]:80": 421, "[::2]": 421, ".localhost.evil.example": 421, "cloud.example.ORG:443": 200,
		"example.org": 421, "evil.example": 421, "127.0.0.1.evil.example": 421, "localhost.evil.example": 421, "10.0.0.1": 421, "notlocalhost": 421, "sub.cloud.example.org": 421,
	} {
		resp, body := ask(t, "GET", url+"/open", nil, "Host", host)
		if resp.StatusCode != want || want == 421 && (!strings.Contains(body, host) || resp.Header.Get("X-Amzn-Errortype") != "UnknownHost") {
			t.Errorf("%s: %d %s", host, resp.StatusCode, body)
		}
	}
}

func TestOpenPaths(t *testing.T) {
	url := edge(t)
	for path, want := range map[string]string{"/open": "one", "/all/": "all", "/all/a/b": "all", "/opened": "", "/open/x": "", "/all": "", "/": ""} {
		resp, body := ask(t, "GET", url+path, nil)
		if want != "" && body != want || want == "" && (resp.StatusCode != 403 || resp.Header.Get("X-Amzn-Errortype") != "MissingAuthenticationTokenException") {
			t.Errorf("%s: %d %s", path, resp.StatusCode, body)
		}
		if len(resp.Header.Get("X-Amzn-Requestid")) != 36 {
			t.Errorf("%s: no request id", path)
		}
	}
}

// unsized hides a body's length, so that it is sent in chunks.
type unsized struct{ io.Reader }

func TestBodies(t *testing.T) {
	url := edge(t)
	for _, c := range []struct {
		size, status int
	}{{0, 200}, {1, 200}, {1 << 20, 200}, {1<<20 + 1, 200}, {4 << 20, 200}, {4<<20 + 1, 413}, {9 << 20, 413}} {
		for _, chunked := range []bool{false, true} {
			var body io.Reader = strings.NewReader(strings.Repeat("x", c.size))
			if chunked {
				body = unsized{body}
			}
			resp, answer := ask(t, "POST", url, body, "Authorization", signature)
			if resp.StatusCode != c.status || c.status == 200 && answer != fmt.Sprintf("caller %d ", c.size) || c.status == 413 && !strings.Contains(answer, "4194304") {
				t.Errorf("%d bytes, chunked %v: %d %s", c.size, chunked, resp.StatusCode, answer)
			}
		}
	}
	if resp, answer := ask(t, "POST", url, strings.NewReader("secret"), "Authorization", strings.Replace(signature, "KEY", "OTHER", 1)); resp.StatusCode != 403 ||
		!strings.Contains(answer, "0 bytes") {
		t.Errorf("a body was read for a key that nobody has: %d %s", resp.StatusCode, answer)
	}
}

// TestSlowBody: a client that never sends all that it declared is let go, and an answer may still take longer than a body.
func TestSlowBody(t *testing.T) {
	url := edge(t, func(c *gateway.Config) {
		c.BodyTime = 100 * time.Millisecond
		c.Open["/slow"] = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {})
	})
	conn, err := net.Dial("tcp", strings.TrimPrefix(url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	fmt.Fprintf(conn, "POST / HTTP/1.1\r\nHost: localhost\r\nAuthorization: %s\r\nX-Amz-Date: 20260102T000000Z\r\nContent-Length: 1000\r\n\r\nfew", signature)
	answer, err := io.ReadAll(conn)
	if err != nil || !strings.HasPrefix(string(answer), "HTTP/1.1 400 ") || !strings.Contains(string(answer), "in time") {
		t.Errorf("%v %s", err, answer)
	}
}

// TestLongCall: a handler's context lives on after the time for its body.
func TestLongCall(t *testing.T) {
	ended := make(chan error, 1)
	url := edge(t, func(c *gateway.Config) {
		c.BodyTime = 50 * time.Millisecond
		c.Services["echo"] = waits{ended}
	})
	resp, _ := ask(t, "POST", url, strings.NewReader("body"), "Authorization", signature)
	if err := <-ended; resp.StatusCode != 200 || err != nil {
		t.Errorf("%d %v", resp.StatusCode, err)
	}
}

type waits struct{ ended chan error }

func (waits) Limit(*http.Request) int64                              { return 10 }
func (waits) Refuse(w http.ResponseWriter, _ *http.Request, _ error) { w.WriteHeader(500) }
func (s waits) Serve(_ http.ResponseWriter, r *http.Request, _ []byte) {
	select {
	case <-r.Context().Done():
		s.ended <- r.Context().Err()
	case <-time.After(300 * time.Millisecond): // six times what a body may take
		s.ended <- nil
	}
}

// TestUnknownService answers in the form that each protocol's clients read.
func TestUnknownService(t *testing.T) {
	url := edge(t)
	scoped := func(name string) string { return strings.Replace(signature, "/echo/", "/"+name+"/", 1) }
	asXML := func(body string) (string, error) {
		var e struct {
			XMLName xml.Name
			Code    string `xml:"Code"`
			Nested  string `xml:"Error>Code"`
			Deep    string `xml:"Errors>Error>Code"`
		}
		err := xml.Unmarshal([]byte(body), &e)
		return e.XMLName.Local + " " + e.Code + e.Nested + e.Deep, err
	}
	asJSON := func(body string) (string, error) {
		var e struct {
			Type string `json:"__type"`
			Code string
		}
		err := json.Unmarshal([]byte(body), &e)
		return e.Type + e.Code, err
	}
	for _, c := range []struct {
		service, header, value, want string
		read                         func(string) (string, error)
	}{
		{"s3", "X-Nothing", "", "Error UnknownService", asXML},
		{"sns", "Content-Type", "application/x-www-form-urlencoded; charset=utf-8", "ErrorResponse UnknownService", asXML},
		{"ec2", "Content-Type", "application/x-www-form-urlencoded; charset=utf-8", "Response UnknownService", asXML},
		{"route53", "X-Nothing", "", "ErrorResponse UnknownService", asXML},
		{"dynamodb", "X-Amz-Target", "DynamoDB_20120810.ListTables", "UnknownService", asJSON},
		{"apigateway", "X-Nothing", "", "UnknownService", asJSON},
		{"<x>", "Content-Type", "application/x-www-form-urlencoded", "ErrorResponse UnknownService", asXML},
		{"monitoring", "Smithy-Protocol", "rpc-v2-cbor", "\xa2\x79\x00\x06__type\x79\x00\x0eUnknownService\x79\x00\x07message\x79\x00\x26The service \"monitoring\" is not built.",
			func(s string) (string, error) { return s, nil }},
	} {
		resp, body := ask(t, "POST", url, strings.NewReader("{}"), "Authorization", scoped(c.service), c.header, c.value)
		got, err := c.read(body)
		if err != nil || resp.StatusCode != 501 || got != c.want || !strings.Contains(body, "is not built") {
			t.Errorf("%s: %d %v %s: %q", c.service, resp.StatusCode, err, got, body)
		}
	}
}

// TestPanic: a request that meets a defect is answered, and the next one too.
func TestPanic(t *testing.T) {
	url := edge(t, func(c *gateway.Config) {
		c.Open["/panic"] = http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(errors.New("defect")) })
	})
	for range 2 {
		resp, _ := ask(t, "GET", url+"/panic", nil)
		if resp.StatusCode != 500 || len(resp.Header.Get("X-Amzn-Requestid")) != 36 || resp.Header.Get("X-Amzn-Errortype") != "InternalFailure" {
			t.Errorf("%d %v", resp.StatusCode, resp.Header)
		}
	}
}
