package functionurl

import (
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"artesian/internal/compute/registry"
	"artesian/internal/faas"
)

func TestCheckCORS(t *testing.T) {
	for _, c := range []struct {
		cors registry.CORS
		says string // empty: it is allowed
	}{
		{registry.CORS{}, ""},
		{registry.CORS{Credentials: true, Origins: []string{"*"}, Methods: []string{"*"}, Headers: []string{"date", "keep-alive"}, Expose: []string{"*"}}, ""},
		{registry.CORS{Origins: []string{"https://www.example.com", "http://localhost:60905", "http://[::1]:3000", "chrome-extension://abc"}}, ""},
		{registry.CORS{Origins: []string{"*", "https://a.example"}}, "Cors.AllowOrigins contradicts itself"},
		{registry.CORS{Methods: []string{"GET", "*"}}, "Cors.AllowMethods contradicts itself"},
		{registry.CORS{Headers: []string{"*", "a"}}, "Cors.AllowHeaders contradicts itself"},
		{registry.CORS{Expose: []string{"a", "*"}}, "Cors.ExposeHeaders contradicts itself"},
		{registry.CORS{Origins: []string{"https://a.example", "https://a.example"}}, `"https://a.example" twice`},
		{registry.CORS{Origins: []string{"https://a.example/"}}, "an origin"}, {registry.CORS{Origins: []string{"a.example"}}, "an origin"},
		{registry.CORS{Origins: []string{"https://*.example"}}, "an origin"}, {registry.CORS{Origins: []string{"https://"}}, "an origin"},
		{registry.CORS{Origins: []string{"https://u@a.example"}}, "an origin"}, {registry.CORS{Origins: []string{""}}, "an origin"},
		{registry.CORS{Origins: []string{"https://a.example?x"}}, "an origin"}, {registry.CORS{Origins: []string{"https://a\r\nb"}}, "an origin"},
		{registry.CORS{Methods: []string{"OPTIONS"}}, "one of GET"}, {registry.CORS{Methods: []string{"get"}}, "one of GET"}, {registry.CORS{Methods: []string{""}}, "one of GET"},
		{registry.CORS{Headers: []string{"a b"}}, "name of a header"}, {registry.CORS{Expose: []string{"a:"}}, "name of a header"}, {registry.CORS{Headers: []string{""}}, "name of a header"},
	} {
		err := CheckCORS(&c.cors)
		if (err == nil) != (c.says == "") || err != nil && (!strings.Contains(faas.Message(err), c.says) || faas.KindOf(err) != faas.Invalid) {
			t.Errorf("%+v: %v", c.cors, err)
		}
	}
}

func TestAllow(t *testing.T) {
	age := 300
	some := &registry.CORS{Origins: []string{"https://a.example"}, Methods: []string{"GET", "PUT"}, Headers: []string{"x-a"}, Expose: []string{"x-b", "x-c"}, MaxAge: &age}
	trusting := &registry.CORS{Credentials: true, Origins: []string{"*"}, Methods: []string{"*"}, Headers: []string{"*"}}
	const vary = "Vary: Origin"
	for _, c := range []struct {
		name string
		cors *registry.CORS
		ask  string // request line and headers
		want string
	}{
		{"nothing configured", nil, "GET,Origin: https://a.example", ""},
		{"no origin", some, "GET", vary},
		{"allowed", some, "GET,Origin: https://a.example", "Access-Control-Allow-Origin: https://a.example|Access-Control-Expose-Headers: x-b,x-c|" + vary},
		{"another origin", some, "GET,Origin: https://b.example", vary},
		{"another scheme", some, "GET,Origin: http://a.example", vary},
		{"preflight", some, "OPTIONS,Origin: https://a.example,Access-Control-Request-Method: PUT",
			"Access-Control-Allow-Headers: x-a|Access-Control-Allow-Methods: GET,PUT|Access-Control-Allow-Origin: https://a.example|Access-Control-Max-Age: 300|" + vary},
		{"preflight of another origin", some, "OPTIONS,Origin: https://b.example,Access-Control-Request-Method: PUT", vary},
		{"all origins", &registry.CORS{Origins: []string{"*"}}, "GET,Origin: null", "Access-Control-Allow-Origin: *|" + vary},
		{"all origins with credentials", trusting, "GET,Origin: https://a.example", "Access-Control-Allow-Credentials: true|Access-Control-Allow-Origin: https://a.example|" + vary},
		{"their preflight", trusting, "OPTIONS,Origin: https://a.example,Access-Control-Request-Method: PUT,Access-Control-Request-Headers: x-1",
			"Access-Control-Allow-Credentials: true|Access-Control-Allow-Headers: x-1|Access-Control-Allow-Methods: GET,PUT,POST,DELETE,HEAD,PATCH|Access-Control-Allow-Origin: https://a.example|" + vary},
	} {
		method, headers, _ := strings.Cut(c.ask, ",")
		r := &http.Request{Method: method, Header: http.Header{}}
		for h := range strings.SplitSeq(headers, ",") {
			if name, value, ok := strings.Cut(h, ": "); ok {
				r.Header.Set(name, value)
			}
		}
		h := http.Header{}
		allow(c.cors, h, r)
		var got strings.Builder
		_ = h.Write(&got)
		if diff := cmp.Diff(c.want, strings.ReplaceAll(strings.TrimSpace(got.String()), "\r\n", "|")); diff != "" {
			t.Errorf("%s: %s", c.name, diff)
		}
	}
}

// FuzzCORS: what is allowed to be configured is said only to the origins that it names, in headers that HTTP can carry.
func FuzzCORS(f *testing.F) {
	f.Add("https://a.example", "GET", "x-a", "https://a.example", true, true)
	f.Add("*", "*", "*", "null", false, false)
	f.Fuzz(func(t *testing.T, allowed, method, header, from string, credentials, asks bool) {
		c := &registry.CORS{Credentials: credentials, Origins: []string{allowed}, Methods: []string{method}, Headers: []string{header}, Expose: []string{header}}
		if CheckCORS(c) != nil {
			return
		}
		r := &http.Request{Method: "GET", Header: http.Header{"Origin": {from}}}
		if asks {
			r.Method = "OPTIONS"
			r.Header["Access-Control-Request-Method"] = []string{method}
		}
		h := http.Header{}
		allow(c, h, r)
		got := h.Get("Access-Control-Allow-Origin")
		if got != "" && allowed != "*" && (got != from || from != allowed) || got == "*" && credentials {
			t.Errorf("%q may, %q asks: %q", allowed, from, got)
		}
		for name, values := range h {
			if !fieldName(name) || !fieldValue(values[0]) || len(values) != 1 {
				t.Errorf("%s: %q", name, values)
			}
		}
	})
}
