package pool

import (
	"reflect"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestDecide(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	ago := func(d ...time.Duration) (at []time.Time) {
		for _, d := range d {
			at = append(at, now.Add(-d))
		}
		return at
	}
	for name, c := range map[string]struct {
		s    State
		want Action
	}{
		"nothing":                {State{KeepAlive: time.Minute}, Action{}},
		"one start per waiter":   {State{Waiting: 3, Starting: 1, KeepAlive: time.Minute}, Action{Start: 2}},
		"starts under way do":    {State{Waiting: 1, Starting: 2, KeepAlive: time.Minute}, Action{}},
		"back off":               {State{Waiting: 1, NotBefore: now.Add(time.Second), KeepAlive: time.Minute}, Action{Again: now.Add(time.Second)}},
		"longest idle goes":      {State{IdleSince: ago(2*time.Minute, time.Second), KeepAlive: time.Minute}, Action{End: []int{0}, Again: now.Add(59 * time.Second)}},
		"draining: all idle go":  {State{IdleSince: ago(2, 1), KeepAlive: time.Minute, Draining: true}, Action{End: []int{0, 1}}},
		"draining still serves":  {State{Waiting: 1, Draining: true}, Action{Start: 1}},
		"exactly at the end":     {State{IdleSince: ago(time.Minute), KeepAlive: time.Minute}, Action{End: []int{0}}},
		"the earlier comes next": {State{Waiting: 1, NotBefore: now.Add(time.Hour), IdleSince: ago(0), KeepAlive: time.Minute}, Action{Again: now.Add(time.Minute)}},
		"old ones go": {State{IdleSince: ago(3, 2, 1), Started: ago(time.Hour, 59*time.Minute, time.Hour),
			KeepAlive: time.Minute * 2, MaxAge: time.Hour}, Action{End: []int{0, 2}, Again: now.Add(time.Minute)}},
		"old and long idle": {State{IdleSince: ago(2*time.Minute, 0), Started: ago(time.Hour, 2*time.Hour),
			KeepAlive: time.Minute, MaxAge: time.Hour}, Action{End: []int{0, 1}}},
		"no age is too old": {State{IdleSince: ago(0), Started: ago(1e6 * time.Hour), KeepAlive: time.Minute}, Action{Again: now.Add(time.Minute)}},
	} {
		if c.s.Started == nil {
			c.s.Started = c.s.IdleSince
		}
		if got := Decide(c.s, now); !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: %+v, want %+v", name, got, c.want)
		}
	}
}

// TestDecideIsSettled: whatever a function's habits, what is decided at a time is decided once. When it is done, the same time leads to
// nothing more: nothing is made that is then let go of, or the other way round.
func TestDecideIsSettled(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		h := new(Habit)
		now, busy := noon, 0
		for range rapid.IntRange(0, 300).Draw(t, "events") {
			if busy == 0 || busy < 100 && rapid.Bool().Draw(t, "begins") {
				busy++
				h.Use(busy, now)
			} else {
				h.Leave(busy, now)
				busy--
			}
			now = now.Add(time.Duration(rapid.Int64Range(0, int64(6*time.Hour)).Draw(t, "later")) >> rapid.IntRange(0, 30).Draw(t, "much"))
		}
		s := State{Busy: busy, Habit: h, Keeping: NewKeeping(Learned()), MaxAge: rapid.SampledFrom([]time.Duration{0, 14 * time.Hour}).Draw(t, "max"),
			Need: Need{Cold: time.Duration(rapid.IntRange(0, 20_000).Draw(t, "cold")) * time.Millisecond, MemoryMB: rapid.IntRange(128, 10_240).Draw(t, "mb")}}
		for n := busy + rapid.IntRange(0, 10).Draw(t, "idle"); n > busy; n-- {
			since := h.Left(n)
			if since.IsZero() {
				since = now
			}
			s.IdleSince, s.Started = append(s.IdleSince, since), append(s.Started, now.Add(-time.Duration(rapid.IntRange(0, 20).Draw(t, "age"))*time.Hour))
		}
		made := 0
		for round := 0; ; round++ {
			a := Decide(s, now)
			if !a.Again.IsZero() && !a.Again.After(now) {
				t.Fatalf("to be decided again at %v, which is not after %v", a.Again, now)
			}
			if a.Start > 0 || !slices.IsSorted(a.End) || len(slices.Compact(slices.Clone(a.End))) != len(a.End) {
				t.Fatalf("%+v", a)
			}
			if len(a.End) == 0 && a.Ahead == 0 {
				return
			}
			if len(a.End) > 0 && round > 0 {
				t.Fatalf("round %d ends %v of what round 0 left, or made: %d were made ahead", round, a.End, made)
			}
			for _, i := range slices.Backward(a.End) {
				s.IdleSince, s.Started = slices.Delete(s.IdleSince, i, i+1), slices.Delete(s.Started, i, i+1)
			}
			if made += a.Ahead; made > places {
				t.Fatalf("%d instances made ahead at once", made)
			}
			for range a.Ahead {
				since := h.Left(s.Busy + len(s.IdleSince) + 1)
				if since.IsZero() {
					since = now
				}
				s.IdleSince, s.Started = slices.Insert(s.IdleSince, 0, since), slices.Insert(s.Started, 0, now)
			}
		}
	})
}

// TestFixedKeepAliveIsKept: who sets a time gets it, whatever the function's habits.
func TestFixedKeepAliveIsKept(t *testing.T) {
	h, end := every(time.Hour, time.Second, 12*time.Hour)
	s := State{Habit: h, Keeping: NewKeeping(Learned()), KeepAlive: 20 * time.Minute, Need: Need{Cold: time.Second, MemoryMB: 128}}
	for d := time.Duration(0); d < 3*time.Hour; d += time.Minute {
		if a := Decide(s, end.Add(d)); a.Ahead > 0 {
			t.Fatalf("one was made ahead %v after the last call", d)
		}
	}
	s.IdleSince, s.Started = []time.Time{end}, []time.Time{end}
	if a := Decide(s, end.Add(19*time.Minute)); len(a.End) > 0 || !a.Again.Equal(end.Add(20*time.Minute)) {
		t.Errorf("after 19 minutes: %+v", a)
	}
	if a := Decide(s, end.Add(20*time.Minute)); len(a.End) != 1 {
		t.Errorf("after 20 minutes: %+v", a)
	}
}
