package app_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"artesian/internal/door/gateway/admin"
	"artesian/internal/faas"
)

// hostile is one function that misbehaves when told to.
type hostile struct {
	do      string
	event   spec // beside "do"
	more    spec // of the function's configuration
	outcome faas.Outcome
	says    string        // part of the answer
	within  time.Duration // until the answer
	check   func(*testing.T, *child, answer, served)
	good    string // what it does for a good event, when not nothing special
}

// python and custom are by the languages in which they are written.
var python = []hostile{
	{do: "fork_bomb", more: spec{"Timeout": 3}, within: 10 * time.Second, check: bombed},
	{do: "fill_tmp", more: spec{"Timeout": 120, "MemorySize": 128}, outcome: faas.OutcomeOK, within: time.Minute, good: "empty_tmp", check: filled},
	{do: "flood", event: spec{"seconds": 2}, more: spec{"Timeout": 30, "MemorySize": 1769}, outcome: faas.OutcomeOK, within: 15 * time.Second, check: flooded},
	{do: "endless_line", event: spec{"mb": 16}, more: spec{"Timeout": 60, "MemorySize": 1769}, outcome: faas.OutcomeOK, says: "fine", check: bounded},
	{do: "huge_record", more: spec{"Timeout": 5}, outcome: faas.OutcomeOK, says: "fine", check: bounded},
	{do: "open_files", more: spec{"Timeout": 10, "MemorySize": 512}, outcome: faas.OutcomeOK, says: `"error": "EMFILE"`},
	{do: "connect_all", event: spec{"processes": 10}, more: spec{"Timeout": 3, "MemorySize": 2048}, outcome: faas.OutcomeTimeout, says: "timed out", check: bounded},
	{do: "spin", more: spec{"Timeout": 2, "MemorySize": 3538}, outcome: faas.OutcomeTimeout, says: "timed out", within: 5 * time.Second},
	{do: "child_memory", more: spec{"Timeout": 20}, outcome: faas.OutcomeMemory, says: "signal: killed"},
	{do: "stubborn", more: spec{"Timeout": 1}, outcome: faas.OutcomeTimeout, says: "timed out after 1.00 seconds", within: 3 * time.Second},
	{do: "daemonise", more: spec{"Timeout": 1}, outcome: faas.OutcomeTimeout, says: "timed out after 1.00 seconds", within: 3 * time.Second},
	{do: "kill_all", more: spec{"Timeout": 5}, outcome: faas.OutcomeOK, says: "fine"},
	{do: "crash", more: spec{"Timeout": 5}, outcome: faas.OutcomeExit, says: "signal: segmentation fault"},
	{do: "close_channel", more: spec{"Timeout": 20}, outcome: faas.OutcomeExit, says: "closed the runtime's channel", within: 5 * time.Second},
	{do: "garbage", more: spec{"Timeout": 20}, outcome: faas.OutcomeExit, says: "instead of an answer", within: 5 * time.Second},
	{do: "half_answer", more: spec{"Timeout": 1}, outcome: faas.OutcomeTimeout, says: `{"errorType":"Sandbox.Timedout"`, within: 3 * time.Second},
	{do: "huge_answer", more: spec{"Timeout": 20}, outcome: faas.OutcomeExit, says: "2147483648 bytes instead of an answer", within: 5 * time.Second, check: bounded},
	{do: "answer_twice", more: spec{"Timeout": 5}, outcome: faas.OutcomeOK, says: "first", check: answeredTwice},
}

var custom = []hostile{
	{do: "api_twice", outcome: faas.OutcomeOK, says: `"first"`},
	{do: "api_huge", outcome: faas.OutcomeError, says: "Function.ResponseSizeTooLarge", check: bounded},
	{do: "api_other", outcome: faas.OutcomeOK, says: `"400 404"`},
	{do: "api_garbage", outcome: faas.OutcomeOK, says: `"HTTP/1.1 400"`},
	{do: "api_headers", outcome: faas.OutcomeOK, says: `"HTTP/1.1 431"`, check: bounded},
	{do: "api_connections", more: spec{"MemorySize": 1024}, outcome: faas.OutcomeOK, says: "fine", check: bounded},
	{do: "api_exit", outcome: faas.OutcomeExit, says: "exit status 3"},
}

