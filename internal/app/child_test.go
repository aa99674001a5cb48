package app_test

import (
	"artesian/internal/compute/lang/host/hosttest"
	"artesian/internal/compute/sandbox/gvisor/runsc"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// build makes the program once for all tests of a run. The directory is removed by TestMain.
var build = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "artesian-test-")
	if err != nil {
		return "", err
	}
	program := filepath.Join(dir, "artesian")
	out, err := exec.Command("go", "build", "-buildvcs=false", "-o", program, "artesian/cmd/artesian").CombinedOutput()
	if err != nil {
		return program, fmt.Errorf("build artesian: %w: %s", err, out)
	}
	return program, nil
})

var built bool

func TestMain(m *testing.M) {
	runsc.Takeover() // kernels of the level gvisor are this program, too
	status := m.Run()
	hosttest.Forget()
	if built {
		if program, _ := build(); program != "" {
			_ = os.RemoveAll(filepath.Dir(program))
		}
	}
	os.Exit(status)
}

// program returns the path of the built program.
func program(t *testing.T) string {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root: the isolation level container is made with it")
	}
	built = true
	path, err := build()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// offline has a daemon on data ask no registry, unless its settings are written already.
func offline(t *testing.T, data string) {
	t.Helper()
	path := filepath.Join(data, "config.json")
	if _, err := os.Stat(path); err == nil {
		return
	}
	if err := os.MkdirAll(data, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(`{"registries": {"pypi": "", "npm": "", "maven": ""}}`), 0o600); err != nil {
		t.Fatal(err)
	}
}

// child is a daemon in a process of its own, which a test may signal and kill.
type child struct {
	*platform
	cmd  *exec.Cmd
	log  string        // file with its standard error
	done chan struct{} // closed when it has ended

	missing []string // what it says that it cannot enforce
}

// launch starts a daemon on a data directory and returns when it says that it is ready.
func launch(t *testing.T, data string, args ...string) *child {
	t.Helper()
	offline(t, data)
	experienced(t, data)
	return launchBy(t, data, func(*child) {}, args...)
}

// launchBy is launch with a change to how the program is executed.
func launchBy(t *testing.T, data string, change func(*child), args ...string) *child {
	t.Helper()
	stderr, err := os.CreateTemp(t.TempDir(), "stderr-")
	if err != nil {
		t.Fatal(err)
	}
	defer stderr.Close()
	offline(t, data)
	c := &child{log: stderr.Name(), done: make(chan struct{})}
	c.cmd = exec.Command(program(t), append([]string{"up", "--data", data, "--listen", "127.0.0.1:0", "--json"}, args...)...)
	c.cmd.Stderr = stderr
	change(c)
	stdout, err := c.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.cleanUp)
	ready := make(chan string, 1)
	go func() {
		var r struct {
			Endpoint string
			Missing  []string
		}
		_ = json.NewDecoder(stdout).Decode(&r) // what is no ready line has no endpoint
		c.missing = r.Missing
		ready <- r.Endpoint
		_ = c.cmd.Wait()
		close(c.done)
	}()
	select {
	case url := <-ready:
		if url == "" {
			t.Fatalf("no ready line; the daemon said: %s", c.said(t))
		}
		c.platform = &platform{t: t, url: url, data: data, creds: readCredentials(t, data)}
	case <-time.After(20 * time.Second):
		t.Fatalf("not ready after 20 s; the daemon said: %s", c.said(t))
	}
	return c
}

func (c *child) pid() int { return c.cmd.Process.Pid }

// said is what the daemon logged so far.
func (c *child) said(t *testing.T) string {
	b, err := os.ReadFile(c.log)
	if err != nil {
		t.Error(err)
	}
	return string(b)
}

// kill ends the daemon without asking it.
func (c *child) kill() {
	_ = c.cmd.Process.Kill() // it may have ended
	<-c.done
}

// cleanUp stops a daemon that still runs, so that nothing of it is left on this machine.
func (c *child) cleanUp() {
	_ = c.cmd.Process.Signal(syscall.SIGTERM) // it may have ended
	select {
	case <-c.done:
	case <-time.After(10 * time.Second):
		c.kill()
	}
}

