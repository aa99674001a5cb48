package container

import (
	"encoding/binary"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"unsafe"

	"github.com/elastic/go-seccomp-bpf/arch"

	"artesian/internal/compute/sandbox"
	"artesian/internal/compute/sandbox/container/stage0"
)

var update = flag.Bool("update", false, "write the golden files anew")

func TestPlan(t *testing.T) {
	full := sandbox.Spec{
		ID: "a", Owner: "o", Argv: []string{"/var/lang/bin/python3", "-m", "x"}, Env: []string{"A=b"}, Dir: "/var/task",
		Mounts: []sandbox.Mount{
			{Source: "/usr/lib", Target: "/usr/lib"}, {Source: "/data/code", Target: "/var/task"},
			{Source: "/etc/ssl/certs", Target: "/etc/ssl/certs"}, {Source: "/data/hosts", Target: "/etc/hosts"}},
		MemoryMB: 128, TmpMB: 512, Pids: 10, Files: 100, Channel: true, Listen: []string{"127.0.0.1:4566", "[::1]:80"},
		Internet: true, Dials: 1, Beside: []sandbox.Program{{Argv: []string{"/opt/extensions/x"}, Env: []string{"C=d"}}},
	}
	bare := sandbox.Spec{ID: "b", Owner: "o", Argv: []string{"/bin/true"}, Dir: "/", MemoryMB: 128, TmpMB: 512, Pids: 10, Files: 100}
	blank := sandbox.Spec{ID: "a", Owner: "o", MemoryMB: 64, TmpMB: 512, Pids: 10, Files: 100, Listen: full.Listen, Internet: true, Dials: 1}
	stem := blank
	stem.Mounts, stem.Argv, stem.Dir, stem.Channel = full.Mounts[:1], full.Argv, "/", true
	cells := layout{hostUID: 5000, group: true, ipv6: true, dirs: []bool{true}, lastCap: 2, filter: filter("12345678"), guard: filter("12345678")}
	blankCell, blankAhead := planCell(blank, cells)
	stemCell, stemAhead := planCell(stem, cells)
	ahead := stem
	ahead.Argv, ahead.Fork = nil, &zygote{}
	forkedCell, forkedAhead := planCell(ahead, cells)
	adopted, adoptedAhead := planAdopt(3, forkedAhead)
	seen, seenLayout := blank, cells
	seen.Mounts, seenLayout.stub = full.Mounts[:1], true
	seenCell, seenAhead := planCell(seen, seenLayout)
	for _, c := range []struct {
		name string
		p    *program
	}{
		{"cell-seen", seenCell},
		{"cell-seen-become", planBecome(seen, full, seenLayout, seenAhead, change{mounts: full.Mounts[1:], dirs: []bool{true, true, false}})},
		{"cell-seen-last", planLast(full, seenAhead)},
		{"cell-blank", blankCell},
		{"cell-blank-become", planBecome(blank, full, cells, blankAhead, change{full.Mounts, []bool{true, true, true, false}, true, 0})},
		{"cell-stem", stemCell},
		{"cell-stem-become", planBecome(stem, full, cells, stemAhead, change{full.Mounts[1:], []bool{true, true, false}, false, 0})},
		{"cell-forked", forkedCell},
		{"cell-adopt", adopted},
		{"cell-forked-become", planBecome(ahead, full, cells, adoptedAhead, change{full.Mounts[1:], []bool{true, true, false}, false, 0})},
		{"cell-blank-forked", planBecome(blank, full, cells, blankAhead, change{full.Mounts, []bool{true, true, true, false}, false, 5})},
		{"full", plan(full, layout{hostUID: 5000, group: true, joins: 2, ipv6: true, dirs: []bool{true, true, true, false}, lastCap: 40, filter: filter("12345678"), guard: filter("12345678")})},
		{"wire", plan(sandbox.Spec{ID: "c", Owner: "o", Argv: bare.Argv, Dir: "/", MemoryMB: 128, TmpMB: 512, Pids: 10, Files: 100, Internet: true},
			layout{hostUID: 5000, lastCap: 2, ipv6: true, wire: true})},
		{"bare", plan(bare, layout{hostUID: 5000, lastCap: 40})},
		{"alone", plan(full, layout{lone: true, shared: true, tmpMB: 512, tend: true, pids: 11, shares: []share{{"max_inotify_instances", 16}}, hard: hards{7: 50}, dirs: []bool{true, true, true, false}, lastCap: 40, filter: filter("12345678"), guard: filter("12345678")})},
		{"spawner", planSpawner("/data", false, nil, 40)},
		{"spawner-rootless", planSpawner("/data", true, []share{{"max_inotify_instances", 96}}, 0)},
		{"zygote", planZygote(sandbox.ZygoteSpec{ID: "z", Mounts: full.Mounts[:2], Argv: full.Argv, Env: full.Env, Dir: "/"},
			layout{group: true, joins: 2, tmpMB: 16, dirs: []bool{true, true}, lastCap: 40, entering: filter("12345678")}, identity{true, 6000, 7000})},
		{"entry", planEntry(full, layout{group: true, joins: 2, lastCap: 40, filter: filter("12345678")})},
		{"entry-alone", planEntry(full, layout{lone: true, pids: 11, hard: hards{7: 50}, lastCap: 40, filter: filter("12345678")})},
		{"outer", planOuter()},
		{"clones", planClones([]string{"/usr/lib", "/data/code"})},
	} {
		t.Run(c.name, func(t *testing.T) {
			golden(t, filepath.Join("testdata", c.name+".txt"), describe(c.p))
		})
	}
}

