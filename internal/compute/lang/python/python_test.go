package python_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"artesian/internal/compute/lang"
	"artesian/internal/compute/lang/host"
	"artesian/internal/compute/lang/lambda"
	"artesian/internal/compute/lang/langtest"
	"artesian/internal/compute/sandbox"
	"artesian/internal/faas"
)

// function is a Python function in a running process.
type function struct {
	t       testing.TB
	sb      sandbox.Sandbox
	session lang.Session
	output  chan string // all of it, once the process has ended
}

func start(t testing.TB, runtime, code string, change ...func(*faas.Version)) *function {
	t.Helper()
	dir := t.TempDir()
	write(t, dir, code)
	v := version("app.handler")
	for _, f := range change {
		f(&v)
	}
	r, err := shared.Resolve(runtime)
	if err != nil {
		t.Skipf("no interpreter for %s: %v", runtime, err)
	}
	return launch(t, r, sandbox.Spec{}, v, dir)
}

// launch starts v, whose code is in dir, beside what spec has already.
func launch(t testing.TB, r lang.Runtime, spec sandbox.Spec, v faas.Version, dir string) *function {
	t.Helper()
	r.Prepare(&spec, v, dir, "2026/01/01/[$LATEST]0")
	f := &function{t: t, output: make(chan string, 1)}
	if fork, ok := r.(lang.Forked); ok && forks != nil {
		f.sb, f.session = forks.launch(t, fork, spec, v, dir)
	} else {
		f.sb = langtest.Start(t, spec)
		f.session = r.Attach(f.sb, v)
	}
	go func() {
		all, _ := io.ReadAll(f.sb.Output())
		f.output <- string(all)
	}()
	t.Cleanup(func() { _ = f.session.Close() })
	return f
}

// shared is the catalog of all tests: an interpreter is asked once.
var shared *host.Catalog

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "artesian-python-test-")
	if err != nil {
		panic(err)
	}
	shared = host.New(host.Config{Dir: dir, Path: os.Getenv("PATH"), Home: os.Getenv("HOME")})
	if os.Getenv(forkedEnv) != "" {
		forks = newForkery()
	}
	code := m.Run()
	if forks != nil {
		forks.close()
	}
	_ = os.RemoveAll(dir)
	os.Exit(code)
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
	if event == "context" {
		c.Payload, c.Identity = []byte("1"), []byte(`{"cognitoIdentityId":"id"}`)
		c.ClientContext = []byte(`{"custom": {"k": 1}, "client": {"app_title": "app"}}`)
	}
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

// outcome is what one call must come to.
type outcome struct {
	event, out, kind string
}

// callable are functions that go to the limits of what they may do and stay callable.
var callable = []struct {
	name, code string
	calls      []outcome
	printed    string // somewhere in the output
}{
	{"threads", `
import threading
def handler(e, c):
    out = []
    t = threading.Thread(target=lambda: out.append(e))
    t.start(); t.join()
    return out
`, []outcome{{`1`, `[1]`, ""}, {`2`, `[2]`, ""}}, ""},
	{"a forked child returns from the handler", `
import os
def handler(e, c):
    pid = os.fork()
    if pid: os.waitpid(pid, 0)
    else: print("child of", e)
    return "parent" if pid else "child"
`, []outcome{{`1`, `"parent"`, ""}, {`2`, `"parent"`, ""}}, "child of 2"},
	{"a forked child uses the channel", `
import os
def handler(e, c):
    pid = os.fork()
    if not pid:
        try: os.write(3, b"A\0\0\0\5\0\0\0\1x")
        finally: os._exit(0)
    os.waitpid(pid, 0)
    return e
`, []outcome{{`1`, `1`, ""}, {`2`, `2`, ""}}, ""},
	{"a program it executes doesn't have the channel", `
import subprocess, sys
def handler(e, c): return subprocess.run([sys.executable, "-c", "import os; os.fstat(3)"], close_fds=False, stderr=subprocess.DEVNULL).returncode
`, []outcome{{`1`, `1`, ""}}, ""},
	{"multiprocessing", `
import multiprocessing
def double(x, pipe): pipe.send(2 * x)
def handler(e, c):
    here, there = multiprocessing.Pipe()
    p = multiprocessing.get_context("fork").Process(target=double, args=(e, there))
    p.start(); p.join()
    return here.recv()
`, []outcome{{`21`, `42`, ""}}, ""},
	{"multiprocessing, started anew", `
import multiprocessing
def double(x, pipe): pipe.send(2 * x)
def handler(e, c):
    here, there = multiprocessing.Pipe()
    p = multiprocessing.get_context("spawn").Process(target=double, args=(e, there))
    p.start(); p.join()
    return here.recv() if here.poll() else p.exitcode
`, []outcome{{`21`, `42`, ""}}, ""},
	{"exit and quit are there", `
def handler(e, c): return [callable(exit), callable(quit)]
`, []outcome{{`1`, `[true, true]`, ""}}, ""},
	{"its own output is closed", `
import sys
def handler(e, c):
    sys.stdout.close()
    return e
`, []outcome{{`1`, `1`, ""}, {`2`, `2`, ""}}, ""},
	{"asyncio", `
import asyncio
async def work(e): await asyncio.sleep(0); return e
def handler(e, c): return asyncio.run(work(e))
`, []outcome{{`1`, `1`, ""}, {`2`, `2`, ""}}, ""},
	{"error in an error", `
class Bad(Exception):
    def __init__(self): self.x = "long " * 3
    def __str__(self): return self.x
def handler(e, c): raise Bad()
`, []outcome{{`1`, `{"errorMessage": "long long long ", "errorType": "Bad"`, "Bad"}}, "[ERROR] Bad: long long long"},
	{"client context", `
def handler(e, c): return [c.client_context.custom, c.client_context.client.app_title, c.identity.cognito_identity_id]
`, []outcome{{`context`, `[{"k": 1}, "app", "id"]`, ""}}, ""},
	{"answer too large", `
def handler(e, c): return "x" * e
`, []outcome{{`6291555`, "", "Function.ResponseSizeTooLarge"}, {`1`, `"x"`, ""}}, ""},
}

