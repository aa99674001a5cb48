package pool

import (
	"reflect"
	"testing"
	"testing/synctest"
	"time"

	"artesian/internal/faas"
)

// TestPastsAreKept: every field of a habit survives, and what is encoded is small.
func TestPastsAreKept(t *testing.T) {
	full := new(Habit)
	i := 0
	full.each(func(c *uint8) { i++; *c = uint8(i) }, func(c *uint32) { i++; *c = uint32(i) << 20 }, func(c *float32) { i++; *c = float32(i) / 7 })
	for v, f := reflect.ValueOf(*full), 0; f < v.NumField(); f++ {
		if v.Field(f).IsZero() && v.Type().Field(f).Name != "event" {
			t.Errorf("%s is not among what is encoded", v.Type().Field(f).Name)
		}
	}
	timer, _ := every(10*time.Minute, time.Second, 10*time.Hour)
	timer.event = 0
	for name, h := range map[string]*Habit{"empty": {}, "full": full, "a timer's": timer} {
		b := h.append(nil)
		if got, err := decodeHabit(b); err != nil || *got != *h {
			t.Errorf("%s: %v: %+v, want %+v", name, err, got, h)
		}
		if len(b) > maxHabit {
			t.Errorf("%s: %d bytes", name, len(b))
		}
	}
	if n := len(timer.append(nil)); n > 48 {
		t.Errorf("a timer's habit takes %d bytes", n)
	}
	id := faas.FunctionID{Scope: faas.Scope{Account: "1", Region: "r"}, Name: "f"}
	want := []Past{{id, "7", 300 * time.Millisecond, 40, timer.append(nil)}, {id, faas.Latest, 0, 0, full.append(nil)}}
	b := EncodePasts(want)
	if got, err := DecodePasts(b); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%v: %+v", err, got)
	}
	for i := range b { // a file that was torn
		if got, err := DecodePasts(b[:i]); err == nil || got != nil {
			t.Fatalf("the first %d of %d bytes were read as %+v", i, len(b), got)
		}
	}
	if _, err := DecodePasts(append(b, 0)); err == nil {
		t.Error("what follows the last is ignored")
	}
}

func FuzzPasts(f *testing.F) {
	h, _ := every(10*time.Minute, time.Second, 10*time.Hour)
	id := faas.FunctionID{Scope: faas.Scope{Account: "1", Region: "r"}, Name: "f"}
	f.Add(EncodePasts([]Past{{id, "7", time.Second, 40, h.append(nil)}, {id, faas.Latest, 0, 0, nil}}))
	f.Add([]byte{pastsVersion, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		all, err := DecodePasts(b)
		if err != nil {
			return
		}
		again, err := DecodePasts(EncodePasts(all))
		if err != nil || !reflect.DeepEqual(again, all) {
			t.Fatalf("%v: %+v, then %+v", err, all, again)
		}
		for _, p := range all { // whatever was read, the policy answers
			h, err := decodeHabit(p.habit)
			if err != nil {
				t.Fatal(err)
			}
			Decide(State{Keeping: NewKeeping(Learned()), Habit: h, Need: Need{p.Cold, 128}}, noon)
		}
	})
}

// TestHabitsSurviveARestart: a function on a schedule that is not called after a restart has an instance when it is due, and is not due
// any more once it is deleted.
func TestHabitsSurviveARestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		before := New(&fakeNode{delay: 300 * time.Millisecond}, Config{})
		v := version("f", 1024)
		for range 8 {
			warmth(t, before, v, time.Second)
			time.Sleep(30*time.Minute - time.Second)
		}
		warmth(t, before, v, time.Second)
		closeAll(t, before)
		all, err := DecodePasts(EncodePasts(before.Pasts()))
		if err != nil || len(all) != 1 || all[0].Version != v.ID.Version || all[0].Cold == 0 {
			t.Fatalf("%v: %+v", err, all)
		}

		n := &fakeNode{delay: 300 * time.Millisecond}
		after := New(n, Config{})
		after.Remember(all)
		after.Recall(v)
		time.Sleep(20 * time.Minute)
		if _, alive := n.count(); alive > 0 {
			t.Errorf("%d instances are there ten minutes before the call", alive)
		}
		time.Sleep(10*time.Minute - 4*time.Second)
		if warmth(t, after, v, time.Second) {
			t.Error("the first call after the restart was cold")
		}
		if got := after.Pasts(); len(got) != 1 {
			t.Errorf("%d are remembered after the call", len(got))
		}
		closeAll(t, after)

		deleted := New(n, Config{})
		deleted.Remember(all)
		deleted.RetireFunction(v.ID.FunctionID, "")
		deleted.Recall(v)
		if got := deleted.Pasts(); len(got) != 0 {
			t.Errorf("%d are remembered of a function that was deleted", len(got))
		}
		closeAll(t, deleted)
	})
}

// TestRefusedIsNotRecalled: what nobody can call has no instance, and is not forgotten.
func TestRefusedIsNotRecalled(t *testing.T) {
	h, end := every(10*time.Minute, time.Second, 10*time.Hour)
	for _, state := range []faas.State{faas.Pending, faas.Inactive, faas.Failed, faas.Active} {
		synctest.Test(t, func(t *testing.T) {
			time.Sleep(time.Until(end))
			n := &fakeNode{delay: 300 * time.Millisecond}
			p := New(n, Config{})
			v := version("f", 1024)
			v.State = state
			p.Remember([]Past{{v.ID.FunctionID, v.ID.Version, 300 * time.Millisecond, 40, h.append(nil)}})
			p.Recall(v)
			time.Sleep(11 * time.Minute)
			if all, _ := n.count(); (all > 0) != (state == faas.Active) {
				t.Errorf("%s: %d instances were started", state, all)
			}
			if got := p.Pasts(); len(got) != 1 {
				t.Errorf("%s: %d are remembered", state, len(got))
			}
			closeAll(t, p)
		})
	}
}

// TestNotCalledSinceIsStillKnown: what nobody called between two restarts is known after the second.
func TestNotCalledSinceIsStillKnown(t *testing.T) {
	h, _ := every(10*time.Minute, time.Second, 10*time.Hour)
	id := version("f", 128).ID
	want := []Past{{id.FunctionID, id.Version, time.Second, 40, h.append(nil)}}
	p := New(&fakeNode{}, Config{KeepAlive: time.Minute})
	p.Remember(want)
	p.Recall(version("f", 128)) // a fixed time: nothing is made
	if got := p.Pasts(); !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, want %+v", got, want)
	}
	closeAll(t, p)
}
