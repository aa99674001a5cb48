package app_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"

	"artesian/internal/door/gateway/admin"
	"artesian/internal/faas"
)

// echoURL answers with its event, or with what the body says.
const echoURL = `import json, base64
def handler(e, c):
    body = e.get("body") or ""
    if e["isBase64Encoded"]:
        body = base64.b64decode(body).decode("latin-1")
    if body.startswith("return "):
        return json.loads(body[7:])
    if body == "raise":
        raise ValueError("secret")
    return e
`

// guest is a client that resolves the names of URLs to the daemon's address.
func (p *platform) guest() *http.Client {
	return &http.Client{
		Transport: &http.Transport{DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, network, strings.TrimPrefix(p.url, "http://"))
		}},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// ask sends a request without a signature; header is in pairs.
func (p *platform) ask(t *testing.T, method, to, body string, header ...string) (*http.Response, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, to, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		if header[i] == "Host" {
			req.Host = header[i+1]
		}
		req.Header.Add(header[i], header[i+1])
	}
	resp, err := p.guest().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	return p.read(resp)
}

func (p *platform) makeURL(t *testing.T, in *lambda.CreateFunctionUrlConfigInput) string {
	t.Helper()
	if in.AuthType == "" {
		in.AuthType = types.FunctionUrlAuthTypeNone
	}
	out, err := p.sdk().CreateFunctionUrlConfig(t.Context(), in)
	if err != nil {
		t.Fatal(err)
	}
	return *out.FunctionUrl
}

// TestURLsByClients is a user's way with boto3 and with the AWS CLI.
func TestURLsByClients(t *testing.T) {
	p := start(t)
	p.role()
	p.create("echo", map[string]string{"app.py": echoURL}, spec{"Publish": true})
	if resp, body := p.read(p.send("POST", "lambda", functionsPath+"/echo/aliases", "application/json", []byte(`{"Name":"live","FunctionVersion":"1"}`))); resp.StatusCode != 201 {
		t.Fatal(body)
	}
	p.script(t, "python3", "testdata/url.py")

	t.Run("an alias's version serves", func(t *testing.T) {
		if resp, body := p.read(p.send("POST", "lambda", functionsPath+"/echo/aliases", "application/json", []byte(`{"Name":"live","FunctionVersion":"1"}`))); resp.StatusCode != 201 {
			t.Fatal(body)
		}
		to := p.makeURL(t, &lambda.CreateFunctionUrlConfigInput{FunctionName: aws.String("echo"), Qualifier: aws.String("live")})
		p.update("echo", map[string]string{"app.py": "def handler(e, c):\n  return 'new'\n"})
		if resp, body := p.ask(t, "GET", to, ""); resp.StatusCode != 200 || jsonField(t, body, "version") != "2.0" {
			t.Error(resp.Status, body)
		}
		var list admin.URLs
		if p.get(admin.URLsPath, &list); len(list.URLs) != 1 || list.URLs[0] != (admin.URL{Function: "echo", Qualifier: "live", URL: to, Auth: "NONE", Mode: "BUFFERED"}) {
			t.Errorf("%+v", list)
		}
	})
	t.Run("throttled", func(t *testing.T) {
		if resp, body := p.read(p.send("PUT", "lambda", "/2017-10-31/functions/echo/concurrency", "application/json", []byte(`{"ReservedConcurrentExecutions":0}`))); resp.StatusCode != 200 {
			t.Fatal(body)
		}
		to := p.makeURL(t, &lambda.CreateFunctionUrlConfigInput{FunctionName: aws.String("echo")})
		if resp, body := p.ask(t, "GET", to, ""); resp.StatusCode != 429 || resp.Header.Get("Retry-After") == "" || resp.Header.Get("X-Amzn-Errortype") != "TooManyRequestsException" {
			t.Error(resp.Status, body)
		}
	})
}

