package app_test

import (
	"cmp"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"artesian/internal/door/gateway/admin"
	"artesian/internal/faas"
)

// TestKillDaemon kills a daemon with SIGKILL at any moment while functions are created, changed, published, deleted and
// invoked, again and again on one data directory. What it acknowledged is there afterwards, what it did not is there
// whole or not at all, and nothing of it runs on. ARTESIAN_CRASH_ROUNDS is how often; 3 unless set.
func TestKillDaemon(t *testing.T) {
	t.Parallel()
	rounds := 3
	if s := os.Getenv("ARTESIAN_CRASH_ROUNDS"); s != "" {
		rounds = atoi(t, s)
	}
	data := filepath.Join(t.TempDir(), "data")
	w := &world{t: t, functions: map[string]*tracked{}, tags: map[string]string{}}
	var key []byte
	for round := range rounds + 1 {
		c := launch(t, data)
		if round == 0 {
			c.role()
			key = must(os.ReadFile(filepath.Join(data, admin.CredentialsFile)))(t)
		}
		if again := must(os.ReadFile(filepath.Join(data, admin.CredentialsFile)))(t); string(again) != string(key) {
			t.Errorf("round %d: the credentials changed", round)
		}
		w.verify(c)
		w.tree = cmp.Or(w.tree, treeOf(below(c.pid()))) // verify has called functions, so sandboxes run
		if round == rounds {
			w.finish(c)
			break
		}
		after := time.Duration(50+rand.IntN(850)) * time.Millisecond
		w.work(c, after, round == rounds-1)
		w.clean(c)
		if t.Failed() {
			t.Fatalf("round %d, killed after %v; the daemon said: %s", round, after, c.said(t))
		}
	}
	t.Logf("%d changes acknowledged, %d under way at a kill, %d calls, %d receipts looked for", w.changes, w.open, w.attempts, w.receipts)
	if w.changes == 0 || w.receipts == 0 {
		t.Error("the test has not seen what it is about")
	}
}

func must[T any](v T, err error) func(*testing.T) T {
	return func(t *testing.T) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// state is all that clients see of a function. The zero value is one that does not exist.
type state struct {
	Exists   bool
	Code     string // base64 SHA-256 of the package
	Setting  string // value of the variable SETTING
	Versions []published
}

// published is a version; its Number is empty while it is not known.
type published struct{ Number, Code, Setting string }

func (s state) equal(o state) bool {
	return s.Exists == o.Exists && s.Code == o.Code && s.Setting == o.Setting && slices.EqualFunc(s.Versions, o.Versions, func(a, b published) bool {
		return a.Code == b.Code && a.Setting == b.Setting && (a.Number == b.Number || a.Number == "" || b.Number == "")
	})
}

func (s state) update(code, setting string) state {
	s.Exists, s.Code, s.Setting = true, code, setting
	return s
}

// publish is s with its code under another number, unless nothing has changed since the last.
func (s state) publish() state {
	if n := len(s.Versions); n > 0 && s.Versions[n-1].Code == s.Code && s.Versions[n-1].Setting == s.Setting {
		return s
	}
	s.Versions = append(slices.Clone(s.Versions), published{Code: s.Code, Setting: s.Setting})
	return s
}

// tracked is one function: what was acknowledged, and what else it may be since an answer is missing.
type tracked struct {
	name  string
	sure  state
	maybe []state
}

// acknowledged is an answered invocation.
type acknowledged struct {
	id string
	at time.Time
}

// world is what the clients know.
type world struct {
	t         *testing.T
	functions map[string]*tracked // each is one client's, or the verifier's
	mu        sync.Mutex
	tags      map[string]string // what the code of a package answers, by its hash
	calls     []acknowledged
	attempts  int
	receipts  int // that were looked for
	changes   int // that were acknowledged
	open      int // that were under way at a kill
	killed    time.Time
	tree      string   // name of the control group above all sandboxes; empty until one ran
	groups    []string // below it, when a daemon had been killed
}

// pack makes a package whose code answers a new tag.
func (w *world) pack() (zip []byte, hash string) {
	tag := strconv.FormatUint(rand.Uint64(), 36)
	pad := make([]byte, 32<<10)
	for i := range pad {
		pad[i] = byte(rand.Uint32())
	}
	zip = zipOf(w.t, map[string]string{"app.py": "import os\ndef handler(e, c):\n  return ['" + tag + "', os.environ.get('SETTING', '')]\n", "pad": string(pad)})
	sum := sha256.Sum256(zip)
	hash = base64.StdEncoding.EncodeToString(sum[:])
	w.mu.Lock()
	defer w.mu.Unlock()
	w.tags[hash] = tag
	return zip, hash
}

// answer is what a function with that code and setting says.
func (w *world) answer(code, setting string) string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return fmt.Sprintf(`["%s", "%s"]`, w.tags[code], setting)
}

