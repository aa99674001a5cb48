package stock

import (
	"cmp"
	"math"
	"slices"
	"time"
)

// Form is how far a cell is towards being an instance.
type Form string

// The forms there are.
const (
	Blank Form = "blank" // a sandbox in which nothing runs
	Stem  Form = "stem"  // a language's process runs in it and waits for a function
	Fork  Form = "fork"  // the same, forked from a zygote
)

// Kind is what cells are interchangeable by.
type Kind struct {
	Form     Form
	Runtime  string // of a stem or fork
	Account  string // of a fork: a zygote's children share more than others do
	MemoryMB int    // of a stem: what its process is sized for
	TmpMB    int
	Internet bool
}

// Family is what forks come from the same zygote by.
type Family struct{ Account, Runtime string }

func (k Kind) family() Family { return Family{k.Account, k.Runtime} }

// Weights are what the node reckons with, in MB of memory that nobody else uses.
var weights = map[Form]int{Blank: 1, Fork: 4, Stem: 64}

const zygoteWeight = 64

// Demand is how often a kind was asked for: what counts fades, and the highest there was of it is remembered for a while.
type Demand struct {
	Last  time.Time // asked for, or expected
	level float64   // at Last
	since time.Time // when the current stretch of linger began
	high  float64   // the highest level in it
	past  float64   // and what was to be remembered when it began
}

// fade is after how long an arrival counts by a third.
const fade = 10 * time.Second

// linger is how long at least, and twice that at most, the highest level counts: to make a cell and to let go of it costs more than
// to keep it, and who asks for many at once takes a while to come again.
const linger = 30 * time.Second

// Arrived returns the demand with one more arrival.
func (d Demand) Arrived(now time.Time) Demand { return d.moved(now, d.at(now)+1) }

// Expected returns the demand when an arrival is likely, but none has been.
func (d Demand) Expected(now time.Time) Demand { return d.moved(now, d.at(now)) }

func (d Demand) moved(now time.Time, level float64) Demand {
	m := Demand{Last: now, level: level, since: d.since, high: max(d.high, level), past: d.past}
	if !now.Before(d.since.Add(linger)) {
		m.since, m.high, m.past = now, level, d.peak(now)
	}
	return m
}

func (d Demand) at(now time.Time) float64 {
	if d.level == 0 {
		return 0
	}
	return d.level * math.Exp(-float64(max(now.Sub(d.Last), 0))/float64(fade))
}

// peak is the highest level that is remembered. A burst that is smaller than the one before it must outlive that one's memory.
func (d Demand) peak(now time.Time) float64 {
	ago := now.Add(-linger)
	if ago.Before(d.Last) {
		ago = d.Last
	}
	p := d.at(ago)
	switch {
	case now.Before(d.since.Add(linger)):
		return max(p, d.high, d.past)
	case now.Before(d.since.Add(2 * linger)):
		return max(p, d.high)
	}
	return p
}

// want is how many cells the demand asks for: as many as lately arrived within fade, and one; none when keep has passed.
func (d Demand) want(now time.Time, keep time.Duration) int {
	if d.Last.IsZero() || !now.Before(d.Last.Add(keep)) {
		return 0
	}
	return 1 + int(math.Round(d.peak(now)))
}

// next is when want will be lower.
func (d Demand) next(now time.Time, keep time.Duration) time.Time {
	over, n := d.Last.Add(keep), math.Round(d.peak(now))
	if n < 1 {
		return over
	}
	for _, at := range []time.Time{d.since.Add(linger), d.since.Add(2 * linger)} {
		if now.Before(at) && at.Before(over) && math.Round(d.peak(at)) < n {
			return at
		}
	}
	faded := time.Duration(math.Log(d.level/(n-0.5)) * float64(fade))
	if at := d.Last.Add(faded + linger + time.Millisecond); at.After(now) && at.Before(over) {
		return at
	}
	return over
}

