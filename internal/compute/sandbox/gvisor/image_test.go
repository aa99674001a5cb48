package gvisor

import (
	"bufio"
	"context"
	"errors"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"artesian/internal/compute/sandbox"
	"artesian/internal/compute/sandbox/sandboxtest"
)

// ask sends a byte and returns the counter that comes back.
func ask(t *testing.T, s sandbox.Sandbox) string {
	t.Helper()
	if err := s.Channel().SetDeadline(time.Now().Add(30 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Channel().Write([]byte{'x'}); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(s.Channel()).ReadString('\n')
	if err != nil {
		t.Fatalf("%q: %v", line, err)
	}
	return line
}

func sizeOf(image sandbox.Image) (all int64, err error) {
	for _, f := range image.Files() {
		info, err := f.Stat()
		if err != nil {
			return 0, err
		}
		all += info.Size()
	}
	return all, nil
}

// TestSnapshot: a program goes on where it was, as often as one likes, with a channel of its own each time.
func TestSnapshot(t *testing.T) {
	m := open(t, 4<<30)
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	spec := sandboxtest.Spec("first", sandboxtest.Payload(t), "count")
	spec.Channel = true
	first, err := m.StartKept(ctx, spec)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"1\n", "2\n"} {
		if got := ask(t, first); got != want {
			t.Fatalf("counted %q, want %q", got, want)
		}
	}
	image, err := m.Snapshot(ctx, first)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = image.Close() }()
	sandboxtest.Await(t, first)
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	size, err := sizeOf(image)
	t.Logf("an image of %d bytes: %v", size, err)
	for _, id := range []string{"second", "third"} {
		spec.ID = id
		s, err := m.Restore(ctx, spec, image)
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("restored in %v", s.Started())
		for n, f := range image.Files() { // a kernel in which somebody has broken in has the same descriptors
			if _, err := f.WriteAt([]byte{0}, 0); !errors.Is(err, unix.EPERM) {
				t.Errorf("write to file %d of the image: %v", n, err)
			}
		}
		if got := ask(t, s); got != "3\n" {
			t.Errorf("counted %q, want it to go on with 3", got)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
}
