package app_test

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"artesian/internal/compute/sandbox"
	"artesian/internal/door/gateway/admin"
	"artesian/internal/faas"
)

// bootstrapZip builds testdata/runtimeapi, a static program, into a package.
func bootstrapZip(t *testing.T) []byte {
	t.Helper()
	return programZip(t, "./testdata/runtimeapi")
}

// programZip builds a program into a package as its bootstrap.
func programZip(t *testing.T, folder string) []byte {
	t.Helper()
	if _, err := exec.LookPath("go"); err != nil {
		t.Skip("needs go, to build a custom runtime")
	}
	file := filepath.Join(t.TempDir(), "bootstrap")
	cmd := exec.CommandContext(t.Context(), "go", "build", "-ldflags", "-s -w", "-o", file, folder)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return zipOf(t, map[string]string{"bootstrap": string(b)})
}

// custom makes a function of a runtime of its own; its handler is its name.
func (p *platform) custom(t *testing.T, name string, zip []byte, more spec) {
	t.Helper()
	s := spec{"Runtime": "provided.al2023", "Handler": name}
	for k, v := range more {
		s[k] = v
	}
	if resp, body := p.tryCreate(name, zip, s); resp.StatusCode != 201 {
		t.Fatal(body)
	}
}

// behaviour is what a custom runtime does with its calls, and what its caller is told. $ID is the call's id.
type behaviour struct {
	name    string
	calls   []answer     // status 200 and payload `{"a": 1}`; body, error and a part of the log as wanted
	outcome faas.Outcome // of the last call
	config  spec
}

// alive tells whether the instance outlives its calls.
func (b *behaviour) alive() bool {
	return b.outcome == faas.OutcomeOK || b.outcome == faas.OutcomeError
}

