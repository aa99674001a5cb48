package app_test

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"artesian/internal/app"
)

// snapshot publishes version 1 of a function that goes on from an image, and skips where that is not possible.
func (p *platform) snapshot(name, code string) {
	p.t.Helper()
	on := spec{"Runtime": "python3.12", "SnapStart": spec{"ApplyOn": "PublishedVersions"}, "Publish": true, "Timeout": 20}
	if resp, body := p.tryCreate(name, zipOf(p.t, map[string]string{"app.py": code}), on); resp.StatusCode != http.StatusCreated {
		if strings.Contains(body, "not possible on this node") {
			p.t.Skip(body)
		}
		p.t.Fatalf("create: %s: %s", resp.Status, body)
	}
}

// blobs are the blobs of a data directory, by name.
func blobs(t *testing.T, data string) (sizes map[string]int64) {
	t.Helper()
	sizes = map[string]int64{}
	err := filepath.WalkDir(filepath.Join(data, "blobs"), func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err == nil {
			sizes[d.Name()] = info.Size()
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return sizes
}

// connected has sockets of all kinds when its image is made.
const connected = `
import socket
listening = socket.create_server(("127.0.0.1", 0))
dialled = socket.create_connection(listening.getsockname())
accepted, _ = listening.accept()
datagrams = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
datagrams.bind(("127.0.0.1", 0))
near, far = socket.socketpair()

def alive(f):
    for s in (listening, dialled, accepted, datagrams, near, far):
        s.settimeout(3)
    try:
        return f()
    except OSError as e:
        return type(e).__name__

def handler(event, context):
    fresh = socket.create_server(("127.0.0.1", 0))
    there = socket.create_connection(fresh.getsockname())
    here, _ = fresh.accept()
    there.send(b"x")
    return {"pair": alive(lambda: (near.send(b"x"), far.recv(1))[1].decode()), "old": alive(lambda: (dialled.send(b"x"), accepted.recv(1))[1].decode()),
            "new": here.recv(1).decode()}
`

// TestSnapStartSockets: a function that has sockets when its image is made goes on, with those of its own kernel; others are broken, which is an error
// and no hang, and new ones work.
func TestSnapStartSockets(t *testing.T) {
	t.Parallel()
	p := start(t)
	p.role()
	p.snapshot("connected", connected)
	s := p.settles("connected", "1")
	if s.State != "Active" {
		t.Fatalf("version 1: %+v", s)
	}
	t.Logf("version 1: %+v", s)
	a := p.invoke("connected:1", `{}`)
	var got struct{ Pair, Old, New string }
	if err := json.Unmarshal([]byte(a.body), &got); err != nil {
		t.Fatalf("%+v", a)
	}
	t.Logf("%+v", got)
	if got.Pair != "x" || got.New != "x" {
		t.Errorf("sockets: %+v", got)
	}
}

// TestSnapStartHookFails: what fails after a restore is Lambda's exception, and the log has why.
func TestSnapStartHookFails(t *testing.T) {
	t.Parallel()
	p := start(t)
	p.role()
	p.snapshot("hook", "import snapshot_restore_py\n@snapshot_restore_py.register_after_restore\ndef f(): raise ValueError('not restored')\ndef handler(e, c): pass\n")
	if s := p.settles("hook", "1"); s.State != "Active" {
		t.Fatalf("version 1: %+v", s)
	}
	if a := p.invoke("hook:1", `{}`); a.status != http.StatusBadRequest || a.err != "SnapStartException" {
		t.Errorf("%+v", a)
	}
	if log := p.logged("hook"); !strings.Contains(log, "not restored") || !strings.Contains(log, "\tStatus: error\tError Type: ValueError") {
		t.Errorf("logged %s", log)
	}
}

// TestSnapStartEnds: an image goes with its version; what is in memory at once, what is on the disk when it is next looked for what nothing refers to.
func TestSnapStartEnds(t *testing.T) {
	t.Parallel()
	p := start(t)
	p.role()
	before := blobs(t, p.app.Data())
	p.snapshot("gone", "kept = bytes(1 << 20)\ndef handler(e, c): return 1\n")
	if s := p.settles("gone", "1"); s.State != "Active" || s.SnapStart.OptimizationStatus != "On" {
		t.Fatalf("version 1: %+v", s)
	}
	if a := p.invoke("gone:1", `{}`); a.body != "1" {
		t.Fatalf("%+v", a)
	}
	most := func(all map[string]int64) (size int64) {
		for name, s := range all {
			if before[name] == 0 {
				size = max(size, s)
			}
		}
		return size
	}
	const imageSize = 1 << 20 // less than any has; the function's code has some hundred bytes
	if size := most(blobs(t, p.app.Data())); size < imageSize {
		t.Fatalf("the largest blob has %d bytes, so no image was stored", size)
	}
	p.call("DELETE", "/2015-03-31/functions/gone?Qualifier=1", "", http.StatusNoContent)
	if a := p.invoke("gone:1", `{}`); a.status != http.StatusNotFound {
		t.Errorf("a call of what is deleted: %+v", a)
	}
	p = restarted(t, p)
	eventually(t, "the image's blob is removed", func() bool { return most(blobs(t, p.app.Data())) < imageSize })
	if a := p.invoke("gone", `{}`); a.body != "1" {
		t.Errorf("$LATEST: %+v", a)
	}
}

// TestSnapStartIdle: where the disk has no room for all images, the version whose image was not used longest is Inactive, and a call has it made
// again; what never fits is started plainly, and its version says why.
func TestSnapStartIdle(t *testing.T) {
	p := start(t, func(c *app.Config) { c.ImagesMB = 45 })
	p.role()
	const large = "import os\nkept = os.urandom(%s << 20)\ndef handler(e, c): return os.environ['AWS_LAMBDA_INITIALIZATION_TYPE']\n"
	for _, name := range []string{"first", "second"} {
		p.snapshot(name, strings.ReplaceAll(large, "%s", "24"))
		if s := p.settles(name, "1"); s.State != "Active" || s.SnapStart.OptimizationStatus != "On" {
			t.Fatalf("%s: %+v", name, s)
		}
	}
	if s := p.stands("first", "1"); s.State != "Inactive" || s.StateReasonCode != "Idle" || s.SnapStart.OptimizationStatus != "Off" {
		t.Errorf("the first: %+v", s)
	}
	var size int64
	for _, n := range blobs(t, p.app.Data()) {
		size += n
	}
	if size > 45<<20 {
		t.Errorf("the images have %d bytes", size)
	}
	if a := p.invoke("second:1", `{}`); a.body != `"snap-start"` {
		t.Errorf("a call of the second: %+v", a)
	}
	p = restarted(t, p, func(c *app.Config) { c.ImagesMB = 45 }) // so that the second has no instances
	if a := p.invoke("first:1", `{}`); a.status != http.StatusConflict || a.err != "SnapStartNotReadyException" {
		t.Errorf("a call of the first: %+v", a)
	}
	eventually(t, "the first is there again", func() bool {
		s := p.stands("first", "1")
		return s.State == "Active" && s.SnapStart.OptimizationStatus == "On"
	})
	if a := p.invoke("first:1", `{}`); a.body != `"snap-start"` {
		t.Errorf("a call of the first: %+v", a)
	}
	if s := p.stands("second", "1"); s.State != "Inactive" {
		t.Errorf("the second: %+v", s)
	}
	p.snapshot("third", strings.ReplaceAll(large, "%s", "64"))
	if s := p.settles("third", "1"); s.State != "Active" || s.SnapStart.OptimizationStatus != "Off" || !strings.Contains(s.StateReason, "images_mb") {
		t.Errorf("the third: %+v", s)
	}
}

// TestKillWhileImageIsMade kills daemons that initialise a version and that save its image: the next one makes it anew.
func TestKillWhileImageIsMade(t *testing.T) {
	t.Parallel()
	data := filepath.Join(t.TempDir(), "data")
	c := launch(t, data)
	c.role()
	c.snapshot("f", "import time, os\ntime.sleep(0.5)\nkept = bytes(32 << 20)\ndef handler(e, c): return os.environ['AWS_LAMBDA_INITIALIZATION_TYPE']\n")
	for _, line := range []string{"INIT_START", "INIT_REPORT"} {
		if line == "INIT_START" {
			if s := c.stands("f", "1"); s.State != "Pending" {
				t.Errorf("a version that is initialised: %+v", s)
			}
			if a := c.invoke("f:1", `{}`); a.status != http.StatusConflict || a.err != "SnapStartNotReadyException" {
				t.Errorf("a call of it: %+v", a)
			}
		}
		eventually(t, "the log has "+line, func() bool { return strings.Contains(c.logged("f"), line) })
		c.kill()
		c = launch(t, data)
	}
	if s := c.settles("f", "1"); s.State != "Active" || s.SnapStart.OptimizationStatus != "On" {
		t.Fatalf("version 1: %+v", s)
	}
	if a := c.invoke("f:1", `{}`); a.body != `"snap-start"` || a.err != "" {
		t.Errorf("%+v", a)
	}
}
