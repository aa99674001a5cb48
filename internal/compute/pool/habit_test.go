package pool

import (
	"testing"
	"time"
	"unsafe"
)

var noon = time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)

func TestHabitIsSmall(t *testing.T) {
	if size := unsafe.Sizeof(Habit{}); size > 1024 {
		t.Errorf("a function's habit takes %d bytes", size)
	}
}

func TestBins(t *testing.T) {
	for bins, most := range map[int]time.Duration{firstBins: 5 * time.Hour, otherBins: 2 * time.Hour} {
		for d := time.Duration(0); d < most; d += 5 * time.Second {
			i := bin(d, bins)
			if edge(i) > d || i < bins-1 && edge(i+1) <= d {
				t.Fatalf("%v is in bin %d, which begins at %v", d, i, edge(i))
			}
		}
	}
	for n, want := range map[int]int{2: 0, 3: 1, 4: 1, 5: 2, 8: 2, 9: 3, 16: 3, 17: 4, 5000: 4} {
		if c := class(n); c != want {
			t.Errorf("place %d is of class %d, want %d", n, c, want)
		}
	}
}

// every returns the habit of a function that is called so often, one call at a time, for a while, and when its last call ended.
func every(period, takes, total time.Duration) (*Habit, time.Time) {
	h := new(Habit)
	end := noon
	for at := noon; at.Before(noon.Add(total)); at = at.Add(period) {
		h.Use(1, at)
		end = at.Add(takes)
		h.Leave(1, end)
	}
	return h, end
}

// TestScheduleIsLearned: what comes every so often is let go of, and made again shortly before it comes.
func TestScheduleIsLearned(t *testing.T) {
	k := NewKeeping(Learned())
	need := Need{Cold: 300 * time.Millisecond, MemoryMB: 512}
	for _, period := range []time.Duration{10 * time.Minute, 30 * time.Minute, time.Hour, 3 * time.Hour} {
		h, _ := every(period, 2*time.Second, 8*period)
		if kept := k.Until(h, 1, Least, need); kept > 3*time.Minute {
			t.Errorf("every %v: kept for %v after a call", period, kept)
		}
		at, ok := k.Next(h, 1, 4*time.Minute, need)
		if !ok || at > period-2*time.Second || at < period-3*time.Minute {
			t.Errorf("every %v: made ahead after %v, %t", period, at, ok)
		}
		if kept := k.Until(h, 1, at, need); kept < period {
			t.Errorf("every %v: what is made after %v is kept until %v", period, at, kept)
		}
	}
}

// TestBeyondTheRange: idle times too long for the bins are forecast when they are alike, and else are not.
func TestBeyondTheRange(t *testing.T) {
	k := NewKeeping(Learned())
	need := Need{Cold: time.Second, MemoryMB: 512}
	h, _ := every(24*time.Hour, time.Second, 5*24*time.Hour)
	at, ok := k.Next(h, 1, 2*time.Hour, need)
	if !ok || at > 24*time.Hour || at < 23*time.Hour {
		t.Errorf("once a day: made ahead after %v, %t", at, ok)
	}
	if kept := k.Until(h, 1, at, need); kept < 24*time.Hour || kept > 25*time.Hour {
		t.Errorf("once a day: kept until %v", kept)
	}
	h = new(Habit)
	at0 := noon
	for _, d := range []time.Duration{5 * time.Hour, 30 * time.Hour, 9 * time.Hour, 50 * time.Hour} {
		h.Leave(1, at0)
		at0 = at0.Add(d)
		h.Use(1, at0)
	}
	if at, ok := k.Next(h, 1, 2*time.Hour, need); ok {
		t.Errorf("without order: made ahead after %v", at)
	}
}

// TestBusyFunctionRemembersItsNights: thousands of short idle times do not crowd out the few long ones.
func TestBusyFunctionRemembersItsNights(t *testing.T) {
	h := new(Habit)
	at := noon
	for range 5 {
		for range 100_000 {
			h.Use(1, at)
			h.Leave(1, at)
			at = at.Add(time.Second)
		}
		at = at.Add(2 * time.Hour)
	}
	if n := h.first[bin(2*time.Hour, firstBins)]; n != 4 {
		t.Errorf("%d of 4 pauses are remembered", n)
	}
}

// TestWorth: an instance is worth the more the likelier a call, the longer a start, and the smaller it is.
func TestWorth(t *testing.T) {
	k := NewKeeping(Learned())
	need := Need{Cold: time.Second, MemoryMB: 512}
	h, _ := every(10*time.Minute, time.Second, 10*time.Hour)
	worth := func(age time.Duration, need Need) float64 { return k.Worth(h, 1, age, need) }
	base := worth(9*time.Minute+30*time.Second, need)
	for name, less := range map[string]float64{
		"unlikely":   worth(4*time.Minute, need),
		"quick":      worth(9*time.Minute+30*time.Second, Need{Cold: 200 * time.Millisecond, MemoryMB: 512}),
		"large":      worth(9*time.Minute+30*time.Second, Need{Cold: time.Second, MemoryMB: 2048}),
		"overdue":    worth(3*time.Hour, need),
		"a deep one": k.Worth(h, 9, 9*time.Minute, need),
	} {
		if less >= base {
			t.Errorf("%s: worth %v, no less than %v", name, less, base)
		}
	}
}

func BenchmarkUseAndLeave(b *testing.B) {
	h := new(Habit)
	for i := range b.N {
		at := noon.Add(time.Duration(i) * time.Second)
		h.Use(1, at)
		h.Leave(1, at)
	}
}

// BenchmarkDecide is what a call costs that takes the last idle instance of a function which sometimes needs two.
func BenchmarkDecide(b *testing.B) {
	h, end := every(time.Minute, time.Second, 10*time.Hour)
	h.Leave(2, end)
	s := State{Busy: 1, Keeping: NewKeeping(Learned()), Habit: h, Need: Need{Cold: time.Second, MemoryMB: 512}}
	b.ReportAllocs()
	for b.Loop() {
		Decide(s, end.Add(10*time.Minute))
	}
}
