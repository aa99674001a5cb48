package python_test

import (
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"artesian/internal/compute/lang"
	"artesian/internal/compute/lang/langtest"
	"artesian/internal/compute/lang/output"
	"artesian/internal/compute/sandbox"
	"artesian/internal/faas"
)

const noisy = `
import logging, sys
print("at import")
log = logging.getLogger("lib")
def handler(e, c):
    if e == "print":
        print("one\ntwo"); sys.stdout.write("half"); print(" line"); sys.stderr.write("error\n"); print("é \U0001f600"); sys.stdout.write("open")
    if e == "log":
        log.debug("no"); log.info("no"); log.warning("two\nlines %d", 2)
        logging.getLogger().setLevel(logging.INFO); log.info("yes"); log.debug("no")
    if e == "exception":
        try: 1 / 0
        except ZeroDivisionError: log.exception("caught")
    if e == "extra":
        log.error({"a": 1}, extra={"order": 7, "odd": object})
    if e == "context":
        c.log("by context\nsecond")
    if e == "raise":
        raise ValueError("two\nlines")
    if e == "long":
        log.warning("x" * 300000)
`

// records are what a function logs, one string each, times and places blotted out.
func records(t *testing.T, change func(*faas.Version), events ...string) []string {
	t.Helper()
	r, err := shared.Resolve("python3.9")
	if err != nil {
		t.Skip(err)
	}
	dir := t.TempDir()
	write(t, dir, noisy)
	v := version("app.handler")
	change(&v)
	var spec sandbox.Spec
	r.Prepare(&spec, v, dir, "stream")
	sb := langtest.Start(t, spec)
	var mu sync.Mutex
	var all []string
	out, err := output.New(sb.Output(), time.Now, func(_ time.Time, m string) {
		mu.Lock()
		defer mu.Unlock()
		m = times.ReplaceAllString(folders.ReplaceAllString(m, "/var/task/"), "TIME")
		all = append(all, addresses.ReplaceAllString(m, "ADDRESS"))
	})
	if err != nil {
		t.Fatal(err)
	}
	s := r.Attach(sb, v)
	if _, err := s.Init(bounded(t)); err != nil {
		t.Fatal(err)
	}
	for _, e := range events {
		if _, err := s.Invoke(bounded(t), lang.Call{RequestID: "ID", Payload: []byte(`"` + e + `"`)}, new(strings.Builder)); err != nil {
			t.Fatal(err)
		}
		out.Drain()
		mu.Lock()
		all = append(all, "-- "+e)
		mu.Unlock()
	}
	_ = sb.Close()
	if err := out.Close(); err != nil {
		t.Fatal(err)
	}
	return all
}

var (
	times     = regexp.MustCompile(`[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:.]+Z`)
	addresses = regexp.MustCompile(`0x[0-9a-f]+`)
)

// TestLogText: the forms are those that Lambda documents:
// https://docs.aws.amazon.com/lambda/latest/dg/python-logging.html
func TestLogText(t *testing.T) {
	got := records(t, func(*faas.Version) {}, "print", "log", "exception", "context", "raise", "long")
	want := []string{
		"at import",
		"one", "two", "half line", "error", "é 😀", "open",
		"-- print",
		"[WARNING]\tTIME\tID\ttwo\nlines 2", "[INFO]\tTIME\tID\tyes",
		"-- log",
		"[ERROR]\tTIME\tID\tcaught\nTraceback (most recent call last):\n  File \"/var/task/app.py\", line 12, in handler\n    try: 1 / 0\nZeroDivisionError: division by zero",
		"-- exception",
		"by context\nsecond",
		"-- context",
		"[ERROR] ValueError: two\nlines\nTraceback (most recent call last):\n\u00a0\u00a0File \"/var/task/app.py\", line 19, in handler\n\u00a0\u00a0\u00a0\u00a0raise ValueError(\"two\\nlines\")",
		"-- raise",
	}
	compare(t, got[:min(len(got), len(want))], want)
	if long := strings.Join(got[min(len(got), len(want)):], ""); strings.Count(long, "x") != 300000 {
		t.Errorf("of the long record %d characters came", strings.Count(long, "x"))
	}
}

func compare(t *testing.T, got, want []string) {
	t.Helper()
	for i := range max(len(got), len(want)) {
		var g, w string
		if i < len(got) {
			g = got[i]
		}
		if i < len(want) {
			w = want[i]
		}
		// Newer Pythons mark the place in a traceback with a further line.
		if g = regexp.MustCompile(`\n *[~^]+\n`).ReplaceAllString(g, "\n"); g != w {
			t.Errorf("record %d:\n got %q\nwant %q", i, g, w)
		}
	}
}

// TestLogJSON: https://docs.aws.amazon.com/lambda/latest/dg/python-logging.html, JSON log format.
func TestLogJSON(t *testing.T) {
	got := records(t, func(v *faas.Version) {
		v.Logging.Format, v.Logging.ApplicationLevel = "JSON", "DEBUG"
	}, "log", "exception", "extra", "raise")
	want := []string{
		"at import",
		`{"timestamp": "TIME", "level": "DEBUG", "message": "no", "logger": "lib", "requestId": "ID"}`,
		`{"timestamp": "TIME", "level": "INFO", "message": "no", "logger": "lib", "requestId": "ID"}`,
		`{"timestamp": "TIME", "level": "WARNING", "message": "two\nlines 2", "logger": "lib", "requestId": "ID"}`,
		`{"timestamp": "TIME", "level": "INFO", "message": "yes", "logger": "lib", "requestId": "ID"}`,
		"-- log",
		`{"timestamp": "TIME", "level": "ERROR", "message": "caught", "logger": "lib", "stackTrace": ["  File \"/var/task/app.py\", line 12, in handler\n    try: 1 / 0\n"], "errorType": "ZeroDivisionError", "errorMessage": "division by zero", "requestId": "ID", "location": "/var/task/app.py:handler:13"}`,
		"-- exception",
		`{"timestamp": "TIME", "level": "ERROR", "message": {"a": 1}, "logger": "lib", "requestId": "ID", "order": 7, "odd": "<class 'object'>"}`,
		"-- extra",
		`{"timestamp": "TIME", "level": "ERROR", "errorMessage": "two\nlines", "errorType": "ValueError", "requestId": "ID", "stackTrace": ["  File \"/var/task/app.py\", line 19, in handler\n    raise ValueError(\"two\\nlines\")\n"]}`,
		"-- raise",
	}
	for i := range got { // which interpreter serves decides about marks and task names
		got[i] = strings.ReplaceAll(regexp.MustCompile(`\\n *[~^]+\\n`).ReplaceAllString(got[i], `\n`), `, "taskName": null`, "")
	}
	compare(t, got, want)
}
