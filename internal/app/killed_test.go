package app_test

import (
	"encoding/json"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestKillWhileStarting kills daemons that make their data directory, that open it and that stop: the next one comes up,
// with the same credentials and functions once there were some. ARTESIAN_CRASH_ROUNDS is how often; 4 unless set.
func TestKillWhileStarting(t *testing.T) {
	t.Parallel()
	rounds := 4
	if s := os.Getenv("ARTESIAN_CRASH_ROUNDS"); s != "" {
		rounds = atoi(t, s)
	}
	for range rounds {
		data := filepath.Join(t.TempDir(), "data")
		killStarting(t, data)
		killStarting(t, data)
		c := launch(t, data)
		key := c.creds
		c.role()
		c.create("f", map[string]string{"app.py": "def handler(e, c):\n  return 'kept'\n"}, nil)
		c.terminate()
		time.Sleep(time.Duration(rand.IntN(40)) * time.Millisecond) // the moment of the kill
		c.kill()
		killStarting(t, data)
		c = launch(t, data)
		if c.creds != key {
			t.Errorf("the credentials changed")
		}
		if a := c.invoke("f", `{}`); a.body != `"kept"` {
			t.Errorf("%+v", a)
		}
		c.kill()
		out, err := exec.Command(program(t), "ps", "--data", data).CombinedOutput()
		if exit, ok := err.(*exec.ExitError); !ok || exit.ExitCode() != 3 || strings.Count(string(out), "\n") != 1 {
			t.Errorf("ps without a daemon: %v: %s", err, out)
		}
		launch(t, data).cleanUp()
	}
}

// killStarting starts a daemon and kills it at some moment of its start.
func killStarting(t *testing.T, data string) {
	t.Helper()
	cmd := exec.Command(program(t), "up", "--data", data, "--listen", "127.0.0.1:0")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	time.Sleep(time.Duration(rand.IntN(120)) * time.Millisecond) // the moment of the kill
	_ = cmd.Process.Kill()                                       // it runs
	_ = cmd.Wait()                                               // it was killed
}

// TestKillSpawner kills the process from which sandboxes are made, and all of them with it: the call that ran is told, and
// the next is served.
func TestKillSpawner(t *testing.T) {
	c := launch(t, filepath.Join(t.TempDir(), "data"))
	c.role()
	c.create("f", map[string]string{"app.py": "import time\ndef handler(e, c):\n  time.sleep(e)\n  return 'done'\n"}, spec{"Timeout": 20})
	told := make(chan answer, 1)
	go func() { told <- c.invoke("f", `10`) }()
	c.busy("f")
	killed := 0
	for _, p := range below(c.pid()) {
		if p.parent == c.pid() {
			killed++
			if err := syscall.Kill(p.pid, syscall.SIGKILL); err != nil {
				t.Error(err)
			}
		}
	}
	if killed != 1 {
		t.Fatalf("%d processes were killed; want the spawner", killed)
	}
	select {
	case a := <-told:
		var doc struct{ ErrorType string }
		if err := json.Unmarshal([]byte(a.body), &doc); err != nil || a.status != http.StatusOK || doc.ErrorType != "Runtime.ExitError" {
			t.Errorf("the call that ran: %+v", a)
		}
	case <-time.After(5 * time.Second):
		t.Fatal("the call that ran was not told")
	}
	if a := c.invoke("f", `0`); a.body != `"done"` {
		t.Errorf("the next call: %+v", a)
	}
}

// TestSecondSignalEndsAtOnce does not wait for what runs when it is told twice, and leaves no process behind.
func TestSecondSignalEndsAtOnce(t *testing.T) {
	c := launch(t, filepath.Join(t.TempDir(), "data"))
	c.role()
	c.create("sleeper", map[string]string{"app.py": sleeper}, spec{"Timeout": 60})
	go func() {
		_, _, _, _ = c.try("POST", "lambda", "/2015-03-31/functions/sleeper/invocations", []byte(`{"s": 50}`))
	}()
	c.busy("sleeper")
	before := below(c.pid())
	c.terminate()
	within(t, 5*time.Second, "the daemon takes new connections", func() string {
		resp, err := http.Get(c.url + "/")
		if err != nil {
			return ""
		}
		resp.Body.Close()
		return "it answers"
	})
	begin := time.Now()
	c.terminate()
	c.ended(2 * time.Second)
	if took := time.Since(begin); took > time.Second {
		t.Errorf("it took %v", took)
	}
	within(t, 2*time.Second, "processes run", func() string { return (&world{}).running(before, c) })
	launch(t, c.data)
}
