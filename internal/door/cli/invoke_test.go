package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"artesian/internal/door/gateway/admin"
	"artesian/internal/faas"
)

// answering is a fake with a function hello whose calls answer body, and whose daemon then knows no receipts any more.
func answering(t *testing.T, body string) *fake {
	t.Helper()
	f := newFake(t)
	f.functions["hello"] = &functionConfig{FunctionName: "hello"}
	f.invoke = func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("X-Amzn-Requestid", "r1")
		_, _ = w.Write([]byte(body))
	}
	return f
}

func TestInvokeAnswersWithoutReceipt(t *testing.T) {
	for _, args := range [][]string{nil, {"--json"}} {
		f := answering(t, `{"precious":1}`)
		f.invoke = func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("X-Amzn-Requestid", "r1")
			w.Header().Set("Connection", "close")
			_ = f.Listener.Close() // nobody answers afterwards
			_, _ = w.Write([]byte(`{"precious":1}`))
		}
		got := f.run(t, "", append([]string{"invoke", "hello"}, args...)...)
		if got.status != ExitOK || !strings.Contains(got.out, `"precious"`) || !strings.Contains(got.err, "no receipt: ") {
			t.Errorf("%v: %+v", args, got)
		}
	}
}

func TestInvokeNamesTheMissingVersion(t *testing.T) {
	f := answering(t, "")
	f.invoke = func(w http.ResponseWriter, _ *http.Request) {
		fail(w, 404, "ResourceNotFoundException", "Function not found: arn:aws:lambda:us-east-1:000000000000:function:hello:7")
	}
	got := f.run(t, "", "invoke", "hello", "--qualifier", "7")
	contains(t, got.err, `hello has no version or alias "7"; it has $LATEST, 1, live`)
	if got.status != ExitError || strings.Contains(got.err, "did you mean") {
		t.Errorf("%+v", got)
	}
	contains(t, f.run(t, "", "invoke", "helo", "--qualifier", "7").err, "did you mean hello?")
}

// TestInvokeRefusals: what the daemon says beside its message is told, and the flag that is missing.
func TestInvokeRefusals(t *testing.T) {
	f := answering(t, "")
	f.invoke = func(w http.ResponseWriter, r *http.Request) {
		switch r.Header.Get("X-Amz-Tenant-Id") {
		case "":
			fail(w, 400, "InvalidParameterValueException", "Add a valid tenant ID in your request and try again.")
		case "busy":
			w.Header().Set("X-Amzn-Errortype", "TooManyRequestsException")
			w.WriteHeader(429)
			_, _ = io.WriteString(w, `{"Reason":"ReservedFunctionConcurrentInvocationLimitExceeded","message":"Rate Exceeded."}`)
		default:
			_, _ = io.WriteString(w, `"for `+r.Header.Get("X-Amz-Tenant-Id")+`"`)
		}
	}
	contains(t, f.run(t, "", "invoke", "hello").err, "try again. Name it with --tenant-id")
	contains(t, f.run(t, "", "invoke", "hello", "--tenant-id", "busy").err, "Rate Exceeded. (ReservedFunctionConcurrentInvocationLimitExceeded)")
	contains(t, f.run(t, "", "invoke", "hello", "--tenant-id", "t1").out, "for t1")
}

// TestInvokeWaitsForAPendingFunction: it says why it waits, and calls once the function is Active.
func TestInvokeWaitsForAPendingFunction(t *testing.T) {
	f := answering(t, "")
	c := f.functions["hello"]
	c.State, c.StateReason = "Pending", "boto3 is being installed"
	refused := 0
	f.invoke = func(w http.ResponseWriter, _ *http.Request) {
		if c.State == "Pending" {
			refused++
			fail(w, 409, "ResourceConflictException", "The function is currently in the following state: Pending")
			return
		}
		_, _ = io.WriteString(w, "7")
	}
	got := f.run(t, "", "invoke", "hello")
	if got.status != ExitOK || got.out != "7\n" || refused != 1 {
		t.Errorf("refused %d times: %+v", refused, got)
	}
	contains(t, got.err, "hello is Pending: boto3 is being installed; waiting")
	c.State, c.StateReason = "Pending", "boto3 is being installed"
	f.fails = "there is no room"
	contains(t, f.run(t, "", "invoke", "hello").err, "hello cannot run: there is no room")
}

