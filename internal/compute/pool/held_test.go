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

// expectHeld waits until nothing moves and compares what is kept ready.
func expectHeld(t *testing.T, p *Pool, v *faas.Version, want, there int) Held {
	t.Helper()
	synctest.Wait()
	h := p.Holds(v.ID)
	if h.Want != want || h.There != there {
		t.Errorf("%d of %d are there, want %d of %d (%v)", h.There, h.Want, there, want, h.Err)
	}
	return h
}

// TestHeldAreReady: they are there before a call, calls take them first, those too many spill over, and they outlast everything.
func TestHeldAreReady(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := &fakeNode{delay: 100 * time.Millisecond}
		p := New(n, Config{MaxAge: 6 * time.Hour})
		v := version("f", 128)
		p.Hold(v, 3, nil)
		time.Sleep(time.Second)
		expectHeld(t, p, v, 3, 3)
		if v.Held || !p.List()[0].Held {
			t.Error("what is kept ready is to be told by its own version, not by the caller's")
		}
		var wg sync.WaitGroup
		var mu sync.Mutex
		colds := 0
		for range 5 {
			wg.Go(func() {
				if warmth(t, p, v, time.Minute) {
					mu.Lock()
					colds++
					mu.Unlock()
				}
			})
		}
		wg.Wait()
		expectHeld(t, p, v, 3, 3)
		if h := p.HeldTotals(); colds != 2 || h.Calls != 3 || h.Spilled != 2 || h.Want != 3 || h.There != 3 || h.Busy != 0 {
			t.Errorf("%d of 5 calls were cold; %+v", colds, h)
		}
		for range 48 {
			time.Sleep(time.Hour)
			expectHeld(t, p, v, 3, 3)
		}
		if all, alive := n.count(); alive != 3 || all < 5+3*7 {
			t.Errorf("%d of %d live after two days of instances that get 6 hours old", alive, all)
		}
		p.Hold(v, 1, nil)
		expectHeld(t, p, v, 1, 1)
		p.Hold(v, 0, nil)
		expectHeld(t, p, v, 0, 0)
		if _, alive := n.count(); alive != 0 || p.memory.used != 0 {
			t.Errorf("%d live, %d MB", alive, p.memory.used)
		}
		closeAll(t, p)
	})
}

// TestHeldAreReplaced: one that dies, idle or busy, is followed by another, and who waits is told of each change.
func TestHeldAreReplaced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := &fakeNode{delay: 10 * time.Millisecond}
		p := New(n, Config{})
		v := version("f", 128)
		told := make(chan struct{}, 100)
		p.Hold(v, 2, func() { told <- struct{}{} })
		time.Sleep(time.Second)
		expectHeld(t, p, v, 2, 2)
		_ = n.launched[0].Close()
		time.Sleep(time.Second)
		expectHeld(t, p, v, 2, 2)
		if err := p.With(t.Context(), v, func(in *Instance) error {
			if !in.held {
				t.Error("not one of those kept ready")
			}
			in.Discard()
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		expectHeld(t, p, v, 2, 2)
		if all, alive := n.count(); all != 4 || alive != 2 || len(told) < 4 {
			t.Errorf("%d of %d live, told %d times", alive, all, len(told))
		}
		closeAll(t, p)
	})
}

// TestHeldThatFail say why, hold up no call, and come once they can.
func TestHeldThatFail(t *testing.T) {
	for name, c := range map[string]struct {
		broken *fakeNode
		as     func(error) bool
	}{
		"start": {&fakeNode{err: errors.New("no loop device")}, func(err error) bool { return err != nil && !errors.Is(err, ErrNoMemory) }},
		"init": {&fakeNode{init: func(context.Context) error { return lang.ErrExited }}, func(err error) bool {
			var init *InitError
			return errors.As(err, &init) && errors.Is(err, lang.ErrExited)
		}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := New(c.broken, Config{MemoryMB: 1024})
				v := version("f", 128)
				p.Hold(v, 2, nil)
				time.Sleep(time.Minute)
				if h := expectHeld(t, p, v, 2, 0); !c.as(h.Err) {
					t.Errorf("the reason is %v", h.Err)
				}
				if all, _ := c.broken.count(); all > 40 {
					t.Errorf("tried %d times in a minute", all)
				}
				c.broken.mu.Lock()
				c.broken.err, c.broken.init = nil, nil
				c.broken.mu.Unlock()
				time.Sleep(20 * time.Second)
				if h := expectHeld(t, p, v, 2, 2); h.Err != nil {
					t.Errorf("there, and yet %v", h.Err)
				}
				closeAll(t, p)
			})
		})
	}
}

