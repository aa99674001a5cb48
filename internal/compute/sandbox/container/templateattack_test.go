package container

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode"

	"artesian/internal/compute/sandbox/cgroup"
)

// hostile is what functions begin with that attack the way in, by themselves or in place of the bootstrap: they tell that they are
// initialised, and stand still where they like.
const hostile = `
import ctypes, fcntl, mmap, os, signal, socket, struct, sys, threading, time
libc = ctypes.CDLL(None, use_errno=True)
libc.mmap.restype = ctypes.c_void_p
libc.syscall.restype = ctypes.c_long
def stand():
    os.write(3, b"R\0\0\0\0")
    os.read(3, 1 << 16)
def handler(e, c): return e
`

// ambush stands still in a restartable sequence: its reading of the channel, which goes on elsewhere as soon as something has come
// between. The kernel then has it execute any code in place of what it is made to.
const ambush = hostile + `
fs = ctypes.c_uint64()
assert libc.syscall(158, 0x1003, ctypes.byref(fs)) == 0
area = fs.value + ctypes.c_int64.in_dll(libc, "__rseq_offset").value
room = libc.mmap(None, 4096, 7, 0x22, -1, 0)
data, elsewhere = room + 1024, room + 516
code = b"\x48\xb8" + struct.pack("<Q", data) + b"\x48\xa3" + struct.pack("<Q", area + 8)  # movabs rax, data; movabs [area + 8], rax
code += b"\x31\xc0\xbf\3\0\0\0\x48\xbe" + struct.pack("<Q", room + 2048) + b"\xba\0\1\0\0"  # read(3, room + 2048, 256)
syscall = room + len(code)
ctypes.memmove(room, code + b"\x0f\x05\xc3", len(code) + 3)
ctypes.memmove(room + 512, struct.pack("<I", 0x53053053) + b"\xeb\xfe", 6)
ctypes.memmove(data, struct.pack("<IIQQQ", 0, 0, syscall, 2, elsewhere), 32)
os.write(3, b"R\0\0\0\0")
ctypes.CFUNCTYPE(ctypes.c_long)(room)()
`

