package app_test

import (
	"encoding/json"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"artesian/internal/app"
	"artesian/internal/compute/lang/fetch"
	"artesian/internal/compute/lang/fetch/fetchtest"
	"artesian/internal/door/gateway/admin"
)

func registries(r fetch.Registries) func(*app.Config) {
	return func(c *app.Config) { c.Registries = r }
}

// standing is where a function stands, as the API tells it.
type standing struct{ State, StateReason, StateReasonCode, LastUpdateStatus, LastUpdateStatusReason string }

func (p *platform) standing(name string) (s standing) {
	p.t.Helper()
	_, body := p.read(p.send("GET", "lambda", "/2015-03-31/functions/"+name+"/configuration", "", nil))
	decode(p.t, body, &s)
	return s
}

func decode(t *testing.T, doc string, into any) {
	t.Helper()
	if err := json.Unmarshal([]byte(doc), into); err != nil {
		t.Fatalf("%v: %s", err, doc)
	}
}

// closed is an address where nobody listens.
func closed(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

const importing = `
try:
    import boto3
    found = boto3.__file__ + " " + boto3.__version__
except ImportError as e:
    found = str(e)
def handler(e, c):
    return found
`

// TestWithoutNetwork is what a first user without network sees: a moment of Pending, then a function that runs and says
// what it lacks.
func TestWithoutNetwork(t *testing.T) {
	p := start(t, registries(fetch.Registries{PyPI: "http://" + closed(t) + "/simple"}))
	p.role()
	begun := time.Now()
	resp, body := p.tryCreate("f", zipOf(t, map[string]string{"app.py": importing}), nil)
	if resp.StatusCode != http.StatusCreated {
		t.Fatal(body)
	}
	mustContain(t, "create", body, `"State":"Pending"`, "Runtime pack boto3", "is being installed", `"StateReasonCode":"Creating"`)
	eventually(t, "active", func() bool { return p.standing("f").State == "Active" })
	if took := time.Since(begun); took > 5*time.Second {
		t.Errorf("it took %v", took)
	}
	s := p.standing("f")
	mustContain(t, "the reason", s.StateReason, "Runtime pack not installed", "connection refused", "runs without AWS SDK for Python")
	if a := p.invoke("f", "{}"); a.body != `"No module named 'boto3'"` {
		t.Errorf("%+v", a)
	}
	p.update("f", map[string]string{"app.py": importing, "boto3.py": "__version__ = 'own'"})
	if s := p.standing("f"); s.State == "Active" && s.StateReason == "" {
		t.Errorf("after an update: %+v", s)
	}
	eventually(t, "updated", func() bool { s := p.standing("f"); return s.State == "Active" && s.LastUpdateStatus == "Successful" })
	if a := p.invoke("f", "{}"); a.body != `"/var/task/boto3.py own"` {
		t.Errorf("%+v", a)
	}
}

// TestPackThatDiffers: a registry that has something else is found out, and said.
func TestPackThatDiffers(t *testing.T) {
	wrong := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, "/simple/") {
			for _, v := range wheels(t) {
				_, _ = w.Write([]byte(`<a href="/x/` + v + `">` + v + `</a>`))
			}
			return
		}
		_, _ = w.Write([]byte("something else"))
	}))
	defer wrong.Close()
	p := start(t, registries(fetch.Registries{PyPI: wrong.URL + "/simple"}))
	p.role()
	p.create("f", map[string]string{"app.py": importing}, nil)
	eventually(t, "active", func() bool { return p.standing("f").State == "Active" })
	mustContain(t, "the reason", p.standing("f").StateReason, "is not the file that it should be", "sha256:", "not installed")
	if found, _ := filepath.Glob(filepath.Join(p.data, "runtimes", "packs", "*")); len(found) > 0 {
		t.Error("left are", found)
	}
	resp, body := p.read(p.send("POST", admin.Service, admin.RuntimesPath, "application/json", []byte(`{"path":"boto3"}`)))
	if resp.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("runtime add: %s %s", resp.Status, body)
	}
	for _, name := range []string{"nothing", ""} {
		if resp, body := p.read(p.send("DELETE", admin.Service, admin.RuntimesPath+"?path="+name, "", nil)); resp.StatusCode != http.StatusNotFound {
			t.Errorf("runtime remove %q: %s %s", name, resp.Status, body)
		}
	}
}

// wheels are the names of the files of the pack of boto3.
func wheels(t *testing.T) (names []string) {
	b, err := os.ReadFile("../compute/lang/pack/manifests/boto3.json")
	if err != nil {
		t.Error(err)
	}
	var m struct{ Files []struct{ File string } }
	decode(t, string(b), &m)
	for _, f := range m.Files {
		names = append(names, f.File)
	}
	return names
}

// TestPackSurvivesAKill: the daemon is killed while it installs; the next one goes on, and functions have boto3 and reach
// the platform by it.
func TestPackSurvivesAKill(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("downloads 18 MB")
	}
	real := fetchtest.Registries(t)
	hang := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }))
	defer hang.Close()
	data := filepath.Join(t.TempDir(), "data")
	write := func(pypi string) {
		if err := os.MkdirAll(data, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(data, "config.json"), []byte(`{"registries": {"pypi": "`+pypi+`", "npm": "", "maven": ""}}`), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(hang.URL)
	c := launch(t, data)
	c.role()
	c.create("f", map[string]string{"app.py": importing}, spec{"Publish": true})
	if s := c.standing("f"); s.State != "Pending" {
		t.Fatalf("%+v", s)
	}
	if a := c.invoke("f", "{}"); a.err != "ResourceConflictException" {
		t.Errorf("a call meanwhile: %+v", a)
	}
	if err := c.cmd.Process.Signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	<-c.done
	write(real.PyPI)
	c = launch(t, data)
	installed := func(done func(standing) bool) {
		t.Helper()
		for end := time.Now().Add(2 * time.Minute); !done(c.standing("f")); {
			if time.Now().After(end) {
				t.Fatalf("%+v", c.standing("f"))
			}
			time.Sleep(50 * time.Millisecond) // the condition is polled
		}
	}
	installed(func(s standing) bool { return s.State == "Active" })
	if s := c.standing("f"); strings.Contains(s.StateReason, "reach ") {
		t.Skip(s.StateReason)
	} else if s.StateReason != "" || c.standing("f:1").State != "Active" {
		t.Errorf("%+v", s)
	}
	mustContain(t, "boto3", c.invoke("f", "{}").body, "/var/lang/packages/boto3/__init__.py 1.")
	c.create("own", map[string]string{"app.py": importing, "boto3.py": "__version__ = 'own'"}, nil)
	if a := c.invoke("own", "{}"); a.body != `"/var/task/boto3.py own"` {
		t.Errorf("%+v", a)
	}
	var list admin.Runtimes
	c.get(admin.RuntimesPath, &list)
	for _, p := range list.Packs {
		if (p.Name == "boto3") != (p.State == "installed") {
			t.Errorf("%+v", p)
		}
	}
	if resp, body := c.read(c.send("DELETE", admin.Service, admin.RuntimesPath+"?path=boto3", "", nil)); resp.StatusCode != http.StatusNoContent {
		t.Errorf("remove: %s %s", resp.Status, body)
	}
	c.update("f", map[string]string{"app.py": importing + "\n"})
	mustContain(t, "without it", c.invoke("f", "{}").body, "boto3") // as a rule: it is being installed
	installed(func(s standing) bool { return s.LastUpdateStatus == "Successful" })
	eventually(t, "in its place", func() bool { return strings.Contains(c.invoke("f", "{}").body, "/var/lang/packages/boto3/") })
}
