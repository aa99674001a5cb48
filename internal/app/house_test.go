package app_test

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// rooms are the levels of the house, ground first: a room may import those before it. Rooms that share a line are
// neighbours and do not import each other.
var rooms = [][]string{
	{"faas"},
	{"engine"},
	{"account"},
	{"observe"},
	{"compute"},
	{"event"},
	{"data"},
	{"flow"},
	{"stack"},
	{"door"},
	{"app"},
}

// subrooms are the written orders inside rooms, by the same rule. A sub-room that is not listed is an error.
var subrooms = map[string][][]string{
	"engine":  {{""}, {"kv", "blob", "journal"}},
	"account": {{"identity", "price"}, {"meter"}},
	"observe": {{"logs", "metrics"}},
	"compute": {{"registry"}, {"artifact"}, {"sandbox"}, {"lang"}, {"pool"}, {"invoke"}},
	"door":    {{"aws"}, {"gateway"}, {"cli"}},
}

// concrete are adapters that only the composition root may choose.
var concrete = []string{
	"internal/compute/sandbox/container",
	"internal/compute/sandbox/gvisor",
	"internal/compute/sandbox/process",
	"internal/compute/lang/host",
	"internal/compute/lang/framed",
	"internal/compute/lang/python",
	"internal/compute/lang/node",
}

type listed struct {
	ImportPath, Dir string
	Imports         []string
	TestImports     []string
	Standard        bool
}

func TestImportsPointOneWay(t *testing.T) {
	for _, p := range list(t, "artesian/...") {
		from := strings.TrimPrefix(p.ImportPath, "artesian/")
		for _, imp := range p.Imports {
			to, ours := strings.CutPrefix(imp, "artesian/")
			if !ours {
				if from == "internal/faas" && strings.Contains(imp, ".") {
					t.Errorf("%s imports %s: faas stands on the standard library only", from, imp)
				}
				continue
			}
			if reason := forbidden(from, to); reason != "" {
				t.Errorf("%s imports %s: %s", from, to, reason)
			}
		}
	}
}

// forbidden says why a package may not import another, or nothing.
func forbidden(from, to string) string {
	fromRoom, fromSub, okFrom := place(from)
	toRoom, toSub, okTo := place(to)
	if !okFrom || fromRoom == "app" { // main and the composition root know everything
		return ""
	}
	if !okTo {
		return "only rooms under internal/ may be imported"
	}
	for _, c := range concrete {
		if (to == c || strings.HasPrefix(to, c+"/")) && !samePlace(from, c) {
			return "only app knows concrete adapters"
		}
	}
	if fromRoom != toRoom {
		if a, b := level(rooms, fromRoom), level(rooms, toRoom); a < 0 || b < 0 {
			return "a room is not on the list"
		} else if b >= a {
			return "the room is not above"
		}
		return ""
	}
	if fromSub == toSub {
		return ""
	}
	order := subrooms[fromRoom]
	if a, b := level(order, fromSub), level(order, toSub); a < 0 || b < 0 {
		return "a sub-room of " + fromRoom + " is not on the list"
	} else if b >= a {
		return "the sub-room is not above"
	}
	return ""
}

// samePlace lets a technology's package import its siblings of the same sub-room.
func samePlace(from, c string) bool {
	r1, s1, _ := place(from)
	r2, s2, _ := place(c)
	return r1 == r2 && s1 == s2
}

func place(path string) (room, sub string, ok bool) {
	rest, ok := strings.CutPrefix(path, "internal/")
	if !ok {
		return "", "", false
	}
	room, sub, _ = strings.Cut(rest, "/")
	sub, _, _ = strings.Cut(sub, "/")
	return room, sub, true
}

func level(order [][]string, name string) int {
	return slices.IndexFunc(order, func(l []string) bool { return slices.Contains(l, name) })
}

func TestForbiddenImportsAreSeen(t *testing.T) {
	for _, c := range []struct {
		from, to string
		bad      bool
	}{
		{"internal/engine/kv", "internal/faas", false},
		{"internal/faas", "internal/engine", true},
		{"internal/observe/logs", "internal/compute/pool", true},
		{"internal/compute/pool", "internal/compute/invoke", true},
		{"internal/compute/invoke", "internal/compute/pool", false},
		{"internal/compute/invoke", "internal/compute/sandbox/container", true},
		{"internal/compute/sandbox/container", "internal/compute/sandbox", false},
		{"internal/app", "internal/compute/sandbox/container", false},
		{"internal/door/cli", "internal/app", true},
		{"internal/engine/kv", "internal/engine/blob", true},
		{"internal/engine/mystery", "internal/engine", true},
	} {
		if got := forbidden(c.from, c.to); (got != "") != c.bad {
			t.Errorf("%s → %s: %q, want forbidden=%v", c.from, c.to, got, c.bad)
		}
	}
}

// TestOnlyStageZeroHasInit keeps the tree free of registration by side effect.
func TestOnlyStageZeroHasInit(t *testing.T) {
	out, err := exec.Command("git", "-C", "../..", "grep", "-nE", `^func init\(\)`, "--", "*.go").Output()
	var exit *exec.ExitError
	if err != nil && !(errors.As(err, &exit) && exit.ExitCode() == 1) {
		t.Skipf("git grep is not available here: %v", err)
	}
	for line := range strings.Lines(string(out)) {
		if !strings.HasPrefix(line, "internal/compute/sandbox/container/stage0/") {
			t.Errorf("init function outside stage 0: %s", strings.TrimSpace(line))
		}
	}
}

func list(t *testing.T, pattern string) []listed {
	t.Helper()
	cmd := exec.Command("go", "list", "-json=ImportPath,Dir,Imports,TestImports,Standard", pattern)
	cmd.Dir = "../.."
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	dec := json.NewDecoder(strings.NewReader(string(out)))
	var all []listed
	for {
		var p listed
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			return all
		} else if err != nil {
			t.Fatalf("decode go list: %v", err)
		}
		all = append(all, p)
	}
}
