package python_test

import (
	"context"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"artesian/internal/compute/lang"
	"artesian/internal/compute/lang/host"
	"artesian/internal/compute/lang/lambda"
	"artesian/internal/compute/lang/python"
	"artesian/internal/compute/sandbox"
	"artesian/internal/compute/sandbox/container"
)

// compiling is a catalog whose functions' modules are compiled in containers.
type compiling struct {
	*python.Bytecode
	runtime lang.Runtime
	maker   *container.Maker
}

func newCompiling(t testing.TB, dir string) *compiling {
	t.Helper()
	m, err := container.New(container.Config{Dir: t.TempDir(), Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Skip(err)
	}
	t.Cleanup(func() { _ = m.Close() })
	b, err := python.OpenBytecode(dir, slog.New(slog.NewTextHandler(t.Output(), nil)))
	if err != nil {
		t.Fatal(err)
	}
	c := host.New(host.Config{Dir: t.TempDir(), Path: os.Getenv("PATH"), Home: os.Getenv("HOME"), Bytecode: b, Nearest: true})
	t.Cleanup(c.Close)
	r, err := c.Resolve("python3.11")
	if err != nil {
		t.Skip(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { defer close(ended); b.Run(ctx, m) }()
	t.Cleanup(func() { cancel(); <-ended })
	return &compiling{b, r, m}
}

// run answers what a function answers in a container.
func (c *compiling) run(t testing.TB, code, layers string) string {
	t.Helper()
	v := version("app.handler")
	spec := sandbox.Spec{ID: "f" + strings.ToLower(filepath.Base(code)), Owner: "f", MemoryMB: 256, TmpMB: 512, Pids: 100, Files: 1024}
	if layers != "" {
		spec.Mounts = append(spec.Mounts, sandbox.Mount{Source: layers, Target: lambda.LayerDir})
	}
	c.runtime.Prepare(&spec, v, code, "stream")
	sb, err := c.maker.Start(t.Context(), spec)
	if err != nil {
		t.Fatal(err)
	}
	defer sb.Close()
	f := &function{t: t, sb: sb, session: c.runtime.Attach(sb, v), output: make(chan string, 1)}
	f.output <- ""
	if err := f.init(); err != nil {
		t.Fatal(err)
	}
	out, failure := f.call("1")
	if failure != nil {
		t.Fatal(out)
	}
	return out
}

func writeAll(t testing.TB, dir string, files map[string]string) {
	t.Helper()
	for name, text := range files {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

const cachedApp = `
import importlib, os
import deep.er.module, layered
try: import bad
except SyntaxError: pass
def handler(e, c):
    return [__cached__, deep.er.module.__cached__, layered.__cached__, deep.er.module.where(), sorted(os.listdir("/var/task")), open(__file__).read()[:8]]
`

// TestBytecode: what is published is compiled, is used from then on, also by a daemon that starts anew, and the package stays as it
// was.
func TestBytecode(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "bytecode")
	code, layers := t.TempDir(), t.TempDir()
	writeAll(t, code, map[string]string{
		"app.py": cachedApp, "deep/__init__.py": "", "deep/er/__init__.py": "", "bad.py": "def (\n", "text.txt": "x",
		"deep/er/module.py": "def where():\n    import sys\n    return sys._getframe().f_code.co_filename\n",
	})
	writeAll(t, layers, map[string]string{"python/layered.py": "x = 1\n"})
	c := newCompiling(t, dir)
	plain := c.run(t, code, layers) // asks for it
	for _, want := range []string{`"/var/task/__pycache__/app.cpython-311.pyc"`, `"/opt/python/__pycache__/layered.cpython-311.pyc"`} {
		if !strings.Contains(plain, want) {
			t.Errorf("before: %s, want %s", plain, want)
		}
	}
	c.Wait()
	want := `["/var/lang/compiled/task/app.cpython-311.pyc", "/var/lang/compiled/task/deep/er/module.cpython-311.pyc", "/var/lang/compiled/opt/python/layered.cpython-311.pyc", ` +
		`"/var/task/deep/er/module.py", ["app.py", "bad.py", "deep", "text.txt"], "\nimport "]`
	if got := c.run(t, code, layers); got != want {
		t.Errorf("after: %s\nwant %s", got, want)
	}
	again := newCompiling(t, dir)
	if got := again.run(t, code, layers); got != want {
		t.Errorf("after a restart: %s", got)
	}
	if err := again.Keep(func(name string) bool { return name == filepath.Base(layers) }); err != nil {
		t.Fatal(err)
	}
	left, _ := filepath.Glob(filepath.Join(dir, "*"))
	if len(left) != 1 || !strings.HasPrefix(filepath.Base(left[0]), filepath.Base(layers)+"-") {
		t.Errorf("kept: %v", left)
	}
}

// TestBytecodeOfItsOwn: what a package has compiled itself is not compiled again.
func TestBytecodeOfItsOwn(t *testing.T) {
	code := t.TempDir()
	writeAll(t, code, map[string]string{"app.py": "import own\ndef handler(e, c): return [own.__cached__, __cached__]\n", "own.py": "x = 1\n",
		"__pycache__/own.cpython-311.pyc": "not one"})
	c := newCompiling(t, filepath.Join(t.TempDir(), "bytecode"))
	c.runtime.(*python.Runtime).Publish(code, "")
	c.Wait()
	if got, want := c.run(t, code, ""), `["/var/task/__pycache__/own.cpython-311.pyc", "/var/lang/compiled/task/app.cpython-311.pyc"]`; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

const (
	crashDir  = "ARTESIAN_TEST_BYTECODE"
	crashCode = "ARTESIAN_TEST_BYTECODE_OF"
)

// TestBytecodeCrash: of a compilation that kill -9 ends in the middle nothing is used, and nothing is left.
func TestBytecodeCrash(t *testing.T) {
	if dir := os.Getenv(crashDir); dir != "" {
		c := newCompiling(t, dir)
		c.runtime.(*python.Runtime).Publish(os.Getenv(crashCode), "")
		c.Wait()
		return
	}
	dir, code := filepath.Join(t.TempDir(), "bytecode"), t.TempDir()
	big := strings.Repeat("def f(x): return [x, {x: x}, (x for x in range(x))]\n", 400)
	for n := range 200 {
		writeAll(t, code, map[string]string{"m/m" + strings.Repeat("x", n) + ".py": big})
	}
	writeAll(t, code, map[string]string{"app.py": "def handler(e, c): return __cached__\n"})
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run", "^TestBytecodeCrash$")
	cmd.Env = append(os.Environ(), crashDir+"="+dir, crashCode+"="+code)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	killed := false
	look := time.NewTicker(time.Millisecond)
	defer look.Stop()
	for deadline := time.Now().Add(time.Minute); !killed && time.Now().Before(deadline); <-look.C {
		if some, _ := filepath.Glob(filepath.Join(dir, "new-*", "m", "*.pyc")); len(some) > 5 {
			killed = cmd.Process.Signal(syscall.SIGKILL) == nil
		}
	}
	_ = cmd.Wait()
	if !killed {
		t.Skip("it was never in the middle")
	}
	c := newCompiling(t, dir)
	if left, _ := filepath.Glob(filepath.Join(dir, "*")); len(left) != 0 {
		t.Errorf("left: %v", left)
	}
	if got := c.run(t, code, ""); got != `"/var/task/__pycache__/app.cpython-311.pyc"` {
		t.Errorf("it was used: %s", got)
	}
	c.Wait()
	if got := c.run(t, code, ""); got != `"/var/lang/compiled/task/app.cpython-311.pyc"` {
		t.Errorf("it was not made anew: %s", got)
	}
}
