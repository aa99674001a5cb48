package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"artesian/internal/door/gateway/admin"
	"artesian/internal/faas"
)

// contains fails the test for every want that s lacks.
func contains(t *testing.T, s string, wants ...string) {
	t.Helper()
	for _, w := range wants {
		if !strings.Contains(s, w) {
			t.Errorf("lacks %q:\n%s", w, s)
		}
	}
}

func TestEnv(t *testing.T) {
	f := newFake(t)
	got := f.run(t, "", "env")
	want := "export AWS_ENDPOINT_URL=" + f.URL + "\nexport AWS_ACCESS_KEY_ID=AKIATEST\nexport AWS_SECRET_ACCESS_KEY=sec/ret\n" +
		"export AWS_REGION=us-east-1\nexport AWS_DEFAULT_REGION=us-east-1\n"
	if got != (outcome{0, want, ""}) {
		t.Errorf("got %+v", got)
	}
	got = f.run(t, "", "env", "--json", "--region", "eu-west-1")
	var m map[string]string
	if err := json.Unmarshal([]byte(got.out), &m); err != nil || m["AWS_ENDPOINT_URL"] != f.URL || m["AWS_DEFAULT_REGION"] != "eu-west-1" {
		t.Errorf("--json: %v, %+v", err, got)
	}
}

func TestShellQuote(t *testing.T) {
	for in, want := range map[string]string{"": "''", "a/b+c=": "a/b+c=", "a b": "'a b'", "it's": `'it'\''s'`, "$x": "'$x'"} {
		if got := shellQuote(in); got != want {
			t.Errorf("%q → %s, want %s", in, got, want)
		}
	}
}

func TestNoDaemon(t *testing.T) {
	empty := t.TempDir()
	got := execute(t, "", "ps", "--data", empty)
	if got.status != ExitNoDaemon {
		t.Errorf("status %d", got.status)
	}
	contains(t, got.err, "no daemon runs on "+empty, "artesian up --data "+empty)

	f := newFake(t)
	f.Close() // a daemon that was killed leaves its file behind
	for _, args := range [][]string{{"ps"}, {"invoke", "x"}, {"functions"}, {"cost"}, {"deploy", t.TempDir(), "--handler", "a.b"}} {
		if got := f.run(t, "", args...); got.status != ExitNoDaemon || !strings.Contains(got.err, "no daemon answers at") {
			t.Errorf("%v: %+v", args, got)
		}
	}
}

func TestUsage(t *testing.T) {
	f := newFake(t)
	for _, args := range [][]string{
		{"nonsense"}, {"ps", "--nonsense"}, {"invoke"}, {"invoke", "x", "-d", "{not json"}, {"cost", "--days", "0"}, {"ps", "--region", "moon"},
		{"ps", "--endpoint", "localhost"}, {"up", "--isolation", "none"}, {"up", "--runtimes", "any"}, {"deploy", ".", "--timeout", "1500ms"},
	} {
		if got := f.run(t, "", args...); got.status != ExitUsage || !strings.Contains(got.err, "artesian: ") {
			t.Errorf("%v: %+v", args, got)
		}
	}
	if got := execute(t, ""); got.status != ExitOK || !strings.Contains(got.out, "deploy") || !strings.Contains(got.out, "Exit status") {
		t.Errorf("no arguments: %+v", got)
	}
	if got := execute(t, "", "version"); got != (outcome{0, "artesian 1.2.3\n", ""}) {
		t.Errorf("version: %+v", got)
	}
}

