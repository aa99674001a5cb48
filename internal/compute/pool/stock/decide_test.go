package stock

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

var t0 = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

func arrived(n int, at time.Time) Demand {
	var d Demand
	for range n {
		d = d.Arrived(at)
	}
	return d
}

// TestDemand: as many as lately came and one more, less and less, one for as long as the kind is kept, then none.
func TestDemand(t *testing.T) {
	const keep = time.Hour
	for _, c := range []struct {
		d     Demand
		after time.Duration
		want  int
	}{
		{Demand{}, 0, 0},
		{Demand{}.Expected(t0), 0, 1},
		{Demand{}.Expected(t0), keep - 1, 1},
		{Demand{}.Expected(t0), keep, 0},
		{arrived(1, t0), 0, 2},
		{arrived(1, t0), time.Minute, 1},
		{arrived(20, t0), 0, 21},
		{arrived(20, t0), 2*linger - 1, 21},
		{arrived(20, t0), 2 * linger, 2},
		{arrived(20, t0), 10 * fade, 1},
		{arrived(20, t0), keep, 0},
	} {
		if got := c.d.want(t0.Add(c.after), keep); got != c.want {
			t.Errorf("%+v after %v: %d, want %d", c.d, c.after, got, c.want)
		}
	}
}

// TestDemandHolds: a new arrival, after demand has faded, has nothing let go of that was held.
func TestDemandHolds(t *testing.T) {
	d, later := arrived(200, t0), t0.Add(8*time.Second)
	before := d.want(later, time.Hour)
	for i := range 50 {
		d = d.Arrived(later.Add(time.Duration(i) * time.Millisecond))
		if n := d.want(later.Add(time.Second), time.Hour); n < before-i {
			t.Fatalf("%d were held, and %d after %d arrivals", before, n, i+1)
		}
	}
	if n := d.want(later.Add(3*linger), time.Hour); n >= before {
		t.Errorf("%d are held for ever", n)
	}
}

// TestBurstsAreMet: whom bursts of 200 come to again and again, and is told before that they may, has 200 ready for all but the
// first, though no burst comes at the same pace and what is made takes most of the time between.
func TestBurstsAreMet(t *testing.T) {
	const step = 40 * time.Millisecond // that one takes to be made
	fork := Kind{Form: Fork, Runtime: "python3.11", TmpMB: 512}
	s := State{Kinds: []Standing{{Kind: fork, Zygote: true}}, Most: 256, MemoryMB: 1024, Parallel: 1, Keep: time.Hour}
	k, now := &s.Kinds[0], t0
	for i := range 20 {
		if i > 1 && k.Ready < 200 {
			t.Errorf("burst %d after %v finds %d", i+1, now.Sub(t0), k.Ready)
		}
		for j := range 200 {
			k.Demand, k.Ready = k.Arrived(now.Add(time.Duration(j)*time.Millisecond)), max(k.Ready-1, 0)
		}
		gap := []time.Duration{10 * time.Second, 16 * time.Second, 9 * time.Second, 12 * time.Second}[i%4]
		for next := now.Add(gap); now.Before(next); now = now.Add(step) {
			if next.Sub(now) < 2*time.Second {
				k.Demand = k.Expected(now)
			}
			a := Decide(s, now)
			k.Ready += len(a.Make) - a.Drop[fork]
		}
	}
}

// TestDemandNext: until next nothing changes, and then it does.
func TestDemandNext(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := arrived(rapid.IntRange(0, 50).Draw(t, "arrivals"), t0)
		d = d.Expected(t0.Add(time.Duration(rapid.Int64Range(0, int64(time.Minute)).Draw(t, "expected"))))
		now := d.Last.Add(time.Duration(rapid.Int64Range(0, int64(2*time.Minute)).Draw(t, "later")))
		const keep = time.Hour
		next := d.next(now, keep)
		if before, after := d.want(now, keep), d.want(next, keep); after >= before {
			t.Fatalf("want %d at %v and %d at %v", before, now, after, next)
		}
	})
}