func TestFunctionURL(t *testing.T) {
	p := start(t)
	p.role()
	p.create("echo", map[string]string{"app.py": echoURL}, spec{"Timeout": 10})
	p.create("closed", map[string]string{"app.py": echoURL}, nil)
	to := p.makeURL(t, &lambda.CreateFunctionUrlConfigInput{FunctionName: aws.String("echo")})
	_, port, _ := net.SplitHostPort(strings.TrimPrefix(p.url, "http://"))
	id, rest, _ := strings.Cut(strings.TrimPrefix(to, "http://"), ".")
	if len(id) != 32 || rest != "lambda-url.us-east-1.localhost:"+port+"/" {
		t.Fatal(to)
	}

	t.Run("event", func(t *testing.T) {
		resp, body := p.ask(t, "POST", to+"a%2Fb/c?x=1&x=2&y=%20z", `{"k":"ü"}`, "Content-Type", "application/json", "X-Two", "1", "X-Two", "2", "Cookie", "a=1; b=2")
		var e struct {
			RawPath, RawQueryString, Body  string
			IsBase64Encoded                bool
			Cookies                        []string
			Headers, QueryStringParameters map[string]string
			RequestContext                 struct {
				AccountID, APIID, DomainName, RequestID string
				Authorizer                              any
				HTTP                                    map[string]string
			}
		}
		if err := json.Unmarshal([]byte(body), &e); err != nil || resp.StatusCode != 200 || resp.Header.Get("Content-Type") != "application/json" {
			t.Fatal(resp.Status, resp.Header, body)
		}
		c := e.RequestContext
		if e.RawPath != "/a%2Fb/c" || e.RawQueryString != "x=1&x=2&y=%20z" || e.Body != `{"k":"ü"}` || e.IsBase64Encoded || strings.Join(e.Cookies, "|") != "a=1|b=2" ||
			e.Headers["x-two"] != "1,2" || e.QueryStringParameters["x"] != "1,2" || e.QueryStringParameters["y"] != " z" || e.Headers["cookie"] != "" ||
			e.Headers["x-forwarded-proto"] != "http" || e.Headers["x-forwarded-port"] != port || e.Headers["x-forwarded-for"] != "127.0.0.1" ||
			!strings.HasPrefix(e.Headers["x-amzn-trace-id"], "Root=1-") || c.AccountID != "anonymous" || c.APIID != id || c.DomainName != id+".lambda-url.us-east-1.localhost" ||
			c.RequestID != resp.Header.Get("X-Amzn-Requestid") || c.Authorizer != nil || c.HTTP["method"] != "POST" || c.HTTP["path"] != "/a%2Fb/c" {
			t.Error(body)
		}
	})

	t.Run("responses", func(t *testing.T) {
		for _, c := range []struct {
			returns string
			status  int
			body    string
			header  []string
		}{
			{`{"statusCode":201,"headers":{"X-A":"b","Content-Type":"text/html"},"cookies":["a=1","b=2"],"body":"<p>"}`, 201, "<p>", []string{"X-A", "b", "Content-Type", "text/html", "Set-Cookie", "a=1|b=2"}},
			{`{"statusCode":200,"body":"AP8=","isBase64Encoded":true}`, 200, "\x00\xff", nil},
			{`{"statusCode":302,"headers":{"Location":"/there"}}`, 302, "", []string{"Location", "/there"}},
			{`"hello"`, 200, "hello", []string{"Content-Type", "application/json"}},
			{`{"message": "hello"}`, 200, `{"message":"hello"}`, []string{"Content-Type", "application/json"}},
			{`{"statusCode":"x"}`, 502, "Internal Server Error", nil},
			{`{"statusCode":204}`, 204, "", nil},
		} {
			resp, body := p.ask(t, "POST", to, "return "+c.returns, "Content-Type", "text/plain")
			if resp.StatusCode != c.status || body != c.body {
				t.Errorf("%s: %s %q", c.returns, resp.Status, body)
			}
			for i := 0; i < len(c.header); i += 2 {
				if got := strings.Join(resp.Header.Values(c.header[i]), "|"); got != c.header[i+1] {
					t.Errorf("%s: %s: %q", c.returns, c.header[i], got)
				}
			}
		}
		if resp, body := p.ask(t, "POST", to, "raise", "Content-Type", "text/plain"); resp.StatusCode != 502 || body != "Internal Server Error" {
			t.Error(resp.Status, body)
		}
		if resp, body := p.ask(t, "HEAD", to, ""); resp.StatusCode != 200 || body != "" || resp.ContentLength < 100 {
			t.Error(resp.Status, body, resp.ContentLength)
		}
	})

	t.Run("by path", func(t *testing.T) {
		resp, body := p.ask(t, "GET", p.url+"/_artesian/url/"+id+"/x//y%2F?q", "")
		if resp.StatusCode != 200 || jsonField(t, body, "rawPath") != "/x//y%2F" || !strings.Contains(resp.Header.Get("Content-Security-Policy"), "sandbox") {
			t.Error(resp.Status, resp.Header, body)
		}
		const headers = `return {"statusCode": 200, "headers": {"Clear-site-data": "*", "strict-transport-security": "max-age=1", "X-Own": "1"}, "body": ""}`
		if resp, body := p.ask(t, "POST", p.url+"/_artesian/url/"+id, headers, "Content-Type", "text/plain"); resp.StatusCode != 200 ||
			resp.Header.Get("X-Own") != "1" || resp.Header.Get("Clear-Site-Data")+resp.Header.Get("Strict-Transport-Security") != "" {
			t.Error(resp.Status, resp.Header, body)
		}
		if resp, body := p.ask(t, "POST", to, headers, "Content-Type", "text/plain"); resp.Header.Get("Clear-Site-Data") != "*" {
			t.Error(resp.Status, resp.Header, body)
		}
		if resp, body := p.ask(t, "GET", p.url+"/_artesian/url/"+id, ""); jsonField(t, body, "rawPath") != "/" {
			t.Error(resp.Status, body)
		}
	})

	t.Run("never the platform", func(t *testing.T) { p.apart(t, to, id) })
	t.Run("signed", func(t *testing.T) { p.signedURL(t) })
	t.Run("sizes", func(t *testing.T) {
		large := bytes.Repeat([]byte("x"), faas.MaxRequestBytes+1)
		if resp, body := p.ask(t, "POST", to, string(large), "Content-Type", "text/plain"); resp.StatusCode != 413 || !strings.Contains(body, "Too Large") {
			t.Error(resp.Status, body)
		}
		if resp, body := p.ask(t, "POST", to, string(large[:5<<20])); resp.StatusCode != 413 { // in base64 it is too large
			t.Error(resp.Status, len(body))
		}
		if resp, body := p.ask(t, "POST", to, string(large[:5<<20]), "Content-Type", "text/plain"); resp.StatusCode != 200 || len(body) < 5<<20 {
			t.Error(resp.Status, len(body))
		}
	})
	t.Run("chunked", func(t *testing.T) {
		conn := p.dial(t)
		fmt.Fprintf(conn, "POST / HTTP/1.1\r\nHost: %s.%s\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n1\r\n", id, strings.TrimSuffix(rest, "/"))
		fmt.Fprint(conn, "d\r\n0\r\n\r\n")
		resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, body := p.read(resp); jsonField(t, body, "body") != "abcd" {
			t.Error(body)
		}
	})
	t.Run("deleted", func(t *testing.T) {
		if _, err := p.sdk().DeleteFunction(t.Context(), &lambda.DeleteFunctionInput{FunctionName: aws.String("echo")}); err != nil {
			t.Fatal(err)
		}
		if resp, body := p.ask(t, "GET", to, ""); resp.StatusCode != 403 || body != `{"Message":null}` {
			t.Error(resp.Status, body)
		}
	})
}