// TestCustomRuntime runs functions that bring a runtime of their own, which keep to the Runtime API or do not.
func TestCustomRuntime(t *testing.T) {
	t.Parallel()
	p := start(t)
	p.role()
	zip := bootstrapZip(t)
	report := func(kind, text string) string {
		return fmt.Sprintf(`{"errorType":%q,"errorMessage":"RequestId: $ID Error: %s"}`, kind, text)
	}
	died := func(text string) answer {
		return answer{err: "Unhandled", body: report("Runtime.ExitError", text), log: "RequestId: $ID Error: " + text + "\nRuntime.ExitError"}
	}
	short := spec{"Timeout": 1}
	outcomes := map[string]faas.Outcome{} // by call
	for _, b := range []behaviour{
		{"echo", []answer{{body: `{"event":{"a":1},"n":1}`, log: "initialising echo\nSTART RequestId: $ID Version: $LATEST\nevent {\"a\": 1}\nEND RequestId: $ID"},
			{body: `{"event":{"a":1},"n":2}`}}, faas.OutcomeOK, nil},
		{"not-json", []answer{{body: "\xff\x00 not JSON"}}, faas.OutcomeOK, nil},
		{"nothing", []answer{{body: ""}, {body: ""}}, faas.OutcomeOK, nil},
		{"error", []answer{{err: "Unhandled", body: `{"errorType":"Order.Unknown","errorMessage":"no such order","stackTrace":["here"]}`}, {err: "Unhandled", log: "END RequestId: $ID"}}, faas.OutcomeError, nil},
		{"error-garbage", []answer{{err: "Unhandled", body: "no document"}}, faas.OutcomeError, nil},
		{"twice", []answer{{body: `"first of 1"`}, {body: `"first of 2"`, log: "second: 403 then: 403"}}, faas.OutcomeOK, nil},
		{"wrong-id", []answer{{body: `"right"`, log: "wrong: 400"}, {body: `"right"`}}, faas.OutcomeOK, nil},
		{"garbage", []answer{{body: `{"event":{"a":1},"n":1}`}, {body: `{"event":{"a":1},"n":2}`}}, faas.OutcomeOK, nil},
		{"unknown-path", []answer{{body: `{"event":{"a":1},"n":1}`, log: "unknown: 404 404 404"}}, faas.OutcomeOK, nil},
		{"asks-again", []answer{{body: `{"event":{"a":1},"n":1}`, log: "asks: 403"}}, faas.OutcomeOK, nil},
		{"big", []answer{{err: "Unhandled", body: `{"errorType":"Function.ResponseSizeTooLarge","errorMessage":"Response payload size exceeded maximum allowed payload size (6291556 bytes)."}`, log: "big: 413"},
			{err: "Unhandled"}}, faas.OutcomeError, nil},
		{"exit", []answer{died("Runtime exited with error: exit status 3"), died("Runtime exited with error: exit status 3")}, faas.OutcomeExit, nil},
		{"exit-well", []answer{died("Runtime exited without providing a reason")}, faas.OutcomeExit, nil},
		{"panic", []answer{{err: "Unhandled", body: report("Runtime.ExitError", "Runtime exited with error: exit status 2"), log: "panic: at the function's end"}}, faas.OutcomeExit, nil},
		{"hang", []answer{{err: "Unhandled", body: report("Sandbox.Timedout", "Task timed out after 1.00 seconds"), log: "Task timed out after 1.00 seconds"}}, faas.OutcomeTimeout, short},
		{"late", []answer{{err: "Unhandled", body: report("Sandbox.Timedout", "Task timed out after 1.00 seconds")},
			{err: "Unhandled", body: report("Sandbox.Timedout", "Task timed out after 1.00 seconds")}}, faas.OutcomeTimeout, short},
		{"init-exit", []answer{{err: "Unhandled", body: report("Runtime.ExitError", "Runtime exited with error: exit status 5"), log: "initialising init-exit\n"}}, faas.OutcomeExit, nil},
		{"init-error", []answer{{err: "Unhandled", body: `{"errorType":"Config.Missing","errorMessage":"no configuration"}`, log: "Phase: init\tStatus: error\tError Type: Config.Missing"}}, faas.OutcomeInit, nil},
		{"init-answer", []answer{{body: `{"event":{"a":1},"n":1}`, log: "answer: 400"}}, faas.OutcomeOK, nil},
		{"init-garbage", []answer{{body: `{"event":{"a":1},"n":1}`}}, faas.OutcomeOK, nil},
	} {
		t.Run(b.name, func(t *testing.T) {
			p.custom(t, b.name, zip, b.config)
			logs := "" // what is printed after an answer is in that call's or in the next one's
			for i, want := range b.calls {
				got := p.invoke(b.name, `{"a": 1}`)
				of := func(text string) string { return strings.ReplaceAll(text, "$ID", got.id) }
				if got.status != 200 || got.err != want.err || want.body != "" && got.body != of(want.body) || b.name == "nothing" && got.body != "" {
					t.Errorf("call %d: got  %d %q %s\nwant %q %s\n%s", i, got.status, got.err, got.body, want.err, of(want.body), got.log)
				}
				logs += got.log
				mustContain(t, "log", logs, of(want.log))
				if i == len(b.calls)-1 {
					outcomes[got.id] = b.outcome
				}
			}
			if n := p.instances(b.name); b.alive() && n != 1 {
				t.Errorf("%d instances", n)
			}
			if !b.alive() {
				eventually(t, "no instance that was called is left", func() bool { // one may have been made ahead of the next call
					var ps admin.PS
					p.get(admin.PSPath, &ps)
					return !slices.ContainsFunc(ps.Instances, func(i admin.Instance) bool { return i.Function == b.name && i.Calls > 0 })
				})
			}
		})
	}

	t.Run("headers", func(t *testing.T) {
		p.custom(t, "headers", zip, spec{"Timeout": 30, "Publish": true})
		a := p.invoke("headers%3A1", `{}`, "X-Amz-Client-Context", "eyJjdXN0b20iOnsiayI6InYifX0=")
		var got map[string]string
		if err := json.Unmarshal([]byte(a.body), &got); err != nil {
			t.Fatal(err, a)
		}
		for name, want := range map[string]string{
			"Aws-Request-Id": a.id, "Invoked-Function-Arn": "arn:aws:lambda:us-east-1:000000000000:function:headers:1",
			"Client-Context": `{"custom":{"k":"v"}}`, "version": "1", "task": "/var/task",
		} {
			if got[name] != want {
				t.Errorf("%s is %q, want %q", name, got[name], want)
			}
		}
		if !strings.HasPrefix(got["Trace-Id"], "Root=1-") {
			t.Errorf("trace %q", got["Trace-Id"])
		}
		left := time.Until(time.UnixMilli(int64(atoi(t, got["Deadline-Ms"]))))
		if left < 20*time.Second || left > 30*time.Second {
			t.Errorf("%v are left of 30 s", left)
		}
	})

	t.Run("receipts", func(t *testing.T) {
		for id, want := range outcomes {
			var r admin.Receipt
			eventually(t, "a receipt", func() bool { return p.get(admin.ReceiptsPath+id, &r) == 200 })
			if r.Outcome != want || r.BilledMS < 1 {
				t.Errorf("%s: outcome %s, want %s; billed %d ms", r.Function, r.Outcome, want, r.BilledMS)
			}
		}
	})
	t.Run("packages that are no runtime", func(t *testing.T) { p.noBootstrap(t) })
	t.Run("shell", func(t *testing.T) { p.shellRuntime(t) })
}

