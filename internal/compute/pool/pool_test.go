package pool

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"artesian/internal/compute/lang"
	"artesian/internal/compute/sandbox"
	"artesian/internal/faas"
)

func TestOneRequestPerInstance(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := &fakeNode{delay: 100 * time.Millisecond}
		p := New(n, Config{KeepAlive: time.Minute})
		v := version("f", 128)
		var now, most atomic.Int64
		var wg sync.WaitGroup
		seen := sync.Map{}
		for range 20 {
			wg.Go(func() {
				if err := p.With(t.Context(), v, func(in *Instance) error {
					if _, dup := seen.LoadOrStore(in, true); dup {
						t.Error("an instance was lent twice at once")
					}
					defer seen.Delete(in)
					most.Store(max(most.Load(), now.Add(1)))
					time.Sleep(time.Second)
					now.Add(-1)
					return nil
				}); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if all, _ := n.count(); all != 20 || most.Load() != 20 {
			t.Fatalf("20 simultaneous calls used %d instances, %d at once; want 20 and 20", all, most.Load())
		}
		if err := p.With(t.Context(), v, hold(time.Second)); err != nil {
			t.Fatal(err)
		}
		if all, _ := n.count(); all != 20 {
			t.Fatalf("a call with idle instances started another: %d", all)
		}
		closeAll(t, p)
	})
}

func TestIdleFreezesThenGoes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := &fakeNode{}
		p := New(n, Config{KeepAlive: time.Minute, Grace: 10 * time.Millisecond})
		v := version("f", 128)
		if err := p.With(t.Context(), v, hold(time.Second)); err != nil {
			t.Fatal(err)
		}
		if n.launched[0].frozen.Load() {
			t.Fatal("frozen before the grace was over")
		}
		time.Sleep(20 * time.Millisecond)
		synctest.Wait()
		if !n.launched[0].frozen.Load() {
			t.Fatal("not frozen after the grace")
		}
		if err := p.With(t.Context(), v, func(*Instance) error {
			if n.launched[0].frozen.Load() {
				t.Error("frozen while lent")
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(59 * time.Second)
		synctest.Wait()
		if _, alive := n.count(); alive != 1 {
			t.Fatal("gone before its time")
		}
		time.Sleep(61 * time.Second)
		synctest.Wait()
		if _, alive := n.count(); alive != 0 {
			t.Fatalf("%d instances live after the keep-alive", alive)
		}
		if p.memory.used != 0 {
			t.Fatalf("%d MB still counted", p.memory.used)
		}
		closeAll(t, p)
	})
}

func TestWaiterTakesWhatComesFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := &fakeNode{delay: 10 * time.Second}
		p := New(n, Config{KeepAlive: time.Hour})
		v := version("f", 128)
		var wg sync.WaitGroup
		wg.Go(func() { _ = p.With(t.Context(), v, hold(2*time.Second)) }) // there at 10 s, free at 12 s
		time.Sleep(11 * time.Second)
		begin := time.Now()
		if err := p.With(t.Context(), v, hold(0)); err != nil {
			t.Fatal(err)
		}
		if waited := time.Since(begin); waited != time.Second {
			t.Fatalf("waited %v for the instance that fell idle after 1s", waited)
		}
		wg.Wait()
		closeAll(t, p)
	})
}

func TestCallerWhoLeavesFreesItsPlace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := &fakeNode{delay: 5 * time.Second}
		p := New(n, Config{KeepAlive: time.Hour, MaxWaiting: 1})
		v := version("f", 128)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := p.With(ctx, v, hold(0)); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("err = %v", err)
		}
		if err := p.With(t.Context(), v, hold(0)); err != nil { // the one place is free again, and the start went on
			t.Fatal(err)
		}
		if all, _ := n.count(); all != 1 {
			t.Fatalf("%d instances started for two callers of whom one left; want 1", all)
		}
		closeAll(t, p)
	})
}

