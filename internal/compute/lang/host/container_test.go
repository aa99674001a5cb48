package host_test

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"artesian/internal/compute/lang"
	"artesian/internal/compute/lang/host"
	"artesian/internal/compute/lang/output"
	"artesian/internal/compute/sandbox"
	"artesian/internal/compute/sandbox/container"
	"artesian/internal/faas"
)

// maker returns the isolation level that real functions run at, or skips.
func maker(t testing.TB) sandbox.Maker {
	t.Helper()
	m, err := container.New(container.Config{Dir: t.TempDir(), Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Skip("no containers here:", err)
	}
	t.Cleanup(func() { _ = m.Close() })
	return m
}

// needs skips where the host lacks one of programs: a sandbox has copies of the host's.
func needs(t testing.TB, c *host.Catalog, programs ...string) {
	t.Helper()
	list, err := c.List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range programs {
		if slices.Contains(list[len(list)-1].Lacks, name) {
			t.Skipf("no %s here, or it needs more than the system's libraries", name)
		}
	}
}

// function is one in a container.
type function struct {
	t       testing.TB
	sb      sandbox.Sandbox
	session lang.Session
	printed chan string
	phases  lang.InitPhases
	err     error // of Init
}

func start(t testing.TB, m sandbox.Maker, r lang.Runtime, runtime string, files map[string]string) *function {
	t.Helper()
	code := t.TempDir()
	for name, text := range files {
		mode := os.FileMode(0o644)
		if strings.HasPrefix(text, "#!") {
			mode = 0o755
		}
		if err := os.WriteFile(filepath.Join(code, name), []byte(text), mode); err != nil {
			t.Fatal(err)
		}
	}
	v := faas.Version{Handler: "app.handler", Runtime: runtime, MemoryMB: 256, TmpMB: 512}
	v.ID = faas.VersionID{FunctionID: faas.FunctionID{Scope: faas.Scope{Account: "000000000000", Region: "us-east-1"}, Name: "f"}, Version: "$LATEST"}
	v.Code.SHA256 = code
	spec := sandbox.Spec{ID: "f" + strings.ToLower(faas.NewUUID()), Owner: "f", MemoryMB: v.MemoryMB, TmpMB: v.TmpMB, Pids: 100, Files: 1024}
	r.Prepare(&spec, v, code, "stream")
	sb, err := m.Start(t.Context(), spec)
	if err != nil {
		t.Fatal(err)
	}
	f := &function{t: t, sb: sb, printed: make(chan string, 1)}
	var all strings.Builder
	out, err := output.New(sb.Output(), time.Now, func(_ time.Time, m string) { all.WriteString(m + "\n") })
	if err != nil {
		t.Fatal(err)
	}
	f.session = r.Attach(sb, v)
	t.Cleanup(func() {
		_ = f.session.Close()
		_ = sb.Close()
		_ = out.Close()
		if t.Failed() {
			t.Log(all.String())
		}
	})
	f.phases, f.err = f.session.Init(f.bounded())
	return f
}

func (f *function) bounded() context.Context {
	ctx, cancel := context.WithTimeout(f.t.Context(), 20*time.Second)
	f.t.Cleanup(cancel)
	return ctx
}

func (f *function) call(event string) string {
	f.t.Helper()
	if f.err != nil {
		f.t.Fatal(f.err)
	}
	var out bytes.Buffer
	failure, err := f.session.Invoke(f.bounded(), lang.Call{RequestID: "id", Payload: []byte(event), Deadline: time.Now().Add(time.Minute)}, &out)
	if err != nil || failure != nil {
		f.t.Fatal(failure, err, out.String())
	}
	return out.String()
}

const look = `
import os, ssl, subprocess, sys, sysconfig, time, urllib.request, zlib, hashlib, sqlite3, ctypes, decimal
def run(*a): return subprocess.run(a, stdout=subprocess.PIPE, stderr=subprocess.STDOUT).stdout.decode().strip()
def handler(e, c):
    with open("/tmp/x", "w") as f: f.write("x")
    time.tzset()
    return {
        "prefix": sys.prefix, "executable": sys.executable, "path": sys.path, "cwd": os.getcwd(), "argv": sys.argv,
        "certificates": len(ssl.create_default_context().get_ca_certs()), "zone": time.tzname,
        "root": sorted(os.listdir("/")), "var": sorted(os.listdir("/var")), "home": os.path.expanduser("~"),
        "shell": run("sh", "-c", "echo $((1+1)) | sed s/2/two/ | grep two | awk '{print $1}'"),
        "curl": run("curl", "--version")[:5], "env": run("env", "bash", "-c", "echo $LANG"),
        "python": run("python3", "-c", "import sys; print(sys.prefix, [p for p in sys.path if 'packages' in p and __import__('os').listdir(p)])"),
        "encoding": [sys.getfilesystemencoding(), sys.stdout.encoding], "shadow": os.path.exists("/etc/shadow"), "host": os.path.exists("/root"),
        "bin": len(os.listdir("/usr/bin")), "zones": os.path.exists("/usr/share/zoneinfo/Europe/Berlin"), "pid": os.getpid() < 100,
    }
`

// TestPythonInContainer: every interpreter of this machine finds all it needs inside, and nothing of the host.
func TestPythonInContainer(t *testing.T) {
	m := maker(t)
	c := host.New(host.Config{Dir: t.TempDir(), Path: os.Getenv("PATH"), Home: os.Getenv("HOME")})
	needs(t, c, "curl", "bash", "awk", "sed", "grep", "env")
	list, err := c.List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, i := range list {
		if !strings.HasPrefix(i.Name, "python") {
			continue
		}
		t.Run(i.Version+strings.ReplaceAll(i.Path, "/", "_"), func(t *testing.T) {
			only := host.New(host.Config{Dir: t.TempDir(), Path: os.Getenv("PATH"), Home: os.Getenv("HOME")})
			if _, err := only.Add(t.Context(), i.Path); err != nil {
				t.Fatal(err)
			}
			r, err := only.Resolve(i.Name)
			if err != nil {
				t.Fatal(err)
			}
			f := start(t, m, r, i.Name, map[string]string{"app.py": look})
			var got struct {
				Prefix, Executable, Cwd, Shell, Curl, Env, Python, Home string
				Path, Argv, Root, Var, Zone, Encoding                   []string
				Certificates, Bin                                       int
				Shadow, Host, Zones, Pid                                bool
			}
			if err := json.Unmarshal([]byte(f.call(`{}`)), &got); err != nil {
				t.Fatal(err)
			}
			t.Logf("%+v runtime %v init %v sandbox %+v", got, f.phases.Runtime, f.phases.Init, f.sb.Started())
			if got.Prefix != "/var/lang" || !strings.HasPrefix(got.Executable, "/var/lang/bin/python3.") || got.Cwd != "/var/task" {
				t.Error("it is not where it should be:", got.Prefix, got.Executable, got.Cwd)
			}
			if got.Certificates == 0 || !got.Zones || got.Shell != "two" || got.Curl != "curl " || got.Env != "en_US.UTF-8" || !got.Pid {
				t.Errorf("something is missing: %+v", got)
			}
			if got.Shadow || got.Host || got.Bin > 200 || got.Python != "/var/lang []" {
				t.Errorf("something of the host is there: %+v", got)
			}
			if got.Path[0] != "/var/task" || got.Argv[0] != "/var/runtime/bootstrap.py" || got.Encoding[0] != "utf-8" || strings.ToLower(got.Encoding[1]) != "utf-8" {
				t.Errorf("not as on Lambda: %+v", got)
			}
		})
	}
}

const shellRuntime = `#!/bin/sh
set -eu
while true; do
  headers=$(mktemp)
  event=$(curl -sS -D "$headers" "http://$AWS_LAMBDA_RUNTIME_API/2018-06-01/runtime/invocation/next")
  id=$(grep -i lambda-runtime-aws-request-id "$headers" | tr -d '[:space:]' | cut -d: -f2)
  echo "got $event"
  curl -sS -o /dev/null -d "{\"got\": $event}" "http://$AWS_LAMBDA_RUNTIME_API/2018-06-01/runtime/invocation/$id/response"
done
`

func TestCustomRuntimeInContainer(t *testing.T) {
	m := maker(t)
	c := host.New(host.Config{Dir: t.TempDir()})
	needs(t, c, "curl", "mktemp", "grep", "tr", "cut")
	r, err := c.Resolve("provided.al2023")
	if err != nil {
		t.Fatal(err)
	}
	f := start(t, m, r, "provided.al2023", map[string]string{"bootstrap": shellRuntime})
	for range 2 {
		if got := f.call(`{"a": 1}`); got != `{"got": {"a": 1}}` {
			t.Fatal(got)
		}
	}
	for name, want := range map[string]string{
		"#!/bin/nothing\n":   "fork/exec /var/task/bootstrap: no such file or directory",
		"#!/bin/sh\r\nx\r\n": "fork/exec /var/task/bootstrap: no such file or directory",
		"text":               "fork/exec /var/task/bootstrap: permission denied",
		"":                   "Couldn't find valid bootstrap(s): [/var/task/bootstrap /opt/bootstrap]",
	} {
		files := map[string]string{"bootstrap": name}
		if name == "" {
			files = map[string]string{"app.py": ""}
		}
		f := start(t, m, r, "provided.al2023", files)
		failure, ok := f.err.(*lang.Failure)
		if !ok || failure.Type != "Runtime.InvalidEntrypoint" || !strings.Contains(string(failure.Document), want) {
			t.Errorf("%q: %v %+v", name, f.err, failure)
		}
	}
}
