package app_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"artesian/internal/app"
	"artesian/internal/compute/sandbox"
)

// extensionProgram builds testdata/extension, a static program.
func extensionProgram(t *testing.T) string {
	t.Helper()
	if _, err := exec.LookPath("go"); err != nil {
		t.Skip("needs go, to build an extension")
	}
	file := filepath.Join(t.TempDir(), "extension")
	cmd := exec.CommandContext(t.Context(), "go", "build", "-ldflags", "-s -w", "-o", file, "./testdata/extension")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// logged returns all that a function has logged.
func (p *platform) logged(name string) string {
	p.t.Helper()
	_, body := p.read(p.send("POST", "logs", "/", "application/x-amz-json-1.1", []byte(`{"logGroupName":"/aws/lambda/`+name+`"}`), "X-Amz-Target", "Logs_20140328.FilterLogEvents"))
	return strings.ReplaceAll(body, `\t`, "\t")
}

// TestExtensions: extensions in layers run beside a managed runtime and one of the function's own, get what happens, and are
// told of the end.
func TestExtensions(t *testing.T) {
	t.Parallel()
	program := extensionProgram(t)
	p := start(t, func(c *app.Config) { c.Idle = 2 * time.Second })
	p.role()
	layer := p.layer("good", map[string]string{"extensions/good-one": program, "extensions/good-two": program})
	p.create("managed", map[string]string{"app.py": "def handler(e, c): return 'done'\n"}, spec{"Layers": []string{layer}})
	p.custom(t, "echo", bootstrapZip(t), spec{"Layers": []string{layer}})
	for _, name := range []string{"managed", "echo"} {
		var ids []string
		for range 2 {
			a := p.invoke(name, `{}`)
			if a.status != 200 || a.err != "" {
				t.Fatalf("%+v", a)
			}
			ids = append(ids, a.id)
		}
		eventually(t, name+"'s extensions say goodbye", func() bool { return strings.Contains(p.logged(name), "good-two: bye") })
		log := p.logged(name)
		mustContain(t, "log of "+name, log, "EXTENSION\tName: good-one\tState: Ready\tEvents: [INVOKE, SHUTDOWN]", "Name: good-two",
			`good-one: register 200 {\"accountId\":\"000000000000\",\"functionName\":\"`+name+`\",\"functionVersion\":\"$LATEST\",\"handler\":`,
			"good-one: INVOKE "+ids[0], "good-one: INVOKE "+ids[1], "good-two: INVOKE "+ids[1], "good-one: SHUTDOWN  spindown", "good-one: bye")
	}
}

// curled is a custom runtime that tells with each call whether a file was there when it began.
const curled = `#!/bin/sh
there=false
test -e /tmp/late && there=true
api=http://$AWS_LAMBDA_RUNTIME_API/2018-06-01/runtime/invocation
while :; do
  id=$(curl -s -D - -o /dev/null $api/next | tr -d '\r' | awk 'tolower($1) == "lambda-runtime-aws-request-id:" { print $2 }')
  curl -s -d "$there" $api/$id/response
done
`

// TestRuntimeWaitsForExtensions: a function is loaded once its extensions have registered, whatever it is started from, as on Lambda: its
// initialisation may need them.
func TestRuntimeWaitsForExtensions(t *testing.T) {
	program := extensionProgram(t)
	for name, change := range map[string]func(*app.Config){
		"started": func(c *app.Config) { c.AheadMB = 0 }, "ahead": func(*app.Config) {}, "gvisor": isolation(sandbox.GVisor),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := start(t, change)
			p.role()
			with := spec{"Layers": []string{p.layer("late", map[string]string{"extensions/late": program})}, "Timeout": 20}
			p.create("py", map[string]string{"app.py": "import os\nthere = os.path.exists('/tmp/late')\ndef handler(e, c): return there\n"}, with)
			with["Runtime"], with["Handler"] = "nodejs20.x", "index.handler"
			p.create("js", map[string]string{"index.js": "const there = require('fs').existsSync('/tmp/late');\nexports.handler = async () => there;\n"}, with)
			with["Runtime"] = "provided.al2023"
			p.create("sh", map[string]string{"bootstrap": curled}, with)
			for _, function := range []string{"py", "js", "sh"} {
				if a := p.invoke(function, `{}`); a.body != "true" || a.err != "" {
					t.Errorf("%s: %+v", function, a)
				}
			}
		})
	}
}

