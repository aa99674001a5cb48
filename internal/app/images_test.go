package app

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"artesian/internal/compute/lang/fetch"
	"artesian/internal/compute/sandbox"
	"artesian/internal/engine/kv"
	"artesian/internal/faas"
)

func TestExcess(t *testing.T) {
	now := time.Date(2026, 1, 30, 0, 0, 0, 0, time.UTC)
	days := func(n int) time.Time { return now.Add(-time.Duration(n) * 24 * time.Hour) }
	all := []stored{{kv.Key{Name: "a"}, 10, days(3)}, {kv.Key{Name: "b"}, 20, days(1)}, {kv.Key{Name: "c"}, 30, days(14)}, {kv.Key{Name: "d"}, 40, days(2)}}
	for _, c := range []struct {
		more, most int64
		want       string
	}{
		{0, 1000, "c"}, {0, 100, "c"}, {30, 100, "c"}, {31, 100, "ca"}, {41, 100, "cad"}, {100, 100, "cadb"}, {0, 0, "cadb"},
	} {
		got := ""
		for _, e := range excess(slices.Clone(all), c.more, c.most, "", now) {
			got += e.key.Name
		}
		if got != c.want {
			t.Errorf("%d more of %d: %q goes, want %q", c.more, c.most, got, c.want)
		}
	}
}

// TestExcessOfOthers: who has much makes room for who has little, and not the other way round.
func TestExcessOfOthers(t *testing.T) {
	now := time.Date(2026, 1, 30, 0, 0, 0, 0, time.UTC)
	of := func(account, name string, size int64, hours int) stored {
		return stored{kv.Key{Scope: faas.Scope{Account: account}, Name: name}, size, now.Add(-time.Duration(hours) * time.Hour)}
	}
	all := []stored{of("small", "s", 10, 9), of("large", "a", 30, 1), of("large", "b", 30, 2), of("large", "c", 30, 3)}
	for _, c := range []struct {
		account string
		more    int64
		want    string
	}{{"large", 30, "c"}, {"large", 60, "cb"}, {"large", 90, "cba"}, {"large", 100, "cbas"}, {"small", 30, "c"}, {"third", 20, "c"}, {"third", 60, "cb"}, {"small", 75, "csba"}, {"small", 90, "scba"}} {
		got := ""
		for _, e := range excess(slices.Clone(all), c.more, 100, c.account, now) {
			got += e.key.Name
		}
		if got != c.want {
			t.Errorf("%d more of %s: %q goes, want %q", c.more, c.account, got, c.want)
		}
	}
}

// countedKeeper makes images of one file and counts them.
type countedKeeper struct {
	sandbox.Keeper
	made, closed atomic.Int64
	fails        atomic.Bool
}

type countedImage struct {
	k    *countedKeeper
	file *os.File
}

func (k *countedKeeper) NewImage() (sandbox.Image, error) {
	if k.fails.Load() {
		return nil, errors.New("no memory")
	}
	k.made.Add(1)
	f, err := os.CreateTemp("", "image")
	if err != nil {
		return nil, err
	}
	return &countedImage{k, f}, os.Remove(f.Name())
}

func (i *countedImage) Files() []*os.File { return []*os.File{i.file} }
func (i *countedImage) Close() error      { i.k.closed.Add(1); return i.file.Close() }

// withImages is a daemon with the images of so many versions of 3 MB each, as another one has left them.
func withImages(t *testing.T, memoryMB, versions int) (*App, *countedKeeper, []*faas.Version) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root: the isolation level container is made with it")
	}
	cfg := DefaultConfig(filepath.Join(t.TempDir(), "data"))
	cfg.Listen, cfg.Registries, cfg.MemoryMB, cfg.AheadMB = "127.0.0.1:0", fetch.Registries{}, memoryMB, 0
	a, err := Start(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = a.Stop(context.Background()) })
	k := &countedKeeper{}
	a.snapshots.keeper = k
	var all []*faas.Version
	for n := range versions {
		v := &faas.Version{ID: faas.VersionID{FunctionID: faas.FunctionID{Scope: faas.Scope{Account: faas.DefaultAccount, Region: "us-east-1"}, Name: "f"}, Version: fmt.Sprint(n + 1), Revision: "r"}}
		text := strings.Repeat(fmt.Sprint(n), 3<<20)
		if err := a.snapshots.store(t.Context(), v.ID, &about{Revision: "r", Ground: "here", Sizes: []int64{3 << 20}, Used: time.Now()}, strings.NewReader(text)); err != nil {
			t.Fatal(err)
		}
		all = append(all, v)
	}
	return a, k, all
}

