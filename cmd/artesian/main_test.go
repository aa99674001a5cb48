package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// binary is the program as users run it.
var binary string

func TestMain(m *testing.M) {
	os.Exit(func() int {
		dir, err := os.MkdirTemp("", "artesian-main-")
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer os.RemoveAll(dir)
		binary = filepath.Join(dir, "artesian")
		if out, err := exec.Command("go", "build", "-trimpath", "-buildvcs=false", "-o", binary, ".").CombinedOutput(); err != nil {
			fmt.Fprintf(os.Stderr, "build: %v\n%s", err, out)
			return 1
		}
		return m.Run()
	}())
}

// daemon is `artesian up` in a process of its own.
type daemon struct {
	cmd      *exec.Cmd
	data     string
	endpoint string
	log      *bytes.Buffer
}

func start(t *testing.T, data string, args ...string) *daemon {
	t.Helper()
	d := &daemon{data: data, log: &bytes.Buffer{}}
	d.cmd = exec.Command(binary, append([]string{"up", "--data", data, "--listen", "127.0.0.1:0", "--isolation", "process", "--json"}, args...)...)
	d.cmd.Stderr = d.log
	out, err := d.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := d.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if d.cmd.ProcessState == nil {
			_ = d.cmd.Process.Kill()
			_ = d.cmd.Wait()
		}
	})
	var ready struct{ Endpoint, Data, Isolation string }
	if err := json.NewDecoder(out).Decode(&ready); err != nil {
		_ = d.cmd.Wait()
		t.Fatalf("no ready line: %v\n%s", err, d.log)
	}
	if ready.Isolation != "process" || ready.Data != data {
		t.Errorf("ready line %+v", ready)
	}
	d.endpoint = ready.Endpoint
	return d
}

// run executes a command to its end and returns stdout, stderr and the exit status.
func run(t *testing.T, args ...string) (stdout, stderr string, status int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, binary, args...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return out.String(), errs.String(), cmd.ProcessState.ExitCode()
}

func TestUpServesUntilTerminated(t *testing.T) {
	data := t.TempDir()
	d := start(t, data)
	resp, err := http.Get(d.endpoint + "/_artesian/health")
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(resp.Body)
	_ = resp.Body.Close()
	if err != nil || resp.StatusCode != http.StatusOK || !json.Valid(body) {
		t.Errorf("health: %v, status %d, %q", err, resp.StatusCode, body)
	}
	for _, name := range []string{"daemon.json", "credentials"} {
		fi, err := os.Stat(filepath.Join(data, name))
		if err != nil || fi.Mode() != 0o600 {
			t.Errorf("%s: %v, mode %v, want 0600", name, err, fi.Mode())
		}
	}
	out, stderr, status := run(t, "env", "--json", "--data", data)
	var env map[string]string
	if err := json.Unmarshal([]byte(out), &env); err != nil || status != 0 || env["AWS_ENDPOINT_URL"] != d.endpoint || env["AWS_ACCESS_KEY_ID"] == "" {
		t.Errorf("env: %v, status %d, %s%s", err, status, out, stderr)
	}

	begin := time.Now()
	if err := d.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := d.cmd.Wait(); err != nil || time.Since(begin) > 10*time.Second {
		t.Errorf("after SIGTERM: %v in %v\n%s", err, time.Since(begin), d.log)
	}
	if !strings.Contains(d.log.String(), "again to stop now") {
		t.Errorf("nothing is said of the stop: %s", d.log)
	}
	if _, err := os.Stat(filepath.Join(data, "daemon.json")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("daemon.json is left: %v", err)
	}
	if _, stderr, status := run(t, "ps", "--data", data); status != 3 || !strings.Contains(stderr, "no daemon runs on") {
		t.Errorf("ps afterwards: status %d, %s", status, stderr)
	}
}

// TestUpRefusesInOneSentence: what is typed and can't be is status 2, all else 1.
func TestUpRefusesInOneSentence(t *testing.T) {
	broken := t.TempDir()
	if err := os.WriteFile(filepath.Join(broken, "config.json"), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	d := start(t, t.TempDir())
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	for name, c := range map[string]struct {
		args   []string
		status int
		want   string
	}{
		"second daemon on the data": {[]string{"--data", d.data, "--listen", "127.0.0.1:0"}, 1, d.data},
		"port in use":               {[]string{"--data", t.TempDir(), "--listen", taken.Addr().String()}, 1, "is in use"},
		"no address":                {[]string{"--data", t.TempDir(), "--listen", "nonsense"}, 2, "HOST:PORT"},
		"bad account":               {[]string{"--data", t.TempDir(), "--listen", "127.0.0.1:0", "--account", "12"}, 2, "12 digits"},
		"no time":                   {[]string{"--data", t.TempDir(), "--listen", "127.0.0.1:0", "--idle", "0"}, 2, "idle time"},
		"broken settings":           {[]string{"--data", broken, "--listen", "127.0.0.1:0"}, 1, "config.json: it ends"},
		"data is a file":            {[]string{"--data", binary, "--listen", "127.0.0.1:0"}, 1, "director"},
	} {
		out, stderr, status := run(t, append([]string{"up", "--isolation", "process", "--log", "error"}, c.args...)...)
		if status != c.status || out != "" || !strings.Contains(stderr, c.want) || strings.Count(stderr, "\n") != 1 {
			t.Errorf("%s: status %d, stdout %q, stderr %q", name, status, out, stderr)
		}
	}
}

func TestDeployAndInvoke(t *testing.T) {
	if _, err := exec.LookPath("python3"); err != nil {
		t.Skip("needs python3")
	}
	d := start(t, t.TempDir())
	out, stderr, status := run(t, "deploy", "../../examples/word-statistics", "--data", d.data, "--json", "--memory", "1769")
	if status != 0 {
		t.Fatalf("deploy: status %d, %s%s", status, out, stderr)
	}
	out, stderr, status = run(t, "invoke", "word-statistics", "--data", d.data, "-d", `{"text": "to be or not to be", "top": 1}`, "--json", "--tail")
	var got struct {
		Answer struct {
			Words int
			Top   []struct{ Word string }
		}
		Log     string
		Receipt struct {
			Outcome  string
			BilledMS int64 `json:"billed_ms"`
			Ours     string
		}
	}
	if err := json.Unmarshal([]byte(out), &got); err != nil || status != 0 {
		t.Fatalf("invoke: %v, status %d, %s%s\n%s", err, status, out, stderr, d.log)
	}
	if got.Answer.Words != 6 || got.Answer.Top[0].Word != "be" || !strings.Contains(got.Log, "event: 6 words, 4 distinct") {
		t.Errorf("answer %+v, log %q", got.Answer, got.Log)
	}
	if got.Receipt.Outcome != "ok" || got.Receipt.BilledMS < 1 || got.Receipt.Ours == "" {
		t.Errorf("receipt %+v", got.Receipt)
	}
	out, stderr, status = run(t, "logs", "word-statistics", "--data", d.data)
	if status != 0 || !strings.Contains(out, "event: 6 words, 4 distinct") || !strings.Contains(out, "REPORT RequestId") {
		t.Errorf("logs: status %d, %s%s", status, out, stderr)
	}
	out, _, status = run(t, "invoke", "word-statistics", "--data", d.data, "-d", `{"top": 0}`, "-q")
	if status != 4 || !strings.Contains(out, `"errorType": "ValueError"`) {
		t.Errorf("function error: status %d, %s", status, out)
	}
}
