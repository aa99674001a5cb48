package app_test

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"

	"artesian/internal/app"
	"artesian/internal/compute/sandbox/sandboxtest"
	"artesian/internal/faas"
)

// outgoing fetches what its event names, or tells the error's name.
const outgoing = `import errno, socket, urllib.request
def handler(event, context):
  if "name" in event:
    try:
      return sorted({a[4][0] for a in socket.getaddrinfo(event["name"], 80, socket.AF_INET, socket.SOCK_STREAM)})
    except socket.gaierror as e:
      return "no such name" if e.errno == socket.EAI_NONAME else str(e)
  try:
    return urllib.request.urlopen(event["url"], timeout=5).read().decode()
  except OSError as e:
    e = getattr(e, "reason", e)
    return errno.errorcode.get(e.errno, str(e))
`

// TestInternet is a Python function with the internet and without, by the node's default and by its tag.
func TestInternet(t *testing.T) {
	o := sandboxtest.NewOutside(t)
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "hello") })}
	l := o.Listen(sandboxtest.Addr4 + ":80")
	go func() { _ = server.Serve(l) }()
	t.Cleanup(func() { _ = server.Close() })
	p := start(t, func(c *app.Config) {
		c.EgressAllow, c.Hosts = []string{sandboxtest.OutsideNet4}, []string{"platform.example"}
	})
	p.role()
	p.create("out", map[string]string{"app.py": outgoing}, spec{"MemorySize": 512, "Timeout": 20})
	client := p.sdk()
	get, meta := `{"url":"http://`+sandboxtest.Addr4+`/"}`, `{"url":"http://169.254.169.254/latest/meta-data/"}`
	met := func(payload, want string) {
		t.Helper()
		if a := p.invoke("out", payload); a.body != `"`+want+`"` {
			t.Errorf("%s met %s %s, want %q", payload, a.err, a.body, want)
		}
	}
	met(get, "hello")
	met(meta, "EHOSTUNREACH")
	met(`{"url":"`+strings.Replace(p.url, "127.0.0.1", sandboxtest.HostAddr4, 1)+`/_artesian/health"}`, "ECONNREFUSED")
	if a := p.invoke("out", `{"name":"platform.example"}`); a.body != `["127.0.0.1"]` {
		t.Errorf("the platform's name leads to %s", a.body)
	}

	arn := "arn:aws:lambda:us-east-1:000000000000:function:out"
	revision := func() string {
		t.Helper()
		c, err := client.GetFunctionConfiguration(t.Context(), &lambda.GetFunctionConfigurationInput{FunctionName: aws.String("out")})
		if err != nil {
			t.Fatal(err)
		}
		return *c.RevisionId
	}
	tag := func(value string) {
		t.Helper()
		if _, err := client.TagResource(t.Context(), &lambda.TagResourceInput{Resource: &arn, Tags: map[string]string{faas.InternetTag: value}}); err != nil {
			t.Fatal(err)
		}
	}
	first := revision()
	tag(faas.Off)
	if revision() == first {
		t.Error("the revision is the same without the internet")
	}
	met(get, "ENETUNREACH")
	met(`{"name":"www.example.com"}`, "no such name")
	second := revision()
	if _, err := client.TagResource(t.Context(), &lambda.TagResourceInput{Resource: &arn, Tags: map[string]string{"team": "a"}}); err != nil {
		t.Fatal(err)
	}
	tag(faas.Off)
	if revision() != second {
		t.Error("another tag, or the same, changed the revision")
	}
	tag(faas.On)
	met(get, "hello")
	_, err := client.TagResource(t.Context(), &lambda.TagResourceInput{Resource: &arn, Tags: map[string]string{faas.InternetTag: "maybe"}})
	if err == nil || !strings.Contains(err.Error(), "InvalidParameterValueException") || !strings.Contains(err.Error(), faas.InternetTag) {
		t.Errorf("another value: %v", err)
	}
	met(get, "hello")
}

// TestInternetOffByDefault is switched on by a function's tag, from its creation on.
func TestInternetOffByDefault(t *testing.T) {
	o := sandboxtest.NewOutside(t)
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "hello") })}
	l := o.Listen(sandboxtest.Addr4 + ":80")
	go func() { _ = server.Serve(l) }()
	t.Cleanup(func() { _ = server.Close() })
	p := start(t, func(c *app.Config) { c.EgressAllow, c.Internet = []string{sandboxtest.OutsideNet4}, false })
	p.role()
	p.create("plain", map[string]string{"app.py": outgoing}, spec{"MemorySize": 512, "Timeout": 20})
	p.create("open", map[string]string{"app.py": outgoing}, spec{"MemorySize": 512, "Timeout": 20, "Tags": spec{faas.InternetTag: faas.On}})
	get := `{"url":"http://` + sandboxtest.Addr4 + `/"}`
	for name, want := range map[string]string{"plain": `"ENETUNREACH"`, "open": `"hello"`} {
		if a := p.invoke(name, get); a.body != want {
			t.Errorf("%s met %s %s, want %s", name, a.err, a.body, want)
		}
	}
	if _, body := p.tryCreate("wrong", zipOf(t, map[string]string{"app.py": outgoing}), spec{"Tags": spec{faas.InternetTag: "no"}}); !strings.Contains(body, `artesian:internet is \"no\"; it must be on or off`) {
		t.Errorf("another value: %s", body)
	}
}
