package container

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"artesian/internal/compute/lang"
	"artesian/internal/compute/sandbox"
	"artesian/internal/compute/sandbox/sandboxtest"
	"artesian/internal/faas"
)

// initialised is a function's instance that has initialised itself, and its template.
type initialised struct {
	m    *Maker
	r    lang.Twinned
	spec sandbox.Spec
	i    *instance
	own  lang.Session // of the instance itself
	o    sandbox.Template
}

// initialise has a function of Python's initialise itself in a sandbox, and makes a template of that.
func initialise(t testing.TB, m *Maker, app string) (*initialised, error) {
	t.Helper()
	code := t.TempDir()
	writeFile(t, filepath.Join(code, "app.py"), app)
	f := &initialised{m: m, r: forked(t).(lang.Twinned)}
	f.spec = sandbox.Spec{Owner: "f", MemoryMB: 256, TmpMB: 64, Pids: 64, Files: 256}
	var v faas.Version
	v.Handler, v.MemoryMB, v.ID.Name = "app.handler", 256, "f"
	f.r.Prepare(&f.spec, v, code, "stream")
	s := f.spec
	s.ID, s.Template = "template-"+strings.ToLower(faas.NewUUID()), true
	b, err := m.Start(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.Close() })
	f.i = b.(*instance)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	f.own = f.r.Attach(b, v)
	if _, err := f.own.Init(ctx); err != nil {
		t.Fatal(err)
	}
	f.o, err = m.Template(ctx, b)
	if err == nil {
		t.Cleanup(func() { _ = f.o.Close() })
	}
	return f, err
}

// copy starts a copy.
func (f *initialised) copy(t testing.TB) (sandbox.Sandbox, lang.Session) {
	t.Helper()
	s := f.spec
	s.ID, s.Copy = "copy-"+strings.ToLower(faas.NewUUID()), f.o
	b, err := f.m.Start(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.Close() })
	session := f.r.Twin(b, []string{"ONLY=" + s.ID, "AWS_LAMBDA_LOG_STREAM_NAME=" + s.ID})
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if _, err := session.Init(ctx); err != nil {
		t.Fatal(err)
	}
	return b, session
}

// call calls a function once.
func call(t testing.TB, s lang.Session, event string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var out bytes.Buffer
	if f, err := s.Invoke(ctx, lang.Call{RequestID: "id", Payload: []byte(event), Deadline: time.Now().Add(time.Minute)}, &out); err != nil || f != nil {
		t.Fatalf("%v %v: %s", err, f, out.String())
	}
	return out.String()
}

// freshCopies is how many copies TestCopiesAreFresh compares.
const freshCopies = 1000