// TestTemplateAttacks: what a function has prepared against being made to do something is seen before it is.
func TestTemplateAttacks(t *testing.T) {
	m := open(t, 4<<30)
	for name, c := range map[string]struct{ app, want string }{
		"a restartable sequence": {ambush, "it is in a restartable sequence"},
		"signals like a debugger's, that hide a timer": {hostile + `
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTRAP})
os.kill(os.getpid(), signal.SIGTRAP); signal.pthread_kill(threading.main_thread().ident, signal.SIGTRAP)
signal.setitimer(signal.ITIMER_REAL, 1000)
`, "it has set a timer"},
		"a signal like a debugger's with the next frame": {hostile + `
fcntl.fcntl(3, fcntl.F_SETOWN, os.getpid()); fcntl.fcntl(3, 10, signal.SIGTRAP)  # F_SETSIG
fcntl.fcntl(3, fcntl.F_SETFL, fcntl.fcntl(3, fcntl.F_GETFL) | os.O_ASYNC)
`, "its descriptor 3 sends signals"},
		"another channel": {hostile + `
os.write(3, b"R\0\0\0\0")
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM); s.bind("\0channel")
os.dup2(s.fileno(), 3); s.close()
os.read(3, 1 << 16)
`, "its descriptor 3 is socket:["},
		"a program without a name, in memory": {hostile + `
fd = os.memfd_create("p")
os.write(fd, open("/proc/self/exe", "rb").read())
os.environ["PYTHONHOME"] = sys.prefix
os.set_inheritable(3, True)
os.execv("/proc/self/fd/%d" % fd, ["p", "-S", "-c", "import os; os.write(3, b'R\\0\\0\\0\\0'); os.read(3, 1 << 16)"])
`, "it executes /memfd:p (deleted)"},
		"a program in the template's /tmp": {hostile + `
with open("/tmp/p", "wb") as f: f.write(open("/proc/self/exe", "rb").read())
os.chmod("/tmp/p", 0o700)
os.environ["PYTHONHOME"] = sys.prefix
os.set_inheritable(3, True)
os.execv("/tmp/p", ["p", "-S", "-c", "import os; os.unlink('/tmp/p'); os.write(3, b'R\\0\\0\\0\\0'); os.read(3, 1 << 16)"])
`, "it executes /tmp/p (deleted)"},
		"a file that is gone, mapped for itself": {hostile + `
with open("/tmp/f", "wb+") as f:
    f.write(b"0" * 4096); f.flush()
    m = mmap.mmap(f.fileno(), 4096, flags=mmap.MAP_PRIVATE)
libc.syscall(3, fd) if (fd := next((int(n) for n in os.listdir("/proc/self/fd") if os.path.exists("/proc/self/fd/" + n) and int(n) > 3), 0)) else None
os.unlink("/tmp/f")
`, "/tmp/f (deleted)"},
		"a filter of its own": {hostile + `
allow = ctypes.create_string_buffer(struct.pack("<HBBI", 6, 0, 0, 0x7fff0000), 8)
program = ctypes.create_string_buffer(struct.pack("<HxxxxxxQ", 1, ctypes.addressof(allow)), 16)
assert libc.syscall(317, 1, 0, program) == 0
`, "it has set a filter of system calls"},
		"system calls that are signals": {hostile + `
os.write(3, b"R\0\0\0\0")
selector = ctypes.c_byte(0)
assert libc.prctl(59, 1, 0, 0, ctypes.byref(selector)) == 0
room = libc.mmap(None, 4096, 7, 0x22, -1, 0)
code = b"\x49\xb8" + struct.pack("<Q", ctypes.addressof(selector))  # movabs r8, selector
code += b"\x31\xc0\xbf\3\0\0\0\x48\xbe" + struct.pack("<Q", room + 2048) + b"\xba\0\1\0\0\x0f\x05\xc3"
ctypes.memmove(room, code, len(code))
assert libc.prctl(59, 1, room, len(code), ctypes.byref(selector)) == 0
selector.value = 1
ctypes.CFUNCTYPE(ctypes.c_long)(room)()
`, ""},
		"a shared page that is gone": {hostile + "m = mmap.mmap(-1, 4096)\n", "it shares memory"},
		"names for a terminal":       {hostile + `open("/tmp/a\n\033[2Jb", "w").close()` + "\n", `it has left a\n\x1b[2Jb in /tmp`},
		"a name without end":         {hostile + `open("/tmp/" + "a" * 255, "w").close()` + "\n", "aaa… in /tmp"},
	} {
		began := time.Now()
		f, err := initialise(t, m, c.app)
		switch {
		case c.want == "": // a copy has none of it
			if err == nil {
				_ = f.o.Close()
			}
		case err == nil || !strings.Contains(err.Error(), c.want):
			t.Errorf("%s: %v, want %q", name, err, c.want)
		case strings.ContainsFunc(err.Error(), unicode.IsControl):
			t.Errorf("%s: %q has what is not for people", name, err)
		}
		if took := time.Since(began); took > 30*time.Second {
			t.Errorf("%s took %s", name, took)
		}
		_ = f.i.Close()
	}
}

// hammered has one thread send signals to the one that waits for a call, all the time. Their handler makes a system call that the
// filter refuses, and counts how often it got through.
const hammered = hostile + `
room = libc.mmap(None, 4096, 7, 0x22, -1, 0)
won, tries = (ctypes.c_uint64.from_address(room + at) for at in (2048, 2056))
pid, tid = struct.pack("<I", os.getpid()), struct.pack("<I", threading.get_native_id())
handle = b"\xb8\x36\1\0\0\xbf" + pid + b"\x31\xf6\x31\xd2\x4d\x31\xd2\x4d\x31\xc0\x4d\x31\xc9\x0f\x05"  # process_vm_readv of nothing
handle += b"\x48\xb9" + struct.pack("<Q", room + 2048) + b"\x48\xff\x41\x08\x48\x85\xc0\x75\x03\x48\xff\x01\xc3"  # tries++; if it returned 0, won++
send = b"\xb8\xea\0\0\0\xbf" + pid + b"\xbe" + tid + b"\xba\x0a\0\0\0\x0f\x05"  # tgkill
send += b"\xb9\x20\x4e\0\0\xff\xc9\x75\xfc\xeb" + struct.pack("<b", -(len(send) + 11))  # 20,000 times nothing; again
ctypes.memmove(room, handle, len(handle)); ctypes.memmove(room + 512, send, len(send))
libc.signal(signal.SIGUSR1, ctypes.c_void_p(room))
threading.Thread(target=ctypes.CFUNCTYPE(None)(room + 512), daemon=True).start()
def handler(e, c): return [won.value, tries.value > 100]
`