func golden(t *testing.T, file, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("plan differs from %s (-update writes it anew):\n%s", file, got)
	}
}

// describe writes a program for people.
func describe(p *program) string {
	var b strings.Builder
	if p.first == 0 {
		fmt.Fprintf(&b, "clone %#x owner %d cgroup %s\nuid_map %q\ngid_map %q\n", p.clone, p.owner, regName(p.group), p.uids, p.gids)
	} else {
		fmt.Fprintf(&b, "descriptors from %s\n", regName(p.first))
	}
	names := arches().SyscallNumbers
	if names == nil {
		names = arch.X86_64.SyscallNumbers
	}
	for _, s := range p.steps {
		what := map[uint8]string{stage0.Call: names[int(s.nr)], stage0.Fork: "FORK", stage0.Send: "SEND", stage0.Wait: "WAIT", stage0.Tend: "TEND", stage0.Adopt: "ADOPT", stage0.More: "MORE"}[s.kind]
		fmt.Fprintf(&b, "%-28s %s", s.what, what)
		for _, a := range s.args {
			switch a := a.(type) {
			case int:
				fmt.Fprintf(&b, " %#x", uint32(a))
			case reg:
				fmt.Fprintf(&b, " %s", regName(a))
			case string:
				fmt.Fprintf(&b, " %q", a)
			case words:
				fmt.Fprintf(&b, " %q", []string(a))
			default:
				fmt.Fprintf(&b, " <%x>", a)
			}
		}
		if s.dst != none {
			fmt.Fprintf(&b, " -> %s", regName(s.dst))
		}
		if s.allow != 0 {
			fmt.Fprintf(&b, " or %v", s.allow)
		}
		b.WriteByte('\n')
	}
	return b.String()
}

func regName(r reg) string {
	if r == none {
		return "none"
	}
	return fmt.Sprintf("r%d", r)
}