func TestDecide(t *testing.T) {
	blank, node, python := Kind{Form: Blank, TmpMB: 512}, Kind{Form: Stem, Runtime: "nodejs20.x", MemoryMB: 128, TmpMB: 512}, Kind{Form: Fork, Runtime: "python3.11", Account: "1", TmpMB: 512}
	expected := Demand{}.Expected(t0)
	for _, c := range []struct {
		name  string
		state State
		make  []Kind
		drop  map[Kind]int
		zyg   []Family
		again time.Duration
	}{
		{name: "nobody asks", state: State{}},
		{name: "one of each, who has none first", state: State{Kinds: []Standing{{Kind: node, Demand: arrived(1, t0), Ready: 1}, {Kind: blank, Demand: expected}}},
			make: []Kind{blank, node}, again: -1},
		{name: "only so many at once", state: State{Kinds: []Standing{{Kind: blank, Demand: arrived(9, t0), Making: 1}}}, make: []Kind{blank}, again: -1},
		{name: "not while starts run", state: State{Kinds: []Standing{{Kind: blank, Demand: expected}}, Quiet: t0.Add(time.Second)}, again: time.Second},
		{name: "not after a failure", state: State{Kinds: []Standing{{Kind: blank, Demand: expected, NotBefore: t0.Add(time.Minute)}}}, again: time.Minute},
		{name: "a fork waits for its zygote", state: State{Kinds: []Standing{{Kind: python, Demand: expected}}}, zyg: []Family{python.family()}, again: -1},
		{name: "and is made from it", state: State{Kinds: []Standing{{Kind: python, Demand: expected, Zygote: true}}}, make: []Kind{python}, zyg: []Family{python.family()}, again: -1},
		{name: "nobody asks any more", state: State{Kinds: []Standing{{Kind: node, Demand: Demand{}.Expected(t0.Add(-time.Hour)), Ready: 3}}}, drop: map[Kind]int{node: 3}, again: -1},
		{name: "fewer ask", state: State{Kinds: []Standing{{Kind: node, Demand: expected, Ready: 3}}}, drop: map[Kind]int{node: 2}, again: -1},
		{name: "fewer ask, since a moment ago", state: State{Kinds: []Standing{{Kind: node, Demand: arrived(2, t0.Add(-linger)), Ready: 3}}}, again: -1},
		{name: "memory for the latest", state: State{MemoryMB: 64, Kinds: []Standing{{Kind: node, Demand: Demand{}.Expected(t0.Add(-time.Minute)), Ready: 1}, {Kind: blank, Demand: expected}}},
			make: []Kind{blank}, drop: map[Kind]int{node: 1}, again: -1},
		{name: "no memory for a zygote", state: State{MemoryMB: 64, Kinds: []Standing{{Kind: python, Demand: expected, Zygote: true}}}, again: -1},
		{name: "memory is short", state: State{Pressed: t0.Add(time.Second), Kinds: []Standing{{Kind: blank, Demand: expected, Ready: 1}}}, drop: map[Kind]int{blank: 1}, again: time.Second},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := c.state
			s.Most, s.Parallel, s.Keep = 10, 2, time.Hour
			if s.MemoryMB == 0 {
				s.MemoryMB = 500
			}
			a := Decide(s, t0)
			if !slices.Equal(a.Make, c.make) || fmt.Sprint(a.Drop) != fmt.Sprint(c.drop) || !slices.Equal(a.Families, c.zyg) {
				t.Errorf("%+v", a)
			}
			if c.again >= 0 && c.again != 0 && !a.Again.Equal(t0.Add(c.again)) {
				t.Errorf("again at %v, want after %v", a.Again, c.again)
			}
		})
	}
}

// TestDecideBounds: whatever is asked for, what is there and in the making stays within the bounds once what is dropped is gone,
// and nothing of a kind that nobody asks for is made.
func TestDecideBounds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := State{Most: rapid.IntRange(0, 20).Draw(t, "most"), MemoryMB: rapid.IntRange(0, 1000).Draw(t, "memory"), Parallel: 2, Keep: time.Hour}
		for i := range rapid.IntRange(0, 6).Draw(t, "kinds") {
			k := Kind{Form: rapid.SampledFrom([]Form{Blank, Stem, Fork}).Draw(t, "form"), Runtime: fmt.Sprint(i)}
			at := t0.Add(-time.Duration(rapid.Int64Range(0, int64(2*time.Hour)).Draw(t, "age")))
			s.Kinds = append(s.Kinds, Standing{Kind: k, Demand: arrived(rapid.IntRange(0, 30).Draw(t, "arrivals"), at).Expected(at),
				Ready: rapid.IntRange(0, 5).Draw(t, "ready"), Zygote: true})
		}
		a := Decide(s, t0)
		made := map[Kind]int{}
		for _, k := range a.Make {
			made[k]++
		}
		cells, memory := 0, zygoteWeight*len(a.Families)
		for _, k := range s.Kinds {
			n := k.Ready - a.Drop[k.Kind] + made[k.Kind]
			cells, memory = cells+n, memory+n*weights[k.Form]
			if wants := k.want(t0, s.Keep); n > wants || made[k.Kind] > 0 && a.Drop[k.Kind] > 0 {
				t.Fatalf("%d of %v, which asks for %d: %+v", n, k.Kind, wants, a)
			}
		}
		if cells > s.Most || memory > s.MemoryMB || len(a.Make) > s.Parallel {
			t.Fatalf("%d cells, %d MB, %d in the making", cells, memory, len(a.Make))
		}
	})
}