func TestUp(t *testing.T) {
	t.Setenv("ARTESIAN_DATA", "/from/env")
	t.Setenv("ARTESIAN_LISTEN", "127.0.0.1:0")
	var out strings.Builder
	var got UpOptions
	p := Program{Stdout: &out, Stderr: &out, Up: func(_ context.Context, o UpOptions, ready func(Ready)) error {
		got = o
		ready(Ready{Endpoint: "http://127.0.0.1:1", Data: o.Data, Isolation: "container", Missing: []string{"cpu quota: no controller"}})
		return nil
	}}
	if status := p.Run(t.Context(), []string{"up", "--idle", "5s", "--runtimes", "nearest"}); status != 0 {
		t.Fatalf("status %d: %s", status, &out)
	}
	want := UpOptions{Data: "/from/env", Listen: "127.0.0.1:0", Account: faas.DefaultAccount, Runtimes: "nearest", Isolation: "container",
		Idle: 5 * time.Second, Log: "info"}
	if got != want {
		t.Errorf("options %+v, want %+v", got, want)
	}
	contains(t, out.String(), "http://127.0.0.1:1", "data /from/env", "isolation container", "artesian env --data /from/env", "not enforced here: cpu quota")

	p.Up = func(context.Context, UpOptions, func(Ready)) error { return errors.New("127.0.0.1:4566 is in use") }
	out.Reset()
	if status := p.Run(t.Context(), []string{"up"}); status != ExitError || out.String() != "artesian: 127.0.0.1:4566 is in use\n" {
		t.Errorf("status %d: %s", status, &out)
	}
}

func TestInvoke(t *testing.T) {
	f := newFake(t)
	f.functions["hello"] = &functionConfig{FunctionName: "hello"}
	f.invoke = func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Amzn-Requestid", "r1")
		w.Header().Set("X-Amz-Executed-Version", "$LATEST")
		if r.Header.Get("X-Amz-Log-Type") == "Tail" {
			w.Header().Set("X-Amz-Log-Result", "U1RBUlQK")
		}
		if r.URL.Query().Get("Qualifier") == "bad" {
			w.Header().Set("X-Amz-Function-Error", "Unhandled")
		}
		w.WriteHeader(200)
		body := make([]byte, r.ContentLength)
		_, _ = r.Body.Read(body)
		fmt.Fprintf(w, `{"got":%s}`, body)
	}
	f.own[admin.ReceiptsPath+"r1"] = admin.Receipt{Usage: faas.Usage{RequestID: "r1", Outcome: faas.OutcomeOK, Run: 3400 * time.Microsecond, BilledMS: 4, MemoryMB: 128, PeakMB: 38,
		Cold: &faas.Cold{Way: faas.WayStart, Why: "no idle instance: 2 busy", Place: 100 * time.Microsecond, Sandbox: 12 * time.Millisecond, Runtime: 31 * time.Millisecond, Init: 41 * time.Millisecond}},
		Currency: "USD", Ours: "0.0000000083", AWS: "0.0000002083"}
	got := f.run(t, "", "invoke", "hello", "-d", `{"a":1}`, "--tail")
	if got.status != 0 || got.out != `{"got":{"a":1}}`+"\n" {
		t.Errorf("%+v", got)
	}
	contains(t, got.err, "START\n", "200 · 3.4 ms, billed 4 ms · peak 38 of 128 MB",
		"cold 84.1 ms: place 100 µs, sandbox 12 ms, runtime 31 ms, init 41 ms (start; no idle instance: 2 busy)", "0.0000000083 USD")

	file := filepath.Join(t.TempDir(), "event.json")
	if err := os.WriteFile(file, []byte("[2]"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := f.run(t, "", "invoke", "hello", "-q", "-d", "@"+file); got != (outcome{0, `{"got":[2]}` + "\n", ""}) {
		t.Errorf("@file: %+v", got)
	}
	if got := f.run(t, "3", "invoke", "hello", "-q", "-d", "-"); got != (outcome{0, `{"got":3}` + "\n", ""}) {
		t.Errorf("stdin: %+v", got)
	}
	got = f.run(t, "", "invoke", "hello", "--qualifier", "bad", "--json")
	var doc invoked
	if err := json.Unmarshal([]byte(got.out), &doc); err != nil || got.status != ExitFunction {
		t.Fatalf("%v: %+v", err, got)
	}
	if doc.FunctionError != "Unhandled" || string(doc.Answer) != "{\n    \"got\": {}\n  }" || doc.Receipt == nil || doc.Receipt.Cold == nil {
		t.Errorf("document %+v, answer %s", doc, doc.Answer)
	}
}

func TestSuggestions(t *testing.T) {
	f := newFake(t)
	f.groupless = true
	got := f.run(t, "", "invoke", "hello")
	contains(t, got.err, `there is no function "hello"`, "none yet")
	f.functions["hello"] = &functionConfig{FunctionName: "hello"}
	f.functions["thumbnail"] = &functionConfig{FunctionName: "thumbnail"}
	for _, args := range [][]string{{"invoke", "helo"}, {"logs", "ehllo"}, {"delete", "hello2"}} {
		got := f.run(t, "", args...)
		if got.status != ExitError || strings.Count(got.err, "\n") != 1 {
			t.Errorf("%v: %+v", args, got)
		}
		contains(t, got.err, "did you mean hello?")
	}
	contains(t, f.run(t, "", "invoke", "zzzzzzzz").err, "artesian functions lists")
}

func TestDistance(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want int
	}{{"", "", 0}, {"a", "", 1}, {"", "ab", 2}, {"hello", "hello", 0}, {"helo", "hello", 1}, {"ehllo", "hello", 1}, {"kitten", "sitting", 3}} {
		if got := distance(c.a, c.b); got != c.want {
			t.Errorf("%q to %q: %d, want %d", c.a, c.b, got, c.want)
		}
	}
}

