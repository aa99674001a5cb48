package container

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"artesian/internal/compute/sandbox"
	"artesian/internal/compute/sandbox/sandboxtest"
	"artesian/internal/faas"
)

// kinds of cells, by the program that runs in them.
func kinds(t *testing.T) map[string]string {
	return map[string]string{"blank": "", "stem": sandboxtest.Payload(t)}
}

// TestCellConformance: what was a cell is a sandbox like any other.
func TestCellConformance(t *testing.T) {
	for name, stem := range kinds(t) {
		t.Run(name, func(t *testing.T) {
			m := open(t, 4<<30)
			sandboxtest.Conformance(t, sandboxtest.Cells{Ahead: m, Stem: stem}, own(t, m))
		})
	}
	t.Run("seen", func(t *testing.T) {
		m := open(t, 4<<30)
		sandboxtest.Conformance(t, sandboxtest.Cells{Ahead: m, Seen: true}, own(t, m))
	})
}

func prepare(t *testing.T, m *Maker, s sandbox.Spec) sandbox.Cell {
	t.Helper()
	c, err := m.Prepare(context.Background(), s)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	return c
}

// TestUnfitCell: what a cell cannot become is refused with the reason, and the cell still becomes what it can.
func TestUnfitCell(t *testing.T) {
	m := open(t, 0)
	payload := sandboxtest.Payload(t)
	for kind, stem := range kinds(t) {
		c := prepare(t, m, sandboxtest.CellSpec("cell", stem))
		for want, change := range map[string]func(*sandbox.Spec){
			"id":          func(s *sandbox.Spec) { s.ID = "other" },
			"MB of /tmp":  func(s *sandbox.Spec) { s.TmpMB = 1024 },
			"sockets":     func(s *sandbox.Spec) { s.Listen = []string{"127.0.0.1:80"} },
			"connections": func(s *sandbox.Spec) { s.Dials = 1 },
			"internet":    func(s *sandbox.Spec) { s.Internet = true },
			"is a file": func(s *sandbox.Spec) {
				s.Mounts = append(s.Mounts, sandbox.Mount{Source: "/usr", Target: "/etc/hosts/x"})
			},
		} {
			s := sandboxtest.Spec("cell", payload, "exit", "0")
			change(&s)
			if _, err := (sandboxtest.Cells{Ahead: m, Stem: stem}).Become(context.Background(), c, s); !errors.Is(err, sandbox.ErrUnfit) || !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %v, want %q", kind, err, want)
			}
		}
		if stem != "" {
			s := sandboxtest.Spec("cell", payload, "exit", "0")
			s.Mounts = []sandbox.Mount{{Source: "/usr", Target: "/var"}}
			if _, err := (sandboxtest.Cells{Ahead: m, Stem: stem}).Become(context.Background(), c, s); !errors.Is(err, sandbox.ErrUnfit) {
				t.Errorf("a mount over the stem's: %v", err)
			}
			s.Channel = true // but not the stem's mounts
			if _, err := c.Become(context.Background(), s); !errors.Is(err, sandbox.ErrUnfit) || !strings.Contains(err.Error(), "without") {
				t.Errorf("without the stem's mounts: %v", err)
			}
		}
		b, err := sandboxtest.Cells{Ahead: m, Stem: stem}.Become(context.Background(), c, sandboxtest.Spec("cell", payload, "exit", "7"))
		if err != nil {
			t.Fatalf("%s: %v", kind, err)
		}
		sandboxtest.Await(t, b)
		if b.Exit() != (sandbox.Exit{Code: 7}) {
			t.Errorf("%s: %+v", kind, b.Exit())
		}
		if _, err := c.Become(context.Background(), sandboxtest.Spec("cell", payload, "exit", "0")); err == nil {
			t.Errorf("%s: a cell became a sandbox twice", kind)
		}
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	}
}

