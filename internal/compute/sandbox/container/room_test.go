package container

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
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
	return newDisks(dir, slog.New(slog.DiscardHandler))
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

// TestRoom starts more at once than there is room for: all that are promised room get it, and the others are refused.
func TestRoom(t *testing.T) {
	const room = 200
	d := smallDisks(t, room)
	var all sync.WaitGroup
	var mu sync.Mutex
	var got []*disk
	take := func() error {
		k, err := d.new(context.Background(), 64, 1000, 1000, false)
		if err != nil {
			if faas.KindOf(err) != faas.Unavailable || !errors.Is(err, syscall.ENOSPC) || !strings.Contains(faas.Message(err), "disk is full") {
				t.Errorf("without room: %v", err)
			}
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
	for range 40 {
		all.Go(func() { _ = take() })
	}
	all.Wait()
	for take() == nil { // of those who come at once, more may be refused than must
	}
	least := d.templates[64].stake
	if n := len(got); n < 5 || int64(n)*least.promise(leastFirst) > (room+20)<<20 {
		t.Fatalf("%d have found room, each of %d bytes at least", n, least.promise(leastFirst))
	}
	for _, k := range got {
		writeTo(t, k, leastFirst-1<<20)
	}
	if take() == nil {
		t.Error("what is written was promised to another")
	}
	gone := len(got) / 2
	for _, k := range got[:gone] {
		k.close()
	}
	got = got[gone:]
	until(t, take)
}

// TestOneMore: where all that are there may have all, and next to nothing is left, one more is taken and they may have less.
func TestOneMore(t *testing.T) {
	d := smallDisks(t, 198)
	s := stake{full: 64 << 20, fixed: 1 << 20, bound: true}
	r := newRoom(d.dir, slog.New(slog.DiscardHandler))
	for range 3 {
		if _, err := r.take(s); err != nil {
			t.Fatal(err)
		}
		r.mu.Lock()
		err := r.look(nil)
		r.mu.Unlock()
		if err != nil {
			t.Fatal(err)
		}
	}
	if left := r.spare - r.most; r.promised != r.most || left < 0 || left > s.promise(leastFirst) {
		t.Fatalf("%d of %d are promised, of %d", r.promised, r.most, r.spare)
	}
	if _, err := r.take(s); err != nil {
		t.Error(err)
	}
	if r.promised > r.spare {
		t.Errorf("%d are promised, of %d", r.promised, r.spare)
	}
}

// TestFilling: two fill the disk at once. Both meet ENOSPC in a write, and keep what they have written; whoever else writes to the disk
// has what is kept back; what one gives up the other may have.
func TestFilling(t *testing.T) {
	const room = 300
	d := looped(t, room)
	end, watched := make(chan struct{}), make(chan struct{})
	go func() { defer close(watched); d.room.watch(end) }()
	defer func() { close(end); <-watched }()
	var k [2]*disk
	for i := range k {
		var err error
		if k[i], err = d.new(context.Background(), 512, 1000, 1000, i > 0); err != nil { // one of them from the shelf
			t.Fatal(err)
		}
		defer k[i].close()
		if err := k[i].settle(); err != nil {
			t.Fatal(err)
		}
	}
	var all sync.WaitGroup
	for _, k := range k {
		all.Go(func() { fillUp(t, k) })
	}
	all.Wait()
	if t.Failed() {
		return
	}
	until(t, func() error { // a fast writer may be ahead of who gives him more
		fillUp(t, k[0])
		fillUp(t, k[1])
		if sum := sizeOf(t, k[0]) + sizeOf(t, k[1]); sum < room<<20*8/10 {
			return fmt.Errorf("no more than %d bytes can be written", sum)
		}
		return nil
	})
	one, other := sizeOf(t, k[0]), sizeOf(t, k[1])
	if sum := one + other; sum > room<<20 || min(one, other) < leastFirst {
		t.Errorf("%d and %d bytes were written, where there is room for %d MB", one, other, room)
	}
	if more, err := d.new(context.Background(), 512, 1000, 1000, false); faas.KindOf(err) != faas.Unavailable {
		t.Errorf("one more on a full disk: %v", err)
		more.close()
	}
	own := filepath.Join(d.dir, "own")
	if err := writeSynced(own, leastReserve-(16<<20)); err != nil {
		t.Errorf("the platform's own data: %v", err)
	}
	if err := os.Remove(own); err != nil {
		t.Fatal(err)
	}
	if err := unlinkAll(k[0]); err != nil {
		t.Fatal(err)
	}
	until(t, func() error {
		if fillUp(t, k[1]); t.Failed() || sizeOf(t, k[1]) > other+one/2 {
			return nil
		}
		return errors.New("what one gave up did not come to the other")
	})
}

// fillUp appends to a file until there is no more room, and sees to it that all of it has arrived.
func fillUp(t *testing.T, k *disk) {
	f, err := os.OpenFile(filepath.Join(formatFD(k.root), "data"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		t.Error(err)
		return
	}
	defer func() { _ = f.Close() }()
	chunk := make([]byte, 256<<10)
	for err == nil {
		_, err = f.Write(chunk)
	}
	if !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("a full disk shows as %v", err)
	}
	if err := f.Sync(); err != nil {
		t.Errorf("what was written does not arrive: %v", err)
	}
}

func sizeOf(t *testing.T, k *disk) int64 {
	t.Helper()
	info, err := os.Stat(filepath.Join(formatFD(k.root), "data"))
	if err != nil {
		t.Fatal(err)
	}
	return info.Size()
}

func unlinkAll(k *disk) error { return os.Remove(filepath.Join(formatFD(k.root), "data")) }

// looped are disks on an ext4 of their own that has so many MB for them beside the reserve.
func looped(t *testing.T, mb int) *disks {
	t.Helper()
	m := open(t, 0)
	if m.noDisks != nil || !m.standing.root {
		t.Skip("needs root and loop devices")
	}
	image, dir := filepath.Join(t.TempDir(), "image"), t.TempDir()
	for _, command := range [][]string{
		{"truncate", "-s", strconv.Itoa(mb+leastReserve>>20+24) + "M", image}, // 24 for its own lists
		{"mkfs.ext4", "-q", "-m", "0", "-O", "^has_journal", image}, {"mount", "-o", "loop", image, dir},
	} {
		if out, err := exec.Command(command[0], command[1:]...).CombinedOutput(); err != nil {
			t.Skipf("needs to mount a small file system: %v: %v: %s", command, err, out)
		}
	}
	t.Cleanup(func() { until(t, func() error { return unix.Unmount(dir, 0) }) })
	return newDisks(dir, slog.New(slog.DiscardHandler))
}

func writeTo(t *testing.T, k *disk, size int64) {
	t.Helper()
	if err := writeSynced(filepath.Join(formatFD(k.root), "data"), size); err != nil {
		t.Fatal(err)
	}
}

// writeSynced makes a file of so many bytes, on the disk.
func writeSynced(path string, size int64) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	_, err = io.CopyN(f, endless{}, size)
	return errors.Join(err, f.Sync(), f.Close())
}

type endless struct{}

func (endless) Read(b []byte) (int, error) {
	for i := range b {
		b[i] = 'x'
	}
	return len(b), nil
}

// TestRoomOnTheShelf: what nobody can write to yet claims next to nothing, and its part once somebody can, or is refused.
func TestRoomOnTheShelf(t *testing.T) {
	const fit = 2
	d := smallDisks(t, fit*30)
	var shelf []*disk
	for range fit + 4 {
		k, err := d.new(context.Background(), 64, 1000, 1000, true)
		if err != nil {
			t.Fatalf("after %d on the shelf: %v", len(shelf), err)
		}
		defer k.close()
		shelf = append(shelf, k)
	}
	settled := 0
	for _, k := range shelf {
		switch err := k.settle(); {
		case err == nil:
			settled++
		case faas.KindOf(err) != faas.Unavailable:
			t.Error(err)
		}
	}
	if settled < 1 || settled > fit {
		t.Errorf("%d have settled, of %d", settled, len(shelf))
	}
	shelf[0].close()
	if err := shelf[len(shelf)-1].settle(); err != nil {
		t.Errorf("after another has gone: %v", err)
	}
	for _, k := range shelf {
		k.close()
	}
	if d.room.promised != 0 || len(d.room.claims) != 0 {
		t.Errorf("%d bytes and %d claims are left", d.room.promised, len(d.room.claims))
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
