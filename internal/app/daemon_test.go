package app_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"artesian/internal/door/gateway/admin"
)

// TestDaemonRefuses has daemons that must not come up: each says why in one sentence and changes nothing.
func TestDaemonRefuses(t *testing.T) {
	data := filepath.Join(t.TempDir(), "data")
	first := launch(t, data)

	t.Run("a data directory in use", func(t *testing.T) {
		said := mustRefuse(t, "--data", data, "--listen", "127.0.0.1:0")
		mustContain(t, "refusal", said, fmt.Sprintf("pid %d", first.pid()), data)
		if code, _ := health(t, first.url); code != http.StatusOK {
			t.Errorf("the first daemon's health is %d", code)
		}
	})

	t.Run("a port in use", func(t *testing.T) {
		other := filepath.Join(t.TempDir(), "data")
		address := strings.TrimPrefix(first.url, "http://")
		said := mustRefuse(t, "--data", other, "--listen", address)
		mustContain(t, "refusal", said, address+" is in use", "--listen")
		if _, err := os.Stat(other); !os.IsNotExist(err) {
			t.Errorf("the data directory is there: %v", err)
		}
	})

	t.Run("data of a newer format", func(t *testing.T) {
		first.terminate()
		if code := first.ended(10 * time.Second); code != 0 {
			t.Fatalf("exit status %d: %s", code, first.said(t))
		}
		edit(t, filepath.Join(data, "format.json"), `"format": 1`, `"format": 2`)
		before := contents(t, data)
		said := mustRefuse(t, "--data", data, "--listen", "127.0.0.1:0")
		mustContain(t, "refusal", said, "format 2", "nothing was touched")
		if after := contents(t, data); !slices.Equal(before, after) {
			t.Errorf("the data was changed from\n%v\nto\n%v", before, after)
		}
		edit(t, filepath.Join(data, "format.json"), `"format": 2`, `"format": 1`)
		launch(t, data)
	})

	t.Run("bad settings", func(t *testing.T) {
		for setting, part := range map[string]string{
			"--account=12": "12 digits", "--listen=nowhere": "HOST:PORT", "--idle=0s": "idle time", "--log=loud": "--log", "--listen=127.0.0.1:70000": "65535",
		} {
			other := filepath.Join(t.TempDir(), "data")
			out, err := exec.Command(program(t), "up", "--data", other, "--listen", "127.0.0.1:0", setting).CombinedOutput()
			if err == nil {
				t.Errorf("%s was accepted", setting)
			}
			mustContain(t, setting, string(out), part)
			if _, err := os.Stat(other); !os.IsNotExist(err) {
				t.Errorf("%s: the data directory is there: %v", setting, err)
			}
		}
	})
}