// TestCellEnds: whatever ends a cell in whatever state, nothing of it is left, and it says so.
func TestCellEnds(t *testing.T) {
	m := open(t, 0)
	payload := sandboxtest.Payload(t)
	over, cancel := context.WithCancel(context.Background())
	cancel()
	ends := map[string]func(*testing.T, sandbox.Cell, string){
		"closed": func(t *testing.T, c sandbox.Cell, _ string) {
			if err := c.Close(); err != nil {
				t.Error(err)
			}
		},
		"its main process killed": func(t *testing.T, c sandbox.Cell, stem string) {
			i := c.(*cell).i
			if stem == "" {
				i.kill()
			} else if err := i.Signal(9); err != nil {
				t.Error(err)
			}
		},
		"its time is over": func(t *testing.T, c sandbox.Cell, stem string) {
			_, err := sandboxtest.Cells{Ahead: m, Stem: stem}.Become(over, c, sandboxtest.Spec(c.ID(), payload, "wait"))
			if !errors.Is(err, context.Canceled) {
				t.Errorf("become: %v", err)
			}
		},
		"its mount is not there": func(t *testing.T, c sandbox.Cell, stem string) {
			s := sandboxtest.Spec(c.ID(), payload, "wait")
			s.Mounts = append(s.Mounts, sandbox.Mount{Source: "/nowhere", Target: "/opt"})
			if _, err := (sandboxtest.Cells{Ahead: m, Stem: stem}).Become(context.Background(), c, s); err == nil {
				t.Error("it became a sandbox")
			}
		},
		"its sandbox is closed": func(t *testing.T, c sandbox.Cell, stem string) {
			b, err := sandboxtest.Cells{Ahead: m, Stem: stem}.Become(context.Background(), c, sandboxtest.Spec(c.ID(), payload, "wait"))
			if err != nil {
				t.Fatal(err)
			}
			if err := errors.Join(c.Close(), b.SetCPU(0)); err != nil {
				t.Errorf("a cell's close touched its sandbox: %v", err)
			}
			if err := b.Close(); err != nil {
				t.Error(err)
			}
		},
	}
	prepare(t, m, sandboxtest.CellSpec("first", "")) // what is made once
	for kind, stem := range kinds(t) {
		for name, end := range ends {
			t.Run(kind+", "+name, func(t *testing.T) {
				before := sandboxtest.Snapshot(t, own(t, m))
				c, err := m.Prepare(context.Background(), sandboxtest.CellSpec("cell", stem))
				if err != nil {
					t.Fatal(err)
				}
				end(t, c, stem)
				<-c.Done()
				if _, err := (sandboxtest.Cells{Ahead: m, Stem: stem}).Become(context.Background(), c, sandboxtest.Spec("cell", payload, "wait")); err == nil {
					t.Error("it became a sandbox after its end")
				}
				if err := c.Close(); err != nil {
					t.Error(err)
				}
				before.Compare(t, own(t, m))
			})
		}
	}
}

// TestWaitingCell: a main process that waits for its program is minded, and nobody's to fork into.
func TestWaitingCell(t *testing.T) {
	m := open(t, 0)
	payload := sandboxtest.Payload(t)
	s := sandboxtest.CellSpec("cell", "")
	s.Mounts = sandboxtest.Spec("cell", payload).Mounts
	c := prepare(t, m, s)
	want := sandboxtest.Spec("cell", payload, "say", "x")
	want.Fork, want.Channel = &zygote{maker: m}, true
	if _, err := c.Become(context.Background(), want); !errors.Is(err, sandbox.ErrUnfit) {
		t.Errorf("become by a fork: %v", err)
	}
	i := c.(*cell).i
	fewDescriptors(t, processOf(t, i.main))
	if err := i.Signal(9); err != nil {
		t.Fatal(err)
	}
	<-c.Done()
}

// fewDescriptors: a process has those only that a main process needs until its execution: extensions of its function run before.
func fewDescriptors(t *testing.T, pid int) {
	t.Helper()
	at := fmt.Sprintf("/proc/%d", pid)
	look := time.NewTicker(time.Millisecond)
	defer look.Stop()
	for ready := false; !ready; <-look.C { // it filters itself last
		status, err := os.ReadFile(at + "/status")
		if err != nil {
			t.Fatal(err)
		}
		ready = strings.Contains(string(status), "\nSeccomp:\t2\n")
	}
	files, err := os.ReadDir(at + "/fd")
	var names []string
	for _, f := range files {
		names = append(names, f.Name())
	}
	if err != nil || !slices.Equal(names, []string{"0", "1", "2", "4", "5"}) {
		t.Errorf("descriptors %v, %v", names, err)
	}
}

// TestCellsEndWithTheSpawner and are made by a new one then.
func TestCellsEndWithTheSpawner(t *testing.T) {
	m := open(t, 0)
	var cells []sandbox.Cell
	for kind, stem := range kinds(t) {
		cells = append(cells, prepare(t, m, sandboxtest.CellSpec(kind, stem)))
	}
	dead := m.spawner
	killSpawner(t, m)
	for _, c := range cells {
		<-c.Done()
	}
	<-dead.done
	b, err := prepare(t, m, sandboxtest.CellSpec("next", "")).Become(context.Background(), sandboxtest.Spec("next", sandboxtest.Payload(t), "exit", "3"))
	if err != nil {
		t.Fatal(err)
	}
	sandboxtest.Await(t, b)
	if b.Exit() != (sandbox.Exit{Code: 3}) {
		t.Errorf("after a new spawner: %+v", b.Exit())
	}
	if err := b.Close(); err != nil {
		t.Error(err)
	}
}

// TestClosedWithCells: a Maker that is closed closes its cells, and makes none any more.
func TestClosedWithCells(t *testing.T) {
	m := open(t, 0)
	c, err := m.Prepare(context.Background(), sandboxtest.CellSpec("cell", ""))
	if err != nil {
		t.Fatal(err)
	}
	if err := m.Close(); err != nil {
		t.Fatal(err)
	}
	<-c.Done()
	if _, err := c.Become(context.Background(), sandboxtest.Spec("cell", sandboxtest.Payload(t), "wait")); !errors.Is(err, os.ErrClosed) {
		t.Errorf("become: %v", err)
	}
	if _, err := m.Prepare(context.Background(), sandboxtest.CellSpec("late", "")); !errors.Is(err, os.ErrClosed) {
		t.Errorf("prepare: %v", err)
	}
}