// TestExtensionFaults: extensions that misbehave cost their own function its calls, in Lambda's words, and nobody else.
func TestExtensionFaults(t *testing.T) {
	t.Parallel()
	program := extensionProgram(t)
	p := start(t)
	p.role()
	for _, c := range []struct {
		name string
		has  []string
		log  []string
	}{
		{"dies", []string{"Extension.Crash", "exit status 3"}, []string{"INIT_REPORT", "Extension.Crash"}},
		{"initerror", []string{"Extension.InitError", "Extension.NoKey", "no key"}, []string{"Extension.InitError"}},
		{"crashes", []string{"Extension.Crash", "exit status 5"}, []string{"Error: exit status 5", "crashes: INVOKE"}},
		{"exiterror", []string{"Extension.ExitError", "Extension.Full", "full"}, nil},
	} {
		layer := p.layer(c.name, map[string]string{"extensions/" + c.name: program})
		p.create(c.name, map[string]string{"app.py": "import time\ndef handler(e, c): time.sleep(20)\n"}, spec{"Layers": []string{layer}, "Timeout": 30})
		a := p.invoke(c.name, `{}`)
		if a.err != "Unhandled" {
			t.Errorf("%s: %+v", c.name, a)
		}
		mustContain(t, c.name, a.body, c.has...)
		eventually(t, c.name+"'s log", func() bool {
			log := p.logged(c.name)
			for _, part := range c.log {
				if !strings.Contains(log, part) {
					return false
				}
			}
			return true
		})
	}
}

// TestExtensionBehindTheAnswer: a caller gets it while extensions are at work on the call, which is charged with their time and
// ends with its own; one that goes on for longer, or fails, costs the instance.
func TestExtensionBehindTheAnswer(t *testing.T) {
	t.Parallel()
	program := extensionProgram(t)
	p := start(t)
	p.role()
	for name, has := range map[string]string{
		"hangs":   `REPORT .*\tDuration: 3000.00 ms.*Status: timeout`, // for good
		"crashes": `REPORT .*Error Type: Extension.Crash`,             // a moment later
		"lags":    `REPORT .*\tDuration: 1[1-9]..\.`,                  // for a second and more
	} {
		layer := p.layer(name, map[string]string{"extensions/" + name: program})
		p.create(name, map[string]string{"app.py": "def handler(e, c): return 'done'\n"}, spec{"Layers": []string{layer}, "Timeout": 3})
		a := p.invoke(name, `{}`)
		if name == "crashes" && a.err != "" { // it was faster than the function
			continue
		}
		if a.body != `"done"` || a.err != "" || strings.Contains(a.log, "REPORT") || !strings.Contains(a.log, "END RequestId: "+a.id) {
			t.Errorf("%s: %+v", name, a)
		}
		eventually(t, name+" is reported", func() bool {
			log := p.logged(name)
			return regexp.MustCompile(has).MatchString(log) && strings.Count(log, "REPORT RequestId: "+a.id) == 1
		})
	}
	if n := p.instances("lags"); n != 1 {
		t.Errorf("%d instances of lags", n)
	}
}

// TestExtensionOutlivesTheRuntime: when the runtime's process ends by itself, the caller is told at once, and the extensions have time
// to hear of it.
func TestExtensionOutlivesTheRuntime(t *testing.T) {
	t.Parallel()
	program := extensionProgram(t)
	for _, level := range []sandbox.Level{sandbox.Container, sandbox.Process} {
		t.Run(string(level), func(t *testing.T) {
			p := start(t, isolation(level), func(c *app.Config) { c.Idle = time.Minute }) // none is made ahead
			p.role()
			layer := p.layer("good", map[string]string{"extensions/good": program, "extensions/stays": program})
			// The handler leaves a process behind.
			code := map[string]string{"app.py": "import os, time\ndef handler(e, c):\n  if e and os.fork() == 0: time.sleep(60)\n  os._exit(3)\n"}
			p.create("f", code, spec{"Layers": []string{layer}, "Timeout": 30})
			for _, payload := range []string{`null`, `1`} {
				a := p.invoke("f", payload)
				if a.err != "Unhandled" || !strings.Contains(a.body, "Runtime exited with error: exit status 3") || !strings.Contains(a.log, "REPORT") {
					t.Fatalf("%+v", a)
				}
				if strings.Contains(a.log, "SHUTDOWN  failure") {
					t.Errorf("the answer waited for extensions: %s", a.log)
				}
			}
			eventually(t, "they are told and ended", func() bool {
				log := p.logged("f")
				return strings.Count(log, "good: SHUTDOWN  failure") == 2 && strings.Count(log, "good: bye") == 2 &&
					strings.Count(log, "stays: SHUTDOWN  failure") == 2 && p.instances("f") == 0
			})
		})
	}
}

