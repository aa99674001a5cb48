package pool

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"artesian/internal/compute/lang"
	"artesian/internal/faas"
)

// warmth calls a function once and reports whether the call was cold.
func warmth(t *testing.T, p *Pool, v *faas.Version, takes time.Duration) (cold bool) {
	t.Helper()
	if err := p.With(t.Context(), v, func(in *Instance) error {
		cold = in.Cold != nil
		time.Sleep(takes)
		return nil
	}); err != nil {
		t.Error(err)
	}
	return cold
}

// TestMadeAhead: a function on a schedule is at zero for most of its time, and its calls are warm.
func TestMadeAhead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := &fakeNode{delay: 300 * time.Millisecond}
		p := New(n, Config{})
		v := version("f", 1024)
		colds, there, looked := 0, 0, 0
		for i := range 24 {
			if warmth(t, p, v, time.Second) && i >= 4 {
				colds++
			}
			for range 30 {
				time.Sleep(time.Minute - time.Second/30)
				if _, alive := n.count(); i >= 4 {
					there += alive
					looked++
				}
			}
		}
		if colds > 0 {
			t.Errorf("%d of 20 calls on schedule were cold", colds)
		}
		if there*5 > looked {
			t.Errorf("an instance was there %d of %d minutes", there, looked)
		}
		for _, in := range p.List() {
			t.Logf("%+v", in)
		}
		closeAll(t, p)
	})
}

// TestHabitOutlivesRevisions: what is known of a function is known of its next revision; a deleted one's is forgotten.
func TestHabitOutlivesRevisions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := New(&fakeNode{}, Config{})
		v := version("f", 1024)
		for range 8 {
			warmth(t, p, v, time.Second)
			time.Sleep(30 * time.Minute)
		}
		next := version("f", 1024)
		next.ID.Revision = "r2"
		p.RetireFunction(v.ID.FunctionID, "r2")
		warmth(t, p, next, time.Second)
		time.Sleep(30*time.Minute - 2*time.Second)
		if warmth(t, p, next, time.Second) {
			t.Error("the new revision's second call on schedule was cold")
		}
		p.RetireFunction(v.ID.FunctionID, "")
		if h := (&group{pool: p, key: groupKey{v.ID, ""}}).inherit(); *h != (Habit{}) {
			t.Error("the habit of a deleted function is kept")
		}
		closeAll(t, p)
	})
}

// TestAheadStopsNobody: an instance is made ahead only in memory that nobody uses, and one that comes to nothing is not tried for ever.
func TestAheadStopsNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := &fakeNode{}
		p := New(n, Config{MemoryMB: 1024})
		v := version("f", 1024)
		for range 8 {
			warmth(t, p, v, time.Second)
			time.Sleep(30 * time.Minute)
		}
		time.Sleep(2 * time.Minute)
		var wg sync.WaitGroup
		for i := range 8 { // they fill the node while the next call is due
			wg.Go(func() { warmth(t, p, version(fmt.Sprintf("other%d", i), 128), 2*time.Hour) })
		}
		synctest.Wait()
		before, _ := n.count()
		time.Sleep(time.Hour)
		if all, alive := n.count(); all != before || alive != 8 {
			t.Errorf("%d started, %d live; want %d and 8", all, alive, before)
		}
		wg.Wait()
		closeAll(t, p)
	})
}

func TestAheadThatFailsWaitsForACall(t *testing.T) {
	for name, broken := range map[string]*fakeNode{
		"start": {err: errors.New("no loop device")},
		"init":  {init: func(context.Context) error { return lang.ErrExited }},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := &fakeNode{}
				p := New(n, Config{})
				v := version("f", 1024)
				for range 8 {
					warmth(t, p, v, time.Second)
					time.Sleep(30 * time.Minute)
				}
				warmth(t, p, v, time.Second)
				time.Sleep(10 * time.Minute)
				n.mu.Lock()
				n.err, n.init = broken.err, broken.init
				n.mu.Unlock()
				before, _ := n.count()
				time.Sleep(10 * time.Hour)
				if all, alive := n.count(); all > before+1 || alive > 0 {
					t.Errorf("%d tries, %d live", all-before, alive)
				}
				n.mu.Lock()
				n.err, n.init = nil, nil
				n.mu.Unlock()
				warmth(t, p, v, time.Second)
				closeAll(t, p)
			})
		})
	}
}

// TestPressure: under pressure those go first that are worth the least: what is called often stays, however long it has been idle.
func TestPressure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := &fakeNode{delay: 200 * time.Millisecond}
		p := New(n, Config{MemoryMB: 1024, KeepAlive: 10 * time.Hour})
		often, seldom := version("often", 256), version("seldom", 256)
		for range 100 {
			warmth(t, p, often, time.Second)
			time.Sleep(2 * time.Minute)
		}
		warmth(t, p, version("large", 512), time.Second)
		warmth(t, p, seldom, time.Second)
		time.Sleep(time.Second)
		warmth(t, p, version("new", 512), time.Second) // of the three, the large one makes room
		synctest.Wait()
		left := map[string]bool{}
		for _, in := range p.List() {
			left[in.Version.Name] = true
		}
		if !left["often"] || !left["seldom"] || left["large"] || !left["new"] {
			t.Errorf("left are %v", left)
		}
		closeAll(t, p)
	})
}

// TestUsedMemoryCounts: of two functions with the same configuration, the one that uses less of its memory is kept longer.
func TestUsedMemoryCounts(t *testing.T) {
	v := version("f", 1024)
	kept := func(usedMB int) time.Duration {
		g := &group{version: v, usedMB: usedMB, cold: 300 * time.Millisecond}
		return NewKeeping(Learned()).Until(nil, 1, Least, g.need())
	}
	if all, some, little, unknown := kept(1024), kept(600), kept(8), kept(0); little <= some || some <= all || unknown != all {
		t.Errorf("kept for %v using all, %v using some, %v using little, %v not measured", all, some, little, unknown)
	}
}