func TestCalls(t *testing.T) {
	for _, c := range callable {
		t.Run(c.name, func(t *testing.T) {
			f := start(t, "python3.9", c.code)
			if err := f.init(); err != nil {
				t.Fatal(err, f.end())
			}
			for _, o := range c.calls {
				out, failure := f.call(o.event)
				kind := ""
				if failure != nil {
					kind = failure.Type
				}
				if !strings.HasPrefix(out, o.out) || kind != o.kind {
					t.Errorf("event %s: %s %.300s, want %s %s", o.event, kind, out, o.kind, o.out)
				}
			}
			if all := f.end(); !strings.Contains(all, c.printed) {
				t.Errorf("output: %q", all)
			}
		})
	}
}

// TestSearchPathOfItsOwn: what Python itself finds there is imported before the function, as without our bootstrap.
func TestSearchPathOfItsOwn(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "sitecustomize.py"), []byte("import builtins\nbuiltins.custom = 42\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	f := start(t, "python3.9", "import sys\ndef handler(e, c): return [custom, sys.path[0][-4:] != 'site']\n",
		func(v *faas.Version) { v.Env = map[string]string{"PYTHONPATH": dir} })
	if err := f.init(); err != nil {
		t.Fatal(err, f.end())
	}
	if out, _ := f.call("1"); out != "[42, true]" {
		t.Fatal(out)
	}
}

// TestLargeEventsAndAnswers: six megabytes in and out, byte for byte.
func TestLargeEventsAndAnswers(t *testing.T) {
	f := start(t, "python3.9", "def handler(e, c): return e\n")
	if err := f.init(); err != nil {
		t.Fatal(err, f.end())
	}
	for _, n := range []int{1, 4080, 4096, 8190, 65536, 70000, faas.MaxRequestBytes - 2} {
		event := `"` + strings.Repeat("x", n) + `"`
		if out, failure := f.call(event); out != event || failure != nil {
			t.Fatalf("%d bytes came back as %d, %v", len(event), len(out), failure)
		}
	}
}

