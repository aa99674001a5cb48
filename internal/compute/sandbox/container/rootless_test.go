package container

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"artesian/internal/compute/sandbox/sandboxtest"
)

// A user without an account for each kind, and the ids that the test lends one of them.
const (
	testUser  = 1_900_000_001
	testFirst = 1_900_100_000
	testCount = 1 << 16
)

// rootlessEnv says in a test process which kind of user it is; becomeEnv that it is to become one first.
const (
	rootlessEnv = "ARTESIAN_TEST_ROOTLESS"
	becomeEnv   = "ARTESIAN_TEST_BECOME"
)

// Kinds of users.
const (
	aloneUser     = "alone"          // has one id
	richUser      = "subordinate"    // has more, by way of newuidmap
	namespaceRoot = "namespace root" // is root in a user namespace, and nobody outside
	refusedUser   = "refused"        // is promised more than one id, and newuidmap fails
)

// rootlessTests are those that the kinds of users run.
const rootlessTests = "^(TestConformance|TestAttacks|TestCellConformance|TestAttacksOnCells|TestAttacksOnForks|TestForkEnds|TestUnfitCell|TestWaitingCell|TestCellEnds|TestCellsEndWithTheSpawner|TestClosedWithCells|TestCellsShareNothing|TestNodeLimit|TestCrash|TestSpawnerDies|TestManyAtOnce|TestCancelledStarts|TestNamesBelowLocalhost|TestStanding|TestKernelLimitsAreEachOwners|TestOpenedOwnAddress|TestForbiddenOnTheWire)$"

// TestRootless runs the suites as users that have no privilege.
func TestRootless(t *testing.T) {
	for _, kind := range []string{aloneUser, richUser, namespaceRoot} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			out := asUser(t, kind, rootlessTests)
			if !strings.Contains(out, "--- PASS: TestConformance") && !t.Failed() {
				t.Skip("no containers for users without privilege here: " + reason(out))
			}
		})
	}
}

// reason is why a test was skipped.
func reason(out string) string {
	return strings.TrimSpace(regexp.MustCompile(`(?m)^ +container_test.go.*`).FindString(out))
}

// TestRefusedIDs: where subordinate ids cannot be had in fact, functions run as the daemon's user, and Report says why; also
// after the spawner has died.
func TestRefusedIDs(t *testing.T) {
	if os.Getenv(rootlessEnv) != refusedUser {
		asUser(t, refusedUser, "^(TestRefusedIDs|TestSpawnerDies)$")
		return
	}
	m := open(t, 0)
	if !m.standing.lone() || !strings.Contains(m.standing.why, "not today") || sandboxtest.Enforced(m, "user") {
		t.Errorf("%+v", m.standing)
	}
}

// userOf is a kind's own: they run side by side and count what they have.
func userOf(kind string) int { return testUser + len(kind) }

// asUser runs tests of this package as a kind of user and returns what they print. It fails if one fails.
func asUser(t *testing.T, kind, tests string) string {
	t.Helper()
	if os.Geteuid() != 0 || os.Getenv(rootlessEnv) != "" {
		t.Skip("needs root to become another user")
	}
	if kind == richUser || kind == refusedUser {
		if _, err := exec.LookPath("newuidmap"); err != nil {
			t.Skip("needs newuidmap (package uidmap)")
		}
	}
	home, err := os.MkdirTemp("", "rootless-") // below /tmp itself: t.TempDir is behind folders of root only
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(home) })
	user := userOf(kind)
	if err := errors.Join(os.Chown(home, user, user), os.Chmod(home, 0o755)); err != nil {
		t.Fatal(err)
	}
	env := []string{"PATH=" + os.Getenv("PATH"), "TMPDIR=" + home, "HOME=" + home, becomeEnv + "=" + kind}
	for name, program := range map[string]string{sandboxtest.PayloadEnv: sandboxtest.Payload(t),
		attackEnv: sandboxtest.Build(t, "artesian/internal/compute/sandbox/container/attack", attackEnv),
		egressEnv: sandboxtest.Build(t, "artesian/internal/compute/sandbox/container/egress", egressEnv)} {
		at := filepath.Join(home, name)
		b, err := os.ReadFile(program)
		if err == nil {
			err = os.WriteFile(at, b, 0o755)
		}
		if err != nil {
			t.Fatal(err)
		}
		env = append(env, name+"="+at)
	}
	cmd := exec.CommandContext(t.Context(), "/proc/self/exe", "-test.v", "-test.run="+tests)
	cmd.Env, cmd.Dir = env, "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNS}
	cmd.WaitDelay = time.Minute
	b, err := cmd.CombinedOutput()
	out := string(b)
	if err != nil || !strings.Contains(out, "PASS") {
		t.Errorf("as %s: %v\n%s", kind, err, out)
	}
	return out
}

