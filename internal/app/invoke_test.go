package app_test

import (
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"artesian/internal/app"
	"artesian/internal/door/gateway/admin"
	"artesian/internal/faas"
)

// TestInvoke holds what users of AWS Lambda expect of calls, through the whole product. Sources: the Invoke API
// reference (https://docs.aws.amazon.com/lambda/latest/api/API_Invoke.html), the execution environment's life cycle
// (https://docs.aws.amazon.com/lambda/latest/dg/lambda-runtime-environment.html), the Python handler
// (https://docs.aws.amazon.com/lambda/latest/dg/python-handler.html, …/python-exceptions.html) and the quotas
// (https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html).
func TestInvoke(t *testing.T) {
	t.Parallel()
	p := start(t)
	p.role()
	python := func(name, code string, more spec) {
		t.Helper()
		p.create(name, map[string]string{"app.py": code}, more)
	}

	t.Run("answer, version and log", func(t *testing.T) {
		python("hello", "import json\nprint('loading')\ndef handler(e, c):\n  print('greeting', e['name'])\n  return {'hello': e['name'], 'ü': None}\n", nil)
		a := p.invoke("hello", `{"name":"Ada"}`)
		if a.status != 200 || a.err != "" || a.body != `{"hello": "Ada", "\u00fc": null}` {
			t.Fatalf("%+v", a)
		}
		mustContain(t, "log", a.log, "loading\nSTART RequestId: "+a.id+" Version: $LATEST\ngreeting Ada\nEND RequestId: "+a.id+"\nREPORT RequestId: "+a.id,
			"Billed Duration:", "Memory Size: 128 MB", "Init Duration:")
		b := p.invoke("hello", `{"name":"Bob"}`)
		if strings.Contains(b.log, "loading") || strings.Contains(b.log, "Init Duration") {
			t.Errorf("the second call was cold: %s", b.log)
		}
		if p.instances("hello") != 1 {
			t.Errorf("%d instances for calls one after the other", p.instances("hello"))
		}
	})

	t.Run("context", func(t *testing.T) {
		python("context", `
import time
def handler(e, c):
    a = c.get_remaining_time_in_millis(); time.sleep(0.05); b = c.get_remaining_time_in_millis()
    return [c.function_name, c.function_version, c.memory_limit_in_mb, c.invoked_function_arn, c.aws_request_id,
            c.log_group_name, '[$LATEST]' in c.log_stream_name, 4500 < a <= 5000, 40 <= a - b < 1000, c.client_context.custom['k']]
`, spec{"Timeout": 5, "MemorySize": 256})
		a := p.invoke("context", `{}`, "X-Amz-Client-Context", "eyJjdXN0b20iOnsiayI6InYifX0=")
		want := `["context", "$LATEST", "256", "arn:aws:lambda:us-east-1:000000000000:function:context", "` + a.id +
			`", "/aws/lambda/context", true, true, true, "v"]`
		if a.body != want {
			t.Errorf("got  %s\nwant %s", a.body, want)
		}
	})

	t.Run("handler error", func(t *testing.T) {
		python("raises", "def handler(e, c):\n  raise ValueError('no ' + e['x'])\n", nil)
		a := p.invoke("raises", `{"x":"way"}`)
		if a.status != 200 || a.err != "Unhandled" || jsonField(t, a.body, "errorType") != "ValueError" || jsonField(t, a.body, "errorMessage") != "no way" {
			t.Errorf("%+v", a)
		}
		mustContain(t, "log", a.log, "[ERROR] ValueError: no way")
	})

	t.Run("state survives a call, not an exit", func(t *testing.T) {
		python("state", `
import os, sys
n = 0
def handler(e, c):
    global n
    n += 1
    open('/tmp/count', 'a').write('x')
    if e.get('exit'):
        os._exit(3)
    return [n, os.path.getsize('/tmp/count')]
`, nil)
		for _, want := range []string{"[1, 1]", "[2, 2]"} {
			if a := p.invoke("state", `{}`); a.body != want {
				t.Fatalf("got %s, want %s", a.body, want)
			}
		}
		a := p.invoke("state", `{"exit":true}`)
		if a.err != "Unhandled" || jsonField(t, a.body, "errorType") != "Runtime.ExitError" {
			t.Errorf("%+v", a)
		}
		mustContain(t, "error", a.body, "Runtime exited with error: exit status 3")
		if a := p.invoke("state", `{}`); a.body != "[1, 1]" {
			t.Errorf("after an exit: %s", a.body)
		}
	})

	t.Run("timeout", func(t *testing.T) {
		python("slow", `
import time
n = 0
def handler(e, c):
    global n
    n += 1
    print('sleeping')
    time.sleep(e['s'])
    return n
`, spec{"Timeout": 1})
		if a := p.invoke("slow", `{"s":0}`); a.body != "1" {
			t.Fatalf("%+v", a)
		}
		begin := time.Now()
		a := p.invoke("slow", `{"s":60}`)
		if took := time.Since(begin); took < time.Second || took > 3*time.Second {
			t.Errorf("took %v", took)
		}
		if a.status != 200 || a.err != "Unhandled" {
			t.Errorf("%+v", a)
		}
		mustContain(t, "error", a.body, "Task timed out after 1.00 seconds")
		mustContain(t, "log", a.log, "sleeping", "Task timed out after 1.00 seconds", "Duration: 1000.00 ms", "Status: timeout")
		if a := p.invoke("slow", `{"s":0}`); a.body != "1" {
			t.Errorf("state survived a timeout: %s", a.body)
		}
	})

	t.Run("memory limit kills the function, not the daemon", func(t *testing.T) {
		python("greedy", "def handler(e, c):\n  b = bytearray(e['mb'] << 20)\n  return len(b) >> 20\n", spec{"Timeout": 20})
		if a := p.invoke("greedy", `{"mb":40}`); a.body != "40" {
			t.Fatalf("%+v", a)
		}
		a := p.invoke("greedy", `{"mb":400}`)
		if a.err != "Unhandled" {
			t.Errorf("%+v", a)
		}
		mustContain(t, "error", a.body, "signal: killed")
		if a := p.invoke("greedy", `{"mb":40}`); a.body != "40" {
			t.Errorf("the next call: %+v", a)
		}
	})

	t.Run("initialisation errors", func(t *testing.T) {
		for name, c := range map[string]struct{ code, handler, kind string }{
			"no-module":  {"x = 1", "other.handler", "Runtime.ImportModuleError"},
			"no-handler": {"x = 1", "app.missing", "Runtime.HandlerNotFound"},
			"syntax":     {"def (", "app.handler", "Runtime.UserCodeSyntaxError"},
			"raises":     {"raise KeyError('k')", "app.handler", "KeyError"},
		} {
			python("init-"+name, c.code, spec{"Handler": c.handler})
			a := p.invoke("init-"+name, `{}`)
			if a.status != 200 || a.err != "Unhandled" || jsonField(t, a.body, "errorType") != c.kind {
				t.Errorf("%s: %+v", name, a)
			}
			mustContain(t, name+" log", a.log, "INIT_REPORT", "Status: error", c.kind)
		}
	})

	t.Run("exit while initialising", func(t *testing.T) {
		python("init-exit", "import os\nos._exit(7)\n", nil)
		a := p.invoke("init-exit", `{}`)
		if a.err != "Unhandled" || jsonField(t, a.body, "errorType") != "Runtime.ExitError" {
			t.Errorf("%+v", a)
		}
	})

	t.Run("payloads pass byte for byte", func(t *testing.T) {
		python("echo", "def handler(e, c):\n  return e\n", spec{"Timeout": 20, "MemorySize": 512})
		for _, payload := range []string{`"ünïcödé \u0000 😀"`, `[1.5,1e100,-0.0,null,true]`, `{"a":"` + strings.Repeat("x", 5<<20) + `"}`} {
			a := p.invoke("echo", payload)
			if len(a.body) < len(payload)/2 || a.err != "" {
				t.Errorf("payload of %d: %.200s %s", len(payload), a.body, a.err)
			}
		}
		if a := p.invoke("echo", `"`+strings.Repeat("x", 6<<20)+`"`); a.status != http.StatusRequestEntityTooLarge {
			t.Errorf("6 MB and 2 bytes: %d %s %.200s", a.status, a.err, a.body)
		}
		python("big", "def handler(e, c):\n  return 'x' * (7 << 20)\n", spec{"Timeout": 20, "MemorySize": 512})
		if a := p.invoke("big", `{}`); a.err != "Unhandled" || jsonField(t, a.body, "errorType") != "Function.ResponseSizeTooLarge" {
			t.Errorf("answer of 7 MB: %s %.200s", a.err, a.body)
		}
	})

	t.Run("trace", func(t *testing.T) {
		python("trace", "import os\ndef handler(e, c):\n  return os.environ['_X_AMZN_TRACE_ID']\n", nil)
		const sent = "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1"
		if a := p.invoke("trace", `{}`, "X-Amzn-Trace-Id", sent); !strings.HasPrefix(a.body, `"`+sent+";Lineage=1:") {
			t.Errorf("sent %s, got %s", sent, a.body)
		}
		if a := p.invoke("trace", `{}`); !strings.HasPrefix(a.body, `"Root=1-`) || strings.Contains(a.body, "5759e988") {
			t.Errorf("without one: %s", a.body)
		}
	})

	t.Run("not JSON", func(t *testing.T) {
		if a := p.invoke("hello", `{"name":`); a.status != 400 || a.err != "InvalidRequestContentException" {
			t.Errorf("%+v", a)
		}
	})

	t.Run("background work is frozen between calls", func(t *testing.T) {
		python("background", `
import threading, time
ticks = 0
def tick():
    global ticks
    while True:
        ticks += 1
        time.sleep(0.005)
threading.Thread(target=tick, daemon=True).start()
def handler(e, c):
    return ticks
`, nil)
		p.invoke("background", `{}`)
		eventually(t, "frozen", func() bool {
			var ps admin.PS
			p.get(admin.PSPath, &ps)
			for _, i := range ps.Instances {
				if i.Function == "background" && i.State == "frozen" {
					return true
				}
			}
			return false
		})
		first := p.invoke("background", `{}`)
		time.Sleep(300 * time.Millisecond) // what has to stand still, stands still for this long
		second := p.invoke("background", `{}`)
		a, b := atoi(t, first.body), atoi(t, second.body)
		if b-a > 20 { // 60 would have passed
			t.Errorf("%d ticks between two calls", b-a)
		}
	})

	t.Run("DryRun, Event and unknown functions", func(t *testing.T) {
		if a := p.invoke("hello", `{}`, "X-Amz-Invocation-Type", "DryRun"); a.status != 204 {
			t.Errorf("DryRun: %+v", a)
		}
		if a := p.invoke("hello", `{}`, "X-Amz-Invocation-Type", "Event"); a.status != 400 || !strings.Contains(a.body, "durable") {
			t.Errorf("Event: %+v", a)
		}
		if a := p.invoke("nobody", `{}`); a.status != 404 || a.err != "ResourceNotFoundException" || !strings.Contains(a.body, "Function not found: arn:aws:lambda:us-east-1:000000000000:function:nobody") {
			t.Errorf("unknown: %+v", a)
		}
	})

	t.Run("receipt", func(t *testing.T) {
		a := p.invoke("hello", `{"name":"Ada"}`)
		var r admin.Receipt
		eventually(t, "a receipt", func() bool { return p.get(admin.ReceiptsPath+a.id, &r) == http.StatusOK })
		if r.Function != "hello" || r.Outcome != faas.OutcomeOK || r.BilledMS < 1 || r.MemoryMB != 128 || r.BytesIn != 14 || r.BytesOut == 0 || r.AWS == "" {
			t.Errorf("%+v", r)
		}
	})
}