// Standing is one kind's part of a State.
type Standing struct {
	Kind
	Demand
	Ready, Making int
	NotBefore     time.Time // after one could not be made
	Zygote        bool      // of a fork: its zygote is ready
}

// State is what a decision rests on.
type State struct {
	Kinds    []Standing
	Most     int           // cells together
	MemoryMB int           // of cells and zygotes together
	Parallel int           // cells in the making at once
	Keep     time.Duration // a kind nobody asks for is kept this long
	Pressed  time.Time     // until then memory is short, and there are none
	Quiet    time.Time     // until then starts have the processors
}

// Action is what to do: cells to make, most urgent first, and to let go of; zygotes to have.
type Action struct {
	Make     []Kind
	Drop     map[Kind]int
	Families []Family
	Again    time.Time // when the same state leads to another decision; zero is never
}

// Decide is the policy. It is pure: the same state and time give the same action.
func Decide(s State, now time.Time) Action {
	a := Action{Drop: map[Kind]int{}}
	kinds := slices.Clone(s.Kinds)
	slices.SortFunc(kinds, func(x, y Standing) int { return cmp.Or(y.Last.Compare(x.Last), compare(x.Kind, y.Kind)) })
	granted := grant(s, kinds, now, &a)
	type lack struct {
		kind  Kind
		there int
	}
	var lacks []lack
	for i, k := range kinds {
		if granted[i] > 0 || k.Ready > 0 {
			a.again(k.next(now, s.Keep))
		}
		if over := k.Ready + k.Making - granted[i]; over > 0 && k.Ready > 0 {
			a.Drop[k.Kind] = min(over, k.Ready)
		}
		for n := k.Ready + k.Making; n < granted[i]; n++ {
			switch {
			case k.Form == Fork && !k.Zygote: // once that is ready
			case now.Before(k.NotBefore):
				a.again(k.NotBefore)
			default:
				lacks = append(lacks, lack{k.Kind, n})
			}
		}
	}
	if len(lacks) > 0 && now.Before(s.Quiet) {
		a.again(s.Quiet)
		return a
	}
	slices.SortStableFunc(lacks, func(x, y lack) int { return x.there - y.there }) // who has none first
	making := 0
	for _, k := range kinds {
		making += k.Making
	}
	for _, l := range lacks[:min(len(lacks), max(s.Parallel-making, 0))] {
		a.Make = append(a.Make, l.kind)
	}
	return a
}

// grant says how many cells of each of kinds, latest asked for first, there may be: one of each, then two, and so on.
func grant(s State, kinds []Standing, now time.Time, a *Action) []int {
	granted := make([]int, len(kinds))
	if now.Before(s.Pressed) {
		a.again(s.Pressed)
		return granted
	}
	cells, memory, wanted := 0, 0, true
	for n := 1; wanted; n++ {
		wanted = false
		for i, k := range kinds {
			if k.want(now, s.Keep) < n || granted[i] < n-1 {
				continue
			}
			weight := weights[k.Form]
			family := k.Form == Fork && !slices.Contains(a.Families, k.family())
			if family {
				weight += zygoteWeight
			}
			if cells == s.Most || memory+weight > s.MemoryMB {
				continue
			}
			if family {
				a.Families = append(a.Families, k.family())
			}
			wanted = true
			granted[i]++
			cells, memory = cells+1, memory+weight
		}
	}
	return granted
}

func compare(x, y Kind) int {
	internet := func(k Kind) int {
		if k.Internet {
			return 1
		}
		return 0
	}
	return cmp.Or(cmp.Compare(x.Form, y.Form), cmp.Compare(x.Runtime, y.Runtime), cmp.Compare(x.Account, y.Account),
		x.MemoryMB-y.MemoryMB, x.TmpMB-y.TmpMB, internet(x)-internet(y))
}

func (a *Action) again(at time.Time) {
	if a.Again.IsZero() || at.Before(a.Again) {
		a.Again = at
	}
}
