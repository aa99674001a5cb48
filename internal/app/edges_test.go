package app_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"artesian/internal/app"
)

// TestTenants keeps tenants apart: each has its own instance with what is left in memory and /tmp, and is told to the function and
// to the log (https://docs.aws.amazon.com/lambda/latest/dg/tenant-isolation.html).
func TestTenants(t *testing.T) {
	p := start(t)
	p.role()
	p.create("apart", map[string]string{"app.py": `
import logging, os
seen = []
def handler(event, context):
    seen.append(context.tenant_id)
    left = os.path.exists('/tmp/mark')
    open('/tmp/mark', 'w').close()
    logging.getLogger().warning('at work')
    return [context.tenant_id, seen, left]
`}, spec{"TenancyConfig": spec{"TenantIsolationMode": "PER_TENANT"}, "LoggingConfig": spec{"LogFormat": "JSON"}, "Publish": true})
	if _, body := p.read(p.send("GET", "lambda", functionsPath+"/apart/configuration", "", nil)); !strings.Contains(body, `"TenancyConfig":{"TenantIsolationMode":"PER_TENANT"}`) {
		t.Error(body)
	}
	for _, c := range []struct{ tenant, want string }{
		{"blue", `["blue", ["blue"], false]`},
		{"green/1 @x", `["green/1 @x", ["green/1 @x"], false]`},
		{"blue", `["blue", ["blue", "blue"], true]`},
		{"green/1 @x", `["green/1 @x", ["green/1 @x", "green/1 @x"], true]`},
	} {
		a := p.invoke("apart", `{}`, "X-Amz-Tenant-Id", c.tenant)
		if a.body != c.want {
			t.Errorf("%s: %s %s, want %s", c.tenant, a.err, a.body, c.want)
		}
		for _, part := range []string{`"message": "at work"`, `"platform.start"`, `"platform.report"`} {
			found := false
			for line := range strings.Lines(a.log) {
				found = found || strings.Contains(line, part) && (strings.Contains(line, `"tenantId": "`+c.tenant+`"`) || strings.Contains(line, `"tenantId":"`+c.tenant+`"`))
			}
			if !found {
				t.Errorf("no line with %s tells of %s:\n%s", part, c.tenant, a.log)
			}
		}
	}
	t.Run("Node.js", func(t *testing.T) {
		if resp, body := p.tryCreate("apart-node", zipOf(t, map[string]string{"app.mjs": "export const handler = async (e, c) => c.tenantId;\n"}),
			spec{"Runtime": "nodejs20.x", "TenancyConfig": spec{"TenantIsolationMode": "PER_TENANT"}}); resp.StatusCode != http.StatusCreated {
			t.Skipf("needs Node.js 20: %s", body)
		}
		if a := p.invoke("apart-node", `{}`, "X-Amz-Tenant-Id", "blue"); a.body != `"blue"` {
			t.Errorf("%+v", a)
		}
	})
	p.create("together", map[string]string{"app.py": "def handler(e, c): return c.tenant_id\n"}, nil)
	invoke := func(name, function, has string, status int, code string, header ...string) bad {
		return bad{name, func() (*http.Response, string) {
			return p.read(p.send("POST", "lambda", functionsPath+"/"+function+"/invocations", "application/json", []byte(`{}`), header...))
		}, status, code, []string{has}}
	}
	p.refused(t, []bad{
		invoke("no tenant", "apart", "Add a valid tenant ID", 400, "InvalidParameterValueException"),
		invoke("a tenant that means nothing", "together", "not enabled with tenancy configuration", 400, "InvalidParameterValueException", "X-Amz-Tenant-Id", "blue"),
		{"a URL", func() (*http.Response, string) {
			return p.read(p.send("POST", "lambda", "/2021-10-31/functions/apart/url", "application/json", []byte(`{"AuthType":"NONE"}`)))
		}, 400, "InvalidParameterValueException", []string{"TenancyConfig"}},
		invoke("a bad tenant", "apart", "'tenantId'", 400, "ValidationException", "X-Amz-Tenant-Id", "blue!"),
	})
}