// TestExtensionThatStays: one that does not end when it is told is ended, and holds up nothing but its own function's memory.
func TestExtensionThatStays(t *testing.T) {
	t.Parallel()
	program := extensionProgram(t)
	p := start(t)
	p.role()
	layer := p.layer("stays", map[string]string{"extensions/stays": program})
	p.create("stays", map[string]string{"app.py": "def handler(e, c): return 'done'\n"}, spec{"Layers": []string{layer}})
	if a := p.invoke("stays", `{}`); a.body != `"done"` {
		t.Fatalf("%+v", a)
	}
	p.update("stays", map[string]string{"app.py": "def handler(e, c): return 'again'\n"})
	if a := p.invoke("stays", `{}`); a.body != `"again"` {
		t.Errorf("%+v", a)
	}
	eventually(t, "it is told and ended", func() bool {
		return strings.Contains(p.logged("stays"), "stays: SHUTDOWN  spindown") && p.instances("stays") == 1
	})
}

// TestExtensionOddities: what the API refuses, and at the level without isolation as well.
func TestExtensionOddities(t *testing.T) {
	program := extensionProgram(t)
	for _, level := range []sandbox.Level{sandbox.Container, sandbox.Process} {
		t.Run(string(level), func(t *testing.T) {
			p := start(t, isolation(level))
			p.role()
			layer := p.layer("odd", map[string]string{"extensions/odd": program})
			p.create("odd", map[string]string{"app.py": "def handler(e, c): return 'done'\n"}, spec{"Layers": []string{layer}})
			if a := p.invoke("odd", `{}`); a.body != `"done"` {
				t.Fatalf("%+v", a)
			}
			eventually(t, "the call is told", func() bool { return strings.Contains(p.logged("odd"), "odd got INVOKE") })
			log := strings.ReplaceAll(p.logged("odd"), `\"`, `"`)
			mustContain(t, "log", log, "odd nameless: 403", "Extension.InvalidExtensionName", "odd body: 403", "InvalidRequestFormat",
				"odd event: 403", "Extension.InvalidEventType", "RESTART", "odd shutdown: 403", "odd large: 403", "odd id: 403", "Extension.MissingExtensionIdentifier",
				"odd next: 403", "odd path: 404", "odd twice: 403", "Extension.AlreadyRegistered", "odd typeless: 403", "Extension.MissingHeader",
				"odd late: 403", "Extension.RegistrationClosed", "of arn:aws:lambda:us-east-1:000000000000:function:odd", "Events: [INVOKE]")
			if strings.Contains(log, "odd flood") {
				t.Error("an unknown identifier was not refused")
			}
		})
	}
}

// internalExtension registers from within the runtime, by a thread.
const internalExtension = `
import http.client, json, os, threading
seen = []
def ask(id):
  c = http.client.HTTPConnection(os.environ["AWS_LAMBDA_RUNTIME_API"])
  c.request("GET", "/2020-01-01/extension/event/next", headers={"Lambda-Extension-Identifier": id})
  return json.load(c.getresponse())
def run(id):
  while True: seen.append(ask(id)["requestId"])
c = http.client.HTTPConnection(os.environ["AWS_LAMBDA_RUNTIME_API"])
c.request("POST", "/2020-01-01/extension/register", json.dumps({"events": ["INVOKE"]}), {"Lambda-Extension-Name": "inner"})
r = c.getresponse()
r.read()
threading.Thread(target=run, args=(r.headers["Lambda-Extension-Identifier"],), daemon=True).start()
def handler(e, c):
  return seen
`

// TestInternalExtension: the runtime's own process registers.
func TestInternalExtension(t *testing.T) {
	p := start(t)
	p.role()
	p.create("f", map[string]string{"app.py": internalExtension}, nil)
	first := p.invoke("f", `{}`)
	if !strings.Contains(first.log, "EXTENSION\tName: inner\tState: Ready\tEvents: [INVOKE]") {
		t.Errorf("%+v", first)
	}
	ids := []string{first.id} // also of calls that found it at work, and made another instance
	eventually(t, "it gets events", func() bool {
		a := p.invoke("f", `{}`)
		ids = append(ids, a.id)
		return slices.ContainsFunc(ids, func(id string) bool { return strings.Contains(a.body, id) })
	})
}