// TestTemplateFilterHolds: the filter of a process is in force as long as it may run, whoever tries to make a template of it.
func TestTemplateFilterHolds(t *testing.T) {
	f, err := initialise(t, open(t, 4<<30), hammered)
	refusals := 0
	for ctx, tries := t.Context(), 0; tries < 300; tries++ {
		if err == nil {
			t.Fatal("a process of two threads became a template")
		}
		if strings.Contains(err.Error(), "threads") {
			refusals++
		}
		f.o, err = f.m.Template(ctx, f.i)
	}
	if out := call(t, f.own, "1"); out != "[0, true]" {
		t.Errorf("system calls that are filtered, and whether it tried: %s", out)
	}
	if refusals == 0 {
		t.Error("it was never held: this shows nothing")
	}
}

// TestCopiesThatMisbehave: whatever a copy says or does when it is to become one, it is nobody else's affair, and nobody waits for it
// for ever.
func TestCopiesThatMisbehave(t *testing.T) {
	for name, c := range map[string]struct{ twin, want string }{
		"it never answers":            {"time.sleep(1000)", "copy"},
		"it ends":                     {"os._exit(0)", "copy"},
		"it answers something else":   {`os.write(3, b"A\0\0\0\4\0\0\0\2")`, "the copy answered"},
		"it names the first process":  {`os.write(3, b"N\0\0\0\4\0\0\0\1")`, "the copy answered"},
		"it names nobody":             {`os.write(3, b"N\0\0\0\4\0\0\xff\xf0"); time.sleep(1000)`, ""},
		"it names itself":             {`os.write(3, b"N\0\0\0\4" + os.getpid().to_bytes(4, "big")); time.sleep(1000)`, ""},
		"it forks as often as it can": {"bomb()", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := open(t, 4<<30)
			f, err := initialise(t, m, hostile+`
import _artesian_twin
def bomb():
    while True:
        try:
            if os.fork() == 0: time.sleep(1000)
        except OSError:
            os.write(3, b"N\0\0\0\4" + os.getpid().to_bytes(4, "big")); time.sleep(1000)
def divide(*_): `+c.twin+`
_artesian_twin.divide = divide
`)
			if err != nil {
				t.Fatal(err)
			}
			spec := f.spec
			spec.ID, spec.Copy = "misbehaves", f.o
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			began := time.Now()
			b, err := m.Start(ctx, spec)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v, want %q", err, c.want)
			}
			if b != nil {
				_ = b.Close()
			}
			if took := time.Since(began); took > 4*copyWait {
				t.Errorf("took %s", took)
			}
			if all, err := f.i.group.(*cgroup.Group).Processes(); err != nil || len(all) != 2 {
				t.Errorf("processes in its template's group: %v, %v", all, err)
			}
			if left, err := groups(m); err != nil || len(left) != 1 {
				t.Errorf("control groups: %v, %v", left, err)
			}
		})
	}
}

// TestCopiesCannotWrite: a copy's own code, which runs before the platform hears of it, meets a root that is closed to writing.
func TestCopiesCannotWrite(t *testing.T) {
	f, err := initialise(t, open(t, 4<<30), hostile+`
met = []
def look():
    met.append(os.statvfs("/").f_flag & os.ST_RDONLY)
os.register_at_fork(after_in_child=look)
def handler(e, c): return met
`)
	if err != nil {
		t.Fatal(err)
	}
	_, s := f.copy(t)
	if out := call(t, s, "1"); out != "[1]" {
		t.Errorf("the root is read-only: %s", out)
	}
}

