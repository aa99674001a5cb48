package gvisor

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"artesian/internal/compute/lang"
	"artesian/internal/compute/lang/framed"
	"artesian/internal/compute/lang/host"
	"artesian/internal/compute/sandbox"
	"artesian/internal/faas"
)

const initialised = `
import os, random, tempfile, threading, time, uuid
from snapshot_restore_py import register_after_restore

began = time.time()
held = threading.Lock()
held.acquire()
threading.Thread(target=lambda: [time.sleep(1) for _ in iter(int, 1)], daemon=True).start()
kept = open("/tmp/kept", "w+")
kept.write("written before")
kept.flush()
restored = []
register_after_restore(lambda: restored.append(os.environ["AWS_SESSION_TOKEN"]))

def handler(event, context):
    kept.seek(0)
    return " ".join([str(random.random()), tempfile.mktemp(), str(uuid.uuid4()), kept.read(), restored[0],
        "%d threads" % threading.active_count(), "sane" if began - 1 < time.time() < began + 600 else "insane"])
`

// TestPythonFromSnapshot: an initialised function goes on in two sandboxes, with a thread, a lock and a file that it had, with fresh
// random state, and its hooks run.
func TestPythonFromSnapshot(t *testing.T) {
	m := open(t, 4<<30)
	dir := t.TempDir()
	catalog := host.New(host.Config{Dir: filepath.Join(dir, "runtimes"), Path: os.Getenv("PATH"), Home: os.Getenv("HOME")})
	t.Cleanup(catalog.Close)
	r, err := catalog.Resolve("python3.11")
	if err != nil {
		t.Skip(err)
	}
	code := filepath.Join(dir, "code")
	if err := os.Mkdir(code, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(code, "app.py"), []byte(initialised), 0o644); err != nil {
		t.Fatal(err)
	}
	for at := dir; at != "/" && at != os.TempDir(); at = filepath.Dir(at) {
		if err := os.Chmod(at, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	v := faas.Version{Runtime: "python3.11", Handler: "app.handler", MemoryMB: 256, Timeout: time.Minute}
	spec := sandbox.Spec{ID: "python", Owner: "owner", MemoryMB: 256, TmpMB: 512, Pids: 64, Files: 256}
	r.Prepare(&spec, v, code, "stream")
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	first, err := m.StartKept(ctx, spec)
	if err != nil {
		t.Fatal(err)
	}
	session := r.Attach(first, v).(*framed.Session)
	if _, err := session.Init(ctx); err != nil {
		t.Fatal(err)
	}
	if err := session.Suspend(ctx); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	image, err := m.Snapshot(ctx, first)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = image.Close() }()
	size, _ := sizeOf(image)
	t.Logf("saved in %v: %d bytes", time.Since(began), size)
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	var all [2][][]byte
	for n, id := range []string{"second", "third"} {
		all[n] = bytes.Fields(restored(ctx, t, m, spec, image, id))
	}
	for i, different := range []bool{true, true, true, false, false, true} {
		if bytes.Equal(all[0][i], all[1][i]) == different {
			t.Errorf("%d of what two restored processes say: %q, %q", i, all[0][i], all[1][i])
		}
	}
	for _, said := range all {
		if got := string(bytes.Join(said[3:], []byte(" "))); got != "written before "+string(said[5])+" 2 threads sane" {
			t.Errorf("a restored process says %q", got)
		}
	}
}

// restored calls a function that goes on from an image.
func restored(ctx context.Context, t *testing.T, m *Maker, spec sandbox.Spec, image sandbox.Image, id string) []byte {
	t.Helper()
	spec.ID = id
	began := time.Now()
	s, err := m.Restore(ctx, spec, image)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}()
	session := framed.Resume(s, []string{"AWS_SESSION_TOKEN=token-of-" + id})
	if _, err := session.Init(ctx); err != nil {
		t.Fatal(err)
	}
	took := time.Since(began)
	var out bytes.Buffer
	f, err := session.Invoke(ctx, lang.Call{RequestID: faas.NewUUID(), Payload: []byte("{}"), Deadline: time.Now().Add(time.Minute)}, &out)
	if f != nil || err != nil {
		t.Fatalf("call: %v, %v, %s", f, err, out.Bytes())
	}
	t.Logf("restored in %v (%+v): %s", took, s.Started(), out.Bytes())
	return bytes.Trim(out.Bytes(), `"`)
}