// TestHostile has functions do their worst, one after the other, in one daemon. What each did is in its answer and its
// receipt; a neighbour that is called all the while is served; and the function serves a good event afterwards.
func TestHostile(t *testing.T) {
	t.Parallel()
	data := filepath.Join(t.TempDir(), "data")
	// What is kept ready would be counted with what a function can make the daemon hold.
	settings := `{"ahead_mb": 0, "registries": {"pypi": "", "npm": "", "maven": ""}}`
	if err := errors.Join(os.MkdirAll(data, 0o700), os.WriteFile(filepath.Join(data, "config.json"), []byte(settings), 0o600)); err != nil {
		t.Fatal(err)
	}
	c := launch(t, data, "--idle", "1s")
	c.role()
	c.create("neighbour", map[string]string{"app.py": "def handler(e, c):\n  return e['n'] * 2\n"}, spec{"MemorySize": 256})
	if _, err := c.neighbourly(0); err != nil {
		t.Fatal(err)
	}
	before := c.resources()
	code := map[string]string{"app.py": string(must(os.ReadFile("testdata/hostile/app.py"))(t))}
	for _, h := range python {
		t.Run(h.do, func(t *testing.T) { h.run(t, c, code) })
	}
	code = map[string]string{"bootstrap": compiled(t, "./testdata/misuse")}
	for _, h := range custom {
		more := spec{"Runtime": "provided.al2023", "Timeout": 10}
		maps.Copy(more, h.more)
		h.more = more
		t.Run(h.do, func(t *testing.T) { h.run(t, c, code) })
	}
	eventually(t, "zero instances", func() bool { var ps admin.PS; c.get(admin.PSPath, &ps); return len(ps.Instances) == 0 })
	http.DefaultClient.CloseIdleConnections()
	after := c.resources()
	if after.memoryMB > before.memoryMB+300 || after.descriptors > before.descriptors+10 {
		t.Errorf("the daemon grew from %+v to %+v", before, after)
	}
	if said := c.said(t); strings.Contains(said, "panic") || strings.Contains(said, "level=ERROR") {
		t.Errorf("the daemon said: %s", said)
	}
}

// compiled returns a static program.
func compiled(t *testing.T, dir string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "program")
	cmd := exec.Command("go", "build", "-ldflags=-s -w", "-o", file, dir)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return string(must(os.ReadFile(file))(t))
}

func (h *hostile) run(t *testing.T, c *child, code map[string]string) {
	mark := h.do + strconv.Itoa(c.pid())
	config := spec{"Environment": spec{"Variables": spec{"MARK": mark}}}
	maps.Copy(config, h.more)
	c.create(h.do, code, config)
	event := spec{"do": h.do}
	maps.Copy(event, h.event)
	stop := c.callNeighbour(t)
	begin := time.Now()
	a := c.invoke(h.do, string(must(json.Marshal(event))(t)))
	took := time.Since(begin)
	n := stop()
	t.Logf("took %v: %.300s; the neighbour and the daemon: %+v", took, a.body, n)
	if h.within > 0 && took > h.within {
		t.Errorf("took %v, want at most %v", took, h.within)
	}
	if failed := h.outcome != faas.OutcomeOK; a.status != http.StatusOK || (a.err != "") != failed || !strings.Contains(a.body, h.says) {
		t.Errorf("answered %+v", a)
	}
	if r := c.receipt(t, a.id); h.outcome != "" && r.Outcome != h.outcome {
		t.Errorf("outcome %s, want %s", r.Outcome, h.outcome)
	}
	if a.err != "" && h.outcome != faas.OutcomeError {
		within(t, 5*time.Second, "processes of the ended call run", func() string {
			if left := having("environ", "MARK="+mark+"\x00"); len(left) > 0 {
				return fmt.Sprint(left)
			}
			return ""
		})
	}
	if h.check != nil {
		h.check(t, c, a, n)
	}
	if a := c.invoke(h.do, string(must(json.Marshal(spec{"do": h.good}))(t))); a.body != `"fine"` {
		t.Errorf("a good event afterwards: %+v", a)
	}
}

