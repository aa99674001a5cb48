package gvisor

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"net"
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
	program := sandboxtest.Build(t, "artesian/internal/compute/sandbox/container/attack", "ARTESIAN_TEST_ATTACK")
	code := t.TempDir()
	for name, mode := range map[string]os.FileMode{"attack": 0o777, "setuid": 0o777 | os.ModeSetuid | os.ModeSetgid} {
		b, err := os.ReadFile(program)
		if err != nil {
			t.Fatal(err)
		}
		file := filepath.Join(code, name)
		if err := errors.Join(os.WriteFile(file, b, 0o700), os.Chmod(file, mode)); err != nil { // root's, so set-uid means root
			t.Fatal(err)
		}
	}
	secret := filepath.Join(t.TempDir(), "secret")
	if err := errors.Join(os.WriteFile(secret, []byte("secret"), 0o644), os.Chmod(code, 0o777)); err != nil {
		t.Fatal(err)
	}
	tcp, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = tcp.Close() })
	abstract := fmt.Sprintf("artesian-attack-%d", os.Getpid())
	unixSocket, err := net.Listen("unix", "@"+abstract)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unixSocket.Close() })
	spec := sandboxtest.Spec("attacker", filepath.Join(code, "attack"), "all but trace myself", secret, code, tcp.Addr().String(), abstract,
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
	met := map[string]string{}
	for lines := bufio.NewScanner(strings.NewReader(out)); lines.Scan(); {
		name, result, _ := strings.Cut(lines.Text(), "\t")
		met[name] = result
	}
	return met
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