// TestNoStop: who waits for a process to stop does so for a while. A parent of vfork waits for its child, and for nothing else.
func TestNoStop(t *testing.T) {
	f, err := initialise(t, open(t, 4<<30), hostile+`
room = libc.mmap(None, 4096, 7, 0x22, -1, 0)
code = b"\xb8\x3a\0\0\0\x0f\x05\x85\xc0\x75\x09\xb8\x22\0\0\0\x0f\x05\xeb\xf7\xc3"  # if (!vfork()) for (;;) pause()
ctypes.memmove(room, code, len(code))
os.write(3, b"R\0\0\0\0")
ctypes.CFUNCTYPE(None)(room)()
`)
	if !errors.Is(err, errNotWaiting) {
		t.Fatal(err)
	}
	o := &original{i: f.i}
	if o.pid, _, err = numbers(f.i.main); err != nil {
		t.Fatal(err)
	}
	held := make(chan error, 1)
	go o.hold(held)
	select {
	case err := <-held:
		if !errors.Is(err, os.ErrProcessDone) {
			t.Error(err)
		}
	case <-time.After(4 * copyWait):
		t.Error("it is waited for")
	}
}

// TestWrongProcess: a number that is another process's by now is not held.
func TestWrongProcess(t *testing.T) {
	f, err := initialise(t, open(t, 4<<30), "def handler(e, c): return e\n")
	if err != nil {
		t.Fatal(err)
	}
	python, err := exec.LookPath("python3")
	if err != nil {
		t.Skip(err)
	}
	reader := exec.Command(python, "-c", "import os; os.read(3, 1)")
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _, _ = r.Close(), w.Close() }()
	reader.ExtraFiles = []*os.File{r}
	if err := reader.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _, _ = reader.Process.Kill(), reader.Wait() }()
	if err := awaitRead(t.Context(), reader.Process.Pid); err != nil {
		t.Fatal(err)
	}
	o := &original{i: f.i, pid: reader.Process.Pid}
	held := make(chan error)
	go o.hold(held)
	if err := <-held; !errors.Is(err, os.ErrProcessDone) {
		t.Errorf("another process: %v", err)
	}
	status, err := os.ReadFile(filepath.Join("/proc", itoa(reader.Process.Pid), "status"))
	if err != nil || !bytes.Contains(status, []byte("TracerPid:\t0\n")) {
		t.Errorf("it is not let go, or gone: %v", err)
	}
}

// TestLikeness: what a copy has to be is looked at, whatever steps have led there.
func TestLikeness(t *testing.T) {
	f, err := initialise(t, open(t, 4<<30), "def handler(e, c): return e\n")
	if err != nil {
		t.Fatal(err)
	}
	b, _ := f.copy(t)
	i := b.(*instance)
	pid, err := pidOf(i.main)
	if err != nil {
		t.Fatal(err)
	}
	own, err := likenessOf(pid)
	if err != nil {
		t.Fatal(err)
	}
	if err := own.check(pid, i.uid+1); err != nil {
		t.Error(err)
	}
	template, err := likenessOf(f.o.(*original).pid)
	if err != nil {
		t.Fatal(err)
	}
	if err := own.unlike(template); err != nil {
		t.Error(err)
	}
	for k, name := range namespaceFiles {
		other := own
		other.namespaces[k] = template.namespaces[k]
		if err := other.check(pid, i.uid+1); err == nil || !strings.Contains(err.Error(), "another "+name+" namespace") {
			t.Errorf("in another %s namespace: %v", name, err)
		}
		if err := other.unlike(template); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("in its template's %s namespace: %v", name, err)
		}
	}
	other := own
	other.groups = template.groups
	if err := other.check(pid, i.uid+1); err == nil || !strings.Contains(err.Error(), "control groups") {
		t.Error(err)
	}
	if err := own.check(pid, 0); err == nil || !strings.Contains(err.Error(), "Uid") {
		t.Error(err)
	}
	us, err := likenessOf(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	if err := us.check(os.Getpid(), os.Getuid()); err == nil || !strings.Contains(err.Error(), "Cap") && !strings.Contains(err.Error(), "Gid") {
		t.Errorf("this process: %v", err)
	}
}
