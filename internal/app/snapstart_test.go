package app_test

import (
	"encoding/json"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"artesian/internal/app"
	"artesian/internal/compute/sandbox"
)

// stands is what GetFunctionConfiguration tells of a version.
type stands struct {
	State, StateReason, StateReasonCode string
	SnapStart                           struct{ ApplyOn, OptimizationStatus string }
}

func (p *platform) stands(name, qualifier string) (s stands) {
	p.t.Helper()
	if err := json.Unmarshal([]byte(p.call("GET", "/2015-03-31/functions/"+name+"/configuration?Qualifier="+qualifier, "", http.StatusOK)), &s); err != nil {
		p.t.Fatal(err)
	}
	return s
}

// settles waits until a version is not Pending any more.
func (p *platform) settles(name, qualifier string) (s stands) {
	p.t.Helper()
	eventually(p.t, name+":"+qualifier+" is settled", func() bool { s = p.stands(name, qualifier); return s.State != "Pending" })
	return s
}

// TestSnapStartElsewhere: a version that is published where no image can be made is started without one, and says so.
func TestSnapStartElsewhere(t *testing.T) {
	t.Parallel()
	p := start(t)
	p.role()
	if resp, body := p.tryCreate("f", zipOf(t, map[string]string{"app.py": "def handler(e, c): return 1\n"}), spec{"Runtime": "python3.12", "SnapStart": spec{"ApplyOn": "PublishedVersions"}}); resp.StatusCode != http.StatusCreated {
		if strings.Contains(body, "not possible on this node") {
			t.Skip(body)
		}
		t.Fatalf("create: %s: %s", resp.Status, body)
	}
	p = restarted(t, p, isolation(sandbox.Process))
	p.call("POST", functionsPath+"/f/versions", `{}`, http.StatusCreated)
	if s := p.settles("f", "1"); s.State != "Active" || s.SnapStart.OptimizationStatus != "Off" || !strings.Contains(s.StateReason, "not possible on this node") {
		t.Errorf("version 1: %+v", s)
	}
}

// restarted is a new daemon on the same data.
func restarted(t *testing.T, p *platform, change ...func(*app.Config)) *platform {
	t.Helper()
	data := p.app.Data()
	p.stop()
	return start(t, append(change, func(c *app.Config) { c.Data = data })...)
}

const snapped = `
import os, random, sqlite3, uuid
uuid.uuid1()
drawn = sqlite3.connect(":memory:", check_same_thread=False).execute
drawn("select randomblob(8)").fetchone()
from snapshot_restore_py import register_after_restore, register_before_snapshot
number, seen, first = random.random(), [], os.environ["AWS_SESSION_TOKEN"]
register_before_snapshot(seen.append, "before")
register_after_restore(seen.append, "after")
print("initialised")

def handler(event, context):
    return {"number": number, "fresh": random.random(), "id": str(uuid.uuid4()), "timed": str(uuid.uuid1())[19:], "blob": drawn("select hex(randomblob(8))").fetchone()[0], "seen": seen, "how": os.environ["AWS_LAMBDA_INITIALIZATION_TYPE"],
            "renewed": os.environ["AWS_SESSION_TOKEN"] != first, "version": context.function_version}
`

type snap struct {
	Number, Fresh float64
	ID, How       string
	Blob          string // drawn by SQLite
	Timed         string // node and clock sequence of an id that is made of the time
	Seen          []string
	Renewed       bool
	Version       string
}

