package plain

import (
	"bufio"
	"io"
	"net/http"
	"reflect"
	"strings"
	"testing"
)

var heads = map[string]bool{
	"POST /2015-03-31/functions/f/invocations HTTP/1.1\r\nHost: 127.0.0.1:4566\r\nContent-Length: 2\r\nX-Amz-Date: 20260101T000000Z\r\n\r\n": true,
	"GET /?a=b%20c HTTP/1.1\r\nhost: localhost\r\nx-y: 1\r\nX-Y: 2\r\nx-y: 3\r\nEmpty:\r\n\r\n":                                              true,
	"GET // HTTP/1.1\r\nHost: [::1]:80\r\nConnection: Keep-Alive\r\n\r\n":                                                                    true,

	"GET / HTTP/1.1\r\n\r\n":                                                       false, // no host
	"GET / HTTP/1.1\r\nHost:\r\n\r\n":                                              false,
	"GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n":                                 false,
	"GET / HTTP/1.1\r\nHost: a/b\r\n\r\n":                                          false,
	"GET / HTTP/1.0\r\nHost: a\r\n\r\n":                                            false,
	"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n":                                           false,
	"GET http://a/ HTTP/1.1\r\nHost: a\r\n\r\n":                                    false,
	"GET /%zz HTTP/1.1\r\nHost: a\r\n\r\n":                                         false,
	"GET /\x7f HTTP/1.1\r\nHost: a\r\n\r\n":                                        false,
	"GET /a b HTTP/1.1\r\nHost: a\r\n\r\n":                                         false,
	"GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n":              false,
	"GET / HTTP/1.1\r\nHost: a\r\ntransfer-encoding: identity\r\n\r\n":             false,
	"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n": false,
	"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +1\r\n\r\n":                     false,
	"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1, 1\r\n\r\n":                   false,
	"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: \r\n\r\n":                       false,
	"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 65537\r\n\r\n":                  false, // large
	"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9999999999999999999\r\n\r\n":    false,
	"POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n\r\n":                   false,
	"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n":                       false,
	"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n\r\n":                      false,
	"GET / HTTP/1.1\r\nHost: a\r\n folded\r\n\r\n":                                 false,
	"GET / HTTP/1.1\r\nHost: a\r\nX: a\n b\r\n\r\n":                                false,
	"GET / HTTP/1.1\r\nHost: a\r\nX: a\rb\r\n\r\n":                                 false,
	"GET / HTTP/1.1\r\nHost: a\r\nX : a\r\n\r\n":                                   false,
	"GET / HTTP/1.1\r\nHost: a\r\n: a\r\n\r\n":                                     false,
	"GET / HTTP/1.1\r\nHost: a\r\nX\r\n\r\n":                                       false,
	"GET / HTTP/1.1\r\nHost: a\r\nX: \x00\r\n\r\n":                                 false,
	"GET / HTTP/1.1\nHost: a\n\r\n\r\n":                                            false,
	"PRI * HTTP/2.0\r\n\r\n":                                                       false,
	"\r\n\r\n":                                                                     false,
}

func TestParse(t *testing.T) {
	for text, want := range heads {
		if _, plain := (&conn{names: map[string]string{}}).parse([]byte(text)); plain != want {
			t.Errorf("%q: plain is %t", text, plain)
		}
		same(t, text)
	}
}

// FuzzParse: what is plain here is a request to net/http, too, and the same one.
func FuzzParse(f *testing.F) {
	for text := range heads {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if i := strings.Index(text, "\r\n\r\n"); i >= 0 { // as a connection finds it
			same(t, text[:i+4])
		}
	})
}

func same(t *testing.T, text string) {
	c := &conn{names: map[string]string{}, addr: "a"}
	h, plain := c.parse([]byte(text))
	if !plain {
		return
	}
	again, _ := c.parse([]byte(text)) // by the names that are known now
	if !reflect.DeepEqual(h, again) {
		t.Errorf("%q: %+v and then %+v", text, h, again)
	}
	body := strings.Repeat("b", int(h.length))
	r := bufio.NewReader(strings.NewReader(text + body + "rest"))
	want, err := http.ReadRequest(r)
	if err != nil {
		t.Fatalf("%q: net/http says %v", text, err)
	}
	got := newExchange(c, h).request(h)
	if got.Method != want.Method || got.Proto != want.Proto || got.ProtoMajor != want.ProtoMajor || got.ProtoMinor != want.ProtoMinor || got.Host != want.Host ||
		got.RequestURI != want.RequestURI || got.ContentLength != want.ContentLength || got.Close != want.Close || len(want.TransferEncoding)+len(want.Trailer) > 0 {
		t.Errorf("%q: %+v, but to net/http %+v", text, got, want)
	}
	if !reflect.DeepEqual(got.URL, want.URL) || !reflect.DeepEqual(got.Header, want.Header) {
		t.Errorf("%q: %v %v, but to net/http %v %v", text, got.URL, got.Header, want.URL, want.Header)
	}
	if read, err := io.ReadAll(want.Body); err != nil || string(read) != body {
		t.Errorf("%q: to net/http the body is %q, %v", text, read, err)
	}
	if rest, _ := io.ReadAll(r); string(rest) != "rest" {
		t.Errorf("%q: to net/http the next request is %q", text, rest)
	}
}
