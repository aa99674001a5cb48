package functionurl

import (
	"bytes"
	"net/http"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestInterpret(t *testing.T) {
	kind := func(pairs ...string) http.Header {
		h := http.Header{"Content-Type": {"application/json"}}
		for i := 0; i < len(pairs); i += 2 {
			h[pairs[i]] = append(h[pairs[i]], pairs[i+1])
		}
		return h
	}
	for _, c := range []struct {
		returned string
		status   int
		header   http.Header
		body     string
	}{
		// AWS's examples
		{`"Hello, world!"`, 200, kind(), "Hello, world!"},
		{"{\n  \"message\": \"Hello, world!\"\n}", 200, kind(), `{"message":"Hello, world!"}`},
		{`{"statusCode":201,"headers":{"Content-Type":"application/json","My-Custom-Header":"Custom Value"},"body":"{ \"message\": \"Hello, world!\" }",
			"cookies":["Cookie_1=Value1; Expires=21 Oct 2021 07:48 GMT","Cookie_2=Value2; Max-Age=78000"],"isBase64Encoded":false}`, 201,
			kind("My-Custom-Header", "Custom Value", "Set-Cookie", "Cookie_1=Value1; Expires=21 Oct 2021 07:48 GMT", "Set-Cookie", "Cookie_2=Value2; Max-Age=78000"), `{ "message": "Hello, world!" }`},
		// any JSON
		{`3.1`, 200, kind(), "3.1"}, {`true`, 200, kind(), "true"}, {`null`, 200, kind(), "null"}, {`["hello", 3, true]`, 200, kind(), `["hello",3,true]`},
		{`{"statusCode":null,"body":"x"}`, 200, kind(), `{"statusCode":null,"body":"x"}`}, {`{"headers":3}`, 200, kind(), `{"headers":3}`}, {`{}`, 200, kind(), `{}`},
		// odd but clear
		{`{"statusCode":"418","body":"teapot"}`, 418, kind(), "teapot"}, {`{"statusCode":200}`, 200, kind(), ""}, {`{"statusCode":200,"body":null}`, 200, kind(), ""},
		{`{"statusCode":200,"body":{"a": 1}}`, 200, kind(), `{"a":1}`}, {`{"statusCode":200,"body":7}`, 200, kind(), "7"},
		{`{"statusCode":200,"headers":{"X-N":5,"X-B":true,"X-Null":null},"body":""}`, 200, kind("X-N", "5", "X-B", "true", "X-Null", ""), ""},
		{`{"statusCode":200,"headers":{"content-type":"text/html"}}`, 200, http.Header{"Content-Type": {"text/html"}}, ""},
		{`{"statusCode":200,"headers":{"Content-Length":"99","Transfer-Encoding":"chunked","connection":"close","x-amzn-requestid":"mine"},"body":"x"}`, 200, kind(), "x"},
		{`{"statusCode":200,"body":"AP8=","isBase64Encoded":true}`, 200, kind(), "\x00\xff"}, {`{"statusCode":200,"isBase64Encoded":true}`, 200, kind(), ""},
		{`{"statusCode":200,"unknown":[1]}`, 200, kind(), ""}, {`{"statusCode":200,"cookies":[]}`, 200, kind(), ""},
		// malformed
		{``, 0, nil, ""}, {`hello`, 0, nil, ""}, {`{"a":1`, 0, nil, ""}, {"\"\xff\"", 0, nil, ""}, {`{"statusCode":"abc"}`, 0, nil, ""}, {`{"statusCode":99}`, 0, nil, ""},
		{`{"statusCode":101}`, 0, nil, ""}, {`{"statusCode":600}`, 0, nil, ""}, {`{"statusCode":200.5}`, 0, nil, ""}, {`{"statusCode":{}}`, 0, nil, ""}, {`{"statusCode":""}`, 0, nil, ""},
		{`{"statusCode":200,"headers":[]}`, 0, nil, ""}, {`{"statusCode":200,"headers":{"a":["b"]}}`, 0, nil, ""}, {`{"statusCode":200,"headers":{"a b":"c"}}`, 0, nil, ""},
		{`{"statusCode":200,"headers":{"a":"b\r\nc: d"}}`, 0, nil, ""}, {`{"statusCode":200,"headers":{"":"c"}}`, 0, nil, ""}, {`{"statusCode":200,"cookies":"a=b"}`, 0, nil, ""},
		{`{"statusCode":200,"cookies":["a\nb"]}`, 0, nil, ""}, {`{"statusCode":200,"body":"%%","isBase64Encoded":true}`, 0, nil, ""}, {`{"statusCode":200,"isBase64Encoded":"yes"}`, 0, nil, ""},
	} {
		got, err := interpret([]byte(c.returned))
		if (err == nil) != (c.status != 0) {
			t.Errorf("%s: %v", c.returned, err)
			continue
		}
		if err == nil && (got.status != c.status || string(got.body) != c.body || !cmp.Equal(got.header, c.header)) {
			t.Errorf("%s: %d %q %s", c.returned, got.status, got.body, cmp.Diff(c.header, got.header))
		}
	}
}

// TestPrelude: the metadata are found wherever the pieces are cut.
func TestPrelude(t *testing.T) {
	const doc = `{"statusCode":201,"headers":{"A":"b"},"cookies":["c"]}`
	whole := append(append([]byte(doc), separator...), "body\x00"...)
	for size := 1; size <= len(whole); size++ {
		p := new(prelude)
		var got *response
		var body []byte
		for rest := whole; len(rest) > 0; rest = rest[min(size, len(rest)):] {
			piece := rest[:min(size, len(rest))]
			if got != nil {
				body = append(body, piece...)
				continue
			}
			resp, first, err := p.write(piece)
			if err != nil {
				t.Fatal(err)
			}
			got, body = resp, append(body, first...)
		}
		if got == nil || got.status != 201 || got.header.Get("A") != "b" || string(body) != "body\x00" {
			t.Fatalf("in pieces of %d: %+v %q", size, got, body)
		}
	}
	for _, bad := range []string{"x", `"x"`, `{"statusCode":"x"}`, `{"headers":{"a b":"c"}}`} {
		if _, _, err := new(prelude).write(append([]byte(bad), separator...)); err == nil {
			t.Errorf("%s is taken", bad)
		}
	}
	p := new(prelude)
	var err error
	for range 2 + maxPrelude/100 {
		if _, _, err = p.write(make([]byte, 0, 1)); err == nil {
			_, _, err = p.write(bytes.Repeat([]byte("x"), 100))
		}
	}
	if err != errPrelude || len(p.buf) > 2*maxPrelude {
		t.Error(err, len(p.buf))
	}
}

func FuzzInterpret(f *testing.F) {
	f.Add([]byte(`{"statusCode":200,"headers":{"a":"b"},"cookies":["c"],"body":"d","isBase64Encoded":true}`))
	f.Add([]byte(`"x"`))
	f.Fuzz(func(t *testing.T, returned []byte) {
		resp, err := interpret(returned)
		if err != nil {
			return
		}
		sendable(t, resp)
	})
}

func FuzzPrelude(f *testing.F) {
	f.Add([]byte("{}\x00\x00\x00\x00\x00\x00\x00\x00x"), 3)
	f.Fuzz(func(t *testing.T, all []byte, at int) {
		at = min(max(at, 0), len(all))
		p := new(prelude)
		resp, body, err := p.write(all[:at])
		if err == nil && resp == nil {
			resp, body, err = p.write(all[at:])
		}
		if err == nil && resp != nil {
			sendable(t, resp)
			if !bytes.HasSuffix(all[:max(at, len(all))], body) && !bytes.HasSuffix(all[:at], body) {
				t.Errorf("body %q of %q", body, all)
			}
		}
	})
}

// sendable checks that a response is one that HTTP can carry.
func sendable(t *testing.T, resp *response) {
	t.Helper()
	if resp.status < 200 || resp.status > 599 {
		t.Errorf("status %d", resp.status)
	}
	for name, values := range resp.header {
		for _, v := range values {
			if !fieldName(name) || !fieldValue(v) || own[name] {
				t.Errorf("header %q: %q", name, v)
			}
		}
	}
}
