package functionurl

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
)

// request reads a request as the server would.
func request(t testing.TB, raw string) *http.Request {
	t.Helper()
	r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(strings.ReplaceAll(raw, "\n", "\r\n"))))
	if err != nil {
		t.Fatal(err)
	}
	r.RemoteAddr = "123.123.123.123:5"
	return r
}

func of(r *http.Request, body string, to Address) arrival {
	return arrival{r: r, body: []byte(body), to: to, id: "id", trace: "Root=1-5e6a85be-000000000000000000000001", at: time.Unix(1584039838, 0)}
}

// TestDocumentedEvents: the documents are AWS's example (https://docs.aws.amazon.com/lambda/latest/dg/urls-invocation.html), with
// the headers that AWS adds, and what an event without body, query, cookies and signature leaves out.
func TestDocumentedEvents(t *testing.T) {
	documented := of(request(t, `POST /my/path?parameter1=value1&parameter1=value2&parameter2=value HTTP/1.1
Host: abc.lambda-url.us-west-2.localhost:4566
User-Agent: agent
Cookie: cookie1; cookie2
Header1: value1
Header2: value1
Header2: value2
Content-Type: text/plain
X-Amz-Date: 20200312T190358Z
X-Amz-Security-Token: secret
Authorization: AWS4-HMAC-SHA256 secret
Connection: keep-alive
TE: trailers

`), "Hello from client!", Address{ID: "abc", Region: "us-west-2", Domain: "localhost"})
	documented.signer = &Signer{Account: "111122223333", ARN: "arn:aws:iam::111122223333:user/example-user", UserID: "AIDA...", AccessKeyID: "AKIA..."}
	plain := of(request(t, `GET /_artesian/url/abc/a%2Fb//c/.. HTTP/1.1
Host: localhost:4566
X-Forwarded-Proto: https
X-Forwarded-For: 10.0.0.9

`), "", Address{ID: "abc", Region: "us-west-2", Path: Prefix + "abc"})
	for file, a := range map[string]arrival{"testdata/documented.json": documented, "testdata/plain.json": plain} {
		want, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var got bytes.Buffer
		if err := json.Indent(&got, a.payload(), "", "  "); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(strings.TrimSpace(string(want)), got.String()); diff != "" {
			t.Errorf("%s: %s", file, diff)
		}
	}
}

func TestRawPath(t *testing.T) {
	for target, want := range map[string]string{
		"/": "/", "/a/": "/a/", "//": "//", "/a%2fb": "/a%2fb", "/%": "", "/a;b=c?d": "/a;b=c", "/ü": "/ü", "*": "/*",
		"http://elsewhere/x%20y?z": "/x%20y", "/a/../b/./c": "/a/../b/./c",
	} {
		r, err := http.ReadRequest(bufio.NewReader(strings.NewReader("OPTIONS " + target + " HTTP/1.1\r\nHost: x\r\n\r\n")))
		if want == "" {
			if err == nil {
				t.Errorf("%s is a request", target)
			}
			continue
		}
		if err != nil {
			t.Fatal(target, err)
		}
		a := of(r, "", Address{ID: "abc"})
		if got := a.rawPath(); got != want {
			t.Errorf("%s: %s, want %s", target, got, want)
		}
	}
}

func TestQuery(t *testing.T) {
	for raw, want := range map[string]map[string]string{
		"":                    nil,
		"a":                   {"a": ""},
		"a=1&b=2&a=3":         {"a": "1,3", "b": "2"},
		"a+b=c%20d&e=%C3%BC":  {"a b": "c d", "e": "ü"},
		"a=%zz&%=1":           {"a": "%zz", "%": "1"},
		"&&a=b=c&":            {"a": "b=c"},
		"a=1;b=2":             {"a": "1;b=2"},
		"a%5B%5D=1&a%5B%5D=2": {"a[]": "1,2"},
	} {
		if diff := cmp.Diff(want, query(raw)); diff != "" {
			t.Errorf("%q: %s", raw, diff)
		}
	}
}

func TestBinary(t *testing.T) {
	for _, c := range []struct {
		kind, body string
		want       bool
	}{
		{"text/plain", "a", false}, {"Text/HTML; charset=utf-8", "ü", false}, {"application/json", "{}", false}, {"application/vnd.api+json", "{}", false},
		{"application/xml", "<a/>", false}, {"application/javascript", "1", false}, {"application/json", "\xff", true}, {"", "a", true},
		{"application/octet-stream", "a", true}, {"application/x-www-form-urlencoded", "a=b", true}, {"multipart/form-data; boundary=x", "--x", true}, {"image/png", "a", true},
	} {
		if got := binary(c.kind, []byte(c.body)); got != c.want {
			t.Errorf("%s %q: %v", c.kind, c.body, got)
		}
	}
}

// FuzzEvent: every request becomes a JSON document that has its body and its path as they were sent.
func FuzzEvent(f *testing.F) {
	f.Add("/a?b=c", "Cookie: a\r\nX: \xff", "text/plain", []byte("x"))
	f.Add("/%2F//?%", "Host: y", "", []byte{0xff})
	f.Add("*", "", "application/json", []byte{})
	f.Fuzz(func(t *testing.T, target, header, kind string, body []byte) {
		r, err := http.ReadRequest(bufio.NewReader(strings.NewReader("POST " + target + " HTTP/1.1\r\nHost: x\r\n" + header + "\r\n\r\n")))
		if err != nil {
			t.Skip()
		}
		r.Header.Set("Content-Type", kind)
		a := of(r, string(body), Address{ID: "abc"})
		doc := a.payload()
		var e struct {
			Body    string
			Base64  bool `json:"isBase64Encoded"`
			RawPath string
		}
		if err := json.Unmarshal(doc, &e); err != nil {
			t.Fatalf("%v: %s", err, doc)
		}
		got := []byte(e.Body)
		if e.Base64 {
			if got, err = base64.StdEncoding.DecodeString(e.Body); err != nil {
				t.Fatal(err)
			}
		}
		if !bytes.Equal(got, body) {
			t.Errorf("body %q became %q", body, got)
		}
		if path := a.rawPath(); utf8.ValidString(path) && (e.RawPath != path || !strings.HasPrefix(path, "/")) {
			t.Errorf("path %q became %q", path, e.RawPath)
		}
	})
}

// TestSize: what is told of a body beforehand is what it takes in the event.
func TestSize(t *testing.T) {
	text := make([]byte, 0, 256)
	for c := range rune(128) {
		text = utf8.AppendRune(text, c)
	}
	for kind, body := range map[string][]byte{"text/plain": append(text, "äöü"...), "image/png": text, "application/json": {'"', 0xff}} {
		r := httptest.NewRequest("POST", "http://abc.lambda-url.us-east-1.localhost/", nil)
		r.Header.Set("Content-Type", kind)
		with, without := arrival{r: r, body: body}, arrival{r: r, body: []byte{}}
		around := len(`"body":"",`) + len(`"content-length":"",`) + len(strconv.Itoa(len(body)))
		if got := len(with.payload()) - len(without.payload()) - around; with.size() != got-strings.Count(string(with.payload()), `"isBase64Encoded":true`)*(len("true")-len("false")) {
			t.Errorf("%s: %d instead of %d", kind, with.size(), got)
		}
	}
}