// contents describes all files below dir by mode, size and hash.
func contents(t *testing.T, dir string) []string {
	t.Helper()
	var out []string
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		line := info.Mode().String() + " " + path
		if d.Type().IsRegular() {
			b, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			sum := sha256.Sum256(b)
			line += " " + hex.EncodeToString(sum[:])
		}
		out = append(out, line)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func edit(t *testing.T, path, old, new string) {
	t.Helper()
	b := must(os.ReadFile(path))(t)
	if !bytes.Contains(b, []byte(old)) {
		t.Fatalf("%s has no %s: %s", path, old, b)
	}
	if err := os.WriteFile(path, bytes.Replace(b, []byte(old), []byte(new), 1), 0o600); err != nil {
		t.Fatal(err)
	}
}

func health(t *testing.T, url string) (int, admin.Health) {
	t.Helper()
	resp, err := http.Get(url + admin.HealthPath)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var h admin.Health
	if err := json.NewDecoder(resp.Body).Decode(&h); err != nil {
		t.Error(err)
	}
	return resp.StatusCode, h
}

const sleeper = `
import json, os, time, urllib.request, urllib.error
def handler(e, c):
    print('sleeping')
    time.sleep(e['s'])
    try:
        with urllib.request.urlopen(os.environ['AWS_ENDPOINT_URL'] + '/_artesian/health') as r:
            return [r.status, json.load(r)['status']]
    except urllib.error.HTTPError as err:
        return [err.code, json.load(err)['status']]
`

// TestStopDrains sends SIGTERM while a call runs: it is answered, meanwhile the platform says that it is stopping, and the
// daemon exits with status 0.
func TestStopDrains(t *testing.T) {
	t.Parallel()
	c := launch(t, filepath.Join(t.TempDir(), "data"))
	c.role()
	c.create("sleeper", map[string]string{"app.py": sleeper}, spec{"Timeout": 30})
	if a := c.invoke("sleeper", `{"s": 0}`); a.body != `[200, "ready"]` {
		t.Fatalf("%+v", a)
	}
	told := make(chan answer, 1)
	go func() { told <- c.invoke("sleeper", `{"s": 2}`) }()
	c.busy("sleeper")
	begin := time.Now()
	c.terminate()
	if code := c.ended(10 * time.Second); code != 0 {
		t.Errorf("exit status %d: %s", code, c.said(t))
	}
	if took := time.Since(begin); took > 5*time.Second {
		t.Errorf("the stop took %v for a call of 2 s", took)
	}
	if a := <-told; a.status != http.StatusOK || a.body != `[503, "stopping"]` {
		t.Errorf("the running call was answered %+v", a)
	}
	if _, err := os.Stat(filepath.Join(c.data, admin.DaemonFile)); !os.IsNotExist(err) {
		t.Errorf("%s is still there: %v", admin.DaemonFile, err)
	}
	again := launch(t, c.data)
	eventually(t, "the log of the last call", func() bool { return strings.Count(again.logOf("sleeper"), "END RequestId") == 2 })
}

// busy waits until a function's call runs.
func (c *child) busy(name string) {
	c.t.Helper()
	eventually(c.t, name+" runs", func() bool {
		var ps admin.PS
		c.get(admin.PSPath, &ps)
		return slices.ContainsFunc(ps.Instances, func(i admin.Instance) bool { return i.Function == name && i.State == "busy" })
	})
}

// logOf returns what `artesian logs` prints.
func (c *child) logOf(name string) string {
	c.t.Helper()
	out, err := exec.Command(program(c.t), "logs", "--data", c.data, name).CombinedOutput()
	if err != nil {
		c.t.Errorf("logs: %v: %s", err, out)
	}
	return string(out)
}

// TestStopCuts sends SIGTERM while calls run that take longer than a stop may, one of them still initialising: the stop
// does not wait for them, who called is told, and the exit status is 0.
func TestStopCuts(t *testing.T) {
	t.Parallel()
	c := launch(t, filepath.Join(t.TempDir(), "data"))
	c.role()
	c.create("sleeper", map[string]string{"app.py": sleeper}, spec{"Timeout": 60})
	c.create("beginner", map[string]string{"app.py": "import time\ntime.sleep(60)\ndef handler(e, c): pass\n"},
		spec{"Timeout": 60, "Environment": spec{"Variables": spec{"STOPPED": c.url}}})
	told := make(chan string, 2)
	for _, name := range []string{"sleeper", "beginner"} {
		go func() {
			status, _, body, err := c.try("POST", "lambda", "/2015-03-31/functions/"+name+"/invocations", []byte(`{"s": 50}`))
			told <- fmt.Sprint(name, " ", status, " ", string(body), " ", err)
		}()
	}
	c.busy("sleeper")
	eventually(t, "beginner initialises", func() bool { return len(having("environ", "STOPPED="+c.url)) > 0 })
	before := below(c.pid())
	c.terminate()
	if code := c.ended(10 * time.Second); code != 0 {
		t.Errorf("exit status %d: %s", code, c.said(t))
	}
	answers := []string{<-told, <-told}
	slices.Sort(answers)
	mustContain(t, "answer", answers[0], "beginner 503", "shutting down")
	mustContain(t, "answer", answers[1], "sleeper 200", "Runtime.ExitError")
	within(t, time.Second, "processes run", func() string {
		now := processes()
		for _, p := range before {
			if now[p.pid].start == p.start {
				return fmt.Sprint(p)
			}
		}
		return ""
	})
}

// TestStopEndsTails stops a daemon to whose log somebody listens, by command line and by connection: nobody waits.
func TestStopEndsTails(t *testing.T) {
	t.Parallel()
	c := launch(t, filepath.Join(t.TempDir(), "data"))
	c.role()
	c.create("f", map[string]string{"app.py": "def handler(e, c):\n  print('marked ' + e)\n"}, nil)
	tail := exec.Command(program(t), "logs", "-f", "--data", c.data, "f")
	out := must(tail.StdoutPipe())(t)
	if err := tail.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = tail.Process.Kill() })
	seen := make(chan string, 1)
	go func() {
		b, _ := io.ReadAll(out)
		seen <- string(b)
	}()
	c.invoke("f", `"once"`)
	eventually(t, "the log", func() bool { return strings.Contains(c.logOf("f"), "marked once") })
	begin := time.Now()
	c.terminate()
	if code := c.ended(10 * time.Second); code != 0 {
		t.Errorf("exit status %d: %s", code, c.said(t))
	}
	if took := time.Since(begin); took > 2*time.Second {
		t.Errorf("the stop took %v though nothing ran", took)
	}
	if s := <-seen; !strings.Contains(s, "marked once") {
		t.Errorf("logs -f printed %q", s)
	}
	if err := tail.Wait(); tail.ProcessState.ExitCode() != 3 {
		t.Errorf("logs -f ended with %v, want exit status 3", err)
	}
}