// TestUpdateWithoutFailure changes a function's code under load.
func TestUpdateWithoutFailure(t *testing.T) {
	p := start(t)
	p.role()
	code := func(n string) map[string]string {
		return map[string]string{"app.py": "import time\ndef handler(e, c):\n  time.sleep(0.02)\n  return " + n + "\n"}
	}
	p.create("f", code("0"), nil)
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				if a := p.invoke("f", `{}`); a.status != 200 || a.err != "" {
					t.Errorf("%+v", a)
					return
				}
			}
		})
	}
	for _, n := range []string{"1", "2", "3", "4", "5"} {
		p.update("f", code(n))
		if a := p.invoke("f", `{}`); a.body != n {
			t.Errorf("after update %s: %s", n, a.body)
		}
	}
	close(stop)
	wg.Wait()
}

// TestScalesAndReturnsToZero runs calls at once, each in an instance of its own, and waits until none is left.
func TestScalesAndReturnsToZero(t *testing.T) {
	p := start(t, func(c *app.Config) { c.Idle = 500 * time.Millisecond })
	p.role()
	p.create("f", map[string]string{"app.py": "import time\ndef handler(e, c):\n  time.sleep(0.5)\n  return c.log_stream_name\n"}, nil)
	var wg sync.WaitGroup
	var mu sync.Mutex
	streams := map[string]bool{}
	for range 8 {
		wg.Go(func() {
			a := p.invoke("f", `{}`)
			mu.Lock()
			defer mu.Unlock()
			streams[a.body] = true
		})
	}
	wg.Wait()
	if len(streams) != 8 {
		t.Errorf("8 calls at once ran in %d instances", len(streams))
	}
	eventually(t, "zero instances", func() bool { return p.instances("f") == 0 })
}