// TestBreaking is what ends a session: each is reported for what it is, and none hangs.
func TestBreaking(t *testing.T) {
	for _, c := range []struct {
		name, code string
		exit       string // what ExitFailure says of it; else a ProtocolError with this text
		protocol   string
	}{
		{"sys.exit", "import sys\ndef handler(e, c): sys.exit(3)\n", "exit status 3", ""},
		{"sys.exit(0)", "import sys\ndef handler(e, c): sys.exit()\n", "without providing a reason", ""},
		{"os._exit", "import os\ndef handler(e, c): os._exit(4)\n", "exit status 4", ""},
		{"segmentation fault", "import os\ndef handler(e, c): os.kill(os.getpid(), 11)\n", "signal: segmentation fault", ""},
		{"SIGTERM", "import os\ndef handler(e, c): os.kill(os.getpid(), 15)\n", "signal: terminated", ""},
		{"KeyboardInterrupt", "def handler(e, c): raise KeyboardInterrupt\n", "signal: interrupt", ""},
		{"garbage on the channel", "import os\ndef handler(e, c): os.write(3, b'garbage, garbage')\n", "", "frame"},
		{"a huge frame", "import os\ndef handler(e, c): os.write(3, b'A\\xff\\xff\\xff\\xff\\0\\0\\0\\1')\n", "", "4294967295 bytes"},
		{"an answer to another call", "import os\ndef handler(e, c): os.write(3, b'A\\0\\0\\0\\5\\0\\0\\0\\7x')\n", "", "call 7 during call 1"},
		{"a wrong error", "import os\ndef handler(e, c): os.write(3, b'E\\0\\0\\0\\6\\0\\0\\0\\1\\xff\\xff')\n", "", "an error type of 65535 bytes"},
		{"closing the channel", "import os, time\ndef handler(e, c):\n  os.close(3)\n  time.sleep(60)\n", "", "closed the runtime's channel"},
		{"shutting the channel down", "import socket, time\ndef handler(e, c):\n  socket.socket(fileno=3).shutdown(2)\n  time.sleep(60)\n", "", "closed the runtime's channel"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			f := start(t, "python3.9", c.code)
			if err := f.init(); err != nil {
				t.Fatal(err, f.end())
			}
			var out bytes.Buffer
			_, err := f.session.Invoke(bounded(t), lang.Call{RequestID: "r", Payload: []byte("1")}, &out)
			var protocol *lang.ProtocolError
			switch {
			case c.exit != "":
				if !errors.Is(err, lang.ErrExited) {
					t.Fatal(err)
				}
				if doc := string(lambda.ExitFailure("r", f.sb.Exit()).Document); !strings.Contains(doc, c.exit) {
					t.Error(doc)
				}
			case !errors.As(err, &protocol) || !strings.Contains(protocol.Reason, c.protocol):
				t.Error(err)
			}
			if _, err := f.session.Invoke(bounded(t), lang.Call{}, &out); err == nil {
				t.Error("the session goes on")
			}
		})
	}
}

// TestAnsweringTwice: the second answer is noticed at the next call, whose answer it can't be.
func TestAnsweringTwice(t *testing.T) {
	f := start(t, "python3.9", "import os\ndef handler(e, c):\n  os.write(3, b'A\\0\\0\\0\\5\\0\\0\\0\\1x')\n  return 'y'\n")
	if err := f.init(); err != nil {
		t.Fatal(err, f.end())
	}
	if out, failure := f.call("1"); out != "x" || failure != nil {
		t.Fatal(out, failure)
	}
	var out bytes.Buffer
	_, err := f.session.Invoke(bounded(t), lang.Call{RequestID: "2", Payload: []byte("2")}, &out)
	var protocol *lang.ProtocolError
	if !errors.As(err, &protocol) || out.Len() > 0 {
		t.Fatal(err, out.String())
	}
}

func TestTimeIsUp(t *testing.T) {
	f := start(t, "python3.9", "import time\ndef handler(e, c): time.sleep(60)\n")
	if err := f.init(); err != nil {
		t.Fatal(err, f.end())
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err := f.session.Invoke(ctx, lang.Call{RequestID: "1", Payload: []byte("2")}, io.Discard)
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Fatal(err)
	}
}

func TestInitGoesOnAfterItsContext(t *testing.T) {
	goFile := filepath.Join(t.TempDir(), "go")
	f := start(t, "python3.9", "import os, time\nwhile not os.path.exists(os.environ['GO']): time.sleep(0.005)\ndef handler(e, c): return e\n",
		func(v *faas.Version) { v.Env = map[string]string{"GO": goFile} })
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, err := f.session.Init(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatal(err)
	}
	if err := os.WriteFile(goFile, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	phases, err := f.session.Init(bounded(t))
	if err != nil || phases.Runtime <= 0 || phases.Init < 20*time.Millisecond-phases.Runtime {
		t.Fatal(phases, err)
	}
	if out, _ := f.call("1"); out != "1" {
		t.Fatal(out)
	}
}

// TestCallerStopsListening: the answer is dropped, and the session goes on.
func TestCallerStopsListening(t *testing.T) {
	f := start(t, "python3.9", "def handler(e, c): return 'x' * e\n")
	if err := f.init(); err != nil {
		t.Fatal(err, f.end())
	}
	_, err := f.session.Invoke(bounded(t), lang.Call{RequestID: "1", Payload: []byte("1000000")}, refusing{})
	if !errors.Is(err, errRefused) {
		t.Fatal(err)
	}
	if out, failure := f.call("3"); out != `"xxx"` || failure != nil {
		t.Fatal(out, failure)
	}
}

var errRefused = errors.New("refused")

type refusing struct{}

func (refusing) Write([]byte) (int, error) { return 0, errRefused }
