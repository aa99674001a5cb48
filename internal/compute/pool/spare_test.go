package pool

import (
	"testing"
	"testing/synctest"
	"time"
)

// grown is the habit of a function of which so many executions found busy others under way, in so many minutes in which they were.
func grown(busy int, uses, minutes float32) *Habit {
	h := new(Habit)
	h.growth[class(busy+1)] = growth{uses, minutes}
	return h
}

// TestSpares: what overlaps has idle instances beside it, the more the wider it is, unless its bursts have been seen not to grow; what
// never overlapped has none.
func TestSpares(t *testing.T) {
	need := Need{Cold: 300 * time.Millisecond, MemoryMB: 512}
	for name, c := range map[string]struct {
		busy, idle  int
		habit       *Habit
		keep        time.Duration
		barren      bool
		roomy       bool
		want, waits int
	}{
		"nothing under way":          {habit: new(Habit)},
		"one, never more":            {busy: 1, habit: new(Habit)},
		"one, often more":            {busy: 1, habit: grown(1, 50, 100), want: 1},
		"one, hardly ever more":      {busy: 1, habit: grown(1, 1, 1000)},
		"two, not known":             {busy: 2, habit: new(Habit), want: 1},
		"two and one idle":           {busy: 2, idle: 1, habit: new(Habit)},
		"two, never more":            {busy: 2, habit: grown(2, 0, 1000)},
		"two, never more than a few": {busy: 2, habit: grown(2, 0, 10), want: 1},
		"sixteen":                    {busy: 16, habit: new(Habit), want: 3},
		"sixteen and two idle":       {busy: 16, idle: 2, habit: new(Habit), want: 1},
		"very many":                  {busy: 500, habit: new(Habit), want: 8},
		"while somebody waits":       {busy: 2, waits: 1, habit: new(Habit)},
		"a fixed time":               {busy: 2, keep: time.Minute, habit: new(Habit)},
		"none could be made":         {busy: 2, barren: true, habit: new(Habit)},
		"two that take more calls":   {busy: 2, roomy: true, habit: new(Habit)},
		"a tenant's":                 {busy: 2},
	} {
		s := State{Busy: c.busy, Waiting: c.waits, Starting: c.waits, Habit: c.habit, Keeping: NewKeeping(Learned()), KeepAlive: c.keep, Barren: c.barren, Roomy: c.roomy, Need: need}
		for range c.idle {
			s.IdleSince, s.Started = append(s.IdleSince, noon), append(s.Started, noon)
		}
		if a := Decide(s, noon); a.Ahead != c.want || a.Start != 0 || len(a.End) != 0 {
			t.Errorf("%s: %+v, want %d made ahead", name, a, c.want)
		}
	}
}

// TestSpareStays: a spare instance is there as long as calls overlap, however long that is, and goes when they do not any more.
func TestSpareStays(t *testing.T) {
	s := State{Busy: 2, Habit: new(Habit), Keeping: NewKeeping(Learned()), Need: Need{Cold: 300 * time.Millisecond, MemoryMB: 1024},
		IdleSince: []time.Time{noon}, Started: []time.Time{noon}}
	at := noon
	for range 1000 {
		a := Decide(s, at)
		if len(a.End) > 0 || !a.Again.After(at) || a.Again.After(at.Add(time.Hour)) {
			t.Fatalf("after %v: %+v", at.Sub(noon), a)
		}
		at = a.Again
	}
	if s.Busy = 0; len(Decide(s, at).End) != 1 {
		t.Error("it stays when nothing is under way")
	}
}

// TestGrowthIsCounted: by how often one more came while as many were under way, and for how long they were.
func TestGrowthIsCounted(t *testing.T) {
	h := new(Habit)
	at := noon
	step := func(d time.Duration, what func(int, time.Time), n int) { at = at.Add(d); what(n, at) }
	step(0, h.Use, 1)
	step(time.Minute, h.Use, 2)     // one was under way for a minute, then a second came
	step(2*time.Minute, h.Leave, 2) // two were for two
	step(3*time.Minute, h.Leave, 1) // one was for three
	step(time.Hour, h.Use, 1)       // what is not under way does not count
	if got, want := h.growth[class(2)], (growth{1, 4}); got != want {
		t.Errorf("of the second place %+v, want %+v", got, want)
	}
	if got, want := h.growth[class(3)], (growth{0, 2}); got != want {
		t.Errorf("of the third %+v, want %+v", got, want)
	}
	step(-2*time.Hour, h.Use, 2) // the clock was set
	if got := h.growth[class(2)]; got.minutes != 4 {
		t.Errorf("%v minutes after the clock was set back", got.minutes)
	}
}

// TestBurstGrowsWarm: of calls that come one by one and overlap, only the first two and what comes faster than a start are cold.
func TestBurstGrowsWarm(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := New(&fakeNode{delay: 300 * time.Millisecond}, Config{})
		v := version("f", 512)
		cold := make(chan bool, 20)
		for range 20 {
			go func() { cold <- warmth(t, p, v, time.Minute) }()
			time.Sleep(time.Second)
		}
		colds := 0
		for range 20 {
			if <-cold {
				colds++
			}
		}
		if colds != 2 {
			t.Errorf("%d of 20 calls were cold, want 2", colds)
		}
		closeAll(t, p)
	})
}
