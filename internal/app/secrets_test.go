package app_test

import (
	"fmt"
	"io/fs"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"artesian/internal/app"
	"artesian/internal/door/gateway/admin"
)

// TestSecretsStayHome looks for the daemon's secrets where others could find them: files that others may read, arguments
// and environments of processes, what functions see, and the daemon's log.
func TestSecretsStayHome(t *testing.T) {
	t.Parallel()
	c := launch(t, filepath.Join(t.TempDir(), "data"), "--log", "debug")
	c.role()
	c.create("f", map[string]string{"app.py": "import os\ndef handler(e, c):\n  return dict(os.environ)\n"}, spec{"Environment": spec{"Variables": spec{"OWN": "value"}}})
	seen := c.invoke("f", `{}`)
	c.create("g", map[string]string{"app.py": others}, nil)
	if jsonField(t, seen.body, "OWN") != "value" {
		t.Fatalf("%+v", seen)
	}
	c.tryCreate("broken", []byte("no zip"), nil)

	secrets := map[string]string{"secret access key": c.creds.SecretAccessKey}
	session := map[string]string{}
	for _, name := range []string{"AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"} {
		session["function's "+name], _ = jsonField(t, seen.body, name).(string)
	}
	keys, err := filepath.Glob(filepath.Join(c.data, "keys", "*"))
	if err != nil || len(keys) == 0 {
		t.Fatalf("no keys: %v", err)
	}
	for _, k := range keys {
		secrets[filepath.Base(k)] = strings.TrimSpace(string(must(os.ReadFile(k))(t)))
	}
	places := map[string]string{"the function's environment": seen.body, "the daemon's log": c.said(t), "another function's view": c.invoke("g", `{}`).body}
	for _, p := range append(below(c.pid()), process{pid: c.pid()}) {
		for _, f := range []string{"cmdline", "environ"} {
			b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/%s", p.pid, f)) // it may have ended
			places[fmt.Sprintf("%s of process %d", f, p.pid)] = string(b)
		}
	}
	if len(places) < 8 || places["the daemon's log"] == "" {
		t.Fatalf("too few places were found: %d", len(places))
	}
	for _, path := range []string{functionsPath, functionsPath + "/f", functionsPath + "/f/configuration", functionsPath + "/f/versions"} {
		_, places["the answer of "+path] = c.read(c.send("GET", "lambda", path, "", nil))
	}
	_, places["the instances"] = c.read(c.send("GET", admin.Service, admin.PSPath, "", nil))
	_, places["the function's log"] = c.read(c.send("POST", "logs", "/", "application/x-amz-json-1.1", []byte(`{"logGroupName":"/aws/lambda/f"}`), "X-Amz-Target", "Logs_20140328.FilterLogEvents"))
	mustContain(t, "the function's log", places["the function's log"], "START RequestId")
	mustContain(t, "another function's view", places["another function's view"], "AWS_LAMBDA_FUNCTION_NAME=g")
	for where, text := range places {
		if own := where == "the function's environment" || strings.Contains(text, "AWS_LAMBDA_FUNCTION_NAME=f\x00"); !own {
			maps.Copy(secrets, session)
		} else {
			maps.DeleteFunc(secrets, func(what, _ string) bool { return session[what] != "" })
		}
		for what, secret := range secrets {
			if len(secret) < 20 || strings.Contains(text, secret) {
				t.Errorf("the %s is in %s", what, where)
			}
		}
	}
	t.Run("files", func(t *testing.T) { private(t, c.data) })
	t.Run("sockets", func(t *testing.T) { loopbackOnly(t, c) })
}

// others is a function that shows the environment of every process that it can read.
const others = `
import glob
def handler(e, c):
    seen = []
    for path in glob.glob('/proc/[0-9]*/environ'):
        try:
            seen.append(open(path).read().replace('\0', '\n'))
        except OSError:
            pass
    return seen
`

// private expects that nobody but the owner gets into the data directory, and that what is secret in it is closed by itself.
func private(t *testing.T, data string) {
	if info := must(os.Stat(data))(t); info.Mode().Perm() != 0o700 {
		t.Errorf("the data directory has mode %v", info.Mode())
	}
	files := 0
	for _, name := range []string{admin.CredentialsFile, admin.DaemonFile, "keys", "engine", "blobs", "sandbox", "format.json", "lock"} {
		err := filepath.WalkDir(filepath.Join(data, name), func(path string, d fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			info, err := d.Info()
			if os.IsNotExist(err) {
				return nil // it came and went
			}
			files++
			if want := fs.FileMode(0o600); !d.IsDir() && info.Mode().Perm() != want || d.IsDir() && info.Mode().Perm() != 0o700 {
				t.Errorf("%s has mode %v", path, info.Mode())
			}
			return err
		})
		if err != nil {
			t.Error(err)
		}
	}
	if files < 12 {
		t.Errorf("only %d files were found", files)
	}
}

