package container

import (
	"context"
	"errors"
	"net/netip"
	"os"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestConnectingHoldsNoThread: connections that somebody inside leaves waiting cost the daemon no threads.
func TestConnectingHoldsNoThread(t *testing.T) {
	open := func(kind int) int {
		fd, err := unix.Socket(unix.AF_INET, kind|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = unix.Close(fd) })
		return fd
	}
	full := open(unix.SOCK_STREAM)
	if err := errors.Join(unix.Bind(full, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}), unix.Listen(full, 0)); err != nil {
		t.Fatal(err)
	}
	at, err := unix.Getsockname(full)
	if err != nil {
		t.Fatal(err)
	}
	to := netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), uint16(at.(*unix.SockaddrInet4).Port))
	for range 4 { // which take the places that there are
		_ = unix.Connect(open(unix.SOCK_STREAM|unix.SOCK_NONBLOCK), at)
	}
	before := threads(t)
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	var all sync.WaitGroup
	for range 60 {
		fd := open(unix.SOCK_STREAM | unix.SOCK_NONBLOCK)
		all.Go(func() {
			if c, err := connect(ctx, fd, to); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("connected where nobody accepts: %v, %v", c, err)
			}
		})
	}
	all.Wait()
	if more := threads(t) - before; more > 30 {
		t.Errorf("60 connections took %d threads", more)
	}
}

// threads counts those of this process; none that there was ever goes.
func threads(t *testing.T) int {
	tasks, err := os.ReadDir("/proc/self/task")
	if err != nil {
		t.Fatal(err)
	}
	return len(tasks)
}
