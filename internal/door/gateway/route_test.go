package gateway_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"artesian/internal/account/identity"
	"artesian/internal/door/aws/sigv4"
	"artesian/internal/door/gateway"
	"artesian/internal/faas"
)

// named answers with its own name, and with the kind of an error.
type named string

func (n named) Limit(*http.Request) int64 { return 1 << 20 }
func (n named) Serve(w http.ResponseWriter, _ *http.Request, _ []byte) {
	w.Header().Set("X-Served-By", string(n))
}
func (n named) Refuse(w http.ResponseWriter, _ *http.Request, err error) {
	http.Error(w, faas.KindOf(err).String(), http.StatusForbidden)
}

// verifying has the services iam and sts behind real signatures.
func verifying() *gateway.Gateway {
	v := sigv4.New(func(id string) (string, identity.Principal, bool) {
		return "secret", identity.Principal{Account: "000000000000"}, id == "KEY"
	})
	return gateway.New(gateway.Config{
		Services: map[string]gateway.Service{"iam": named("iam"), "sts": named("sts")},
		Known:    func(id, _ string) bool { return id == "KEY" },
		Authenticate: func(r *http.Request, s *sigv4.Signature, body []byte, _ string) (context.Context, error) {
			who, err := v.Verify(r, s, body, time.Now(), sigv4.Query)
			return gateway.WithCaller(r.Context(), gateway.Caller{Service: who.Service}), err
		},
		Logger: slog.New(slog.DiscardHandler),
	})
}