// noBootstrap: a package without a program that can run is found out at the call, as on Lambda.
func (p *platform) noBootstrap(t *testing.T) {
	for _, c := range []struct{ name, file, content, says string }{
		{"none", "app.py", "x = 1", "Couldn't find valid bootstrap(s): [/var/task/bootstrap /opt/bootstrap]"},
		{"elsewhere", "bin/bootstrap", "#!/bin/sh\n", "Couldn't find valid bootstrap(s): [/var/task/bootstrap /opt/bootstrap]"},
		{"text", "bootstrap", "hello", "fork/exec /var/task/bootstrap: exec format error"},
		{"missing-interpreter", "bootstrap", "#!/usr/bin/perl6\n", "fork/exec /var/task/bootstrap: no such file or directory"},
		{"dos", "bootstrap", "#!/bin/sh\r\n", "fork/exec /var/task/bootstrap: no such file or directory"},
	} {
		t.Run(c.name, func(t *testing.T) {
			p.custom(t, "no-"+c.name, zipOf(t, map[string]string{c.file: c.content}), nil)
			a := p.invoke("no-"+c.name, `{}`)
			want := fmt.Sprintf(`{"errorType":"Runtime.InvalidEntrypoint","errorMessage":"RequestId: %s Error: %s"}`, a.id, c.says)
			if a.status != 200 || a.err != "Unhandled" || a.body != want {
				t.Errorf("got  %s\nwant %s", a.body, want)
			}
			mustContain(t, "log", a.log, "Runtime.InvalidEntrypoint")
		})
	}
	t.Run("not executable", func(t *testing.T) {
		p.custom(t, "no-mode", zipEntry(t, "bootstrap", "#!/bin/sh\n", 0o644), nil)
		mustContain(t, "answer", p.invoke("no-mode", `{}`).body, "Runtime.InvalidEntrypoint", "fork/exec /var/task/bootstrap: permission denied")
	})
}

// shellRuntime is a bootstrap as Lambda's guide has one (https://docs.aws.amazon.com/lambda/latest/dg/runtimes-walkthrough.html).
func (p *platform) shellRuntime(t *testing.T) {
	if _, err := exec.LookPath("curl"); err != nil {
		t.Skip("needs curl, which functions get from the host")
	}
	p.custom(t, "shell", zipOf(t, map[string]string{"bootstrap": `#!/bin/sh
set -eu
. "$LAMBDA_TASK_ROOT/$(echo "$_HANDLER" | cut -d. -f1).sh"
api="http://$AWS_LAMBDA_RUNTIME_API/2018-06-01/runtime/invocation"
while true; do
  headers=$(mktemp)
  event=$(curl -sS -D "$headers" "$api/next")
  id=$(grep -i lambda-runtime-aws-request-id "$headers" | tr -d '[:space:]' | cut -d: -f2)
  rm "$headers"
  if answer=$($(echo "$_HANDLER" | cut -d. -f2) "$event"); then
    curl -sS -o /dev/null -d "$answer" "$api/$id/response"
  else
    curl -sS -o /dev/null -H 'Lambda-Runtime-Function-Error-Type: Shell.Failed' -d '{"errorMessage":"failed","errorType":"Shell.Failed"}' "$api/$id/error"
  fi
done
`, "function.sh": `
handler() {
  echo "got $1" >&2
  [ "$1" != '{"fail":true}' ] || return 1
  echo "{\"got\":$1}"
}
`}), spec{"Handler": "function.handler", "Timeout": 10})
	for _, c := range []struct{ event, answer, err string }{
		{`{"a":"ü"}`, `{"got":{"a":"ü"}}`, ""},
		{`{"fail":true}`, `{"errorMessage":"failed","errorType":"Shell.Failed"}`, "Unhandled"},
		{`[1,2]`, `{"got":[1,2]}`, ""},
	} {
		a := p.invoke("shell", c.event)
		if a.body != c.answer || a.err != c.err {
			t.Errorf("got %q %s, want %q %s", a.err, a.body, c.err, c.answer)
		}
		mustContain(t, "log", a.log, "got "+c.event)
	}
	if n := p.instances("shell"); n != 1 {
		t.Errorf("%d instances", n)
	}
}