// TestOneImageForAll: restores of one version at once read its image once, and it is kept for others until memory is short.
func TestOneImageForAll(t *testing.T) {
	a, k, versions := withImages(t, 256, 1)
	var all sync.WaitGroup
	begin := make(chan struct{})
	for range 8 {
		all.Go(func() {
			<-begin
			l, err := a.snapshots.lend(t.Context(), versions[0].ID, "here")
			if err != nil {
				t.Error(err)
				return
			}
			a.snapshots.release(versions[0].ID, l)
		})
	}
	close(begin)
	all.Wait()
	if made, closed := k.made.Load(), k.closed.Load(); made != 1 || closed != 0 {
		t.Errorf("%d images read, %d closed", made, closed)
	}
	if a.pool.Borrow(256 - 2) {
		t.Error("an image in memory does not count")
	}
	a.snapshots.yield()
	if closed := k.closed.Load(); closed != 1 || !a.pool.Borrow(256) {
		t.Errorf("%d images closed; memory was not given back", closed)
	}
}

// TestImagesWithoutRoom: an image for which there is no memory to spare takes that of one that nobody uses, or lasts as long as its users.
func TestImagesWithoutRoom(t *testing.T) {
	a, k, versions := withImages(t, 128, 3)
	if !a.pool.Borrow(128 - 4) {
		t.Fatal("no memory")
	}
	use := func(v *faas.Version) func() {
		t.Helper()
		l, err := a.snapshots.lend(t.Context(), v.ID, "here")
		if err != nil {
			t.Fatal(err)
		}
		return func() { a.snapshots.release(v.ID, l) }
	}
	use(versions[0])()
	first := use(versions[1])
	if closed := k.closed.Load(); closed != 1 {
		t.Errorf("%d images closed, not the one that nobody uses", closed)
	}
	again, second := use(versions[1]), use(versions[2])
	if made := k.made.Load(); made != 3 {
		t.Errorf("%d images read", made)
	}
	second()
	if closed := k.closed.Load(); closed != 2 {
		t.Errorf("%d images closed: one without memory of its own outlives its users", closed)
	}
	first()
	again()
	use(versions[1])()
	if made, closed := k.made.Load(), k.closed.Load(); made != 3 || closed != 2 {
		t.Errorf("%d images read, %d closed", made, closed)
	}
	k.fails.Store(true)
	if _, err := a.snapshots.lend(t.Context(), versions[0].ID, "here"); err == nil {
		t.Error("an image that could not be read")
	}
	k.fails.Store(false)
	use(versions[0])()
}

// TestImagesBeyondMemory: however many versions are called at once where memory is in use, few images are read beyond it.
func TestImagesBeyondMemory(t *testing.T) {
	a, k, versions := withImages(t, 128, mostBeyond+1)
	if !a.pool.Borrow(128) {
		t.Fatal("no memory")
	}
	for _, v := range versions[:mostBeyond] {
		if _, err := a.snapshots.lend(t.Context(), v.ID, "here"); err != nil {
			t.Fatal(err)
		}
	}
	last := versions[mostBeyond].ID
	short, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, err := a.snapshots.lend(short, last, "here"); !errors.Is(err, context.DeadlineExceeded) || k.made.Load() != mostBeyond {
		t.Errorf("one more: %v; %d read", err, k.made.Load())
	}
	first := versions[0].ID
	a.snapshots.release(first, a.snapshots.ready[first])
	l, err := a.snapshots.lend(t.Context(), last, "here")
	if err != nil {
		t.Fatal(err)
	}
	a.snapshots.release(last, l)
}
