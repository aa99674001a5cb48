package container

import (
	"bytes"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"artesian/internal/compute/lang/host"
	"artesian/internal/compute/sandbox"
	"artesian/internal/faas"
)

// folder is a pack of any language and version.
type folder string

func (f folder) Dir(string, int) string { return string(f) }

func writeFiles(t testing.TB, dir string, files map[string]string) {
	t.Helper()
	for name, text := range files {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755); err != nil {
			t.Fatal(err)
		}
		writeFile(t, filepath.Join(dir, name), text)
	}
}

// synced is a buffer for logs.
type synced struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *synced) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *synced) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

// TestHarmfulModules: what leaves a thread or a descriptor, breaks children or fails is left out by name, and said; functions can
// import it all the same.
func TestHarmfulModules(t *testing.T) {
	pack := t.TempDir()
	writeFiles(t, pack, map[string]string{
		"boto3/__init__.py":       "import threading, time\nthreading.Thread(target=time.sleep, args=(1000,), daemon=True).start()\n",
		"boto3/session.py":        "name = 'session'\n",
		"botocore/__init__.py":    "",
		"botocore/session.py":     "raise RuntimeError('not today')\n",
		"botocore/client.py":      "import os\nr, w = os.pipe()\n",
		"botocore/httpsession.py": "import os\nos.register_at_fork(after_in_child=lambda: os._exit(1))\n",
		"botocore/auth.py":        "import os, time\nos.register_at_fork(after_in_child=lambda: os.kill(os.getpid(), 11))\n",
		"s3transfer/__init__.py":  "name = 's3transfer'\n",
	})
	var log synced
	m, err := New(Config{Dir: t.TempDir(), NodeMemory: 1 << 30, Logger: slog.New(slog.NewTextHandler(&log, nil))})
	if err != nil {
		missing(t, err)
	}
	t.Cleanup(func() { _ = m.Close() })
	r := forkedOf(t, host.Config{Packs: folder(pack)})
	z := startZygote(t, m, r)
	for _, want := range []string{
		"boto3: it leaves 1 threads running", "botocore.session: it raised RuntimeError", "botocore.client: it leaves descriptors",
		"botocore.httpsession: a child forked from it does not live", "botocore.auth: a child forked from it does not live",
	} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("the log does not say %q: %s", want, log.String())
		}
	}
	code := t.TempDir()
	writeFile(t, filepath.Join(code, "app.py"), `
import sys
ahead = sorted(m for m in sys.modules if m in ("boto3", "botocore.session", "botocore.client", "s3transfer"))
import boto3.session
def handler(e, c): return [ahead, boto3.session.name]
`)
	i, spec := place(t, m, r, code)
	c, err := forkInto(t, z, i)
	if err != nil {
		t.Fatal(err)
	}
	if out := serve(t, c, r.Adopt(c, &spec, faas.Version{}), "1"); out != `[["s3transfer"], "session"]` {
		t.Error(out)
	}
}

// TestOwnPackages: a function that brings one of the pack's packages gets that, and all of the pack from where it is; and one
// that brings a module in a standard module's place is not to be forked.
func TestOwnPackages(t *testing.T) {
	pack := t.TempDir()
	writeFiles(t, pack, map[string]string{
		"boto3/__init__.py": "import botocore\nwho = 'the pack'\n", "boto3/session.py": "", "botocore/__init__.py": "who = 'the pack'\n", "botocore/session.py": "",
	})
	m := open(t, 1<<30)
	r := forkedOf(t, host.Config{Packs: folder(pack)})
	z := startZygote(t, m, r)
	app := `
import sys
ahead = "boto3" in sys.modules
import boto3, botocore
def handler(e, c): return [ahead, boto3.who, botocore.who, boto3.botocore is botocore]
`
	for name, c := range map[string]struct {
		files map[string]string
		want  string
	}{
		"none":                 {nil, `[true, "the pack", "the pack", true]`},
		"a module":             {map[string]string{"botocore.py": "who = 'itself'\n"}, `[false, "the pack", "itself", true]`},
		"a package":            {map[string]string{"boto3/__init__.py": "import botocore\nwho = 'itself'\n"}, `[false, "itself", "the pack", true]`},
		"a folder without one": {map[string]string{"boto3/data.json": "{}"}, `[true, "the pack", "the pack", true]`},
	} {
		code := t.TempDir()
		writeFiles(t, code, c.files)
		writeFile(t, filepath.Join(code, "app.py"), app)
		if why := r.Unsuited(&faas.Version{}, code, ""); why != "" {
			t.Errorf("%s: %s", name, why)
		}
		i, spec := place(t, m, r, code)
		child, err := forkInto(t, z, i)
		if err != nil {
			t.Fatal(err)
		}
		if out := serve(t, child, r.Adopt(child, &spec, faas.Version{}), "1"); out != c.want {
			t.Errorf("%s: %s, want %s", name, out, c.want)
		}
	}
}

// TestZygoteDies: its end is noticed, nothing of it is left, its children live on, and what would be forked from it is refused.
func TestZygoteDies(t *testing.T) {
	m := open(t, 1<<30)
	z := stems(t, m, forked(t)).(*zygote)
	c, err := m.Prepare(t.Context(), sandbox.Spec{ID: "heir", Fork: z, Channel: true, Dir: "/", MemoryMB: 64, TmpMB: 512, Pids: 16, Files: 64})
	if err != nil {
		t.Fatal(err)
	}
	if err := endProcess(z.process); err != nil {
		t.Fatal(err)
	}
	<-z.Done()
	groups, err := groups(m)
	if err != nil {
		t.Fatal(err)
	}
	for _, g := range groups {
		if strings.Contains(g, "zygote") {
			t.Errorf("control group %s is left", g)
		}
	}
	select {
	case <-c.Done():
		t.Error("a child ended with it")
	default:
	}
	if err := c.Close(); err != nil {
		t.Error(err)
	}
	if _, err := m.Prepare(t.Context(), sandbox.Spec{ID: "orphan", Fork: z, Channel: true, Dir: "/", MemoryMB: 64, TmpMB: 512, Pids: 16, Files: 64}); err == nil || !strings.Contains(err.Error(), "zygote") {
		t.Errorf("a fork from it: %v", err)
	}
	if err := z.Close(); err != nil {
		t.Error(err)
	}
}