// loopbackOnly expects that every socket on which the daemon listens is one of loopback.
func loopbackOnly(t *testing.T, c *child) {
	mine := map[string]bool{}
	for _, p := range append(below(c.pid()), process{pid: c.pid()}) {
		links, _ := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", p.pid))
		for _, l := range links {
			target, _ := os.Readlink(l) // it may be closed
			if inode, ok := strings.CutPrefix(target, "socket:["); ok {
				mine[strings.TrimSuffix(inode, "]")] = true
			}
		}
	}
	const listening, loopback4, loopback6 = "0A", "0100007F:", "00000000000000000000000001000000:"
	found := 0
	for _, protocol := range []string{"tcp", "tcp6", "udp", "udp6"} {
		table := must(os.ReadFile(fmt.Sprintf("/proc/%d/net/%s", c.pid(), protocol)))(t)
		for line := range strings.Lines(string(table)) {
			f := strings.Fields(line)
			if len(f) < 10 || !mine[f[9]] || strings.HasPrefix(protocol, "tcp") && f[3] != listening {
				continue
			}
			found++
			if !strings.HasPrefix(f[1], loopback4) && !strings.HasPrefix(f[1], loopback6) {
				t.Errorf("%s socket on %s", protocol, f[1])
			}
		}
	}
	if found != 1 {
		t.Errorf("%d sockets listen, want 1", found)
	}
}

// TestNothingLeaks makes 200 calls in waves, each from zero instances or nearly so, and waits for zero again: the
// daemon's descriptors and goroutines are as many as after the first wave.
func TestNothingLeaks(t *testing.T) {
	p := start(t, func(c *app.Config) { c.Idle, c.AheadMB = 200*time.Millisecond, 0 }) // what is kept ready would count
	p.role()
	p.create("f", map[string]string{"app.py": "import time\ndef handler(e, c):\n  print('x')\n  time.sleep(0.01)\n"}, nil)
	p.create("dies", map[string]string{"app.py": "import os\ndef handler(e, c):\n  os._exit(1)\n"}, nil)
	p.create("never", map[string]string{"app.py": "raise ValueError\n"}, nil)
	wave := func(calls int) {
		t.Helper()
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				for range calls / 4 {
					p.invoke("f", `{}`)
				}
			})
		}
		wg.Wait()
		p.invoke("dies", `{}`)
		p.invoke("never", `{}`)
		for _, name := range []string{"f", "dies", "never"} {
			eventually(t, "zero instances", func() bool { return p.instances(name) == 0 })
		}
	}
	wave(8)
	before := settled(t, -1)
	for range 4 {
		wave(48)
	}
	after := settled(t, before.descriptors)
	if after.descriptors > before.descriptors {
		t.Errorf("from %d descriptors to %d, more of: %v", before.descriptors, after.descriptors, more(before.kinds, after.kinds))
	}
	if after.goroutines > before.goroutines+2 { // timers of the HTTP client come and go
		buf := make([]byte, 1<<20)
		t.Errorf("from %d goroutines to %d:\n%s", before.goroutines, after.goroutines, buf[:runtime.Stack(buf, true)])
	}
}

type held struct {
	descriptors, goroutines int
	kinds                   map[string]int
}

var digits = regexp.MustCompile(`[0-9]+`)

// settled counts what this process holds once nothing changes any more, or descriptors are no more than enough.
func settled(t *testing.T, enough int) held {
	t.Helper()
	var last held
	same := 0
	eventually(t, "a quiet daemon", func() bool {
		http.DefaultClient.CloseIdleConnections()
		now := held{goroutines: runtime.NumGoroutine(), kinds: map[string]int{}}
		links, _ := filepath.Glob("/proc/self/fd/*")
		for _, l := range links {
			if target, err := os.Readlink(l); err == nil {
				now.descriptors++
				now.kinds[digits.ReplaceAllString(target, "N")]++
			}
		}
		if now.descriptors == last.descriptors && now.goroutines == last.goroutines {
			same++
		} else {
			same = 0
		}
		last = now
		return same > 15 || now.descriptors <= enough && same > 5
	})
	return last
}

// more lists what there is more of.
func more(before, after map[string]int) map[string]int {
	out := map[string]int{}
	for k, n := range after {
		if n > before[k] {
			out[k] = n - before[k]
		}
	}
	return out
}