// TestAccountLimit throttles what exceeds the account's concurrency.
func TestAccountLimit(t *testing.T) {
	p := start(t, func(c *app.Config) { c.Concurrency = 2 })
	p.role()
	p.create("f", map[string]string{"app.py": "import time\ndef handler(e, c):\n  time.sleep(1)\n"}, nil)
	var wg sync.WaitGroup
	var mu sync.Mutex
	count := map[int]int{}
	for range 5 {
		wg.Go(func() {
			a := p.invoke("f", `{}`)
			mu.Lock()
			defer mu.Unlock()
			count[a.status]++
			if a.status == 429 && a.err != "TooManyRequestsException" {
				t.Errorf("%+v", a)
			}
		})
	}
	wg.Wait()
	if count[200] != 2 || count[429] != 3 {
		t.Errorf("%v", count)
	}
}

// TestNodeMemory asks ten times what the node has: everything is answered, nothing dies that should not.
func TestNodeMemory(t *testing.T) {
	p := start(t, func(c *app.Config) { c.MemoryMB = 512 })
	p.role()
	const code = "import time\ndef handler(e, c):\n  b = bytearray(64 << 20)\n  time.sleep(0.1)\n  return len(b)\n"
	for _, n := range []string{"a", "b", "c", "d", "e"} {
		p.create(n, map[string]string{"app.py": code}, spec{"Timeout": 30})
	}
	var wg sync.WaitGroup
	for i := range 40 {
		name := string(rune('a' + i%5))
		wg.Go(func() {
			if a := p.invoke(name, `{}`); !(a.status == 200 && a.err == "") && a.status != 429 {
				t.Errorf("%+v", a)
			}
		})
	}
	wg.Wait()
	p.create("huge", map[string]string{"app.py": code}, spec{"MemorySize": 1024})
	if a := p.invoke("huge", `{}`); a.status != 429 {
		t.Errorf("a function larger than the node: %+v", a)
	}
}
