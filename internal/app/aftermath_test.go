package app_test

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"artesian/internal/door/gateway/admin"
	"artesian/internal/faas"
)

// running names processes of a killed daemon: those that were below it, those in its sandboxes' cgroups and those that
// have its functions' environment.
func (w *world) running(before []process, c *child) string {
	now := processes()
	var left []string
	for _, p := range before {
		if now[p.pid].start == p.start {
			left = append(left, fmt.Sprintf("pid %d was below it", p.pid))
		}
	}
	for _, p := range having("environ", "AWS_ENDPOINT_URL="+c.url+"\x00") {
		left = append(left, fmt.Sprintf("pid %d is a function", p.pid))
	}
	if w.tree != "" {
		for _, p := range having("cgroup", w.tree) {
			left = append(left, fmt.Sprintf("pid %d is in a sandbox's control group", p.pid))
		}
	}
	return strings.Join(left, ", ")
}

// clean waits until the machine is rid of what the killed daemon's sandboxes held.
func (w *world) clean(c *child) {
	w.t.Helper()
	within(w.t, 2*time.Second, "loop devices of the killed daemon are attached", func() string {
		files, _ := filepath.Glob("/sys/block/loop*/loop/backing_file")
		var left []string
		for _, f := range files {
			if b, _ := os.ReadFile(f); strings.HasPrefix(string(b), c.data) {
				left = append(left, f+" "+strings.TrimSpace(string(b)))
			}
		}
		return strings.Join(left, ", ")
	})
	mounts := must(os.ReadFile("/proc/self/mountinfo"))(w.t)
	if strings.Contains(string(mounts), c.data) {
		w.t.Errorf("mounts of the killed daemon are left:\n%s", mounts)
	}
	w.groups = groups(w.t, w.tree, true)
}

// verify compares a started daemon with what is known, and settles what was not.
func (w *world) verify(c *child) {
	w.t.Helper()
	left := slices.DeleteFunc(groups(w.t, w.tree, true), func(g string) bool { return !slices.Contains(w.groups, g) }) // others are the new daemon's
	if len(left) > 0 {
		w.t.Errorf("control groups of the killed daemon are left: %v", left)
	}
	w.verifyReceipts(c, w.calls)
	w.calls = nil
	var list struct {
		Functions []struct{ FunctionName string }
	}
	w.read(c, "/2015-03-31/functions?MaxItems=50", &list)
	seen := map[string]bool{}
	for _, f := range list.Functions {
		seen[f.FunctionName] = true
	}
	slots := make(chan struct{}, 4)
	var wg sync.WaitGroup
	for _, name := range slices.Sorted(maps.Keys(w.functions)) {
		f := w.functions[name]
		wg.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			now := w.look(c, name)
			if now.Exists != seen[name] {
				w.t.Errorf("%s: get says it exists: %v; list says %v", name, now.Exists, seen[name])
			}
			allowed := append([]state{f.sure}, f.maybe...)
			if !slices.ContainsFunc(allowed, now.equal) {
				w.t.Errorf("%s is %+v;\nacknowledged, then under way: %+v", name, now, allowed)
			}
			f.sure, f.maybe = now, nil
			w.callAll(c, name, now)
		})
	}
	wg.Wait()
}

// look reads all that can be seen of a function.
func (w *world) look(c *child, name string) state {
	type config struct {
		CodeSha256, Version, State string
		Environment                struct{ Variables map[string]string }
	}
	var f struct {
		Configuration config
		Code          struct{ Location string }
	}
	if !w.read(c, "/2015-03-31/functions/"+name, &f) {
		return state{}
	}
	s := state{Exists: true, Code: f.Configuration.CodeSha256, Setting: f.Configuration.Environment.Variables["SETTING"]}
	if f.Configuration.State != "Active" {
		w.t.Errorf("%s is %s", name, f.Configuration.State)
	}
	var versions struct{ Versions []config }
	w.read(c, "/2015-03-31/functions/"+name+"/versions", &versions)
	for i, v := range versions.Versions {
		if i == 0 && v.Version == faas.Latest {
			continue
		}
		if n := len(s.Versions); n > 0 && atoi(w.t, s.Versions[n-1].Number)+1 != atoi(w.t, v.Version) {
			w.t.Errorf("%s: the version after %s is %s", name, s.Versions[n-1].Number, v.Version)
		}
		s.Versions = append(s.Versions, published{v.Version, v.CodeSha256, v.Environment.Variables["SETTING"]})
	}
	w.download(f.Code.Location, s.Code)
	return s
}