// TestCopiesAreFresh: of what should be unique, no two of 1,000 copies have anything alike; and what they all must have, they have.
// What a function's own code has made unique in its initialisation is its own affair, here as where instances are restored.
func TestCopiesAreFresh(t *testing.T) {
	if testing.Short() {
		t.Skip("copies 1,000 times")
	}
	m := open(t, 4<<30)
	f, err := initialise(t, m, fresh+`
import multiprocessing.connection, sqlite3
random.random(), ssl.RAND_bytes(1), next(tempfile._get_candidate_names()), uuid.uuid1(), uuid.uuid4(), secrets.token_hex(8)
random.SystemRandom().random(), os.urandom(8), os.getpid(), email.utils.make_msgid(), logging.makeLogRecord({}).process
memory = sqlite3.connect(":memory:")
blob = lambda: memory.execute("select hex(randomblob(16))").fetchone()[0]
blob()
base = handler
def handler(e, c):
    seen = base(e, c)
    seen["fresh"].update({"sqlite": blob(), "shuffled": str(random.sample(range(10**6), 6)), "gauss": random.gauss(0, 1),
        "log record": logging.makeLogRecord({}).created, "pipe": multiprocessing.connection.arbitrary_address("AF_UNIX")})
    return seen
`)
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	seen := map[string]bool{}
	look := func(id, answer string) {
		var got struct {
			Fresh       map[string]any
			PID         int
			Status      []string
			Files       []string
			Environment map[string]string
			Secure      int
			Threads     int
			Signals     []string
			Parent      int
		}
		if err := json.Unmarshal([]byte(answer), &got); err != nil {
			t.Fatal(err, answer)
		}
		delete(got.Fresh, "random.Random()") // the function's own
		mu.Lock()
		defer mu.Unlock()
		for name, value := range got.Fresh {
			key := fmt.Sprint(name, " ", value)
			if seen[key] {
				t.Errorf("two copies have the same %s", key)
			}
			seen[key] = true
		}
		none := "0000000000000000"
		want := []string{none, none, none, none, none, "1", "2", "1", "", "993\t993\t993\t993", "990\t990\t990\t990"}
		if !slices.Equal(got.Status, want) {
			t.Errorf("it has %q, want %q", got.Status, want)
		}
		if strings.Join(got.Files, " ") != "0 1 2 3" || got.Secure != 993 || got.Threads != 0 || got.Parent != 1 || got.PID < firstNumber || got.Signals[0] != none || got.Signals[1] != "0000000001001000" {
			t.Errorf("process %d, descriptors %v, owner of its environment %d, native id %+d, parent %d, signals %v", got.PID, got.Files, got.Secure, got.Threads, got.Parent, got.Signals)
		}
		if got.Environment["ONLY"] != id || got.Environment["AWS_LAMBDA_LOG_STREAM_NAME"] != id || got.Environment["LAMBDA_TASK_ROOT"] != "/var/task" {
			t.Errorf("environment %v", got.Environment)
		}
	}
	var all sync.WaitGroup
	width := make(chan struct{}, 4)
	for range freshCopies {
		width <- struct{}{}
		all.Go(func() {
			defer func() { <-width }()
			b, s := f.copy(t)
			look(b.(*instance).id, call(t, s, `1`))
			_, _ = s.Close(), b.Close()
		})
	}
	all.Wait()
	if n := f.o.Copies(); n != freshCopies {
		t.Errorf("%d copies were counted", n)
	}
}

// TestNoTemplate: what cannot be copied, or would be shared with copies, is refused in words, soon, and its process goes on.
func TestNoTemplate(t *testing.T) {
	m := open(t, 4<<30)
	for first, want := range map[string]string{
		"import threading, time; threading.Thread(target=time.sleep, args=(1000,), daemon=True).start()": "it has 2 threads",
		"import socket; s = socket.create_server(('127.0.0.1', 8000))":                                   "it has socket:",
		"import select; p = select.epoll()":                                                              "it has anon_inode:",
		"import os; os.close(os.open('/etc/hosts', 0)); f = open('/etc/hosts')":                          "it has /etc/hosts open",
		"import os; os.dup2(os.open('/dev/null', 1), 1)":                                                 "descriptor 1 is /dev/null",
		"import os; os.fork() or __import__('time').sleep(1000)":                                         "it has started 1 processes",
		"import mmap; m = mmap.mmap(-1, 4096)":                                                           "it shares memory",
		"import signal; signal.setitimer(signal.ITIMER_REAL, 1000)":                                      "it has set a timer",
		"open('/tmp/cache', 'w').close()":                                                                "it has left cache in /tmp",
		"open('/dev/shm/cache', 'w').close()":                                                            "it has left cache in /dev/shm",
		"import os; os.mkdir('/tmp/d'); os.chdir('/tmp/d'); os.rmdir('/tmp/d')":                          "its working directory is",
		"import fcntl; f = open('/tmp/lock', 'w'); fcntl.flock(f, fcntl.LOCK_EX)":                        "/tmp/lock",
	} {
		f, err := initialise(t, m, "import os\n"+first+"\ndef handler(e, c): return e\n")
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", first, err, want)
			continue
		}
		t.Log(first)
		if out := call(t, f.own, "7"); out != "7" {
			t.Errorf("%s: it answers %s", first, out)
		}
	}
}

