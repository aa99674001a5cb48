package pool

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"artesian/internal/compute/lang"
	"artesian/internal/compute/sandbox"
	"artesian/internal/faas"
)

// unreliable launches instances that may not start, may not initialise, or may die.
type unreliable struct {
	fakeNode
	rnd *rand.Rand
}

func (u *unreliable) Launch(ctx context.Context, v *faas.Version) (*Running, error) {
	u.mu.Lock()
	delay, fate := time.Duration(u.rnd.IntN(200))*time.Millisecond, u.rnd.IntN(10)
	u.mu.Unlock()
	time.Sleep(delay)
	if fate == 0 {
		return nil, errors.New("it did not start")
	}
	r, err := u.fakeNode.Launch(ctx, v)
	if err != nil {
		return nil, err
	}
	switch fate {
	case 1:
		r.Session = fakeSession{func(context.Context) error { return lang.ErrExited }}
	case 2:
		time.AfterFunc(time.Second, func() { _ = r.Sandbox.Close() })
	}
	return r, nil
}

// TestRandomLives lets callers of several functions come, wait, leave and work on an unreliable node that is too small
// for them, with revisions replaced meanwhile. Whatever happens: every caller is answered in bounded time, memory is never
// exceeded, no instance is lent to more calls than it takes, and in the end nothing is left.
func TestRandomLives(t *testing.T) {
	for seed := range uint64(60) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { randomLife(t, seed) })
		})
	}
}

func randomLife(t *testing.T, seed uint64) {
	const total = 1024
	rnd := rand.New(rand.NewPCG(seed, 1))
	n := &unreliable{rnd: rand.New(rand.NewPCG(seed, 2))}
	keepAlive, longest := time.Duration(1+rnd.IntN(20))*time.Second, time.Minute
	if seed%2 == 1 { // as its functions' habits have it
		keepAlive, longest = 0, 12*time.Hour
	}
	p := New(n, Config{MemoryMB: total, KeepAlive: keepAlive, MaxWaiting: 5, PlaceWait: 3 * time.Second})
	var mu sync.Mutex
	lent := map[sandbox.Sandbox]int{}
	var wg sync.WaitGroup
	call := func(v *faas.Version, patience, work time.Duration, discard bool) {
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		begin := time.Now()
		held := time.Duration(0)
		err := p.With(ctx, v, func(in *Instance) error {
			lend := func(sb sandbox.Sandbox, n int) {
				mu.Lock()
				defer mu.Unlock()
				if lent[sb] += n; lent[sb] > v.Seats() {
					t.Errorf("an instance was lent to %d calls at once, which takes %d", lent[sb], v.Seats())
				}
			}
			sb := in.Sandbox
			lend(sb, 1)
			defer lend(sb, -1)
			if in.InitErr != nil {
				if _, err := in.Relaunch(ctx); err != nil {
					in.Discard()
					return nil
				}
			}
			at := time.Now()
			select {
			case <-time.After(work):
			case <-in.Sandbox.Done():
				in.Discard()
			}
			held = time.Since(at)
			if discard {
				in.Discard()
			}
			return nil
		})
		if waited := time.Since(begin) - held; waited > patience+time.Second {
			t.Errorf("a caller with a patience of %v was answered after %v: %v", patience, waited, err)
		}
	}
	kept := make(map[faas.VersionID]*faas.Version)
	for range 150 {
		time.Sleep(time.Duration(rnd.IntN(150)) * time.Millisecond)
		v := version(fmt.Sprintf("f%d", rnd.IntN(4)), []int{128, 256, 512}[rnd.IntN(3)])
		v.ID.Revision = fmt.Sprint(rnd.IntN(2), v.MemoryMB)
		if v.ID.Name == "f3" { // its calls share instances
			v.Runtime, v.Concurrency = "provided.al2023", 3
		}
		patience, work, discard := time.Duration(1+rnd.IntN(8))*time.Second, time.Duration(rnd.IntN(900))*time.Millisecond, rnd.IntN(6) == 0
		switch rnd.IntN(14) {
		case 12, 13:
			p.Hold(v, rnd.IntN(3), nil)
			kept[v.ID] = v
		case 0:
			p.RetireFunction(v.ID.FunctionID, v.ID.Revision)
		case 1:
			p.RetireFunction(v.ID.FunctionID, "")
		default:
			wg.Go(func() { call(v, patience, work, discard) })
		}
		p.memory.mu.Lock()
		if p.memory.used > total || p.memory.leaving < 0 || p.memory.leaving > p.memory.used {
			t.Errorf("%d MB in use, %d leaving, of %d", p.memory.used, p.memory.leaving, total)
		}
		p.memory.mu.Unlock()
	}
	wg.Wait()
	for _, v := range kept {
		p.Hold(v, 0, nil)
	}
	time.Sleep(longest) // than anything is kept
	synctest.Wait()
	if _, alive := n.count(); alive != 0 {
		t.Errorf("%d sandboxes live after everything's keep-alive", alive)
	}
	if p.memory.used != 0 || p.memory.leaving != 0 || len(p.memory.waiting) != 0 {
		t.Errorf("%d MB in use, %d leaving, %d waiting, by nobody", p.memory.used, p.memory.leaving, len(p.memory.waiting))
	}
	closeAll(t, p)
}