// receipt returns how a call was metered.
func (c *child) receipt(t *testing.T, id string) admin.Receipt {
	t.Helper()
	var r admin.Receipt
	eventually(t, "a receipt", func() bool { return c.get(admin.ReceiptsPath+id, &r) == http.StatusOK })
	return r
}

// neighbourly calls the neighbour once.
func (c *child) neighbourly(n int) (time.Duration, error) {
	begin := time.Now()
	status, _, b, err := c.try("POST", "lambda", "/2015-03-31/functions/neighbour/invocations", []byte(fmt.Sprintf(`{"n":%d}`, n)))
	if err == nil && (status != http.StatusOK || string(b) != strconv.Itoa(2*n)) {
		err = fmt.Errorf("answer %d %s", status, b)
	}
	return time.Since(begin), err
}

// served is how a neighbour fared.
type served struct {
	calls         int
	median, worst time.Duration
	most          resources // that the daemon held meanwhile
}

// callNeighbour calls the neighbour again and again until stop, which reports. It must have been served well.
func (c *child) callNeighbour(t *testing.T) (stop func() served) {
	end, done := make(chan struct{}), make(chan []time.Duration)
	var most resources
	go func() {
		var all []time.Duration
		for n := 1; ; n++ {
			took, err := c.neighbourly(n)
			if err != nil {
				t.Errorf("the neighbour: %v", err)
			}
			all = append(all, took)
			now := c.resources()
			most = resources{max(most.memoryMB, now.memoryMB), max(most.descriptors, now.descriptors)}
			select {
			case <-end:
				done <- all
				return
			case <-time.After(5 * time.Millisecond):
			}
		}
	}()
	return func() served {
		close(end)
		all := <-done
		slices.Sort(all)
		s := served{len(all), all[len(all)/2], all[len(all)-1], most}
		if s.calls >= 5 && s.median > 250*time.Millisecond || s.worst > 3*time.Second { // of fewer the median says nothing
			t.Errorf("the neighbour was served badly: %v", s)
		}
		return s
	}
}

// resources are what a daemon's process holds.
type resources struct{ memoryMB, descriptors int }

func (c *child) resources() resources {
	c.t.Helper()
	var r resources
	status := must(os.ReadFile(fmt.Sprintf("/proc/%d/status", c.pid())))(c.t)
	for line := range strings.Lines(string(status)) {
		if _, err := fmt.Sscanf(line, "VmRSS: %d kB", &r.memoryMB); err == nil {
			break
		}
	}
	r.memoryMB >>= 10
	r.descriptors = len(must(os.ReadDir(fmt.Sprintf("/proc/%d/fd", c.pid())))(c.t))
	return r
}

func bombed(t *testing.T, c *child, a answer, _ served) {
	if r := c.receipt(t, a.id); r.Outcome != faas.OutcomeTimeout && r.Outcome != faas.OutcomeMemory { // whichever comes first
		t.Errorf("outcome %s", r.Outcome)
	}
}

func filled(t *testing.T, _ *child, a answer, _ served) {
	if mb, _ := jsonField(t, a.body, "mb").(float64); mb < 500 || mb > 560 || jsonField(t, a.body, "error") != "ENOSPC" {
		t.Errorf("a function with 512 MB of /tmp wrote %s", a.body)
	}
}

func flooded(t *testing.T, c *child, a answer, n served) {
	free, _ := jsonField(t, a.body, "free").(float64)
	log, _ := jsonField(t, a.body, "log").(float64)
	if free < 100_000 || log <= 0 || log > free/10 {
		t.Errorf("it could print %v lines/s and did print %v", free, log)
	}
	bounded(t, c, a, n)
}

// bounded expects that the daemon did not take much to serve a call.
func bounded(t *testing.T, _ *child, _ answer, n served) {
	if n.most.memoryMB > 400 || n.most.descriptors > 400 {
		t.Errorf("the daemon had %+v", n.most)
	}
}

// answeredTwice expects that the answer in excess is not taken for the next call's.
func answeredTwice(t *testing.T, c *child, _ answer, _ served) {
	if a := c.invoke("answer_twice", `{}`); a.err != "Unhandled" || !strings.Contains(a.body, "an answer to call 1 during call 2") {
		t.Errorf("the call after: %+v", a)
	}
}
