package cli

import (
	"slices"
	"testing"
)

// TestLogsQuery asks until the query is complete, and prints a table of all columns that any row has, or JSON.
func TestLogsQuery(t *testing.T) {
	f := newFake(t)
	f.functions["hello"] = &functionConfig{FunctionName: "hello"}
	const complete = `{"status":"Complete","statistics":{"recordsMatched":2,"recordsScanned":30,"bytesScanned":2048},"results":[` +
		`[{"field":"level","value":"WARN"},{"field":"@ptr","value":"xyz"}],[{"field":"level","value":"a\tb\nc\n"},{"field":"n","value":"7"}]]}`
	f.answers = []string{`{"status":"Running","results":[]}`, complete}
	got := f.run(t, "", "logs", "hello", "--query", "fields level, n")
	if got.status != ExitOK || got.out != "level   n\nWARN    \na b\\nc  7\n" {
		t.Errorf("%+v", got)
	}
	contains(t, got.err, "2 of 30 events matched, 2.0 KB scanned")
	want := []string{"StartQuery|/aws/lambda/hello||fields level, n|", "GetQueryResults||||q1", "GetQueryResults||||q1"}
	if !slices.Equal(f.sent, want) {
		t.Errorf("%q", f.sent)
	}
	f.answers = []string{complete}
	got = f.run(t, "", "logs", "-g", "other", "--query", "fields level", "--json")
	if got.out != `{"level":"WARN"}`+"\n"+`{"level":"a\tb\nc\n","n":"7"}`+"\n" {
		t.Errorf("%+v", got)
	}
	f.answers = []string{`{"status":"Timeout","results":[]}`}
	got = f.run(t, "", "logs", "hello", "--query", "fields a")
	if got.status != ExitError {
		t.Errorf("%+v", got)
	}
	contains(t, got.err, "the query ended as Timeout")
	f.sent = nil
	f.run(t, "", "logs", "hello", "--filter", "ERROR -x")
	if !slices.Contains(f.sent, "FilterLogEvents|/aws/lambda/hello|ERROR -x||") {
		t.Errorf("%q", f.sent)
	}
	for _, args := range [][]string{{"logs"}, {"logs", "hello", "-g", "g"}, {"logs", "hello", "--query", ""}, {"logs", "hello", "--query", "q", "-f"}, {"logs", "hello", "--query", "q", "--filter", "f"}} {
		if got := f.run(t, "", args...); got.status != ExitUsage {
			t.Errorf("%v: %+v", args, got)
		}
	}
	contains(t, f.run(t, "", "logs", "hello", "-g", "g").err, "not both")
}