func TestFunctionsAndDelete(t *testing.T) {
	f := newFake(t)
	contains(t, f.run(t, "", "functions").out, "no functions in us-east-1")
	for _, n := range []string{"a", "b", "c"} { // the fake's pages hold one
		f.functions[n] = &functionConfig{FunctionName: n, Runtime: "python3.11", MemorySize: 128, Timeout: 3, CodeSize: 2048}
	}
	got := f.run(t, "", "list")
	contains(t, got.out, "FUNCTION", "a ", "b ", "c ", "python3.11", "128 MB", "2.0 KB")
	if got := f.run(t, "", "delete", "a", "b"); got.out != "deleted a\ndeleted b\n" || len(f.functions) != 1 {
		t.Errorf("%+v, left %v", got, f.functions)
	}
}

func TestLogs(t *testing.T) {
	f := newFake(t)
	c := &functionConfig{FunctionName: "hello"}
	f.functions["hello"] = c
	got := f.run(t, "", "logs", "hello", "--since", "1h")
	contains(t, got.out, "from /aws/lambda/hello\n", "second\n")
	if strings.Count(got.out, "\n") != 2 {
		t.Errorf("%q", got.out)
	}
	c.LoggingConfig.LogGroup = "/own"
	got = f.run(t, "", "logs", "hello", "--json")
	var l admin.LogLine
	if err := json.Unmarshal([]byte(strings.SplitN(got.out, "\n", 2)[0]), &l); err != nil || l.Message != "from /own\n" || l.Stream != "s" {
		t.Errorf("%v: %+v", err, got)
	}

	f.own[admin.TailPath] = admin.LogLine{Time: time.Now(), Stream: "s", Message: "live"} // one line, then the daemon ends it
	got = f.run(t, "", "logs", "-f", "hello")
	contains(t, got.out, "  live\n")
	if got.status != ExitNoDaemon || !strings.Contains(got.err, "ended the log") {
		t.Errorf("%+v", got)
	}
}