// become makes this process, which is root in a mount namespace of its own, a kind of user and executes it again.
func become(kind string) error {
	user := userOf(kind)
	if err := errors.Join(os.Unsetenv(becomeEnv), os.Setenv(rootlessEnv, kind)); err != nil {
		return err
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("stop mount propagation: %w", err)
	}
	if kind == refusedUser {
		dir := os.Getenv("TMPDIR")
		for _, name := range []string{"newuidmap", "newgidmap"} {
			if err := os.WriteFile(filepath.Join(dir, name), []byte("#!/bin/sh\necho not today\nexit 1\n"), 0o755); err != nil {
				return err
			}
		}
		if err := os.Setenv("PATH", dir+":"+os.Getenv("PATH")); err != nil {
			return err
		}
	}
	if kind == richUser || kind == refusedUser {
		lent := fmt.Sprintf("%d:%d:%d\n", user, testFirst, testCount)
		if err := errors.Join(extend("/etc/passwd", fmt.Sprintf("artesian-test:x:%d:%d::/:/bin/false\n", user, user)),
			extend("/etc/subuid", lent), extend("/etc/subgid", lent), openTUN()); err != nil {
			return err
		}
	}
	if kind == namespaceRoot { // the kernel lets only who is single-threaded make one: a child is
		cmd := exec.Command("/proc/self/exe", os.Args[1:]...)
		cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
		one := func(id int) []syscall.SysProcIDMap {
			return []syscall.SysProcIDMap{{ContainerID: 0, HostID: id, Size: 1}}
		}
		cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWUSER, UidMappings: one(user), GidMappings: one(user),
			Credential: &syscall.Credential{NoSetGroups: true}, Pdeathsig: syscall.SIGKILL}
		return cmd.Run()
	}
	if err := errors.Join(syscall.Setgroups(nil), syscall.Setresgid(user, user, user), syscall.Setresuid(user, user, user)); err != nil {
		return err
	}
	return syscall.Exec("/proc/self/exe", os.Args, os.Environ())
}

// extend has a file read, in this mount namespace, with more lines.
func extend(file, more string) error {
	b, err := os.ReadFile(file)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	f, err := os.CreateTemp(os.Getenv("TMPDIR"), "extended-")
	if err != nil {
		return err
	}
	_, err = f.Write(append(b, more...))
	if err := errors.Join(err, f.Chmod(0o644), f.Close()); err != nil {
		return err
	}
	if err := unix.Mount(f.Name(), file, "", unix.MS_BIND, ""); err != nil {
		return fmt.Errorf("extend %s: %w", file, err)
	}
	return nil
}

// openTUN lets every user make TUN devices, where root may.
func openTUN() error {
	if f, err := os.OpenFile(tunDevice, os.O_RDWR, 0); err != nil {
		return nil
	} else if err := f.Close(); err != nil {
		return err
	}
	node := filepath.Join(os.Getenv("TMPDIR"), "tun")
	return errors.Join(unix.Mknod(node, unix.S_IFCHR|0o666, int(unix.Mkdev(10, 200))), os.Chmod(node, 0o666),
		unix.Mount(node, tunDevice, "", unix.MS_BIND, ""))
}

// TestStanding checks that a process knows what it is.
func TestStanding(t *testing.T) {
	s, err := stand(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%+v", s)
	switch kind := os.Getenv(rootlessEnv); kind {
	case "":
		if caps, err := effective(); os.Geteuid() != 0 || err != nil || !hasAll(caps, rootNeeds...) {
			t.Skip("needs root")
		}
		if !s.root || s.lone() {
			t.Errorf("as root: %+v", s)
		}
	case aloneUser:
		if s.root || !s.lone() || s.why == "" {
			t.Errorf("as a user: %+v", s)
		}
	case richUser:
		if s.root || s.lone() || s.ids != (ids{uid: testFirst, gid: testFirst, count: testCount, helped: true}) {
			t.Errorf("with subordinate ids: %+v", s)
		}
	case namespaceRoot:
		if os.Geteuid() != 0 || s.root || !s.lone() {
			t.Errorf("as root of a user namespace: %+v", s)
		}
	}
}

func TestRangeOf(t *testing.T) {
	const text = "root:100000:65536\n#comment\n1000:1:2:3\nann:200000:10\nann:300000:65536\n1000:165536:100\nbad:x:9\n"
	for name, want := range map[string][2]int{"ann": {300000, 65536}, "1000": {165536, 100}, "bad": {}, "nobody": {}} {
		if first, count := rangeOf(text, []string{name}); first != want[0] || count != want[1] {
			t.Errorf("%s has %d from %d, want %v", name, count, first, want)
		}
	}
}
