package app_test

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"artesian/internal/app"
)

// TestSnapStartOfAll: of versions that are published while the image of another is made, each gets its own, also when the daemon is killed
// over it.
func TestSnapStartOfAll(t *testing.T) {
	t.Parallel()
	data := filepath.Join(t.TempDir(), "data")
	c := launch(t, data)
	c.role()
	c.snapshot("f", "import time\ntime.sleep(1)\ndef handler(e, c): return c.function_version\n")
	for _, timeout := range []string{"21", "22"} {
		c.call("PUT", functionsPath+"/f/configuration", `{"Timeout":`+timeout+`}`, http.StatusOK)
		c.call("POST", functionsPath+"/f/versions", `{}`, http.StatusCreated)
	}
	c.kill()
	c = launch(t, data)
	for _, number := range []string{"1", "2", "3"} {
		if s := c.settles("f", number); s.State != "Active" || s.SnapStart.OptimizationStatus != "On" {
			t.Errorf("version %s: %+v", number, s)
		}
		if a := c.invoke("f:"+number, `{}`); a.body != `"`+number+`"` || !restoreLines.MatchString(a.log) {
			t.Errorf("version %s: %+v", number, a)
		}
	}
}

// TestSnapStartOfOthers: an account's image is made while another's initialisation takes its time.
func TestSnapStartOfOthers(t *testing.T) {
	t.Parallel()
	p := start(t)
	slow := p
	slow.role()
	slow.snapshot("slow", "import time\ntime.sleep(60)\ndef handler(e, c): pass\n")
	data := p.data
	p.stop()
	p = start(t, func(c *app.Config) { c.Data, c.Account = data, "111122223333" })
	eventually(t, "the slow one is being initialised", func() bool {
		resp, body := tenant{p, slow.creds, "000000000000", "us-east-1"}.call("GET", "lambda", functionsPath+"/slow/configuration?Qualifier=1", "", "")
		return resp.StatusCode == http.StatusOK && strings.Contains(body, `"Pending"`)
	})
	p.role()
	zip := zipOf(t, map[string]string{"app.py": "def handler(e, c): pass\n"})
	if resp, body := p.tryCreate("quick", zip, spec{"Runtime": "python3.12", "SnapStart": spec{"ApplyOn": "PublishedVersions"}, "Publish": true,
		"Role": "arn:aws:iam::111122223333:role/test"}); resp.StatusCode != http.StatusCreated {
		t.Fatalf("create: %s: %s", resp.Status, body)
	}
	if s := p.settles("quick", "1"); s.State != "Active" || s.SnapStart.OptimizationStatus != "On" {
		t.Errorf("version 1: %+v", s)
	}
}

// TestSnapStartOnOtherGround: an image is not used once what it stands on has changed, as here the program; it is made anew.
func TestSnapStartOnOtherGround(t *testing.T) {
	t.Parallel()
	data, own := filepath.Join(t.TempDir(), "data"), filepath.Join(t.TempDir(), "artesian")
	if err := os.WriteFile(own, must(os.ReadFile(program(t)))(t), 0o755); err != nil {
		t.Fatal(err)
	}
	up := func() *child { return launchBy(t, data, func(c *child) { c.cmd.Path = own }, "--idle", "1s") }
	c := up()
	c.role()
	c.snapshot("f", "import random\nnumber = random.random()\ndef handler(e, c): return number\n")
	if s := c.settles("f", "1"); s.State != "Active" || s.SnapStart.OptimizationStatus != "On" {
		t.Fatalf("version 1: %+v", s)
	}
	first := c.invoke("f:1", `{}`)
	if !restoreLines.MatchString(first.log) {
		t.Fatalf("%+v", first)
	}
	c.kill()
	if err := os.Chtimes(own, time.Time{}, time.Unix(1e9, 0)); err != nil {
		t.Fatal(err)
	}
	c = up()
	if a := c.invoke("f:1", `{}`); restoreLines.MatchString(a.log) || a.body == first.body || a.status != http.StatusOK {
		t.Errorf("from an image that is outdated: %+v", a)
	}
	eventually(t, "an instance goes on from an image that was made anew", func() bool {
		if c.instances("f") > 0 {
			return false
		}
		a := c.invoke("f:1", `{}`)
		return restoreLines.MatchString(a.log) && a.body != first.body
	})
}