// terminate asks the daemon to stop.
func (c *child) terminate() {
	c.t.Helper()
	if err := c.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		c.t.Fatal(err)
	}
}

// ended waits for the daemon's end and returns its exit status.
func (c *child) ended(within time.Duration) int {
	c.t.Helper()
	select {
	case <-c.done:
	case <-time.After(within):
		c.t.Errorf("the daemon had not ended after %v", within)
		c.kill()
	}
	return c.cmd.ProcessState.ExitCode()
}

// mustRefuse runs a daemon that must not come up, and returns the one sentence that it says.
func mustRefuse(t *testing.T, args ...string) string {
	t.Helper()
	var out, errs bytes.Buffer
	cmd := exec.CommandContext(t.Context(), program(t), append([]string{"up"}, args...)...)
	cmd.Stdout, cmd.Stderr = &out, &errs
	stop := time.AfterFunc(20*time.Second, func() { _ = cmd.Process.Kill() })
	defer stop.Stop()
	err := cmd.Run()
	if code := cmd.ProcessState.ExitCode(); err == nil || code != 1 {
		t.Errorf("exit status %d, want 1", code)
	}
	if out.Len() > 0 {
		t.Errorf("stdout: %s", &out)
	}
	var said []string
	for line := range strings.Lines(errs.String()) {
		if !strings.Contains(line, "level=INFO") {
			said = append(said, strings.TrimSpace(line))
		}
	}
	if len(said) != 1 || !strings.HasPrefix(said[0], "artesian: ") {
		t.Errorf("not one sentence: %q", said)
	}
	return strings.Join(said, "\n")
}

// try makes one signed request of a daemon that may die meanwhile. body is a []byte, or sent as JSON.
func (c *child) try(method, service, path string, body any) (status int, id string, answer []byte, err error) {
	b, ok := body.([]byte)
	if !ok && body != nil {
		if b, err = json.Marshal(body); err != nil {
			return 0, "", nil, err
		}
	}
	req, err := signed(c.t, c.url, c.creds, "us-east-1", method, service, path, "application/json", b)
	if err != nil {
		return 0, "", nil, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, "", nil, err
	}
	defer resp.Body.Close()
	answer, err = io.ReadAll(resp.Body)
	return resp.StatusCode, resp.Header.Get("X-Amzn-Requestid"), answer, err
}

// process is one process of this machine. A pid alone may be another's by now.
type process struct {
	pid, parent int
	start       string // in clock ticks since boot
}

// processes lists all that run.
func processes() map[int]process {
	all := map[int]process{}
	dirs, _ := filepath.Glob("/proc/[0-9]*")
	for _, dir := range dirs {
		b, err := os.ReadFile(filepath.Join(dir, "stat"))
		if err != nil {
			continue // it ended meanwhile
		}
		_, rest, _ := strings.Cut(string(b), ") ")
		f := strings.Fields(rest)
		if len(f) < 20 || f[0] == "Z" {
			continue
		}
		pid, _ := strconv.Atoi(filepath.Base(dir))
		parent, _ := strconv.Atoi(f[1])
		all[pid] = process{pid, parent, f[19]}
	}
	return all
}

// below returns the descendants of a process.
func below(pid int) []process {
	all := processes()
	var out []process
	for _, p := range all {
		for up := p.parent; up > 1; up = all[up].parent {
			if up == pid {
				out = append(out, p)
				break
			}
		}
	}
	return out
}

// having returns the processes whose file in /proc contains text: what they have in their environ, cmdline or cgroup.
func having(file, text string) []process {
	var out []process
	for _, p := range processes() {
		if b, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(p.pid), file)); err == nil && bytes.Contains(b, []byte(text)) {
			out = append(out, p)
		}
	}
	return out
}

// within waits for a condition that must come true in the time given.
func within(t *testing.T, limit time.Duration, what string, left func() string) {
	t.Helper()
	for end := time.Now().Add(limit); ; {
		still := left()
		if still == "" {
			return
		}
		if time.Now().After(end) {
			t.Errorf("%s after %v: %s", what, limit, still)
			return
		}
		time.Sleep(10 * time.Millisecond) // the condition is polled
	}
}
