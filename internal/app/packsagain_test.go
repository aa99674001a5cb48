package app_test

import (
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"artesian/internal/app"
	"artesian/internal/compute/lang/fetch"
	"artesian/internal/compute/lang/fetch/fetchtest"
)

// again stops a daemon and starts another on its data.
func (p *platform) again(r fetch.Registries) *platform {
	p.stop()
	return start(p.t, registries(r), func(c *app.Config) { c.Data = p.data })
}

// TestVersionsAreTriedAgain: published versions that came out without their pack are settled anew at the next start.
func TestVersionsAreTriedAgain(t *testing.T) {
	p := start(t, registries(fetch.Registries{PyPI: "http://" + closed(t) + "/simple"}))
	p.role()
	p.create("f", map[string]string{"app.py": importing}, spec{"Publish": true})
	eventually(t, "active", func() bool { return p.standing("f").State == "Active" })
	if s := p.standing("f:1"); s.State != "Active" || !strings.HasPrefix(s.StateReason, "Runtime pack not installed") {
		t.Fatalf("%+v", s)
	}
	p = p.again(fetch.Registries{}) // functions run without packs whose registry is switched off
	eventually(t, "settled", func() bool { return p.standing("f").StateReason == "" && p.standing("f:1").StateReason == "" })
}

// TestPackComesBack: functions that are there have a missing pack installed at the start, and run with an older one until it is.
func TestPackComesBack(t *testing.T) {
	p := start(t, registries(fetch.Registries{}))
	p.role()
	p.create("f", map[string]string{"app.py": importing}, nil)
	if s := p.standing("f"); s.State != "Active" {
		t.Fatalf("%+v", s)
	}
	older := filepath.Join(p.data, "runtimes", "packs", "boto3-0123456789abcdef", "boto3")
	if err := os.MkdirAll(older, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(older, "__init__.py"), []byte("__version__ = 'older'"), 0o644); err != nil {
		t.Fatal(err)
	}
	asked := make(chan string, 100)
	registry := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		select {
		case asked <- r.URL.Path:
		default:
		}
		http.NotFound(w, r)
	}))
	defer registry.Close()
	p = p.again(fetch.Registries{PyPI: registry.URL + "/simple"})
	eventually(t, "asked for it", func() bool { return len(asked) > 0 })
	if path := <-asked; !strings.HasPrefix(path, "/simple/") {
		t.Error(path)
	}
	if a := p.invoke("f", "{}"); !strings.HasSuffix(a.body, `/boto3/__init__.py older"`) {
		t.Errorf("%+v", a)
	}
	p.create("g", map[string]string{"app.py": importing}, nil)
	eventually(t, "active", func() bool { return p.standing("g").State == "Active" })
	mustContain(t, "the reason", p.standing("g").StateReason, "Runtime pack not installed", "404", "runs with an older one")
	if a := p.invoke("g", "{}"); !strings.HasSuffix(a.body, `/boto3/__init__.py older"`) {
		t.Errorf("%+v", a)
	}
}

// TestUpdateDoesNotInterrupt: a function that runs without its pack goes on while an update waits for the pack.
func TestUpdateDoesNotInterrupt(t *testing.T) {
	p := start(t, registries(fetch.Registries{}))
	p.role()
	p.create("f", map[string]string{"app.py": importing}, nil)
	free := make(chan struct{})
	release := sync.OnceFunc(func() { close(free) })
	registry := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		<-free
		http.NotFound(w, r)
	}))
	defer registry.Close()
	defer release()
	p = p.again(fetch.Registries{PyPI: registry.URL + "/simple"})
	p.update("f", map[string]string{"app.py": "def handler(e, c): return 'new'\n"})
	if s := p.standing("f"); s.State != "Active" || s.LastUpdateStatus != "InProgress" || !strings.Contains(s.LastUpdateStatusReason, "is being installed") {
		t.Errorf("%+v", s)
	}
	if a := p.invoke("f", "{}"); a.body != `"new"` {
		t.Errorf("%+v", a)
	}
	release()
	eventually(t, "updated", func() bool { return p.standing("f").LastUpdateStatus == "Successful" })
	mustContain(t, "the reason", p.standing("f").StateReason, "Runtime pack not installed")
}

// TestWhatCannotBeHadIsWaitedForOnce: while a registry answers nothing, the first function waits for its pack and the next ones
// don't; once it is back they have it, without being touched.
func TestWhatCannotBeHadIsWaitedForOnce(t *testing.T) {
	if testing.Short() {
		t.Skip("downloads 18 MB")
	}
	at, err := url.Parse(fetchtest.Registries(t).PyPI)
	if err != nil {
		t.Fatal(err)
	}
	var mode atomic.Value
	mode.Store("refuse")
	onward := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(at)
		if pw, ok := at.User.Password(); ok {
			r.Out.SetBasicAuth(at.User.Username(), pw)
		}
	}}
	registry := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch mode.Load() {
		case "refuse":
			http.Error(w, "no", http.StatusForbidden)
		case "hang":
			<-r.Context().Done()
		default:
			onward.ServeHTTP(w, r)
		}
	}))
	defer registry.Close()
	p := start(t, registries(fetch.Registries{PyPI: registry.URL}))
	p.role()
	p.create("f", map[string]string{"app.py": importing}, spec{"Publish": true})
	eventually(t, "active", func() bool { return p.standing("f").State == "Active" })
	mode.Store("hang")
	p.update("f", map[string]string{"app.py": importing + "\n"})
	p.create("g", map[string]string{"app.py": importing}, nil)
	for _, name := range []string{"f", "g"} {
		s := p.standing(name)
		if s.State != "Active" || s.LastUpdateStatus != "Successful" {
			t.Errorf("%s waits: %+v", name, s)
		}
		mustContain(t, "the reason", s.StateReason, "Runtime pack not installed", registry.Listener.Addr().String(), "403", "tried again")
	}
	mode.Store("serve")
	registry.CloseClientConnections()
	installed := func() bool {
		return p.standing("f").StateReason == "" && p.standing("f:1").StateReason == "" && p.standing("g").StateReason == ""
	}
	for end := time.Now().Add(2 * time.Minute); !installed(); time.Sleep(50 * time.Millisecond) { // the condition is polled
		if time.Now().After(end) {
			t.Fatalf("%+v", p.standing("f"))
		}
	}
	eventually(t, "in use", func() bool { return strings.Contains(p.invoke("f", "{}").body, "/var/lang/packages/boto3/") })
}