func TestTooManyWaitingIsThrottled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := &fakeNode{delay: time.Second}
		p := New(n, Config{MaxWaiting: 2})
		v := version("f", 128)
		var throttled atomic.Int64
		var wg sync.WaitGroup
		for range 5 {
			wg.Go(func() {
				if err := p.With(t.Context(), v, hold(0)); faas.KindOf(err) == faas.Throttled {
					throttled.Add(1)
				} else if err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if throttled.Load() != 3 {
			t.Fatalf("%d throttled, want 3", throttled.Load())
		}
		closeAll(t, p)
	})
}

func TestFailedStartTellsTheWaiterAndBacksOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := &fakeNode{err: errors.New("no loop device")}
		p := New(n, Config{})
		v := version("f", 128)
		if err := p.With(t.Context(), v, hold(0)); err == nil || !errors.Is(err, n.err) {
			t.Fatalf("err = %v", err)
		}
		begin := time.Now()
		if err := p.With(t.Context(), v, hold(0)); err == nil {
			t.Fatal("no error")
		}
		if d := time.Since(begin); d != backoff(1) {
			t.Fatalf("second start after %v, want %v", d, backoff(1))
		}
		if p.memory.used != 0 {
			t.Fatalf("%d MB still counted", p.memory.used)
		}
		closeAll(t, p)
	})
}

func TestDeadIdleInstanceIsReplaced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := &fakeNode{}
		p := New(n, Config{KeepAlive: time.Hour})
		v := version("f", 128)
		if err := p.With(t.Context(), v, hold(0)); err != nil {
			t.Fatal(err)
		}
		_ = n.launched[0].Close()
		synctest.Wait()
		if err := p.With(t.Context(), v, func(in *Instance) error {
			if in.Sandbox == sandbox.Sandbox(n.launched[0]) {
				t.Error("a dead instance was lent")
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		if p.memory.used != 128 {
			t.Fatalf("%d MB counted for one instance of 128", p.memory.used)
		}
		closeAll(t, p)
	})
}

func TestRetireServesWhoWaitsAndLeavesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := &fakeNode{delay: time.Second}
		p := New(n, Config{KeepAlive: time.Hour})
		v := version("f", 128)
		var wg sync.WaitGroup
		for range 3 {
			wg.Go(func() {
				if err := p.With(t.Context(), v, hold(time.Second)); err != nil {
					t.Error(err)
				}
			})
		}
		time.Sleep(1500 * time.Millisecond)
		wg.Go(func() {
			if err := p.With(t.Context(), v, hold(time.Second)); err != nil {
				t.Error(err)
			}
		})
		time.Sleep(100 * time.Millisecond)
		p.RetireFunction(v.ID.FunctionID, "r2")
		wg.Wait()
		synctest.Wait()
		if _, alive := n.count(); alive != 0 {
			t.Fatalf("%d instances of a retired revision live", alive)
		}
		if _, ok := p.groups.Load(v.ID); ok {
			t.Fatal("the retired revision is still listed")
		}
		closeAll(t, p)
	})
}

func TestMemoryIsNeverExceeded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := &fakeNode{delay: 10 * time.Millisecond}
		p := New(n, Config{MemoryMB: 1024, KeepAlive: time.Hour, PlaceWait: 30 * time.Second})
		var used, worst, done, throttled atomic.Int64
		var wg sync.WaitGroup
		for i := range 80 { // ten times what fits
			v := version(fmt.Sprintf("f%d", i), 128)
			wg.Go(func() {
				err := p.With(t.Context(), v, func(*Instance) error {
					worst.Store(max(worst.Load(), used.Add(128)))
					time.Sleep(5 * time.Second)
					used.Add(-128)
					return nil
				})
				switch {
				case err == nil:
					done.Add(1)
				case faas.KindOf(err) == faas.Throttled:
					throttled.Add(1)
				default:
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if worst.Load() > 1024 {
			t.Fatalf("%d MB were in use of 1024", worst.Load())
		}
		if done.Load() != 48 || throttled.Load() != 32 { // six rounds of eight fit into the wait
			t.Fatalf("%d done, %d throttled", done.Load(), throttled.Load())
		}
		if err := p.With(t.Context(), version("big", 2048), hold(0)); faas.KindOf(err) != faas.Throttled {
			t.Fatalf("what can never fit: %v", err)
		}
		closeAll(t, p)
		if p.memory.used != 0 {
			t.Fatalf("%d MB still counted", p.memory.used)
		}
	})
}

// TestServedCallersWithdrawTheirStarts has more callers than memory: those that fall idle serve the rest, and no instance
// is stopped to make room for one that nobody needs.
func TestServedCallersWithdrawTheirStarts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := &fakeNode{delay: 10 * time.Millisecond}
		p := New(n, Config{MemoryMB: 512, KeepAlive: time.Hour})
		v := version("f", 128)
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				for range 50 {
					if err := p.With(t.Context(), v, hold(20*time.Millisecond)); err != nil {
						t.Error(err)
					}
				}
			})
		}
		wg.Wait()
		if all, _ := n.count(); all != 4 {
			t.Fatalf("%d instances were started where 4 fit and served all", all)
		}
		closeAll(t, p)
		if p.memory.used != 0 {
			t.Fatalf("%d MB still counted", p.memory.used)
		}
	})
}

