package container

import (
	"encoding/json"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"artesian/internal/faas"
)

// fresh tells everything that no two processes should have alike.
const fresh = `
import email.generator, email.utils, logging, multiprocessing.process, os, random, secrets, ssl, sys, tempfile, time, uuid
import concurrent.futures, threading
RANDOM = random.Random()
def handler(e, c):
    while os.getppid() != 1: time.sleep(0.001)  # here nobody waits for that before the assignment, as Adopt does
    status = dict(l.rstrip("\n").split(":\t", 1) for l in open("/proc/self/status") if ":\t" in l)
    return {"fresh": {
        "random.random": random.random(), "random.getrandbits": random.getrandbits(64), "random.Random()": RANDOM.random(),
        "random.choice": "".join(random.choices("abcdefghij", k=20)), "os.urandom": os.urandom(8).hex(), "secrets": secrets.token_hex(8),
        "uuid1": str(uuid.uuid1()), "uuid1 node and clock": str(uuid.uuid1())[19:], "uuid4": str(uuid.uuid4()), "ssl": ssl.RAND_bytes(8).hex(),
        "tempfile": next(tempfile._get_candidate_names()), "temporary folder": os.path.basename(tempfile.mkdtemp()),
        "boundary": email.generator.Generator._make_boundary(), "message id": email.utils.make_msgid(domain="x"),
        "authkey": bytes(multiprocessing.process.current_process().authkey).hex(), "clock": time.monotonic_ns(), "start of logging": logging._startTime,
    }, "pid": os.getpid(), "status": [status[k].strip() for k in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb", "NoNewPrivs", "Seccomp", "Threads", "Groups", "Uid", "Gid")],
        "files": sorted(os.listdir("/proc/self/fd"))[:-1], "environment": dict(os.environ), "secure": os.stat("/proc/self/environ").st_uid,
        "threads": threading.main_thread().native_id - os.getpid(), "children": os.path.exists("/var/stem"),
        "signals": [status[k] for k in ("SigBlk", "SigIgn")], "parent": os.getppid()}
`

// forksOf are how many children TestFreshness compares: in each of a number of sandboxes some. In different sandboxes they have the
// same process ids.
const (
	freshPlaces = 20
	freshForks  = 50
)

// TestFreshness: of what should be unique, no two of 1,000 children have anything alike; and what they all must have, they have.
func TestFreshness(t *testing.T) {
	if testing.Short() {
		t.Skip("forks 1,000 times")
	}
	m := open(t, 4<<30)
	r := forked(t)
	z := startZygote(t, m, r)
	code := t.TempDir()
	writeFile(t, filepath.Join(code, "app.py"), fresh)
	var mu sync.Mutex
	seen, pids := map[string]string{}, map[int]int{}
	look := func(answer string) {
		var got struct {
			Fresh       map[string]any
			PID         int
			Status      []string
			Files       []string
			Environment map[string]string
			Secure      int
			Threads     int
			Children    bool
			Signals     []string
			Parent      int
		}
		if err := json.Unmarshal([]byte(answer), &got); err != nil {
			t.Fatal(err, answer)
		}
		mu.Lock()
		defer mu.Unlock()
		pids[got.PID]++
		for name, value := range got.Fresh {
			text, _ := json.Marshal(value)
			key := name + " " + string(text)
			if seen[key] != "" {
				t.Errorf("two processes have the same %s: %s", name, text)
			}
			seen[key] = name
		}
		none := "0000000000000000"
		want := []string{none, none, none, none, none, "1", "2", "1", "", "993\t993\t993\t993", "990\t990\t990\t990"}
		if strings.Join(got.Status, ",") != strings.Join(want, ",") {
			t.Errorf("it has %q, want %q", got.Status, want)
		}
		if strings.Join(got.Files, " ") != "0 1 2 3" || got.Secure != 993 || got.Threads != 0 || got.Parent != 1 || got.Signals[0] != none || got.Signals[1] != "0000000001001000" {
			t.Errorf("descriptors %v, owner of its environment %d, native id %+d, parent %d, signals %v", got.Files, got.Secure, got.Threads, got.Parent, got.Signals)
		}
		if got.Environment["LAMBDA_TASK_ROOT"] != "/var/task" || got.Environment["AWS_LAMBDA_FUNCTION_NAME"] != "f" || got.Environment["ONLY"] != "" {
			t.Errorf("environment %v", got.Environment)
		}
	}
	var all sync.WaitGroup
	width := make(chan struct{}, 4)
	for range freshPlaces {
		width <- struct{}{}
		all.Go(func() {
			defer func() { <-width }()
			i, spec := place(t, m, r, code)
			defer i.Close()
			for range freshForks {
				c, err := forkInto(t, z, i)
				if err != nil {
					t.Error(err)
					return
				}
				s := r.Adopt(c, &spec, faas.Version{})
				look(serve(t, c, s, `1`))
				_ = s.Close()
			}
		})
	}
	all.Wait()
	if want := freshPlaces * freshForks; z.Forks() != want {
		t.Errorf("%d forks, want %d", z.Forks(), want)
	}
	if len(pids) > freshPlaces*freshForks/4 {
		t.Errorf("%d process ids: the test means to compare processes of the same", len(pids))
	}
}
