package lambda

import (
	"errors"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"artesian/internal/compute/lang"
	"artesian/internal/compute/sandbox"
	"artesian/internal/faas"
)

var update = flag.Bool("update", false, "write the golden files anew; compare with testdata/SOURCES.md")

const requestID = "8f5ff0a1-0000-4000-8000-000000000001"

var at = time.Date(2026, 1, 1, 0, 0, 0, 123e6, time.UTC)

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s:\n got %s\nwant %s", name, got, want)
	}
}

// story writes all lines of all ways an invocation goes.
func story(v *faas.Version) string {
	var b strings.Builder
	tell := func(title string, groups ...[]string) {
		b.WriteString("# " + title + "\n")
		for _, lines := range groups {
			for _, l := range lines {
				b.WriteString(strings.ReplaceAll(l, "\t", "→") + "\n")
			}
		}
	}
	usage := func(o faas.Outcome, cold bool) *faas.Usage {
		u := &faas.Usage{RequestID: requestID, Outcome: o, Run: 42935 * time.Microsecond, BilledMS: 43, MemoryMB: 128, PeakMB: 35, BytesOut: 7}
		if cold {
			u.Cold = &faas.Cold{Runtime: 8 * time.Millisecond, Init: 115239 * time.Microsecond}
		}
		return u
	}
	served := "python 3.11.7 (/usr/bin/python3.11)"
	call := func(f *lang.Failure, o faas.Outcome) []string {
		lines := append(StartLines(v, requestID, "", at), FailureLines(v, requestID, f, at)...)
		return append(lines, EndLines(v, usage(o, false), "", f, at)...)
	}
	tell("first call", InitStartLines(v, served, at), InitReportLines(v, PhaseInit, 123*time.Millisecond, nil, at),
		StartLines(v, requestID, "", at), EndLines(v, usage(faas.OutcomeOK, true), "", nil, at))
	tell("warm call", call(nil, faas.OutcomeOK))
	tell("exception", call(&lang.Failure{Type: "ValueError", Document: []byte(`{"errorMessage":"x","errorType":"ValueError"}`)}, faas.OutcomeError))
	tell("time-out", call(TimeoutFailure(requestID, 3*time.Second), faas.OutcomeTimeout))
	tell("exit", call(ExitFailure(requestID, sandbox.Exit{Code: 1}), faas.OutcomeExit))
	tell("memory", call(ExitFailure(requestID, sandbox.Exit{Code: -1, Signal: syscall.SIGKILL, OOM: true}), faas.OutcomeMemory))
	importing := &lang.Failure{Type: "Runtime.ImportModuleError", Document: []byte(`{"errorMessage":"Unable to import module"}`)}
	tell("initialisation failed twice", InitReportLines(v, PhaseInit, 83580*time.Microsecond, importing, at),
		InitReportLines(v, PhaseInvoke, 83580*time.Microsecond, importing, at), StartLines(v, requestID, "", at),
		FailureLines(v, requestID, importing, at), EndLines(v, usage(faas.OutcomeInit, true), "", importing, at))
	restored := usage(faas.OutcomeOK, true)
	restored.Cold = &faas.Cold{Way: faas.WaySnapshot, Place: time.Second, Sandbox: 216970 * time.Microsecond, Runtime: 80 * time.Millisecond, Init: 101001 * time.Microsecond}
	restored.BilledMS = BilledMS(restored)
	tell("image made", InitStartLines(v, served, at), ImageReportLines(v, 123*time.Millisecond, nil, at))
	tell("no image made", InitStartLines(v, served, at), ImageReportLines(v, 123*time.Millisecond, importing, at))
	tell("restored", RestoreStartLines(v, served, at), RestoreReportLines(v, restored.Cold, nil, at), StartLines(v, requestID, "", at),
		EndLines(v, restored, "", nil, at))
	tell("not restored", RestoreStartLines(v, served, at), RestoreReportLines(v, restored.Cold, importing, at), RestoreReportLines(v, restored.Cold, errors.New("deadline"), at))
	tell("initialisation ended", InitReportLines(v, PhaseInit, time.Second, lang.ErrExited, at))
	tell("initialisation timed out", InitReportLines(v, PhaseInit, 10*time.Second, errors.New("deadline"), at))
	entry := OfRequest(requestID, failure(ErrorEntrypoint, "fork/exec /var/task/bootstrap: permission denied"))
	tell("no valid bootstrap", call(entry, faas.OutcomeInit))
	return b.String()
}

