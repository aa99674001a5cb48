package app_test

import (
	"strconv"
	"strings"
	"sync"
	"testing"

	"artesian/internal/app"
	"artesian/internal/door/gateway/admin"
)

// TestTemplates: instances of a version that was slow to initialise are copies of one that has, with state, credentials and log streams of
// their own; what cannot be copied starts as ever, and says why; a change of the code begins anew.
func TestTemplates(t *testing.T) {
	p := start(t, func(c *app.Config) { c.Templates = true })
	p.role()
	slow := `
import os, random, time, uuid
time.sleep(0.2)
born = time.time()
calls = 0
def handler(e, c):
    global calls
    calls += 1
    time.sleep(e)
    return [str(born), str(random.random()), c.log_stream_name, os.environ["AWS_SESSION_TOKEN"], str(calls), str(os.getpid())]
`
	p.create("slow", map[string]string{"app.py": slow}, nil)
	p.create("thread", map[string]string{"app.py": slow + "import threading\nthreading.Thread(target=time.sleep, args=(1000,), daemon=True).start()\n"}, nil)
	receipt := func(a answer) (r admin.Receipt) {
		t.Helper()
		eventually(t, "a receipt", func() bool { return p.get(admin.ReceiptsPath+a.id, &r) == 200 })
		return r
	}
	together := func(name string, n int) (all []answer) {
		var mu sync.Mutex
		var wg sync.WaitGroup
		for range n {
			wg.Go(func() {
				a := p.invoke(name, "0.3")
				mu.Lock()
				defer mu.Unlock()
				all = append(all, a)
			})
		}
		wg.Wait()
		return all
	}
	for _, name := range []string{"slow", "thread"} {
		if c := receipt(p.invoke(name, "0")).Cold; c == nil || c.Way == "template" {
			t.Fatalf("the first call of %s: %+v", name, c)
		}
	}
	n := 3 // with each look more at once, so that some start
	ways, why := map[string]int{}, ""
	fields := map[string]bool{}
	eventually(t, "copies", func() bool {
		for _, a := range together("slow", n) {
			r := receipt(a)
			if r.Cold == nil || r.Cold.Way != "template" {
				continue
			}
			ways[r.Cold.Way]++
			why = r.Cold.Why
			parts := strings.Split(strings.Trim(a.body, `[]"`), `", "`)
			if len(parts) != 6 || parts[4] != "1" {
				t.Errorf("a copy answers %s", a.body)
				continue
			}
			for i, v := range parts[1:4] {
				if key := strconv.Itoa(i) + v; fields[key] {
					t.Errorf("two copies have %s", v)
				} else {
					fields[key] = true
				}
			}
		}
		n += 5 // more than are made ahead of a burst
		return ways["template"] > 0
	})
	if !strings.Contains(why, "template ready, copied in") {
		t.Errorf("a copy was cold because of %q", why)
	}
	said := ""
	n = 2
	eventually(t, "the reason without a template", func() bool {
		n += 5
		for _, a := range together("thread", n) {
			if c := receipt(a).Cold; c != nil {
				said = c.Why
			}
		}
		return strings.Contains(said, "no template: it has 2 threads")
	})
}

// TestTemplatesRefused: a function that holds what can't be copied runs as ever, and its version says why it has no template, for as
// long as the version is as it is. What a fork keeps as it was is no reason.
func TestTemplatesRefused(t *testing.T) {
	p := start(t, func(c *app.Config) { c.Templates = true })
	p.role()
	slow := "import os, socket, subprocess, threading, time\ntime.sleep(0.1)\ndef handler(e, c): return e\n"
	reasons := map[string]string{"socket": "it has socket:[", "thread": "it has 2 threads", "child": "it has started 1 processes", "file": "it has /tmp/cache open",
		"loop": "it has anon_inode:[eventpoll] open", "left": "it has left cache in /tmp", "hang": "its copy: ", "node": "templates are for functions in Python, and this is nodejs20.x"}
	for name, code := range map[string]string{
		"socket": "s = socket.create_server(('127.0.0.1', 8000))\n",
		"thread": "threading.Thread(target=time.sleep, args=(1000,), daemon=True).start()\n",
		"child":  "p = subprocess.Popen(['/proc/self/exe', '-c', 'import time; time.sleep(1000)'])\n",
		"file":   "f = open('/tmp/cache', 'w')\n",
		"left":   "open('/tmp/cache', 'w').close()\n",
		"loop":   "import asyncio\nloop = asyncio.new_event_loop()\nasyncio.set_event_loop(loop)\nloop.run_until_complete(asyncio.sleep(0))\n",
		"hang":   "import _artesian_twin\n_artesian_twin.divide = lambda *_: time.sleep(1000)\n",
		"lock":   "lock = threading.Lock()\nlock.acquire()\n",
	} {
		p.create(name, map[string]string{"app.py": slow + code}, nil)
	}
	p.create("node", map[string]string{"index.js": "const end = Date.now() + 200; while (Date.now() < end);\nexports.handler = async (e) => e;\n"},
		spec{"Runtime": "nodejs20.x", "Handler": "index.handler"})
	for _, name := range []string{"socket", "thread", "child", "file", "left", "loop", "lock", "hang", "node"} {
		if a := p.invoke(name, "7"); a.body != "7" {
			t.Fatalf("%s answers %+v", name, a)
		}
	}
	for name, why := range reasons {
		eventually(t, "the reason of "+name, func() bool { return strings.Contains(p.standing(name).StateReason, why) })
		if s := p.standing(name); s.State != "Active" || !strings.HasPrefix(s.StateReason, "No template: ") || !strings.HasSuffix(s.StateReason, "by itself.") {
			t.Errorf("%s: %+v", name, s)
		}
		if a := p.invoke(name, "8"); a.body != "8" {
			t.Errorf("%s answers %+v", name, a)
		}
	}
	if s := p.standing("lock"); s.StateReason != "" {
		t.Errorf("a lock: %+v", s)
	}
	p.send("PUT", "lambda", "/2015-03-31/functions/thread/configuration", "application/json", []byte(`{"Description": "new"}`))
	eventually(t, "another revision without a reason", func() bool { return p.standing("thread").StateReason == "" })
}