// TestBackOffIsNotForgotten has a caller come while a failed start is backed off and a timer for the keep-alive runs.
func TestBackOffIsNotForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := &fakeNode{}
		p := New(n, Config{KeepAlive: time.Hour})
		v := version("f", 128)
		if err := p.With(t.Context(), v, hold(time.Millisecond)); err != nil { // arms the timer for the keep-alive
			t.Fatal(err)
		}
		var wg sync.WaitGroup
		wg.Go(func() { _ = p.With(t.Context(), v, hold(10*time.Minute)) }) // keeps the only instance
		synctest.Wait()
		n.mu.Lock()
		n.err = errors.New("no")
		n.mu.Unlock()
		if err := p.With(t.Context(), v, hold(0)); err == nil {
			t.Fatal("a start that failed is no error")
		}
		n.mu.Lock()
		n.err = nil
		n.mu.Unlock()
		begin := time.Now()
		if err := p.With(t.Context(), v, hold(0)); err != nil {
			t.Fatal(err)
		}
		if waited := time.Since(begin); waited > backoff(1) {
			t.Errorf("waited %v for a back-off of %v", waited, backoff(1))
		}
		wg.Wait()
		closeAll(t, p)
	})
}

// TestDrainedGroupGoesWithItsLastStart has the last start of a retired revision fail.
func TestDrainedGroupGoesWithItsLastStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := &fakeNode{delay: time.Second, err: errors.New("no")}
		p := New(n, Config{})
		v := version("f", 128)
		var wg sync.WaitGroup
		wg.Go(func() { _ = p.With(t.Context(), v, hold(0)) })
		time.Sleep(500 * time.Millisecond)
		p.RetireFunction(v.ID.FunctionID, "other")
		wg.Wait()
		synctest.Wait()
		if _, ok := p.groups.Load(groupKey{v.ID, ""}); ok {
			t.Error("the retired revision is still there")
		}
		closeAll(t, p)
	})
}

// TestDeletedFunctionLeavesNoVersion retires published versions, too.
func TestDeletedFunctionLeavesNoVersion(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := &fakeNode{}
		p := New(n, Config{KeepAlive: time.Hour})
		v := version("f", 128)
		v.ID.Version = "7"
		if err := p.With(t.Context(), v, hold(0)); err != nil {
			t.Fatal(err)
		}
		p.RetireFunction(v.ID.FunctionID, "an update of $LATEST")
		synctest.Wait()
		if _, alive := n.count(); alive != 1 {
			t.Fatal("an update stopped a published version")
		}
		p.RetireFunction(v.ID.FunctionID, "")
		synctest.Wait()
		if _, alive := n.count(); alive != 0 {
			t.Error("an instance of a deleted function's version lives")
		}
		closeAll(t, p)
	})
}

// TestReclaimTakesNoMoreThanIsMissed starts ten instances where a hundred idle ones fill the node.
func TestReclaimTakesNoMoreThanIsMissed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := &fakeNode{}
		p := New(n, Config{MemoryMB: 100 * 128, KeepAlive: time.Hour})
		var wg sync.WaitGroup
		for i := range 100 {
			wg.Go(func() { _ = p.With(t.Context(), version(fmt.Sprintf("old%d", i), 128), hold(time.Second)) })
		}
		wg.Wait()
		for i := range 10 {
			wg.Go(func() { _ = p.With(t.Context(), version(fmt.Sprintf("new%d", i), 128), hold(time.Second)) })
		}
		wg.Wait()
		synctest.Wait()
		if all, alive := n.count(); all != 110 || alive != 100 {
			t.Errorf("%d of %d live, want 100 of 110", alive, all)
		}
		closeAll(t, p)
	})
}

// TestCloseCutsAnInitialisation does not wait for a start that hangs.
func TestCloseCutsAnInitialisation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := &fakeNode{init: func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }}
		p := New(n, Config{})
		var wg sync.WaitGroup
		wg.Go(func() {
			_ = p.With(t.Context(), version("f", 128), func(in *Instance) error { in.Discard(); return nil })
		})
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		begin := time.Now()
		if err := p.Close(ctx); err != nil {
			t.Error(err)
		}
		if took := time.Since(begin); took > 1100*time.Millisecond {
			t.Errorf("close took %v", took)
		}
		wg.Wait()
	})
}