// download fetches a package and compares its hash.
func (w *world) download(location, code string) {
	resp, err := http.Get(location)
	if err != nil {
		w.t.Error(err)
		return
	}
	defer resp.Body.Close()
	h := sha256.New()
	if _, err := io.Copy(h, resp.Body); err != nil || base64.StdEncoding.EncodeToString(h.Sum(nil)) != code {
		w.t.Errorf("%s is not the package %s: %v", location, code, err)
	}
}

// callAll invokes a function and its last version.
func (w *world) callAll(c *child, name string, s state) {
	if !s.Exists {
		return
	}
	w.invoke(c, name, "", w.answer(s.Code, s.Setting))
	if n := len(s.Versions); n > 0 {
		v := s.Versions[n-1]
		w.invoke(c, name, v.Number, w.answer(v.Code, v.Setting))
	}
}

// read gets JSON and reports whether there is any.
func (w *world) read(c *child, path string, into any) bool {
	status, _, b, err := c.try("GET", "lambda", path, nil)
	if err != nil || status != http.StatusOK && status != http.StatusNotFound {
		w.t.Errorf("GET %s: %d %s %v", path, status, b, err)
		return false
	}
	if status == http.StatusOK {
		if err := json.Unmarshal(b, into); err != nil {
			w.t.Errorf("GET %s: %v", path, err)
		}
	}
	return status == http.StatusOK
}

// verifyReceipts looks for the receipts of calls that were answered more than a second before the kill.
func (w *world) verifyReceipts(c *child, calls []acknowledged) {
	w.t.Helper()
	old := 0
	for _, a := range calls {
		if w.killed.IsZero() || w.killed.Sub(a.at) <= time.Second {
			continue
		}
		old++
		status, _, b, err := c.try("GET", admin.Service, admin.ReceiptsPath+url.PathEscape(a.id), nil)
		if err != nil || status != http.StatusOK {
			w.t.Errorf("the receipt of a call answered %v before the kill: %d %s %v", w.killed.Sub(a.at), status, b, err)
		}
	}
	w.receipts += old
	var cost admin.Cost
	if c.get(admin.CostPath, &cost); cost.Total.Calls > int64(w.attempts) || cost.Total.Calls < int64(w.receipts) {
		w.t.Errorf("%d calls are in the bill; %d were made, %d of them long before a kill", cost.Total.Calls, w.attempts, w.receipts)
	}
}

// finish stops the last daemon, which must leave nothing.
func (w *world) finish(c *child) {
	w.t.Helper()
	if w.tree == "" || len(groups(w.t, w.tree, false)) == 0 {
		w.t.Fatalf("the control groups of sandboxes were not found: %q", w.tree)
	}
	c.terminate()
	if code := c.ended(10 * time.Second); code != 0 {
		w.t.Errorf("exit status %d: %s", code, c.said(w.t))
	}
	if left := groups(w.t, w.tree, false); len(left) > 0 {
		w.t.Errorf("a daemon that was stopped left %v", left)
	}
	w.clean(c)
}

var treeName = regexp.MustCompile(`artesian-[0-9a-f]{16}`)

// treeOf returns the name of the control group that is above all sandboxes of a daemon, from the processes below it. It is
// empty when no sandbox runs.
func treeOf(processes []process) string {
	for _, p := range processes {
		b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cgroup", p.pid)) // it may have ended
		if name := treeName.Find(b); name != nil {
			return string(name)
		}
	}
	return ""
}

// groups lists the control groups of that name in all hierarchies, or those below them.
func groups(t *testing.T, name string, inside bool) []string {
	t.Helper()
	var found []string
	err := filepath.WalkDir("/sys/fs/cgroup", func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.IsDir() {
			return nil // what went away meanwhile is gone
		}
		if inside && filepath.Base(filepath.Dir(path)) == name || !inside && d.Name() == name {
			found = append(found, path)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	return found
}