// apart: what is sent to a URL is never an API request, nor the other way round.
func (p *platform) apart(t *testing.T, to, id string) {
	_, port, _ := net.SplitHostPort(strings.TrimPrefix(p.url, "http://"))
	for host, want := range map[string]int{
		id + ".lambda-url.us-east-1.localhost":                          200,
		strings.ToUpper(id) + ".LAMBDA-URL.us-east-1.LocalHost:" + port: 200,
		id + ".lambda-url.eu-west-1.localhost":                          403,
		strings.Repeat("a", 32) + ".lambda-url.us-east-1.localhost":     403,
		id + ".lambda-url.us-east-1.evil.example":                       421,
		id + ".lambda-url.us-east-1.localhost.evil.example":             421,
		"lambda-url.us-east-1.localhost":                                421,
		"a." + id + ".lambda-url.us-east-1.localhost":                   421,
		id + ".lambda-url.localhost":                                    421,
		id + ".lambda-url.us-east-1":                                    421,
		id + ".lambda-url.us-east-1.127.0.0.1":                          421,
		"evil.example":                                                  421,
	} {
		if resp, body := p.ask(t, "GET", p.url+"/_artesian/health", "", "Host", host); resp.StatusCode != want || want == 200 && jsonField(t, body, "rawPath") != "/_artesian/health" {
			t.Errorf("%s: %s %s", host, resp.Status, body)
		}
	}
	// A good signature for the API, sent to a URL's name: the function gets it.
	here := strings.TrimSuffix(to, "/")
	req, err := signed(t, here, p.creds, "us-east-1", "GET", "lambda", functionsPath, "", nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := p.guest().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	if _, body := p.read(resp); jsonField(t, body, "rawPath") != functionsPath {
		t.Error(body)
	}
	// A signature for a URL's name, sent to the API.
	if req, err = signed(t, here, p.creds, "us-east-1", "GET", "lambda", functionsPath, "", nil); err != nil {
		t.Fatal(err)
	}
	req.Host, req.URL.Host = strings.TrimPrefix(p.url, "http://"), strings.TrimPrefix(p.url, "http://")
	if resp, err = http.DefaultClient.Do(req); err != nil {
		t.Fatal(err)
	}
	if resp, body := p.read(resp); resp.StatusCode != 403 || !strings.Contains(body, "does not match") {
		t.Error(resp.Status, body)
	}
}

// signedURL asks for signatures and shows the function who signed.
func (p *platform) signedURL(t *testing.T) {
	to := p.makeURL(t, &lambda.CreateFunctionUrlConfigInput{FunctionName: aws.String("closed"), AuthType: types.FunctionUrlAuthTypeAwsIam,
		Cors: &types.Cors{AllowOrigins: []string{"https://app.example"}, AllowMethods: []string{"POST"}, AllowHeaders: []string{"authorization"}}})
	base := strings.TrimSuffix(to, "/")
	send := func(service, path, body string, change func(*http.Request)) (*http.Response, string) {
		req, err := signed(t, base, p.creds, "us-east-1", "POST", service, path, "text/plain", []byte(body))
		if err != nil {
			t.Fatal(err)
		}
		if change != nil {
			change(req)
		}
		resp, err := p.guest().Do(req)
		if err != nil {
			t.Fatal(err)
		}
		return p.read(resp)
	}
	resp, body := send("lambda", "/who?a=b", "text", nil)
	var e struct {
		Headers        map[string]string
		RequestContext struct {
			AccountID  string
			Authorizer struct{ IAM map[string]any }
		}
	}
	if err := json.Unmarshal([]byte(body), &e); err != nil || resp.StatusCode != 200 {
		t.Fatal(resp.Status, body)
	}
	iam := e.RequestContext.Authorizer.IAM
	if iam["userArn"] != "arn:aws:iam::000000000000:user/admin" || iam["accessKey"] != p.creds.AccessKeyID || iam["accountId"] != "000000000000" ||
		e.RequestContext.AccountID != "000000000000" || e.Headers["authorization"] != "" || e.Headers["x-amz-date"] == "" {
		t.Error(body)
	}
	for name, refused := range map[string]func() (*http.Response, string){
		"unsigned":        func() (*http.Response, string) { return p.ask(t, "POST", to, "x") },
		"another service": func() (*http.Response, string) { return send("execute-api", "/", "x", nil) },
		"another path": func() (*http.Response, string) {
			return send("lambda", "/a", "x", func(r *http.Request) { r.URL.Path = "/b" })
		},
		"another body": func() (*http.Response, string) {
			return send("lambda", "/", "x", func(r *http.Request) { r.Body = io.NopCloser(strings.NewReader("y")) })
		},
		"unknown key": func() (*http.Response, string) {
			return send("lambda", "/", "x", func(r *http.Request) {
				r.Header.Set("Authorization", strings.Replace(r.Header.Get("Authorization"), p.creds.AccessKeyID, "AKIAIOSFODNN7EXAMPLE", 1))
			})
		},
	} {
		if resp, body := refused(); resp.StatusCode != 403 || body != `{"Message":"Forbidden"}` || resp.Header.Get("X-Amzn-Errortype") != "AccessDeniedException" {
			t.Errorf("%s: %s %s", name, resp.Status, body)
		}
	}
	// Browsers can't sign a preflight.
	resp, body = p.ask(t, "OPTIONS", to, "", "Origin", "https://app.example", "Access-Control-Request-Method", "POST")
	if h := resp.Header; resp.StatusCode != 200 || body != "" || h.Get("Access-Control-Allow-Origin") != "https://app.example" || h.Get("Access-Control-Allow-Methods") != "POST" {
		t.Error(resp.Status, resp.Header)
	}
	if n := p.instances("closed"); n != 1 {
		t.Errorf("%d instances", n)
	}
}

func (p *platform) dial(t *testing.T) net.Conn {
	t.Helper()
	u, err := url.Parse(p.url)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := net.Dial("tcp", u.Host)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(30 * time.Second))
	return conn
}

