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
// nor to the host's root. inotify instances stand for all of them; the kernel's default limit is 128.
func TestKernelLimitsAreEachOwners(t *testing.T) {
	limit, err := readInt("/proc/sys/user/max_inotify_instances")
	if err != nil {
		t.Fatal(err)
	}
	const roots = 64
	if limit > 1<<12 {
		t.Skipf("a user may have %d inotify instances here, more than this test wants to open", limit)
	}
	m := open(t, 0)
	program := sandboxtest.Build(t, "artesian/internal/compute/sandbox/container/attack", attackEnv)
	for n := range 2 {
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
		if want := fmt.Sprintf("%d EMFILE\n", limit); err != nil || line != want {
			t.Errorf("function %d took %q, %v; want %q", n, line, err, want)
		}
	}
	for n := range roots {
		fd, err := unix.InotifyInit1(unix.IN_CLOEXEC)
		if err != nil {
			t.Fatalf("the host's root has %d inotify instances, and then %v", n, err)
		}
		defer func() { _ = unix.Close(fd) }()
	}
}