// TestAWSRuntimeClient runs a function in AWS's own Python runtime client, as a custom runtime, and in ours: what callers
// and logs are told is the same. It runs without isolation, since the interpreter of this machine is the bootstrap's.
func TestAWSRuntimeClient(t *testing.T) {
	out, err := exec.Command("python3", "-c", "import awslambdaric, sys; print(sys.executable, 'python%d.%d' % sys.version_info[:2])").CombinedOutput()
	where := strings.Fields(string(out))
	if err != nil || len(where) != 2 {
		t.Skipf("needs python3 with awslambdaric; scripts/setup installs it in .venv: %v: %s", err, out)
	}
	p := start(t, isolation(sandbox.Process))
	p.role()
	zip := zipOf(t, map[string]string{"bootstrap": "#!/bin/sh\nexec " + where[0] + ` -m awslambdaric "$_HANDLER"` + "\n", "app.py": `
import decimal, json, logging, os, sys, time
print('loading')
log, n = logging.getLogger(), 0
class OrderError(Exception): pass
def values(e, c):
    return {'é': [e, None, True, 1.5, decimal.Decimal('1.10')], 'v': os.environ['AWS_LAMBDA_FUNCTION_VERSION']}
def counts(e, c):
    global n
    n += 1
    print('call', n)
    print('several\nlines', file=sys.stderr)
    return n
def raises(e, c):
    log.error('about to fail')
    raise OrderError('no order %s' % e['id'])
def bytes_(e, c): return b'raw'
def unserialisable(e, c): return {1, 2}
def context(e, c):
    return [c.invoked_function_arn.rsplit(':', 1)[0], c.memory_limit_in_mb, c.function_version, 0 < c.get_remaining_time_in_millis() <= 9000, c.client_context.custom]
def leaves(e, c): sys.exit(4)
def hangs(e, c): time.sleep(60)
`})
	for _, c := range []struct {
		handler string
		events  []string
		header  []string
		timeout int
	}{
		{"app.values", []string{`{"a":"ü\u0000"}`, `"text"`, `null`, `1e3`}, nil, 9},
		{"app.counts", []string{`{}`, `{}`, `{}`}, nil, 9},
		{"app.raises", []string{`{"id":7}`, `{}`, `"x"`}, nil, 9},
		{"app.bytes_", []string{`{}`}, nil, 9},
		{"app.unserialisable", []string{`{}`}, nil, 9},
		{"app.context", []string{`{}`}, []string{"X-Amz-Client-Context", "eyJjdXN0b20iOnsiayI6InYifX0="}, 9},
		{"app.missing", []string{`{}`}, nil, 9},
		{"nothing.handler", []string{`{}`}, nil, 9},
		{"app", []string{`{}`}, nil, 9},
		{"app.leaves", []string{`{}`}, nil, 9},
		{"app.hangs", []string{`{}`}, nil, 1},
	} {
		t.Run(c.handler, func(t *testing.T) {
			name := strings.ReplaceAll(c.handler, ".", "-")
			p.custom(t, name+"-aws", zip, spec{"Handler": c.handler, "Timeout": c.timeout})
			if resp, body := p.tryCreate(name+"-own", zip, spec{"Runtime": where[1], "Handler": c.handler, "Timeout": c.timeout}); resp.StatusCode != 201 {
				t.Fatal(body)
			}
			for _, event := range c.events {
				theirs, ours := p.invoke(name+"-aws", event, c.header...), p.invoke(name+"-own", event, c.header...)
				if theirs.status != 200 || ours.status != 200 || theirs.err != ours.err || plain(theirs, theirs.body) != plain(ours, ours.body) {
					t.Errorf("%s\nours  %q %s\nAWS's %q %s", event, ours.err, ours.body, theirs.err, theirs.body)
				}
				if a, b := printed(theirs), printed(ours); !slices.Equal(a, b) {
					t.Errorf("%s\nours  %q\nAWS's %q", event, b, a)
				}
			}
		})
	}
}

// plain leaves out of a text what differs from call to call.
func plain(a answer, text string) string {
	return strings.NewReplacer(a.id, "ID", "-aws", "", "-own", "").Replace(text)
}

// printed is a call's log without the lines that have times, and without AWS's advice about updates of its runtimes. A custom
// runtime keeps the lines of one record together by carriage returns and hard spaces; ours need not.
func printed(a answer) []string {
	var lines []string
	for line := range strings.Lines(strings.NewReplacer("\r", "\n", "\u00a0", " ").Replace(plain(a, a.log))) {
		line = strings.TrimSpace(line)
		switch {
		case strings.HasPrefix(line, "REPORT "), strings.HasPrefix(line, "INIT_REPORT "):
		case strings.Contains(line, "Z ID Task timed out"), strings.Contains(line, "LAMBDA_WARNING: "):
		case strings.HasPrefix(line, "[ERROR]\t"): // by logging, with the time
			lines = append(lines, line[strings.LastIndexByte(line, '\t'):])
		default:
			lines = append(lines, line)
		}
	}
	return lines
}