func TestPSAndCost(t *testing.T) {
	f := newFake(t)
	f.own[admin.PSPath] = admin.PS{}
	contains(t, f.run(t, "", "ps").out, "no instances")
	idle := time.Now().Add(-7 * time.Second)
	f.own[admin.PSPath] = admin.PS{Instances: []admin.Instance{{Function: "hello", Version: "$LATEST", Instance: "i1", Runtime: "python3.11", Served: "python 3.12.1 (/usr/bin/python3.12)",
		State: "frozen", MemoryMB: 128, PeakMB: 38, Calls: 3, Started: idle, IdleSince: &idle}}}
	contains(t, f.run(t, "", "ps").out, "hello", "frozen", "38/128 MB", "7s", "python3.11", "python 3.12.1")

	f.own[admin.CostPath] = admin.Cost{Currency: "USD", Days: 30}
	contains(t, f.run(t, "", "cost").out, "no calls in the last 30 days")
	f.own[admin.CostPath] = admin.Cost{Currency: "USD", Days: 1, Rows: []admin.CostRow{{Function: "hello", Day: "2026-01-02", Calls: 5, Cold: 1, GBSeconds: 0.125, Ours: "0.000012", AWS: "0.000003"}},
		Total: admin.CostRow{Calls: 5, Cold: 1, Ours: "0.000012", AWS: "0.000003"}}
	contains(t, f.run(t, "", "cost", "--days", "1").out, "2026-01-02", "hello", "0.1250", "0.000012", "total", "OURS(USD)")
}

func TestRuntimes(t *testing.T) {
	f := newFake(t)
	contains(t, f.run(t, "", "runtime", "list").out, "python3.12", "3.12.1", "/no/python3.12", "cannot be read", "provided.al2023")
	got := f.run(t, "", "runtime", "remove", "/no/python3.12", "--json")
	contains(t, got.out, `"removed": "/no/python3.12"`)
}

func TestDoctorWithoutDaemon(t *testing.T) {
	data := filepath.Join(t.TempDir(), "not", "yet")
	got := execute(t, "", "doctor", "--data", data)
	if got.status != 0 {
		t.Fatalf("%+v", got)
	}
	contains(t, got.out, "root", "cgroups", data, "no daemon runs on")
	var d diagnosis
	if err := json.Unmarshal([]byte(execute(t, "", "doctor", "--json", "--data", data).out), &d); err != nil || len(d.Machine) < 5 || d.Daemon != nil {
		t.Errorf("%v: %+v", err, d)
	}
	f := newFake(t)
	f.own[admin.DoctorPath] = admin.Doctor{Version: "9", Isolation: "container", Guarantees: []admin.Guarantee{{Name: "cpu quota", How: "no controller"}},
		Paths: []admin.Path{{Name: "data", Path: "/d"}}}
	contains(t, f.run(t, "", "doctor").out, "daemon 9", "isolation container", "cpu quota", "NO", "/d")
}

func TestCompletion(t *testing.T) {
	f := newFake(t)
	f.functions["hello"] = &functionConfig{FunctionName: "hello"}
	t.Setenv("ARTESIAN_DATA", f.data)
	f.own[admin.RuntimesPath] = admin.Runtimes{Runtimes: []admin.Runtime{{Name: "python3.12", Path: "/opt/python3.12", Added: true}, {Name: "python3.9", Path: "/usr/bin/python3.9"},
		{Name: "nodejs22.x", Version: "22.12.0", Path: "/data/runtimes/versions/node-22.12.0/bin/node", Added: true}}, Packs: []admin.Pack{{Name: "boto3", Path: "/p"}, {Name: "not-here"}}}
	for _, c := range []struct {
		words []string
		want  string
	}{
		{[]string{"de"}, "delete\ndeploy\n"},
		{[]string{"runtime", ""}, "add\nlist\nremove\n"},
		{[]string{"invoke", "h"}, "hello\n"},
		{[]string{"invoke", "--data", f.data, ""}, "hello\n"},
		{[]string{"cost", "--da"}, "--data\n--days\n"},
		{[]string{"invoke", "hello", ""}, ""},
		{[]string{"delete", "x", "h"}, "hello\n"},
		{[]string{"up", "--isolation", ""}, "container\ngvisor\nprocess\n"},
		{[]string{"completion", "z"}, "zsh\n"},
		{[]string{"help", "inv"}, "invoke\n"},
		{[]string{"invoke", "hello", "--qualifier", ""}, "$LATEST\n1\nlive\n"},
		{[]string{"invoke", "--qualifier", ""}, ""},
		{[]string{"deploy", ".", "--runtime", "py"}, "python3.12\npython3.9\n"},
		{[]string{"deploy", "--name", ""}, ""},
		{[]string{"runtime", "add", ""}, "boto3\nnot-here\n"},
		{[]string{"runtime", "rm", ""}, "/opt/python3.12\nboto3\nnode@22.12.0\n"},
		{[]string{"logs", "-g", "/a"}, "/aws/lambda/hello\n"},
	} {
		if got := execute(t, "", append([]string{"__complete"}, c.words...)...); got != (outcome{0, c.want, ""}) {
			t.Errorf("%v: %+v", c.words, got)
		}
	}
	for _, shell := range []string{"bash", "zsh", "fish"} {
		contains(t, execute(t, "", "completion", shell).out, "artesian __complete")
	}
}