func TestBadCell(t *testing.T) {
	m := open(t, 0)
	for field, change := range map[string]func(*sandbox.Spec){
		"id":      func(s *sandbox.Spec) { s.ID = "../x" },
		"tmp":     func(s *sandbox.Spec) { s.TmpMB = 0 },
		"memory":  func(s *sandbox.Spec) { s.MemoryMB = 1 },
		"mount":   func(s *sandbox.Spec) { s.Mounts = []sandbox.Mount{{Source: "/usr", Target: "/proc"}} },
		"channel": func(s *sandbox.Spec) { s.Channel = true },
	} {
		s := sandboxtest.CellSpec("cell", "")
		change(&s)
		if _, err := m.Prepare(context.Background(), s); faas.KindOf(err) != faas.Invalid || !strings.Contains(err.Error(), field) {
			t.Errorf("%s: %v", field, err)
		}
	}
}

// TestCellsShareNothing: of what a sandbox of one cell leaves wherever a program can leave something, one of another cell sees
// nothing, at the same time or with the same user later.
func TestCellsShareNothing(t *testing.T) {
	for kind, stem := range kinds(t) {
		t.Run(kind, func(t *testing.T) {
			m := open(t, 0)
			m.uids.count = min(m.uids.count, 2) // so that the third has the first one's
			program := sandboxtest.Build(t, "artesian/internal/compute/sandbox/container/attack", attackEnv)
			cells := sandboxtest.Cells{Ahead: m, Stem: stem}
			start := func(id, what string) (sandbox.Sandbox, int) {
				t.Helper()
				spec := sandboxtest.Spec(id, program, what)
				spec.Argv[0] = "/var/task/" + filepath.Base(program)
				b, err := cells.Start(context.Background(), spec)
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { _ = b.Close() })
				return b, instanceOf(m, id).uid
			}
			tenant, first := start("tenant", "leave")
			if line, err := bufio.NewReader(tenant.Output()).ReadString('\n'); err != nil || line != "left all\n" {
				t.Fatalf("the tenant: %q, %v", line, err)
			}
			neighbour, second := start("neighbour", "find")
			if out := sandboxtest.ReadAll(t, neighbour); out != "found nothing\n" {
				t.Errorf("the neighbour: %s", out)
			}
			if first == second && m.uids.count > 0 {
				t.Error("two cells have the same host user")
			}
			if err := tenant.Close(); err != nil {
				t.Fatal(err)
			}
			next, third := start("next", "find")
			if out := sandboxtest.ReadAll(t, next); out != "found nothing\n" {
				t.Errorf("the next tenant: %s", out)
			}
			if third != first {
				t.Errorf("the next tenant is user %d, not %d as the first: this test shows nothing", third, first)
			}
		})
	}
}

func instanceOf(m *Maker, id string) *instance {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.live[id]
}

func BenchmarkPrepare(b *testing.B) {
	m := open(b, 0)
	for n := 0; b.Loop(); n++ {
		c, err := m.Prepare(context.Background(), sandboxtest.CellSpec(fmt.Sprintf("cell-%d", n), ""))
		if err != nil {
			b.Fatal(err)
		}
		b.StopTimer()
		if err := c.Close(); err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
	}
}

// TestSpawnerForgets what it was told of a sandbox: the next one's first process is a copy of it.
func TestSpawnerForgets(t *testing.T) {
	m := open(t, 0)
	if !m.standing.root {
		t.Skip("needs root to read another process's memory")
	}
	s := sandboxtest.Spec("told", sandboxtest.Payload(t), "exit", "3")
	secret := strings.Repeat("once told ", 2)
	s.Env = []string{"A=" + secret, "B=" + strings.Repeat("b", 16<<10), "C=" + secret}
	b, err := m.Start(context.Background(), s)
	if err != nil {
		t.Fatal(err)
	}
	sandboxtest.Await(t, b)
	if err := b.Close(); err != nil {
		t.Error(err)
	}
	if n, read := occurrences(t, m.spawner.pid, secret); n > 0 || read < 192<<10 {
		t.Errorf("%d times in %d bytes", n, read)
	}
}

// occurrences counts a text in what a process can write to.
func occurrences(t *testing.T, pid int, text string) (n, read int) {
	t.Helper()
	maps, err := os.ReadFile(fmt.Sprintf("/proc/%d/maps", pid))
	if err != nil {
		t.Fatal(err)
	}
	memory, err := os.Open(fmt.Sprintf("/proc/%d/mem", pid))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = memory.Close() }()
	for line := range strings.Lines(string(maps)) {
		var from, to int64
		var rights string
		if _, err := fmt.Sscanf(line, "%x-%x %s", &from, &to, &rights); err != nil || !strings.HasPrefix(rights, "rw") || to-from >= 64<<20 {
			continue
		}
		b := make([]byte, to-from)
		k, _ := memory.ReadAt(b, from)
		n, read = n+strings.Count(string(b[:k]), text), read+k
	}
	return n, read
}