func TestDeployWarnsOfWhatIsMissing(t *testing.T) {
	f := newFake(t)
	dir := folder(t, map[string]string{"app.py": "def handler(event, context): 0"})
	f.run(t, "", "deploy", dir)
	f.functions["my-function"].StateReason = "it runs without boto3"
	got := f.run(t, "", "deploy", dir)
	contains(t, got.err, "warning: it runs without boto3")
	if got.status != ExitOK {
		t.Errorf("%+v", got)
	}
}

func TestInvokeEvents(t *testing.T) {
	f := answering(t, "1")
	file := func(name, body string) string {
		path := filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(path, []byte(body), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	for name, c := range map[string]struct {
		stdin string
		args  []string
		want  []string // on stderr; none: it is called
	}{
		"position":        {"", []string{"-d", "{\"a\": 1,\n \"b\": nope}"}, []string{"line 2, column 8", "the event (-d)"}},
		"file":            {"", []string{"-d", "@" + file("e.json", "[1,")}, []string{"e.json is not JSON: line 1, column"}},
		"empty":           {"", []string{"-d", ""}, []string{"is empty", "{}"}},
		"empty file":      {"", []string{"-d", "@" + file("none.json", " \n")}, []string{"none.json is empty"}},
		"empty stdin":     {"", []string{"-d", "-"}, []string{"stdin is empty"}},
		"byte order mark": {"", []string{"-q", "-d", "@" + file("bom.json", "\ufeff{}")}, nil},
	} {
		got := f.run(t, c.stdin, append([]string{"invoke", "hello"}, c.args...)...)
		contains(t, got.err, c.want...)
		if want := map[bool]int{true: ExitOK, false: ExitUsage}[c.want == nil]; got.status != want {
			t.Errorf("%s: %+v", name, got)
		}
	}
	got := execute(t, "", "invoke", "hello", "--data", `{"a":1}`)
	contains(t, got.err, `invoke hello -d '{"a":1}'`)
	if got.status != ExitUsage {
		t.Errorf("JSON for --data: %+v", got)
	}
}

func FuzzCheckJSON(f *testing.F) {
	for _, seed := range []string{"", "{}", "{", "\n\n[1,]", `"a`, "1 2", "\xff"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if (checkJSON("x", b) == nil) != json.Valid(b) {
			t.Errorf("%q: %v", b, checkJSON("x", b))
		}
	})
}

func TestInvokeInterrupted(t *testing.T) {
	f := answering(t, "")
	ctx, interrupt := context.WithCancel(t.Context())
	f.invoke = func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // from then on the server notices that the client left
		interrupt()
		<-r.Context().Done()
	}
	var out, errs bytes.Buffer
	p := Program{Stdin: strings.NewReader(""), Stdout: &out, Stderr: &errs}
	status := p.Run(ctx, []string{"invoke", "hello", "--data", f.data})
	if status != ExitInterrupted || out.Len() != 0 {
		t.Errorf("status %d, %s", status, &out)
	}
	contains(t, errs.String(), "goes on", "artesian logs hello")
}

func TestUnmeasuredPeakIsADash(t *testing.T) {
	f := answering(t, "1")
	f.own[admin.ReceiptsPath+"r1"] = admin.Receipt{Usage: faas.Usage{Outcome: faas.OutcomeOK, Run: time.Millisecond, BilledMS: 1, MemoryMB: 128}}
	contains(t, f.run(t, "", "invoke", "hello").err, "peak - of 128 MB")
	f.own[admin.PSPath] = admin.PS{Instances: []admin.Instance{{Function: "hello", MemoryMB: 128, Started: time.Now()}}}
	contains(t, f.run(t, "", "ps").out, " -/128 MB ")
}
