package python_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"artesian/internal/compute/lang"
	"artesian/internal/compute/lang/host"
	"artesian/internal/compute/lang/langtest"
	"artesian/internal/compute/sandbox"
	"artesian/internal/faas"
)

// function is a Python function in a running process.
type function struct {
	t       testing.TB
	sb      *langtest.Direct
	session lang.Session
	output  chan string // all of it, once the process has ended
}

func start(t testing.TB, runtime, code string, change ...func(*faas.Version)) *function {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "app.py"), []byte(code), 0o644); err != nil {
		t.Fatal(err)
	}
	v := faas.Version{Handler: "app.handler", Runtime: runtime, MemoryMB: 128, Logging: faas.Logging{Group: "/aws/lambda/f"}}
	v.ID = faas.VersionID{FunctionID: faas.FunctionID{Scope: faas.Scope{Account: "000000000000", Region: "us-east-1"}, Name: "f"}, Version: "$LATEST"}
	for _, f := range change {
		f(&v)
	}
	r, err := catalog(t).Resolve(runtime)
	if err != nil {
		t.Skipf("no interpreter for %s: %v", runtime, err)
	}
	var spec sandbox.Spec
	r.Prepare(&spec, v, dir, "2026/01/01/[$LATEST]0")
	f := &function{t: t, sb: langtest.Start(t, spec), output: make(chan string, 1)}
	go func() {
		all, _ := io.ReadAll(f.sb.Output())
		f.output <- string(all)
	}()
	f.session = r.Attach(f.sb, v)
	return f
}

func catalog(t testing.TB) *host.Catalog {
	return host.New(host.Config{Dir: t.TempDir(), Path: os.Getenv("PATH"), Home: os.Getenv("HOME")})
}

func bounded(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	t.Cleanup(cancel)
	return ctx
}

func (f *function) init() error {
	_, err := f.session.Init(bounded(f.t))
	return err
}

func (f *function) call(event string) (string, *lang.Failure) {
	f.t.Helper()
	var out bytes.Buffer
	c := lang.Call{RequestID: "11111111-2222-4333-8444-555555555555", FunctionARN: "arn:f", Payload: []byte(event),
		Deadline: time.Now().Add(time.Minute), Trace: "Root=1-2-3"}
	failure, err := f.session.Invoke(bounded(f.t), c, &out)
	if err != nil {
		f.t.Fatalf("invoke: %v\n%s", err, f.end())
	}
	return out.String(), failure
}

func (f *function) end() string {
	_ = f.sb.Close()
	return <-f.output
}

func TestAnswers(t *testing.T) {
	f := start(t, "python3.9", "def handler(event, context):\n    return {'got': event, 'id': context.aws_request_id}\n")
	if err := f.init(); err != nil {
		t.Fatal(err, f.end())
	}
	for range 3 {
		got, failure := f.call(`{"name": "Ada"}`)
		if failure != nil || got != `{"got": {"name": "Ada"}, "id": "11111111-2222-4333-8444-555555555555"}` {
			t.Fatal(got, failure)
		}
	}
	f.end()
}

func TestFailureDocuments(t *testing.T) {
	f := start(t, "python3.9", "import nothing_such\ndef handler(event, context): pass\n")
	err := f.init()
	failure, ok := err.(*lang.Failure)
	if !ok || failure.Type != "Runtime.ImportModuleError" {
		t.Fatal(err, f.end())
	}
	var doc struct{ ErrorMessage, ErrorType string }
	if err := json.Unmarshal(failure.Document, &doc); err != nil {
		t.Fatal(err)
	}
	if doc.ErrorMessage != "Unable to import module 'app': No module named 'nothing_such'" {
		t.Fatal(doc)
	}
	if out := f.end(); !strings.Contains(out, "[ERROR] Runtime.ImportModuleError: Unable to import module") {
		t.Fatal(out)
	}
}
