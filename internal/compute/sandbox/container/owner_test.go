package container

import (
	"bufio"
	"context"
	"fmt"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"artesian/internal/compute/sandbox/sandboxtest"
)

// TestKernelLimitsAreEachOwners: what a function takes of the kernel's limits by user is missing neither to another function
// nor to the host's root. inotify instances stand for all of them; the kernel's default limit is 128. Without root a sandbox has a
// share of its user's.
func TestKernelLimitsAreEachOwners(t *testing.T) {
	limit, err := readInt("/proc/sys/user/max_inotify_instances")
	if err != nil {
		t.Fatal(err)
	}
	const roots = 64
	left := roots
	if limit > 1<<12 {
		t.Skipf("a user may have %d inotify instances here, more than this test wants to open", limit)
	}
	m := open(t, 0)
	program := sandboxtest.Build(t, "artesian/internal/compute/sandbox/container/attack", attackEnv)
	owners := 2
	if !m.standing.root {
		owners, left = 2*shareOfOne, limit/8 // more of them than have a full share
		limit = limit / shareOfOne
	}
	for n := range owners {
		spec := sandboxtest.Spec(fmt.Sprintf("greedy-%d", n), program, "hold")
		spec.Argv[0], spec.Files = "/var/task/"+filepath.Base(program), limit+100
		s, err := m.Start(context.Background(), spec)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		})
		line, err := bufio.NewReader(s.Output()).ReadString('\n')
		var took int
		if _, e := fmt.Sscanf(line, "%d EMFILE\n", &took); err != nil || e != nil || took > limit || took < limit && n < 2 {
			t.Errorf("function %d took %q, %v, %v; want %d", n, line, err, e, limit)
		}
	}
	for n := range left {
		fd, err := unix.InotifyInit1(unix.IN_CLOEXEC)
		if err != nil {
			t.Fatalf("the daemon's user has %d inotify instances, and then %v", n, err)
		}
		defer func() { _ = unix.Close(fd) }()
	}
}