func TestDurations(t *testing.T) {
	for in, want := range map[string]time.Duration{"90": 90 * time.Second, "90s": 90 * time.Second, "1h30m": 90 * time.Minute, "7d": 7 * 24 * time.Hour, "0": 0} {
		var d duration
		if err := d.UnmarshalText([]byte(in)); err != nil || time.Duration(d) != want {
			t.Errorf("%q: %v, %v", in, time.Duration(d), err)
		}
	}
	f := newFake(t)
	for _, args := range [][]string{{"logs", "x", "--since", "soon"}, {"logs", "x", "--since=-5m"}, {"logs", "x", "--since", "1.5d"}, {"deploy", ".", "--timeout", ""}} {
		got := f.run(t, "", args...)
		contains(t, got.err, "is not a time; for example 30 or 30s")
		if got.status != ExitUsage {
			t.Errorf("%v: %+v", args, got)
		}
	}
}

func FuzzDuration(f *testing.F) {
	for _, seed := range []string{"", "5", "5s", "1h2m", "7d", "65536d", "-1", "1e9h"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, in string) {
		var d duration
		if err := d.UnmarshalText([]byte(in)); err == nil && d < 0 {
			t.Errorf("%q is negative: %d", in, d)
		}
	})
}

func TestFunctionsJSON(t *testing.T) {
	f := newFake(t)
	if got := f.run(t, "", "functions", "--json").out; got != "{\n  \"functions\": []\n}\n" {
		t.Errorf("none: %s", got)
	}
	f.functions["a"] = &functionConfig{FunctionName: "a", MemorySize: 128, Timeout: 3, State: "Failed", StateReason: "why"}
	f.own[admin.URLsPath] = admin.URLs{URLs: []admin.URL{{Function: "a", Qualifier: "live", URL: "http://other/", Auth: "NONE"}}}
	got := f.run(t, "", "functions", "--json").out
	contains(t, got, `"function": "a"`, `"memory_mb": 128`, `"timeout_s": 3`, `"state": "Failed"`, `"state_reason": "why"`, `"alias": "live"`, `"url": "http://other/"`)
}

func TestDeleteGoesOnBehindAMissingOne(t *testing.T) {
	f := newFake(t)
	for _, n := range []string{"a", "b"} {
		f.functions[n] = &functionConfig{FunctionName: n}
	}
	got := f.run(t, "", "delete", "a", "nosuchfunction", "b")
	if got.status != ExitError || got.out != "deleted a\ndeleted b\n" || len(f.functions) != 0 {
		t.Errorf("%+v, left %v", got, f.functions)
	}
	contains(t, got.err, `artesian: there is no function "nosuchfunction"`)
	if strings.Count(got.err, "\n") != 1 {
		t.Errorf("said more than once: %s", got.err)
	}
}

