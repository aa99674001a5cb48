package pool

import (
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"artesian/internal/compute/lang"
)

// TestWhyCold: an instance's first call is told what there was when its start was decided, and what the launcher said; later calls
// are told how long it had rested.
func TestWhyCold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := &fakeNode{delay: 100 * time.Millisecond, note: "forked in 4 ms"}
		p := New(n, Config{KeepAlive: time.Minute, Grace: time.Second})
		v := version("f", 128)
		call := func(busy time.Duration) (why string, rested time.Duration, thawed bool) {
			err := p.With(t.Context(), v, func(in *Instance) error {
				if in.Cold != nil {
					why = in.Cold.Why
				}
				if !in.Rested.IsZero() {
					rested = time.Since(in.Rested)
				}
				thawed = in.Thawed
				time.Sleep(busy)
				return nil
			})
			if err != nil {
				t.Error(err)
			}
			return why, rested, thawed
		}
		check := func(busy time.Duration, why string, rested time.Duration, thawed bool) {
			t.Helper()
			if w, r, f := call(busy); w != why || r != rested || f != thawed {
				t.Errorf("got %q, %v, %t; want %q, %v, %t", w, r, f, why, rested, thawed)
			}
		}
		check(0, "no instance: the first one of this revision since the daemon started, forked in 4 ms", 0, false)
		time.Sleep(time.Second / 2)
		check(0, "", time.Second/2, false)
		time.Sleep(3 * time.Second)
		check(0, "", 3*time.Second, true)

		var wg sync.WaitGroup
		wg.Go(func() { call(time.Hour) })
		synctest.Wait()
		wg.Go(func() { check(time.Hour, "no idle instance: 1 busy, forked in 4 ms", 0, false) })
		time.Sleep(time.Millisecond) // the starts end in their order
		wg.Go(func() { check(time.Hour, "no idle instance: 1 busy, 1 starting, forked in 4 ms", 0, false) })
		wg.Wait()
		time.Sleep(2 * time.Minute)
		check(time.Second, "no instance: the function was at zero, forked in 4 ms", 0, false)
		closeAll(t, p)
	})
}

// TestHandedOver: a caller that waited gets an instance straight from another call, which has not rested.
func TestHandedOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := New(&fakeNode{delay: 50 * time.Second}, Config{KeepAlive: time.Minute})
		v := version("f", 128)
		var wg sync.WaitGroup
		wg.Go(func() {
			if err := p.With(t.Context(), v, hold(10*time.Second)); err != nil {
				t.Error(err)
			}
		})
		time.Sleep(51 * time.Second)
		if err := p.With(t.Context(), v, func(in *Instance) error {
			if in.Cold != nil || !in.Rested.IsZero() || in.Thawed {
				t.Errorf("cold %+v, rested %v, thawed %t", in.Cold, in.Rested, in.Thawed)
			}
			return nil
		}); err != nil {
			t.Error(err)
		}
		wg.Wait()
		closeAll(t, p)
	})
}

// TestHeldIsSaid: the first call of an instance that was made ahead is warm, and knows it.
func TestHeldIsSaid(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := New(&fakeNode{delay: time.Second}, Config{KeepAlive: time.Minute, Grace: time.Second})
		v := version("f", 128)
		v.ID.Version = "1"
		p.Hold(v, 1, nil)
		time.Sleep(4 * time.Second)
		for n, fresh := range []bool{true, false} {
			if err := p.With(t.Context(), v, func(in *Instance) error {
				if in.Cold != nil || in.Fresh() != fresh || !in.Held() || in.Rested.IsZero() {
					t.Errorf("call %d: cold %v, fresh %t, held %t, rested %v", n, in.Cold, in.Fresh(), in.Held(), in.Rested)
				}
				_, err := in.Invoke(t.Context(), lang.Call{}, nil)
				return err
			}); err != nil {
				t.Error(err)
			}
		}
		closeAll(t, p)
	})
}
