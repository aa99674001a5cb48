package sandboxtest

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
)

// programs are those that this test binary has built, by package: each once.
var programs struct {
	mu    sync.Mutex
	dir   string
	built map[string]string
}

// Build makes a static program of a package, unless the environment names a ready-made one. Call Forget when no test needs it.
func Build(t testing.TB, pkg, env string) string {
	t.Helper()
	if ready := os.Getenv(env); ready != "" {
		return ready
	}
	goTool, err := exec.LookPath("go")
	if err != nil {
		t.Skip("needs the go command in PATH")
	}
	programs.mu.Lock()
	defer programs.mu.Unlock()
	if program := programs.built[pkg]; program != "" {
		return program
	}
	if programs.dir == "" {
		programs.built = map[string]string{}
		if programs.dir, err = os.MkdirTemp("", "artesian-programs-"); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(programs.dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	dir := filepath.Join(programs.dir, fmt.Sprint(len(programs.built)))
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	program := filepath.Join(dir, "program")
	cmd := exec.Command(goTool, "build", "-o", program, pkg)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if b, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build %s: %v\n%s", pkg, err, b)
	}
	programs.built[pkg] = program
	return program
}

// Forget removes what Build has made. A test's main function calls it at the end.
func Forget() {
	programs.mu.Lock()
	defer programs.mu.Unlock()
	if programs.dir != "" {
		_ = os.RemoveAll(programs.dir)
	}
	programs.dir, programs.built = "", nil
}

// Daemon executes this test binary once more, to be a daemon that a test may kill: what one of its tests does until it prints "ready".
// Env is beside the environment. What it prints before comes back. It is killed at the test's end at the latest.
func Daemon(t testing.TB, test string, env ...string) (kill func(), said []string) {
	t.Helper()
	daemon := exec.Command(os.Args[0], "-test.run=^"+test+"$")
	daemon.Env = append(os.Environ(), env...)
	out, err := daemon.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := daemon.Start(); err != nil {
		t.Fatal(err)
	}
	kill = sync.OnceFunc(func() {
		_ = daemon.Process.Kill() // it may have ended
		_ = daemon.Wait()
	})
	t.Cleanup(kill)
	lines := bufio.NewScanner(out)
	for lines.Scan() && lines.Text() != "ready" {
		said = append(said, lines.Text())
	}
	if lines.Text() != "ready" {
		t.Fatalf("the daemon ended: %q", said)
	}
	return kill, said
}