// forSTS is a request with a good signature for sts.
func forSTS(t testing.TB) *http.Request {
	t.Helper()
	const body = "Action=ListRoles"
	r := httptest.NewRequest("POST", "http://localhost/", strings.NewReader(body))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	sum := sha256.Sum256([]byte(body))
	err := v4.NewSigner().SignHTTP(t.Context(), aws.Credentials{AccessKeyID: "KEY", SecretAccessKey: "secret"}, r, hex.EncodeToString(sum[:]), "sts", "us-east-1", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// servedBy sends a request with text put into its Authorization header before and after the parameters.
func servedBy(t testing.TB, g *gateway.Gateway, before, after string) (string, *httptest.ResponseRecorder) {
	r := forSTS(t)
	scheme, rest, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	r.Header["Authorization"] = []string{scheme + " " + before + rest + after}
	w := httptest.NewRecorder()
	g.ServeHTTP(w, r)
	return w.Header().Get("X-Served-By"), w
}

const otherScope = "Credential=KEY/20260102/us-east-1/iam/aws4_request"

// TestOneServiceOneSignature: what is signed for one service is served by no other, however the header is written.
func TestOneServiceOneSignature(t *testing.T) {
	g := verifying()
	if by, w := servedBy(t, g, "", ""); by != "sts" {
		t.Fatalf("the request is not good: %d %s", w.Code, w.Body)
	}
	for _, c := range []struct{ before, after string }{
		{"Z" + otherScope + ", ", ""}, {otherScope + ", ", ""}, {"", ", " + otherScope}, {"", ",Z" + otherScope}, {"=" + otherScope + ",", ""}, {"credential=" + otherScope + ",", ""},
	} {
		if by, w := servedBy(t, g, c.before, c.after); by != "" && by != "sts" {
			t.Errorf("%q … %q was served by %s (%d)", c.before, c.after, by, w.Code)
		}
	}
	r := forSTS(t)
	r.URL.RawQuery = "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-" + url.PathEscape(otherScope)
	w := httptest.NewRecorder()
	g.ServeHTTP(w, r)
	if w.Code != http.StatusBadRequest || w.Header().Get("X-Amzn-Errortype") != "IncompleteSignature" {
		t.Errorf("signed in two ways: %d %v", w.Code, w.Header())
	}
}

// TestAnotherServicesIdentity: should the two ever be told apart differently, the request is refused.
func TestAnotherServicesIdentity(t *testing.T) {
	base := edge(t, func(c *gateway.Config) {
		c.Services["echo"] = named("echo")
		c.Authenticate = func(r *http.Request, _ *sigv4.Signature, _ []byte, service string) (context.Context, error) {
			return gateway.WithCaller(r.Context(), gateway.Caller{Service: r.Header.Get("X-Signed")}), nil
		}
	})
	for signed, want := range map[string]int{"echo": 200, "iam": 403, "": 403} {
		if resp, body := ask(t, "GET", base, nil, "Authorization", signature, "X-Signed", signed); resp.StatusCode != want || want == 403 && strings.TrimSpace(body) != "denied" {
			t.Errorf("signed for %q: %d %s", signed, resp.StatusCode, body)
		}
	}
}

// TestMalformed: a signature that names no service is refused with what is wrong about it.
func TestMalformed(t *testing.T) {
	base := edge(t)
	for auth, want := range map[string]string{
		"":                               "MissingAuthenticationTokenException",
		"Bearer x":                       "IncompleteSignatureException",
		"AWS4-ECDSA-P256-SHA256 x":       "IncompleteSignatureException",
		"AWS4-HMAC-SHA256 " + otherScope: "IncompleteSignatureException",
		strings.Replace(signature, "us-east-1", "everywhere", 1):      "InvalidSignatureException",
		strings.Replace(signature, "aws4_request", "aws5_request", 1): "InvalidSignatureException",
	} {
		header := []string{"X-Nothing", ""}
		if auth != "" {
			header = []string{"Authorization", auth}
		}
		resp, body := ask(t, "POST", base, strings.NewReader("{}"), header...)
		if got := resp.Header.Get("X-Amzn-Errortype"); got != want || resp.StatusCode/100 != 4 || !strings.Contains(body, `"message"`) {
			t.Errorf("%q: %d %s, want %s: %s", auth, resp.StatusCode, got, want, body)
		}
	}
}

// FuzzAuthorization puts any text around a good signature: none makes another service serve it.
func FuzzAuthorization(f *testing.F) {
	f.Add("Z"+otherScope+", ", "")
	f.Add("", ", "+otherScope)
	f.Add("SignedHeaders=,", ",,=")
	g := verifying()
	f.Fuzz(func(t *testing.T, before, after string) {
		if by, w := servedBy(t, g, before, after); by != "sts" && (by != "" || w.Code/100 != 4 && w.Code != http.StatusNotImplemented) {
			t.Errorf("%q … %q: %d by %q", before, after, w.Code, by)
		}
	})
}

// FuzzHost: whatever Host is accepted means this machine or a configured name, as others read it.
func FuzzHost(f *testing.F) {
	for _, h := range []string{"localhost", "[::1]:80", "127.0.0.1.evil.example", "[localhost]", "a.localhost:1", "::1", "[", "cloud.example.org:443", "[::ffff:127.0.0.1]", "evil.example:80:80"} {
		f.Add(h)
	}
	reached := false
	g := gateway.New(gateway.Config{
		Open:   map[string]http.Handler{"/": http.HandlerFunc(func(http.ResponseWriter, *http.Request) { reached = true })},
		Hosts:  []string{"cloud.example.org"},
		Logger: slog.New(slog.DiscardHandler),
	})
	f.Fuzz(func(t *testing.T, host string) {
		reached = false
		r := httptest.NewRequest("GET", "http://localhost/", nil)
		r.Host = host
		g.ServeHTTP(httptest.NewRecorder(), r)
		u, err := url.Parse("http://" + host)
		if !reached || err != nil {
			return
		}
		name := strings.ToLower(u.Hostname())
		if ip := net.ParseIP(name); name != "localhost" && name != "cloud.example.org" && !strings.HasSuffix(name, ".localhost") && (ip == nil || !ip.IsLoopback()) {
			t.Errorf("%q was accepted", host)
		}
	})
}

func TestBase(t *testing.T) {
	r := httptest.NewRequest("GET", "http://cloud.example.org:8080/x", nil)
	if got := gateway.Base(r); got != "http://cloud.example.org:8080" {
		t.Error(got)
	}
	r.Header.Set("X-Forwarded-Proto", "https")
	if got := gateway.Base(r); got != "https://cloud.example.org:8080" {
		t.Error(got)
	}
	r.Header.Set("X-Forwarded-Proto", "javascript")
	if got := gateway.Base(r); got != "http://cloud.example.org:8080" {
		t.Error(got)
	}
}