func TestCloseWaitsThenKills(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := &fakeNode{}
		p := New(n, Config{})
		v := version("f", 128)
		var wg sync.WaitGroup
		wg.Go(func() {
			_ = p.With(t.Context(), v, func(in *Instance) error { <-in.Sandbox.Done(); return lang.ErrExited })
		})
		wg.Go(func() { _ = p.With(t.Context(), v, hold(3*time.Second)) })
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		begin := time.Now()
		if err := p.Close(ctx); err != nil {
			t.Error(err)
		}
		wg.Wait()
		if d := time.Since(begin); d != 5*time.Second {
			t.Fatalf("close took %v, want the 5s it was given", d)
		}
		if err := p.With(t.Context(), v, hold(0)); faas.KindOf(err) != faas.Unavailable {
			t.Fatalf("a closed pool answers %v", err)
		}
		if _, alive := n.count(); alive != 0 {
			t.Fatalf("%d sandboxes live after close", alive)
		}
	})
}

func TestRelaunchAfterBadInit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := &fakeNode{}
		first := true
		n.init = func(context.Context) error {
			if first {
				first = false
				return lang.ErrExited
			}
			return nil
		}
		p := New(n, Config{KeepAlive: time.Hour})
		v := version("f", 128)
		if err := p.With(t.Context(), v, func(in *Instance) error {
			if !errors.Is(in.InitErr, lang.ErrExited) {
				t.Errorf("InitErr = %v", in.InitErr)
			}
			_, err := in.Relaunch(t.Context())
			return err
		}); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if all, alive := n.count(); all != 2 || alive != 1 {
			t.Fatalf("%d launched, %d alive; want 2 and 1", all, alive)
		}
		if err := p.With(t.Context(), v, hold(0)); err != nil {
			t.Fatal(err)
		}
		if all, _ := n.count(); all != 2 {
			t.Fatal("the relaunched instance was not kept")
		}
		closeAll(t, p)
	})
}

// TestOldInstancesGo lends an instance, again and again, until it is too old: busy or idle, it goes at its age.
func TestOldInstancesGo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := &fakeNode{}
		p := New(n, Config{KeepAlive: 24 * time.Hour, MaxAge: time.Hour})
		v := version("f", 128)
		call := func(d time.Duration) {
			if err := p.With(t.Context(), v, hold(d)); err != nil {
				t.Error(err)
			}
		}
		expect := func(all, alive int) {
			t.Helper()
			synctest.Wait()
			if a, l := n.count(); a != all || l != alive {
				t.Errorf("%d started, %d live; want %d and %d", a, l, all, alive)
			}
		}
		for range 59 {
			call(time.Minute)
		}
		expect(1, 1)
		call(2 * time.Minute) // it is lent at 59 minutes and comes back at 61
		expect(1, 0)
		call(time.Minute)
		expect(2, 1)
		time.Sleep(58 * time.Minute)
		expect(2, 1)
		time.Sleep(time.Minute + time.Millisecond) // an idle one does not wait for its keep-alive
		expect(2, 0)
		closeAll(t, p)
	})
}