// TestSnapStart: a published version is Pending until its image is made; its instances go on from it, also after a restart of the daemon, and
// the image goes with the version.
func TestSnapStart(t *testing.T) {
	t.Parallel()
	p := start(t)
	p.role()
	on := spec{"Runtime": "python3.12", "SnapStart": spec{"ApplyOn": "PublishedVersions"}, "Publish": true, "Timeout": 20}
	if resp, body := p.tryCreate("snap", zipOf(t, map[string]string{"app.py": snapped}), on); resp.StatusCode != http.StatusCreated {
		if strings.Contains(body, "not possible on this node") {
			t.Skip(body)
		}
		t.Fatalf("create: %s: %s", resp.Status, body)
	}
	if s := p.stands("snap", "%24LATEST"); s.SnapStart.ApplyOn != "PublishedVersions" || s.SnapStart.OptimizationStatus != "Off" {
		t.Errorf("$LATEST: %+v", s)
	}
	if s := p.settles("snap", "1"); s.State != "Active" || s.SnapStart.OptimizationStatus != "On" {
		t.Fatalf("version 1: %+v", s)
	}
	var all []snap
	call := func(name string) snap {
		t.Helper()
		var s snap
		a := p.invoke(name, `{}`)
		if err := json.Unmarshal([]byte(a.body), &s); err != nil {
			t.Fatalf("%s: %s", name, a.body)
		}
		if got := restoreLines.MatchString(a.log); got != (name == "snap:1") {
			t.Errorf("%s logged %s", name, a.log)
		}
		return s
	}
	all = append(all, call("snap:1"))
	p = restarted(t, p)
	all = append(all, call("snap:1"))
	if all[0].Number != all[1].Number {
		t.Error("two instances do not come from one initialisation")
	}
	if all[0].Fresh == all[1].Fresh || all[0].ID == all[1].ID || all[0].Timed == all[1].Timed || all[0].Blob == all[1].Blob {
		t.Error("two instances have the same random state")
	}
	for _, s := range all {
		if strings.Join(s.Seen, " ") != "before after" || s.How != "snap-start" || !s.Renewed || s.Version != "1" {
			t.Errorf("an instance says %+v", s)
		}
	}
	if log := p.logged("snap"); strings.Count(log, "INIT_REPORT Init Duration: ") != 1 || strings.Count(log, "RESTORE_START Runtime Version: ") != 2 || strings.Count(log, "RESTORE_REPORT Restore Duration: ") != 2 {
		t.Errorf("logged %s", log)
	}
	p.notProvisioned("snap")
	if s := call("snap"); s.How != "on-demand" || s.Number == all[0].Number || len(s.Seen) != 0 {
		t.Errorf("$LATEST says %+v", s)
	}
}

// restoreLines are the platform's in the log of a call on an instance that was restored for it.
var restoreLines = regexp.MustCompile(`(?s)^RESTORE_REPORT Restore Duration: [0-9.]+ ms\nSTART RequestId.*` +
	`\tRestore Duration: [0-9.]+ ms\tBilled Restore Duration: [0-9]+ ms\t`)

// notProvisioned: instances of what goes on from an image are not kept ready, under its number as little as under an alias.
func (p *platform) notProvisioned(name string) {
	p.t.Helper()
	aliases := "/2015-03-31/functions/" + name + "/aliases"
	p.call("POST", aliases, `{"Name":"live","FunctionVersion":"1"}`, http.StatusCreated)
	for _, qualifier := range []string{"1", "live"} {
		if answer := p.call("PUT", provisionPath(name, qualifier), `{"ProvisionedConcurrentExecutions":1}`, http.StatusBadRequest); !strings.Contains(answer, "SnapStart") {
			p.t.Errorf("%s: %s", qualifier, answer)
		}
	}
	p.call("PUT", "/2015-03-31/functions/"+name+"/configuration", `{"SnapStart":{"ApplyOn":"None"}}`, http.StatusOK)
	p.call("POST", "/2015-03-31/functions/"+name+"/versions", `{}`, http.StatusCreated)
	p.call("POST", aliases, `{"Name":"kept","FunctionVersion":"2"}`, http.StatusCreated)
	p.provision(name, "kept", 1)
	if answer := p.call("PUT", aliases+"/kept", `{"FunctionVersion":"1"}`, http.StatusBadRequest); !strings.Contains(answer, "SnapStart") {
		p.t.Error(answer)
	}
}

// TestSnapStartFails: a version whose initialisation goes wrong is Failed, and says why.
func TestSnapStartFails(t *testing.T) {
	t.Parallel()
	p := start(t)
	p.role()
	on := spec{"Runtime": "python3.12", "SnapStart": spec{"ApplyOn": "PublishedVersions"}, "Publish": true}
	code := "import snapshot_restore_py\n@snapshot_restore_py.register_before_snapshot\ndef f(): raise ValueError('no')\ndef handler(e, c): pass\n"
	if resp, body := p.tryCreate("broken", zipOf(t, map[string]string{"app.py": code}), on); resp.StatusCode != http.StatusCreated {
		t.Skip(body)
	}
	if s := p.settles("broken", "1"); s.State != "Failed" || s.StateReasonCode != "FunctionError" || !strings.Contains(s.StateReason, "ValueError") {
		t.Errorf("version 1: %+v", s)
	}
	for runtime, want := range map[string]string{"python3.11": "is not supported for SnapStart", "dotnet8": "SnapStart.ApplyOn", "provided.al2023": "provided.al2023 is not supported for SnapStart enabled functions"} {
		resp, body := p.tryCreate("old", zipOf(t, map[string]string{"app.py": code}), spec{"Runtime": runtime, "SnapStart": spec{"ApplyOn": "PublishedVersions"}})
		if resp.StatusCode == http.StatusCreated || !strings.Contains(body, want) {
			t.Errorf("%s: %s: %s", runtime, resp.Status, body)
		}
	}
}