// TestEncode follows every pointer of an encoded program back to what it was made from.
func TestEncode(t *testing.T) {
	p := &program{group: none, next: 1, owner: 9, uids: "0 5 1\n", gids: "0 6 1\n"}
	p.call("a", 1, "text", 7, reg(3), []byte{1, 2, 3})
	p.call("b", 2, words{"x", "yy"}, filter("12345678"))
	p.allow(syscall.EEXIST, "c", 3)
	code, err := p.encode()
	if err != nil {
		t.Fatal(err)
	}
	h := (*stage0.Header)(unsafe.Pointer(&code[0]))
	at := int(unsafe.Sizeof(*h))
	op := func(i int) *stage0.Op {
		return (*stage0.Op)(unsafe.Pointer(&code[at+i*int(unsafe.Sizeof(stage0.Op{}))]))
	}
	text := func(off uint64) string { s, _, _ := strings.Cut(string(code[off:]), "\x00"); return s }
	word := func(off uint64) uint64 { return binary.NativeEndian.Uint64(code[off:]) }
	if got := text(op(0).Args[0]); got != "text" {
		t.Errorf("string = %q", got)
	}
	if op(0).Args[1] != 7 || op(0).Args[2] != 3 || op(0).Regs != 1<<2 {
		t.Errorf("number and register: %+v", op(0))
	}
	if got := code[op(0).Args[3]]; got != 1 {
		t.Errorf("bytes begin with %d", got)
	}
	list := op(1).Args[0]
	if text(word(list)) != "x" || text(word(list+8)) != "yy" || word(list+16) != 0 {
		t.Errorf("words: %q %q %d", text(word(list)), text(word(list+8)), word(list+16))
	}
	fprog := op(1).Args[1]
	if word(fprog) != 1 || string(code[word(fprog+8):][:8]) != "12345678" {
		t.Errorf("filter of %d at %d", word(fprog), word(fprog+8))
	}
	if op(2).Allow != uint8(syscall.EEXIST) {
		t.Errorf("allowed errno %d", op(2).Allow)
	}
	if h.Owner != 9 {
		t.Errorf("owner %d", h.Owner)
	}
	if text(uint64(h.UIDMap)) != p.uids || text(uint64(h.GIDMap)) != p.gids {
		t.Errorf("maps %q %q", text(uint64(h.UIDMap)), text(uint64(h.GIDMap)))
	}
	pointers := map[uint64]bool{}
	for i := range h.Relocs {
		pointers[uint64(binary.NativeEndian.Uint32(code[at+3*int(unsafe.Sizeof(stage0.Op{}))+4*int(i):]))] = true
	}
	for _, want := range []uint64{list, list + 8, fprog + 8} {
		if !pointers[want] {
			t.Errorf("no relocation at %d", want)
		}
	}
}

func TestEncodeRefusesWhatDoesNotFit(t *testing.T) {
	p := &program{group: none}
	p.call("big", 1, strings.Repeat("x", stage0.MaxSize))
	if _, err := p.encode(); err == nil {
		t.Error("a program larger than a message was accepted")
	}
}

// TestStage0Imports guards the one init of this program: whatever it imports would have to be initialised before it, and
// must work in a forked child.
func TestStage0Imports(t *testing.T) {
	goTool, err := exec.LookPath("go")
	if err != nil {
		t.Skip("needs the go command in PATH")
	}
	out, err := exec.Command(goTool, "list", "-f", "{{.Imports}}", "./stage0").Output()
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.TrimSpace(string(out)); got != "[syscall unsafe]" {
		t.Errorf("stage0 imports %s, want [syscall unsafe]", got)
	}
}

// TestStage0InitialisesFirst looks at the order in which this very program's packages initialise. Before stage 0 come only
// some that do not need the operating system, not even to print.
func TestStage0InitialisesFirst(t *testing.T) {
	cmd := exec.Command("/proc/self/exe", "-test.run=^$")
	cmd.Env = append(os.Environ(), "GODEBUG=inittrace=1")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(out)) {
		name, ok := strings.CutPrefix(line, "init ")
		if !ok {
			continue
		}
		name, _, _ = strings.Cut(name, " ")
		if strings.HasSuffix(name, "/stage0") {
			return
		}
		first, _, _ := strings.Cut(name, "/")
		if first == "artesian" || slices.Contains([]string{"os", "time", "fmt", "net", "reflect", "testing"}, first) {
			t.Errorf("%s initialises before stage0", name)
		}
	}
	t.Error("stage0 is not among the packages that initialise")
}