// TestTemplateWithALock: a lock that is held in the process is held in copies.
func TestTemplateWithALock(t *testing.T) {
	f, err := initialise(t, open(t, 4<<30), `
import threading
lock = threading.Lock()
lock.acquire()
def handler(e, c): return [lock.acquire(timeout=0.01), lock.release(), lock.acquire(timeout=0.01)]
`)
	if err != nil {
		t.Fatal(err)
	}
	_, s := f.copy(t)
	if out := call(t, s, "1"); out != "[false, null, true]" {
		t.Error(out)
	}
}

// TestCopiesAreApart: nothing of one copy is there for another, or for the template, and none can be reached from another.
func TestCopiesAreApart(t *testing.T) {
	f, err := initialise(t, open(t, 4<<30), `
import ctypes, errno, mmap, os, signal, socket
state = []
libc = ctypes.CDLL(None, use_errno=True)
def attempt(nr, *args):
    return errno.errorcode.get(ctypes.get_errno()) if libc.syscall(nr, *args) == -1 else "done"
def handler(e, c):
    if e == "mark":
        state.append("marked")
        open("/tmp/mark", "w").close(); open("/dev/shm/mark", "w").close()
        global s; s = socket.socket(socket.AF_UNIX); s.bind("\0mark"); s.listen()
        return attempt(29, 4242, 4096, 0o1666) != "done"
    if e == "kill":
        try:
            os.kill(-1, signal.SIGKILL)
        except ProcessLookupError:
            return "nobody"
        return "somebody"
    found = state + os.listdir("/tmp") + os.listdir("/dev/shm")
    try:
        socket.socket(socket.AF_UNIX).connect("\0mark"); found.append("socket")
    except ConnectionRefusedError:
        pass
    found += [p for p in os.listdir("/proc") if p.isdigit() and int(p) != os.getpid()]
    if attempt(29, 4242, 4096, 0) == "done": found.append("shared memory")
    tries = {"unshare": attempt(272, 0x10000000), "setns": attempt(308, os.open("/proc/self/ns/user", 0), 0),
        "clone3": attempt(435, ctypes.create_string_buffer(b"\0\0\0\x10" + b"\0" * 84, 88), 88), "clone": attempt(56, 0x10000000 | 17, 0, 0, 0, 0),
        "ptrace": attempt(101, 0x4206, 1, 0, 0), "memory": attempt(310, 1, 0, 0, 0, 0, 0), "descriptor": attempt(438, 3, 0, 0)}
    return [found, tries, len(os.listdir("/proc/self/task"))]
`)
	if err != nil {
		t.Fatal(err)
	}
	_, a := f.copy(t)
	_, b := f.copy(t)
	call(t, a, `"mark"`)
	if out := call(t, a, `"kill"`); out != `"nobody"` {
		t.Error(out)
	}
	_, late := f.copy(t)
	want := `[["lost+found"], {"unshare": "EPERM", "setns": "EPERM", "clone3": "ENOSYS", "clone": "EPERM", "ptrace": "EPERM", "memory": "EPERM", "descriptor": "EPERM"}, 1]`
	for name, s := range map[string]lang.Session{"another": b, "a later one": late} {
		if out := call(t, s, `"look"`); out != want && out != strings.Replace(want, `"lost+found"`, "", 1) {
			t.Errorf("%s finds %s", name, out)
		}
	}
}

