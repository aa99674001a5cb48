package lang_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"artesian/internal/compute/lang"
)

func TestUntilEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u := lang.NewUntil(time.Now().Add(time.Minute))
		child, cancel := context.WithCancel(u)
		defer cancel()
		early, late := make(chan struct{}), make(chan struct{})
		stop := context.AfterFunc(u, func() { close(early) })
		context.AfterFunc(u, func() { close(late) })
		if !stop() {
			t.Error("a function that has not run could not be stopped")
		}
		time.Sleep(time.Minute - 1)
		if u.Err() != nil || child.Err() != nil {
			t.Error("ended early:", u.Err(), child.Err())
		}
		select {
		case <-u.Done():
			t.Error("done early")
		default:
		}
		time.Sleep(time.Nanosecond)
		<-u.Done()
		<-child.Done()
		<-late
		synctest.Wait()
		select {
		case <-early:
			t.Error("what was stopped has run")
		default:
		}
		if !errors.Is(u.Err(), context.DeadlineExceeded) || !errors.Is(child.Err(), context.DeadlineExceeded) {
			t.Error("the reason:", u.Err(), child.Err())
		}
	})
}

func TestUntilThePast(t *testing.T) {
	u := lang.NewUntil(time.Now())
	<-u.Done()
	if u.Err() == nil {
		t.Error("no reason")
	}
}

// TestUntilStops would end in a panic of the bubble if a timer were left that somebody waits for.
func TestUntilStops(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u := lang.NewUntil(time.Now().Add(time.Minute))
		done := u.Done()
		u.Stop()
		time.Sleep(time.Hour)
		select {
		case <-done:
			t.Error("done after it was stopped")
		default:
		}
	})
}

// TestUntilCostsNothing: nobody waits for it in the usual call.
func TestUntilCostsNothing(t *testing.T) {
	at := time.Now().Add(time.Hour)
	if n := testing.AllocsPerRun(100, func() {
		u := lang.NewUntil(at)
		defer u.Stop()
		if u.Err() != nil {
			t.Error("ended")
		}
	}); n > 1 {
		t.Errorf("%v allocations", n)
	}
}