func TestLogsOfNothingAndOfTheDeleted(t *testing.T) {
	f := newFake(t)
	f.functions["hello"] = &functionConfig{FunctionName: "hello"}
	f.silent = true
	got := f.run(t, "", "logs", "hello")
	contains(t, got.err, "nothing logged by hello in the last 10m0s", "--since 24h", "-f")
	if got.status != ExitOK || got.out != "" {
		t.Errorf("%+v", got)
	}
	f.groupless = true
	for _, args := range [][]string{{"logs", "hello"}, {"logs", "hello", "--query", "fields a"}} {
		got = f.run(t, "", args...)
		contains(t, got.err, "hello has logged nothing yet")
		if got.status != ExitOK {
			t.Errorf("%v: %+v", args, got)
		}
	}
	delete(f.functions, "hello")
	for want, args := range map[string][]string{`there is no function "hello"`: {"logs", "hello"}, "there is no log group /nope": {"logs", "-g", "/nope"},
		`no function "hello"`: {"logs", "hello", "--query", "fields a"}, "no log group /nope": {"logs", "-g", "/nope", "--query", "fields a"}} {
		got = f.run(t, "", args...)
		contains(t, got.err, want)
		if got.status != ExitError {
			t.Errorf("%v: %+v", args, got)
		}
	}
	f.groupless = false
	got = f.run(t, "", "logs", "hello") // its last line is old
	contains(t, got.err, "hello is deleted; its log /aws/lambda/hello is there", "--since 24h")
	if got.status != ExitOK {
		t.Errorf("%+v", got)
	}
	f.silent = false
	got = f.run(t, "", "logs", "hello")
	contains(t, got.out, "2026-01-02 ", "from /aws/lambda/hello\n")
	contains(t, got.err, "hello is deleted")
	if got.status != ExitOK {
		t.Errorf("%+v", got)
	}
}

func TestClock(t *testing.T) {
	now := time.Date(2026, 3, 4, 5, 6, 7, 8e6, time.UTC)
	if got := clock(now, now); got != "05:06:07.008" {
		t.Error(got)
	}
	if got := clock(now, now.AddDate(0, 0, 1)); got != "2026-03-04 05:06:07.008" {
		t.Error(got)
	}
}

func TestHelpAndVersion(t *testing.T) {
	if got := execute(t, "", "--version"); got != (outcome{0, "artesian 1.2.3\n", ""}) {
		t.Errorf("%+v", got)
	}
	if got, want := execute(t, "", "help", "logs"), execute(t, "", "logs", "--help"); got != want || got.status != ExitOK {
		t.Errorf("%+v, want %+v", got, want)
	}
	if got := execute(t, "", "help"); got != execute(t, "", "--help") {
		t.Errorf("%+v", got)
	}
	if got := execute(t, "", "help", "nonsense"); got.status != ExitUsage {
		t.Errorf("%+v", got)
	}
	contains(t, strings.Join(strings.Fields(execute(t, "", "help", "logs").out), " "), "Default: 10m.")
}

func TestAccountIsSaidWhenItIsNotTheUsualOne(t *testing.T) {
	f := newFake(t)
	f.write(t, admin.CredentialsFile, admin.Credentials{AccessKeyID: "AKIATEST", SecretAccessKey: "sec/ret", Account: "111111111111"})
	contains(t, f.run(t, "", "functions").out, "of account 111111111111")
	f.own[admin.PSPath] = admin.PS{}
	contains(t, f.run(t, "", "ps").out, "of account 111111111111")
	f.own[admin.DoctorPath] = admin.Doctor{Version: "9"}
	contains(t, f.run(t, "", "doctor").out, ", account 111111111111")

	var out strings.Builder
	p := Program{Stdout: &out, Stderr: &out, Up: func(_ context.Context, o UpOptions, ready func(Ready)) error {
		ready(Ready{Data: o.Data})
		return nil
	}}
	if p.Run(t.Context(), []string{"up", "--data", f.data, "--account", "222222222222"}) != ExitOK {
		t.Error(out.String())
	}
	contains(t, out.String(), "  account 222222222222  credentials", "artesian up --account 111111111111")
	out.Reset()
	if p.Run(t.Context(), []string{"up", "--data", t.TempDir()}) != ExitOK || strings.Contains(out.String(), "account") {
		t.Error(out.String())
	}
}

func TestDataOfAnotherUser(t *testing.T) {
	r := remote{Data: "/root/.artesian"}
	err := r.forbidden(&fs.PathError{Op: "open", Path: "/root/.artesian/daemon.json", Err: fs.ErrPermission})
	contains(t, err.Error(), "--endpoint URL", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
}