// TestHeldAndMemory: they take the room of idle instances, never more than there is; nobody takes theirs; and while they lack room, calls
// that need less are served.
func TestHeldAndMemory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := &fakeNode{delay: 10 * time.Millisecond}
		p := New(n, Config{MemoryMB: 1024, KeepAlive: time.Hour})
		for i := range 8 {
			warmth(t, p, version(fmt.Sprintf("idle%d", i), 128), time.Second)
		}
		v := version("f", 256)
		p.Hold(v, 3, nil)
		time.Sleep(time.Second)
		expectHeld(t, p, v, 3, 3)
		var wg sync.WaitGroup
		for i := range 4 { // the rest of the node, and more
			wg.Go(func() {
				_ = p.With(t.Context(), version(fmt.Sprintf("other%d", i), 128), func(*Instance) error { time.Sleep(time.Minute); return nil })
			})
		}
		time.Sleep(time.Second)
		expectHeld(t, p, v, 3, 3)
		p.Hold(v, 4, nil)
		time.Sleep(30 * time.Second)
		if h := expectHeld(t, p, v, 4, 3); !errors.Is(h.Err, ErrNoMemory) {
			t.Errorf("the reason is %v", h.Err)
		}
		wg.Wait()
		begin := time.Now()
		warmth(t, p, version("small", 128), 0)
		if d := time.Since(begin); d > time.Second {
			t.Errorf("a call waited %v behind what there is no call for", d)
		}
		time.Sleep(time.Minute)
		expectHeld(t, p, v, 4, 4)
		if p.memory.used > 1024 {
			t.Errorf("%d MB", p.memory.used)
		}
		closeAll(t, p)
	})
}

// TestHeldServeWhileOthersLackMemory: what is kept ready goes back to rest after a call though another function waits for memory.
func TestHeldServeWhileOthersLackMemory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := &fakeNode{delay: 10 * time.Millisecond}
		p := New(n, Config{MemoryMB: 256})
		v := version("f", 256)
		p.Hold(v, 1, nil)
		time.Sleep(time.Second)
		expectHeld(t, p, v, 1, 1)
		var wg sync.WaitGroup
		wg.Go(func() {
			if err := p.With(t.Context(), version("other", 128), hold(0)); faas.KindOf(err) != faas.Throttled {
				t.Errorf("there is no memory, and yet %v", err)
			}
		})
		time.Sleep(time.Second)
		for range 3 {
			if warmth(t, p, v, time.Second) {
				t.Error("a cold call")
			}
			expectHeld(t, p, v, 1, 1)
		}
		wg.Wait()
		if all, _ := n.count(); all != 1 {
			t.Errorf("%d were started", all)
		}
		closeAll(t, p)
	})
}

// TestHeldStopNothingForNothing: what is to be kept ready, and would not have its memory with all idle instances gone, leaves them.
func TestHeldStopNothingForNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := &fakeNode{delay: 10 * time.Millisecond}
		p := New(n, Config{MemoryMB: 1024, KeepAlive: time.Hour})
		var wg sync.WaitGroup
		wg.Go(func() { warmth(t, p, version("busy", 896), 2*time.Minute) })
		warmth(t, p, version("idle", 128), time.Second)
		v := version("f", 256)
		p.Hold(v, 2, nil)
		time.Sleep(time.Minute)
		if h := expectHeld(t, p, v, 2, 0); !errors.Is(h.Err, ErrNoMemory) {
			t.Errorf("the reason is %v", h.Err)
		}
		if all, alive := n.count(); all != 2 || alive != 2 {
			t.Errorf("%d of %d live", alive, all)
		}
		wg.Wait()
		time.Sleep(time.Minute)
		expectHeld(t, p, v, 2, 2)
		closeAll(t, p)
	})
}

// TestHeldBeginAnew: a revision that was retired takes what was kept ready along, and whoever asked is told, and may ask again.
func TestHeldBeginAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := &fakeNode{delay: 10 * time.Millisecond}
		p := New(n, Config{})
		v := version("f", 128)
		var hold func()
		hold = func() { go p.Hold(v, 2, hold) }
		p.Hold(v, 2, hold)
		time.Sleep(time.Second)
		p.RetireFunction(v.ID.FunctionID, "")
		time.Sleep(time.Second)
		expectHeld(t, p, v, 2, 2)
		if all, alive := n.count(); all != 4 || alive != 2 {
			t.Errorf("%d of %d live", alive, all)
		}
		hold = func() {}
		closeAll(t, p)
	})
}