// TestExtensionLaunch: what can't be executed is named.
func TestExtensionLaunch(t *testing.T) {
	p := start(t)
	p.role()
	for name, c := range map[string]struct{ text, has string }{
		"script": {"#!/opt/nothing\n", "no such file or directory"},
		"text":   {"hello", "exec format error"},
	} {
		layer := p.layer(name, map[string]string{"extensions/" + name: c.text})
		p.create(name, map[string]string{"app.py": "def handler(e, c): return 'done'\n"}, spec{"Layers": []string{layer}})
		a := p.invoke(name, `{}`)
		mustContain(t, name, a.body, "Extension.LaunchError", "/opt/extensions/"+name, c.has)
	}
}

// TestTelemetry: an extension that subscribes gets the platform's events, from the first on, and what is printed.
func TestTelemetry(t *testing.T) {
	t.Parallel()
	program := extensionProgram(t)
	for _, level := range []sandbox.Level{sandbox.Container, sandbox.Process} {
		t.Run(string(level), func(t *testing.T) {
			p := start(t, isolation(level), func(c *app.Config) { c.Idle = 2 * time.Second })
			p.role()
			layer := p.layer("listens", map[string]string{"extensions/listens": program})
			p.create("f", map[string]string{"app.py": "print('loading')\ndef handler(e, c):\n  print('at work')\n  return 'done'\n"}, spec{"Layers": []string{layer}, "Timeout": 20})
			first := p.invoke("f", `{}`)
			second := p.invoke("f", `{}`)
			if first.body != `"done"` || second.body != `"done"` {
				t.Fatalf("%+v\n%+v", first, second)
			}
			has := []string{
				`listens types 400`, `listens host 400`, `listens items 400`, `listens protocol 400`, `listens subscribed 200 "OK"`,
				`"type":"platform.initStart","record":{"functionName":"f"`, `"type":"platform.telemetrySubscription","record":{"name":"listens","state":"Subscribed","types":["platform","function","extension"]}`,
				`"type":"platform.initRuntimeDone"`, `"type":"platform.extension","record":{"events":["INVOKE","SHUTDOWN"],"name":"listens","state":"Ready"}`, `"type":"platform.initReport"`,
				`"type":"platform.start","record":{"requestId":"` + first.id, `"type":"platform.start","record":{"requestId":"` + second.id,
				`"type":"platform.runtimeDone","record":{"metrics":{"durationMs":`, `"producedBytes":6},"requestId":"` + first.id,
				`"type":"platform.report","record":{"metrics":{"billedDurationMs":`, `"requestId":"` + second.id + `","spans":[{"durationMs":`,
				`"type":"function","record":"loading"`, `"type":"function","record":"at work"`, `"type":"extension","record":"listens: INVOKE ` + first.id,
			}
			var log string
			defer func() {
				if t.Failed() {
					mustContain(t, "log", log, has...)
				}
			}()
			eventually(t, "all is told", func() bool {
				log = strings.ReplaceAll(p.logged("f"), `\"`, `"`)
				for _, part := range has {
					if !strings.Contains(log, part) {
						return false
					}
				}
				return true
			})
		})
	}
}

// TestExtensionSample runs the extension of docs/extensions.md, made and published as told there, beside a function that logs JSON.
func TestExtensionSample(t *testing.T) {
	page, err := os.ReadFile("../../docs/extensions.md")
	if err != nil {
		t.Fatal(err)
	}
	_, script, ok := strings.Cut(string(page), "```sh\n")
	script, _, end := strings.Cut(script, "```")
	if !ok || !end {
		t.Fatal("the page has no sample")
	}
	dir := t.TempDir()
	cmd := exec.CommandContext(t.Context(), "sh", "-c", script)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	zip, err := os.ReadFile(filepath.Join(dir, "watch.zip"))
	if err != nil {
		t.Fatal(err)
	}
	p := start(t)
	p.role()
	resp, body := p.tryLayer("watch", zip, nil)
	if resp.StatusCode != 201 {
		t.Fatal(body)
	}
	p.create("f", map[string]string{"app.py": "def handler(e, c): return 'done'\n"}, spec{"Layers": []string{jsonField(t, body, "LayerVersionArn").(string)},
		"Timeout": 20, "LoggingConfig": spec{"LogFormat": "JSON"}})
	a := p.invoke("f", `{}`)
	if a.body != `"done"` {
		t.Fatalf("%+v", a)
	}
	eventually(t, "the extension tells of the call", func() bool {
		log := strings.ReplaceAll(p.logged("f"), `\"`, `"`)
		return strings.Contains(log, `watch: {"eventType":"INVOKE"`) && strings.Contains(log, a.id) &&
			strings.Contains(log, `"type":"platform.extension","record":{"name":"watch","state":"Ready","events":["INVOKE","SHUTDOWN"]}`)
	})
}
