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
	n := 3 // with each look one more at once, so that some start
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
		n++
		return ways["template"] > 0
	})
	if !strings.Contains(why, "template ready, copied in") {
		t.Errorf("a copy was cold because of %q", why)
	}
	said := ""
	n = 2
	eventually(t, "the reason without a template", func() bool {
		n++
		for _, a := range together("thread", n) {
			if c := receipt(a).Cold; c != nil {
				said = c.Why
			}
		}
		return strings.Contains(said, "no template: it has 2 threads")
	})
}