// work has clients change and call functions until the daemon is killed; not before some receipts are older than a second,
// if those are wanted.
func (w *world) work(c *child, after time.Duration, receipts bool) {
	const clients, each = 4, 3
	var wg sync.WaitGroup
	for i := range clients {
		var own []*tracked
		for j := range each {
			name := fmt.Sprintf("client%d-%d", i, j)
			if w.functions[name] == nil {
				w.functions[name] = &tracked{name: name}
			}
			own = append(own, w.functions[name])
		}
		wg.Go(func() {
			for w.step(c, own[rand.IntN(len(own))]) {
			}
		})
	}
	time.Sleep(after) // the moment of the kill
	if receipts {
		eventually(w.t, "a call was answered more than a second ago", func() bool {
			w.mu.Lock()
			defer w.mu.Unlock()
			return len(w.calls) > 0 && time.Since(w.calls[0].at) > 1200*time.Millisecond
		})
	}
	before := below(c.pid())
	w.killed = time.Now()
	c.kill()
	within(w.t, 2*time.Second, "processes of the killed daemon run", func() string { return w.running(before, c) })
	wg.Wait()
	for _, f := range w.functions {
		w.open += min(1, len(f.maybe))
	}
}

// step does one thing to a function, and reports whether the daemon lives.
func (w *world) step(c *child, f *tracked) bool {
	switch n := rand.IntN(10); {
	case !f.sure.Exists:
		return w.create(c, f)
	case n < 2:
		return w.updateCode(c, f)
	case n < 4:
		setting := strconv.FormatUint(rand.Uint64(), 36)
		return w.change(c, f, []state{f.sure.update(f.sure.Code, setting)}, "PUT", "/configuration",
			spec{"Environment": spec{"Variables": spec{"SETTING": setting}}})
	case n < 5:
		return w.change(c, f, []state{f.sure.publish()}, "POST", "/versions", spec{})
	case n == 5 && rand.IntN(3) == 0:
		return w.change(c, f, []state{{}}, "DELETE", "", nil)
	}
	return w.invoke(c, f.name, "", w.answer(f.sure.Code, f.sure.Setting))
}

func (w *world) create(c *child, f *tracked) bool {
	zip, hash := w.pack()
	body := spec{"FunctionName": f.name, "Runtime": "python3.11", "Handler": "app.handler", "Role": rolePath, "Publish": rand.IntN(2) == 0,
		"Code": spec{"ZipFile": base64.StdEncoding.EncodeToString(zip)}, "Environment": spec{"Variables": spec{"SETTING": "first"}}}
	ways := []state{state{}.update(hash, "first")}
	if body["Publish"] == true {
		ways = append(ways, ways[0].publish())
	}
	return w.change(c, f, ways, "POST", "", body)
}

func (w *world) updateCode(c *child, f *tracked) bool {
	zip, hash := w.pack()
	body := spec{"ZipFile": base64.StdEncoding.EncodeToString(zip), "Publish": rand.IntN(2) == 0}
	ways := []state{f.sure.update(hash, f.sure.Setting)}
	if body["Publish"] == true {
		ways = append(ways, ways[0].publish())
	}
	return w.change(c, f, ways, "PUT", "/code", body)
}

// change makes a request that takes a function through the states given, one after the other.
func (w *world) change(c *child, f *tracked, through []state, method, path string, body any) bool {
	f.maybe = through
	full := "/2015-03-31/functions/" + f.name + path
	if method == "POST" && path == "" {
		full = "/2015-03-31/functions"
	}
	status, _, answer, err := c.try(method, "lambda", full, body)
	if err != nil {
		return false
	}
	if status/100 != 2 {
		w.t.Errorf("%s %s: %d %s", method, full, status, answer)
		return false
	}
	f.sure, f.maybe = through[len(through)-1], nil
	var told struct{ Version string }
	if n := len(f.sure.Versions); n > 0 && json.Unmarshal(answer, &told) == nil && told.Version != faas.Latest {
		if have := f.sure.Versions[n-1].Number; have != "" && have != told.Version {
			w.t.Errorf("%s: the version %s was published again as %s", f.name, have, told.Version)
		}
		f.sure.Versions[n-1].Number = told.Version
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.changes++
	return true
}

// invoke calls a function, which must answer want.
func (w *world) invoke(c *child, name, qualifier, want string) bool {
	path := "/2015-03-31/functions/" + name + "/invocations"
	if qualifier != "" {
		path += "?Qualifier=" + qualifier
	}
	w.mu.Lock()
	w.attempts++
	w.mu.Unlock()
	status, id, answer, err := c.try("POST", "lambda", path, []byte("{}"))
	if err != nil {
		return false
	}
	if status != http.StatusOK || string(answer) != want {
		w.t.Errorf("%s:%s answers %d %s, want %s", name, qualifier, status, answer, want)
		return false
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.calls = append(w.calls, acknowledged{id, time.Now()})
	return true
}
