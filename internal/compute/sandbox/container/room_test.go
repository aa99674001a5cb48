package container

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"artesian/internal/faas"
)

func TestReserve(t *testing.T) {
	const gb = 1 << 30
	for total, want := range map[int64]int64{4 * gb: gb, 20 * gb: gb, 30 * gb: 30 * gb / 20, 40 * gb: 2 * gb, 1000 * gb: 2 * gb} {
		if got := reserveOf(total); got != want {
			t.Errorf("of %d MB are kept back %d, want %d", total>>20, got>>20, want>>20)
		}
	}
}

// smallDisks are on a disk that has so many MB for them beside the reserve.
func smallDisks(t *testing.T, mb int) *disks {
	t.Helper()
	m := open(t, 0)
	if m.noDisks != nil {
		t.Skip(m.noDisks)
	}
	dir := t.TempDir()
	if err := unix.Mount("small", dir, "tmpfs", 0, fmt.Sprintf("size=%dm", mb+leastReserve>>20)); err != nil {
		t.Skipf("needs to mount a small file system: %v", err)
	}
	t.Cleanup(func() { // loop devices let go of their images a moment after they are closed
		until(t, func() error { return unix.Unmount(dir, 0) })
	})
	return &disks{dir: dir, templates: map[int]*template{}}
}

// until calls f until it succeeds, at most five seconds.
func until(t *testing.T, f func() error) {
	t.Helper()
	for began := time.Now(); ; time.Sleep(time.Millisecond) {
		err := f()
		if err == nil {
			return
		}
		if time.Since(began) > 5*time.Second {
			t.Fatal(err)
		}
	}
}

// TestRoom starts more at once than there is room for: some are refused, and what those who are not write is no room that
// anybody else was promised.
func TestRoom(t *testing.T) {
	const fit = 4
	d := smallDisks(t, fit*71+30) // an image of 64 MB takes 70
	ctx := context.Background()
	var all sync.WaitGroup
	var mu sync.Mutex
	var got []*disk
	refused := func(err error) {
		t.Helper()
		if faas.KindOf(err) != faas.Unavailable || !errors.Is(err, syscall.ENOSPC) || !strings.Contains(faas.Message(err), "disk is full") {
			t.Errorf("without room: %v", err)
		}
	}
	take := func() error {
		k, err := d.new(ctx, 64, 1000, 1000, false)
		if err != nil {
			refused(err)
			return err
		}
		mu.Lock()
		defer mu.Unlock()
		got = append(got, k)
		return nil
	}
	t.Cleanup(func() {
		for _, k := range got {
			k.close()
		}
	})
	for range 3 * fit {
		all.Go(func() { _ = take() })
	}
	all.Wait()
	for len(got) < fit && take() == nil { // of those who come at once, more may be refused than must
	}
	if len(got) != fit || take() == nil {
		t.Fatalf("%d file systems found room, want %d", len(got), fit)
	}
	writeTo(t, got[0], 48<<20)
	if take() == nil {
		t.Error("what one has written was promised to another")
	}
	writeTo(t, got[1], 60<<20)
	writeTo(t, got[2], 60<<20)
	got[0].close()
	got = got[1:]
	until(t, take)
}

func writeTo(t *testing.T, k *disk, size int64) {
	t.Helper()
	f, err := os.Create(filepath.Join(formatFD(k.root), "data"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	if _, err := io.CopyN(f, endless{}, size); err != nil {
		t.Fatal(err)
	}
	if err := f.Sync(); err != nil {
		t.Fatal(err)
	}
}

type endless struct{}

func (endless) Read(b []byte) (int, error) {
	for i := range b {
		b[i] = 'x'
	}
	return len(b), nil
}

// TestRoomOnTheShelf: what nobody can write to yet claims next to nothing, and all of its size once somebody can, or is refused.
func TestRoomOnTheShelf(t *testing.T) {
	const fit = 2
	d := smallDisks(t, fit*71+40)
	var shelf []*disk
	t.Cleanup(func() {
		for _, k := range shelf {
			k.close()
		}
	})
	for range fit + 2 {
		k, err := d.new(context.Background(), 64, 1000, 1000, true)
		if err != nil {
			t.Fatalf("after %d on the shelf: %v", len(shelf), err)
		}
		shelf = append(shelf, k)
	}
	for i, k := range shelf {
		if err := d.settle(k); i < fit && err != nil || i >= fit && faas.KindOf(err) != faas.Unavailable {
			t.Errorf("the %d. one settles: %v", i+1, err)
		}
	}
	shelf[0].close()
	if err := d.settle(shelf[fit]); err != nil {
		t.Errorf("after another has gone: %v", err)
	}
	for _, k := range shelf {
		k.close()
	}
	if d.room.sizes != 0 || len(d.room.claims) != 0 {
		t.Errorf("%d bytes and %d claims are left", d.room.sizes, len(d.room.claims))
	}
}

// TestTemplatesAreMadeSideBySide: who waits for one size, or leaves, holds up nobody who wants another.
func TestTemplatesAreMadeSideBySide(t *testing.T) {
	d := smallDisks(t, 100)
	d.making = map[int]chan struct{}{16: make(chan struct{})} // somebody is at it
	gone, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := d.template(gone, 16); !errors.Is(err, context.Canceled) {
		t.Errorf("a caller who left: %v", err)
	}
	waiter := make(chan error, 1)
	go func() {
		_, err := d.template(context.Background(), 16)
		waiter <- err
	}()
	if _, err := d.template(context.Background(), 8); err != nil {
		t.Errorf("another size: %v", err)
	}
	d.mu.Lock() // that somebody gives up: the waiter makes it
	close(d.making[16])
	delete(d.making, 16)
	d.mu.Unlock()
	if err := <-waiter; err != nil {
		t.Errorf("who waited: %v", err)
	}
	if d.templates[16] == nil || d.templates[8] == nil {
		t.Errorf("templates: %v", d.templates)
	}
}