func TestLines(t *testing.T) {
	v := &faas.Version{ID: faas.VersionID{FunctionID: faas.FunctionID{Name: "f"}, Version: "$LATEST"}, MemoryMB: 128}
	golden(t, "lines.txt", story(v))
	v.Logging.Format = "JSON"
	all := story(v)
	v.Logging.SystemLevel = "DEBUG"
	all += "\n## DEBUG\n" + story(v)
	v.Logging.SystemLevel = "WARN"
	golden(t, "events.txt", all+"\n## WARN\n"+story(v))
}

func TestFailures(t *testing.T) {
	var b strings.Builder
	for _, f := range []*lang.Failure{
		TimeoutFailure(requestID, 3*time.Second), TimeoutFailure(requestID, 15*time.Minute),
		ExitFailure(requestID, sandbox.Exit{}), ExitFailure(requestID, sandbox.Exit{Code: 3}),
		ExitFailure(requestID, sandbox.Exit{Code: -1, Signal: syscall.SIGSEGV}), ExitFailure(requestID, sandbox.Exit{OOM: true, Signal: syscall.SIGKILL}),
		ProtocolFailure(requestID, &lang.ProtocolError{Reason: "it wrote garbage"}), PlatformFailure(requestID), TooLargeFailure(),
		OfRequest(requestID, failure(ErrorEntrypoint, "fork/exec /var/task/bootstrap: exec format error")),
		OfRequest(requestID, failure("Runtime.ImportModuleError", "left as it is")),
	} {
		b.WriteString(f.Type + " " + string(f.Document) + "\n")
	}
	golden(t, "failures.txt", b.String())
}

func TestEnv(t *testing.T) {
	v := faas.Version{ID: faas.VersionID{FunctionID: faas.FunctionID{Scope: faas.Scope{Region: "eu-west-1"}, Name: "f"}, Version: "7"}, Handler: "a.b", MemoryMB: 512,
		Env: map[string]string{"PATH": "/mine", "B": "2", "A": "1", "AWS_LAMBDA_FUNCTION_NAME": "forged", "PYTHONPATH": "/p"}, Logging: faas.Logging{Group: "/g", Format: "JSON"}}
	got := Env([]string{"AWS_REGION=given", "X=y"}, v, "stream", "PYTHONPATH=/var/runtime", "AWS_EXECUTION_ENV=AWS_Lambda_python3.9")
	golden(t, "env.txt", strings.Join(got, "\n")+"\n")
	given := []string{"AWS_ENDPOINT_URL=http://platform", "AWS_ENDPOINT_URL_S3=http://platform", "AWS_REGION=r"}
	v.Env = map[string]string{"AWS_ENDPOINT_URL": "http://mine", "AWS_ENDPOINT_URL_SQS": "http://queue", "AWS_REGION": "forged"}
	got = Env(given, v, "stream")
	for _, want := range []string{"AWS_ENDPOINT_URL=http://mine", "AWS_ENDPOINT_URL_S3=http://platform", "AWS_ENDPOINT_URL_SQS=http://queue", "AWS_REGION=r"} {
		name, _, _ := strings.Cut(want, "=")
		if n := slices.IndexFunc(got, func(kv string) bool { return strings.HasPrefix(kv, name+"=") }); n < 0 || got[n] != want {
			t.Errorf("%s is not there: %q", want, got)
		}
	}
	if given[0] != "AWS_ENDPOINT_URL=http://platform" {
		t.Error("what was given has changed:", given)
	}
	for name, want := range map[string]bool{"AWS_REGION": true, "_HANDLER": true, "PATH": false, "TZ": false, "MINE": false} {
		if Reserved(name) != want {
			t.Errorf("%s reserved: %v", name, !want)
		}
	}
}

func TestWanted(t *testing.T) {
	for _, c := range []struct {
		format, level, message string
		want                   bool
	}{
		{"Text", "", `{"level":"trace"}`, true},
		{"JSON", "", `{"level":"debug"}`, false},
		{"JSON", "", `{"level":"Info","x":1}`, true},
		{"JSON", "", `plain`, true},
		{"JSON", "WARN", `plain`, false},
		{"JSON", "WARN", `{"level":"WARNING"}`, true},
		{"JSON", "WARN", `{"level":7}`, false},
		{"JSON", "ERROR", `{"level":"fatal"}`, true},
		{"JSON", "TRACE", `{"level":"trace"}`, true},
	} {
		v := &faas.Version{Logging: faas.Logging{Format: c.format, ApplicationLevel: c.level}}
		if got := Wanted(v, c.message); got != c.want {
			t.Errorf("%+v: %v", c, got)
		}
	}
}
