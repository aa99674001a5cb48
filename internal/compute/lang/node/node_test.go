package node_test

import (
	"bytes"
	"context"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"artesian/internal/compute/lang"
	"artesian/internal/compute/lang/host"
	"artesian/internal/compute/lang/langtest"
	"artesian/internal/compute/sandbox"
	"artesian/internal/faas"
)

// shared is the catalog of all tests: an interpreter is asked once.
var shared *host.Catalog

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "artesian-node-test-")
	if err != nil {
		panic(err)
	}
	shared = host.New(host.Config{Dir: dir, Path: os.Getenv("PATH"), Home: os.Getenv("HOME"), Nearest: true})
	code := m.Run()
	_ = os.RemoveAll(dir)
	os.Exit(code)
}

// function is a Node.js function in a running process.
type function struct {
	t       testing.TB
	sb      *langtest.Direct
	session lang.Session
	output  chan string // all of it, once the process has ended
}

// files are a function's, by name.
type files map[string]string

func (f files) write(t testing.TB) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range f {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// ways are how a function's process comes to be. A function must not be able to tell.
var ways = []string{"executed", "assigned"}

// both runs a test of each way.
func both(t *testing.T, test func(t *testing.T, way string)) {
	for _, way := range ways {
		t.Run(way, func(t *testing.T) { test(t, way) })
	}
}

func start(t testing.TB, way, runtime, handler string, code files, change ...func(*faas.Version)) *function {
	t.Helper()
	r, err := shared.Resolve(runtime)
	if err != nil {
		t.Skipf("no interpreter for %s: %v", runtime, err)
	}
	v := version(handler)
	for _, f := range change {
		f(&v)
	}
	dir := code.write(t)
	if way == "assigned" {
		return assign(t, r.(lang.Generic), v, dir)
	}
	return launch(t, r, sandbox.Spec{}, v, dir)
}

// launch starts v in a process that is executed for it.
func launch(t testing.TB, r lang.Runtime, spec sandbox.Spec, v faas.Version, dir string) *function {
	t.Helper()
	r.Prepare(&spec, v, dir, stream)
	f := run(t, spec)
	f.session = r.Attach(f.sb, v)
	t.Cleanup(func() { _ = f.session.Close() })
	return f
}

// assign starts a process and then has it serve v.
func assign(t testing.TB, r lang.Generic, v faas.Version, dir string) *function {
	t.Helper()
	if why := r.Unsuited(&v, dir, ""); why != "" {
		t.Skip(why)
	}
	var ahead, spec sandbox.Spec
	r.Generic(&ahead, v.MemoryMB)
	r.Prepare(&spec, v, dir, stream)
	f := run(t, ahead)
	f.session = r.Adopt(f.sb, f.sb.Here(spec), v)
	t.Cleanup(func() { _ = f.session.Close() })
	return f
}

const stream = "2026/01/01/[$LATEST]0"

func run(t testing.TB, spec sandbox.Spec) *function {
	f := &function{t: t, sb: langtest.Start(t, spec), output: make(chan string, 1)}
	go func() {
		all, _ := io.ReadAll(f.sb.Output())
		f.output <- string(all)
	}()
	return f
}

func version(handler string) faas.Version {
	v := faas.Version{Handler: handler, MemoryMB: 256, Logging: faas.Logging{Group: "/aws/lambda/f"}}
	v.ID = faas.VersionID{FunctionID: faas.FunctionID{Scope: faas.Scope{Account: "000000000000", Region: "us-east-1"}, Name: "f"}, Version: "$LATEST"}
	return v
}

func bounded(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	t.Cleanup(cancel)
	return ctx
}

func (f *function) init() error {
	_, err := f.session.Init(bounded(f.t))
	return err
}

// answer is what one call came to.
type answer struct {
	Out, Type string
	Exit      int // the process has ended with it, after answering or instead
}

func (f *function) call(event string) answer {
	f.t.Helper()
	var out bytes.Buffer
	c := lang.Call{RequestID: "11111111-2222-4333-8444-555555555555", FunctionARN: "arn:f", Payload: []byte(event),
		Deadline: time.Now().Add(time.Minute), Trace: "Root=1-2-3"}
	if event == `"context"` {
		c.Tenant = "blue"
		c.Identity, c.ClientContext = []byte(`{"cognitoIdentityId":"id"}`), []byte(`{"custom": {"k": 1}, "client": {"app_title": "app"}}`)
	}
	failure, err := f.session.Invoke(bounded(f.t), c, &out)
	a := answer{Out: out.String()}
	switch {
	case err == lang.ErrExited:
		a.Exit = 1000 + f.sb.Exit().Code
	case err != nil:
		f.t.Fatalf("invoke: %v\n%s", err, f.end())
	case failure != nil:
		a.Type = failure.Type
	}
	return a
}

func (f *function) end() string {
	_ = f.sb.Close()
	return <-f.output
}

// ended waits for the process to end by itself.
func (f *function) ended() (int, string) {
	f.t.Helper()
	select {
	case <-f.sb.Done():
	case <-bounded(f.t).Done():
		f.t.Fatal("it lives on:", f.end())
	}
	return f.sb.Exit().Code, f.end()
}

var stamp = regexp.MustCompile(`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z`)

// records splits the output into its records, without their frames and times.
func records(output string) (all []string) {
	for output != "" {
		var text string
		if strings.HasPrefix(output, "\xa5\x5a\x00") {
			n := int(output[4])<<24 | int(output[5])<<16 | int(output[6])<<8 | int(output[7])
			text, output = output[16:16+n], output[16+n:]
		} else {
			text, output, _ = strings.Cut(output, "\n")
		}
		all = append(all, stamp.ReplaceAllString(text, "TIME"))
	}
	return all
}