// TestTemplateEnds: whatever ends a template, its copies live on, what would be copied from it is refused, and with the last copy
// nothing is left.
func TestTemplateEnds(t *testing.T) {
	for name, end := range map[string]func(*initialised) error{
		"closed": func(f *initialised) error { return f.o.Close() },
		"killed": func(f *initialised) error { return f.i.Signal(9) },
	} {
		m := open(t, 4<<30)
		f, err := initialise(t, m, "def handler(e, c): return e\n")
		if err != nil {
			t.Fatal(err)
		}
		b, s := f.copy(t)
		if err := end(f); err != nil {
			t.Fatal(err)
		}
		<-f.o.Done()
		if out := call(t, s, "7"); out != "7" {
			t.Errorf("%s: a copy answers %s", name, out)
		}
		spec := f.spec
		spec.ID, spec.Copy = "orphan", f.o
		if _, err := m.Start(t.Context(), spec); err == nil || !strings.Contains(err.Error(), "gone") {
			t.Errorf("%s: a copy afterwards: %v", name, err)
		}
		if err := b.Close(); err != nil {
			t.Error(err)
		}
		select {
		case <-f.i.Done():
		case <-time.After(10 * time.Second):
			t.Errorf("%s: its sandbox did not end with its last copy", name)
		}
		if err := f.i.Close(); err != nil {
			t.Error(err)
		}
		if left, err := groups(m); err != nil || len(left) > 0 {
			t.Errorf("%s: control groups %v, %v", name, left, err)
		}
	}
}

// TestTemplateDaemon is no test: it is the daemon that TestTemplateCrash kills.
func TestTemplateDaemon(t *testing.T) {
	dir := os.Getenv(daemonEnv)
	if dir == "" {
		t.Skip("only runs as the daemon of TestTemplateCrash")
	}
	m, err := New(Config{Dir: dir, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	f, err := initialise(t, m, "def handler(e, c): return e\n")
	if err != nil {
		t.Fatal(err)
	}
	f.copy(t)
	f.copy(t)
	all, err := groups(m)
	fmt.Println("groups", len(all), err)
	fmt.Println("main", f.o.(*original).pid)
	fmt.Println("ready")
	select {}
}

// TestTemplateCrash kills a daemon: nothing of its templates and their copies lives on.
func TestTemplateCrash(t *testing.T) {
	dir := t.TempDir()
	m, err := New(Config{Dir: dir, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		missing(t, err)
	}
	t.Cleanup(func() { _ = m.Close() })
	forked(t)
	before := sandboxtest.Snapshot(t, own(t, m))
	kill, said := sandboxtest.Daemon(t, "TestTemplateDaemon", daemonEnv+"="+dir)
	main := 0
	for _, line := range said {
		_, _ = fmt.Sscanf(line, "main %d", &main)
	}
	ids, err := groups(m)
	if err != nil || len(ids) != 3 || main == 0 {
		t.Errorf("control groups %v, %v, process %d: want 3, else this test shows nothing", ids, err, main)
	}
	killed := time.Now()
	kill()
	for alive := true; alive && time.Since(killed) < 10*time.Second; time.Sleep(time.Millisecond) {
		_, err := os.Stat(fmt.Sprint("/proc/", main))
		alive = err == nil
		if !alive && time.Since(killed) > 2*time.Second {
			t.Log("its template lived for", time.Since(killed))
		}
	}
	if err := m.Sweep(context.Background()); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(fmt.Sprint("/proc/", main)); err == nil {
		t.Error("its template lives")
	}
	if ids, err := groups(m); err != nil || len(ids) != 0 {
		t.Errorf("control groups after the sweep: %v, %v", ids, err)
	}
	before.Compare(t, own(t, m))
}

// FuzzMapping: whatever a file is called, a mapping that is shared is seen, with that name.
func FuzzMapping(f *testing.F) {
	f.Add("/tmp/a b rw-s", true)
	f.Add("", false)
	f.Fuzz(func(t *testing.T, file string, shared bool) {
		mode := map[bool]string{true: "rw-s", false: "r--p"}[shared]
		file = strings.TrimLeft(strings.ReplaceAll(file, "\n", "\\012"), " ")
		name, s, w, err := mapping("7f1c5a000000-7f1c5a021000 " + mode + " 00000000 00:00 0                          " + file)
		if err != nil || name != file || s != shared || w != shared {
			t.Errorf("%q: %q %v %v %v", file, name, s, w, err)
		}
		_, _, _, _ = mapping(file)
	})
}
