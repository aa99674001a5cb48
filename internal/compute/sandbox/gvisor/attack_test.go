package gvisor

import (
	"context"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"artesian/internal/compute/sandbox"
	"artesian/internal/compute/sandbox/sandboxtest"
)

// launchAttacks runs all attacks of the level container's suite in one function and returns what each met.
func launchAttacks(t *testing.T, m *Maker) map[string]string {
	t.Helper()
	g := sandboxtest.Arm(t, "artesian/internal/compute/sandbox/container/attack", "ARTESIAN_TEST_ATTACK")
	spec := sandboxtest.Spec("attacker", filepath.Join(g.Code, "attack"), "all but trace myself", g.Secret, g.Code, g.Loopback, g.Abstract,
		strconv.Itoa(os.Getpid()), strconv.Itoa(os.Getpid()))
	spec.Beside = []sandbox.Program{{Argv: []string{"/var/task/attack", "nothing"}}} // so that there is a process 1 that is not the attacker
	spec.Internet = sandboxtest.Enforced(m, sandbox.Internet)
	s, err := m.Start(context.Background(), spec)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	out := sandboxtest.ReadAllWithin(t, s, 2*time.Minute)
	sandboxtest.Await(t, s)
	if s.Exit() != (sandbox.Exit{}) {
		t.Fatalf("attacker ended with %+v: %s", s.Exit(), out)
	}
	return sandboxtest.Outcomes(out)
}

var update = flag.Bool("update", false, "rewrite testdata")

// attacks is what every attack must meet, exactly. Where it is less than at the level container ("done"), it is done to what the
// function's own kernel keeps for it alone.
const attacks = "testdata/attacks.txt"

func TestAttacks(t *testing.T) {
	m := open(t, 1<<30)
	if !sandboxtest.Enforced(m, sandbox.Internet) || m.outer.OneUser() {
		t.Skip("the outcomes are those of root with the internet")
	}
	met := launchAttacks(t, m)
	var lines []string
	for name, got := range met {
		lines = append(lines, name+"\t"+got+"\n")
	}
	slices.Sort(lines)
	if *update {
		if err := os.WriteFile(attacks, []byte(strings.Join(lines, "")), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(attacks)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(strings.Split(string(want), "\n"), strings.Split(strings.Join(lines, ""), "\n")); diff != "" {
		t.Error(diff)
	}
}