// TestStreamingURL streams a custom runtime's answer to HTTP clients.
func TestStreamingURL(t *testing.T) {
	p := start(t)
	p.role()
	p.custom(t, "stream", bootstrapZip(t), spec{"Timeout": 20})
	p.create("whole", map[string]string{"app.py": echoURL}, nil)
	to := p.makeURL(t, &lambda.CreateFunctionUrlConfigInput{FunctionName: aws.String("stream"), InvokeMode: types.InvokeModeResponseStream,
		Cors: &types.Cors{AllowOrigins: []string{"*"}, ExposeHeaders: []string{"x-a"}}})
	buffered := p.makeURL(t, &lambda.CreateFunctionUrlConfigInput{FunctionName: aws.String("whole"), InvokeMode: types.InvokeModeResponseStream})

	for _, c := range []struct {
		name, plan string
		status     int
		kind, body string
		breaks     bool
	}{
		{"content type", `{"Type":"text/event-stream","Pieces":["data: 1\n\n","data: 2\n\n"]}`, 200, "text/event-stream", "data: 1\n\ndata: 2\n\n", false},
		{"no content type", `{"Pieces":["a"]}`, 200, "application/octet-stream", "a", false},
		{"metadata", `{"Head":{"statusCode":418,"headers":{"Content-Type":"text/x","X-A":"b"},"cookies":["c=1"]},"Pieces":["a","b"]}`, 418, "text/x", "ab", false},
		{"metadata alone", `{"Head":{"statusCode":304}}`, 304, "", "", false},
		{"metadata without a status", `{"Head":{},"Pieces":["a"]}`, 200, "application/json", "a", false},
		{"malformed metadata", `{"Head":{"statusCode":99},"Pieces":["a"]}`, 502, "application/json", "Internal Server Error", false},
		{"metadata that do not end", `{"Type":"application/vnd.awslambda.http-integration-response","Pieces":["{}"]}`, 502, "application/json", "Internal Server Error", false},
		{"endless metadata", `{"Type":"application/vnd.awslambda.http-integration-response","Pieces":["` + strings.Repeat("x", 70<<10) + `"]}`, 502, "application/json", "Internal Server Error", false},
		{"not streamed", `{"Whole":true,"Pieces":["{\"statusCode\":201}"]}`, 200, "application/json", `{"statusCode":201}`, false},
		{"error midway", `{"Type":"text/plain","Pieces":["a"],"Fail":"no"}`, 200, "text/plain", "a", true},
		{"exit midway", `{"Type":"text/plain","Pieces":["a"],"Exit":true}`, 200, "text/plain", "a", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			req, err := http.NewRequestWithContext(t.Context(), "POST", to, strings.NewReader(c.plan))
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set("Origin", "https://any.example")
			resp, err := p.guest().Do(req)
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			body, err := io.ReadAll(resp.Body)
			if resp.StatusCode != c.status || resp.Header.Get("Content-Type") != c.kind || string(body) != c.body || (err != nil) != c.breaks {
				t.Errorf("%s %s %.100q %v", resp.Status, resp.Header.Get("Content-Type"), body, err)
			}
			if resp.Header.Get("Access-Control-Allow-Origin") != "*" || resp.Header.Get("Access-Control-Expose-Headers") != "x-a" {
				t.Error(resp.Header)
			}
		})
	}
	t.Run("as it comes", func(t *testing.T) {
		req, err := http.NewRequestWithContext(t.Context(), "POST", to, strings.NewReader(`{"Head":{},"Pieces":["now","now","now"],"Pause":200}`))
		if err != nil {
			t.Fatal(err)
		}
		resp, err := p.guest().Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		for in := bufio.NewScanner(resp.Body); in.Scan(); {
			if late := time.Since(time.Unix(0, int64(atoi(t, in.Text())))); late > 150*time.Millisecond { // before the next is written, on any machine
				t.Errorf("%v late", late)
			}
		}
	})
	t.Run("a runtime that does not stream", func(t *testing.T) {
		resp, body := p.ask(t, "POST", buffered, `return {"statusCode":201,"body":"x"}`, "Content-Type", "text/plain")
		if resp.StatusCode != 200 || body != `{"statusCode": 201, "body": "x"}` {
			t.Error(resp.Status, body)
		}
		if resp, body := p.ask(t, "POST", buffered, "raise", "Content-Type", "text/plain"); resp.StatusCode != 502 || body != "Internal Server Error" {
			t.Error(resp.Status, body)
		}
	})
	t.Run("Node.js", func(t *testing.T) {
		resp, body := p.tryCreate("node", zipOf(t, map[string]string{"index.mjs": `export const handler = awslambda.streamifyResponse(async (event, stream) => {
			stream = awslambda.HttpResponseStream.from(stream, { statusCode: 201, headers: { "content-type": "text/x", "x-path": event.rawPath }, cookies: ["a=b"] })
			for (const piece of ["one ", "two"]) await new Promise((done) => stream.write(piece, done)) // what is not out yet goes with an error
			if (event.rawPath == "/fail") throw new Error("midway")
			stream.end()
		})`}), spec{"Runtime": "nodejs20.x", "Handler": "index.handler"})
		if resp.StatusCode != http.StatusCreated {
			t.Skip("needs Node.js 20:", body)
		}
		node := p.makeURL(t, &lambda.CreateFunctionUrlConfigInput{FunctionName: aws.String("node"), InvokeMode: types.InvokeModeResponseStream})
		resp, body = p.ask(t, "GET", node+"x", "")
		if resp.StatusCode != 201 || body != "one two" || resp.Header.Get("Content-Type") != "text/x" || resp.Header.Get("X-Path") != "/x" || resp.Header.Get("Set-Cookie") != "a=b" {
			t.Error(resp.Status, resp.Header, body)
		}
		broken, err := p.guest().Get(node + "fail")
		if err != nil {
			t.Fatal(err)
		}
		defer broken.Body.Close()
		if b, err := io.ReadAll(broken.Body); err == nil || string(b) != "one two" {
			t.Errorf("%q %v", b, err)
		}
	})
	t.Run("a client who reads nothing", func(t *testing.T) {
		conn := p.dial(t)
		plan := `{"Type":"text/plain","Size":60000000}`
		fmt.Fprintf(conn, "POST / HTTP/1.1\r\nHost: %s\r\nContent-Length: %d\r\n\r\n%s", strings.TrimSuffix(strings.TrimPrefix(to, "http://"), "/"), len(plan), plan)
		eventually(t, "the function runs", func() bool { return p.busy("stream") })
		_ = conn.Close()
		eventually(t, "it goes on without its client", func() bool { return !p.busy("stream") })
	})
}

// busy reports whether an instance of a function runs a call.
func (p *platform) busy(name string) bool {
	p.t.Helper()
	var ps admin.PS
	p.get(admin.PSPath, &ps)
	for _, i := range ps.Instances {
		if i.Function == name && i.State == "busy" {
			return true
		}
	}
	return false
}