// TestLongTimeout gives a function more than AWS allows, where that is configured, and tells the bound otherwise.
func TestLongTimeout(t *testing.T) {
	p := start(t, func(c *app.Config) { c.MaxTimeout = 86400 * 30 })
	p.role()
	p.create("long", map[string]string{"app.py": "def handler(e, c): return c.get_remaining_time_in_millis()\n"}, spec{"Timeout": 86400})
	left := 0.0
	if a := p.invoke("long", `{}`); json.Unmarshal([]byte(a.body), &left) != nil || left < 86300e3 || left > 86400e3 {
		t.Errorf("%+v", a)
	}
	for body, want := range map[string]string{`{"Timeout":2592000}`: `"Timeout":2592000`, `{"Timeout":2592001}`: "Value '2592001' at 'timeout' failed to satisfy constraint: Member must have value less than or equal to 2592000"} {
		if _, answer := p.read(p.send("PUT", "lambda", functionsPath+"/long/configuration", "application/json", []byte(body))); !strings.Contains(answer, want) {
			t.Errorf("%s: %s", body, answer)
		}
	}
}

// TestWeights lets chance decide between two versions of an alias; each answer says which it was.
func TestWeights(t *testing.T) {
	p := start(t)
	p.role()
	code := func(n string) map[string]string {
		return map[string]string{"app.py": "def handler(e, c): return [" + n + ", c.function_version]\n"}
	}
	p.create("split", code("1"), spec{"Publish": true})
	p.update("split", code("2"))
	for path, body := range map[string]string{"/versions": `{}`, "/aliases": `{"Name":"both","FunctionVersion":"1"}`} {
		if resp, answer := p.read(p.send("POST", "lambda", functionsPath+"/split"+path, "application/json", []byte(body))); resp.StatusCode != http.StatusCreated {
			t.Fatal(answer)
		}
	}
	if resp, answer := p.read(p.send("PUT", "lambda", functionsPath+"/split/aliases/both", "application/json",
		[]byte(`{"RoutingConfig":{"AdditionalVersionWeights":{"2":0.5}}}`))); resp.StatusCode != http.StatusOK {
		t.Fatal(answer)
	}
	served := map[string]int{}
	for range 64 {
		resp, body := p.read(p.send("POST", "lambda", functionsPath+"/split%3Aboth/invocations", "application/json", []byte(`{}`)))
		v := resp.Header.Get("X-Amz-Executed-Version")
		if body != `[`+v+`, "`+v+`"]` {
			t.Fatalf("version %s answered %s", v, body)
		}
		served[v]++
	}
	if served["1"] < 8 || served["2"] < 8 { // by chance once in ten thousand million runs
		t.Errorf("with a weight of a half: %v", served)
	}
}

// TestLoopIsStopped hands the trace that a function has on to its next call, as SDKs inside functions do: the loop ends, unless
// the function may loop (https://docs.aws.amazon.com/lambda/latest/dg/invocation-recursion.html).
func TestLoopIsStopped(t *testing.T) {
	p := start(t)
	p.role()
	p.create("loop", map[string]string{"app.py": "import os\ndef handler(e, c): return os.environ['_X_AMZN_TRACE_ID']\n"}, spec{"TracingConfig": spec{"Mode": "Active"}})
	trace := ""
	again := func() answer {
		a := p.invoke("loop", `{}`, "X-Amzn-Trace-Id", trace)
		if a.err == "" {
			trace = strings.Trim(a.body, `"`)
		}
		return a
	}
	for i := range 16 {
		if a := again(); a.err != "" || !strings.Contains(trace, ";Sampled=1;Lineage=") {
			t.Fatalf("call %d: %+v", i, a)
		}
	}
	if a := again(); a.status != http.StatusBadRequest || a.err != "RecursiveInvocationException" {
		t.Errorf("call 17: %+v", a)
	}
	if a := p.invoke("loop", `{}`); a.err != "" {
		t.Errorf("on another way: %+v", a)
	}
	if resp, body := p.read(p.send("PUT", "lambda", "/2024-08-31/functions/loop/recursion-config", "application/json", []byte(`{"RecursiveLoop":"Allow"}`))); resp.StatusCode != http.StatusOK {
		t.Fatal(body)
	}
	if a := again(); a.err != "" {
		t.Errorf("call 17, allowed: %+v", a)
	}
}
