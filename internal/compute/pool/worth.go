package pool

import (
	"math"
	"time"
)

// Rates are the policy's constants.
type Rates struct {
	// Price is what memory kept idle must earn: so many seconds of waiting for a start spared, by the odds, a gigabyte and hour.
	Price float64
	// First and Other say what is likely of the first and of the other places of a function of which nothing is known.
	First, Other Prior
	// Spare says how many instances are idle beyond the odds while executions are under way.
	Spare Spare
	// Blur is how many idle times must be known before they are taken to the minute; before, each counts for its neighbours, too.
	Blur float64
	// Bridge is how long an instance that is not worth it is kept when it will be again: a start costs, too.
	Bridge time.Duration
}

// Spare is for growth: while executions are under way, some instances are idle beyond those that the odds have, if a function's
// bursts grow often enough. The odds rest on how long places have not been used, which says little of a burst under way.
type Spare struct {
	Each, Most int     // one, and one more for so many executions under way, up to Most
	Uses       float64 // of a function of which nothing is known: how often a minute the next place is taken while two or more are in use
	Minutes    float64 // what is known weighs like so many minutes in which the next place could have been taken
}

// Prior is a distribution of idle times whose chance to end falls as they last: of those that have lasted t, Shape/(Scale+t) end
// in the next moment. It counts like Weight observations. Round says which part of them are people's schedules.
type Prior struct {
	Weight, Shape float64
	Scale         time.Duration
	Round         float64
}

// schedules are what people set timers to, and which part of all schedules each is. A call takes its time: what begins every five
// minutes has been idle for a little less.
var schedules = [...]struct {
	every time.Duration
	share float64
}{{5 * time.Minute, .22}, {10 * time.Minute, .16}, {15 * time.Minute, .16}, {30 * time.Minute, .10}, {time.Hour, .36}}

// Keeping is the policy: what an idle instance is worth, and how long. It is read-only.
type Keeping struct {
	rates        Rates
	first, other []float64 // how many of the prior's observations last at least until a bin's beginning
}

// NewKeeping makes a policy of its constants.
func NewKeeping(r Rates) *Keeping {
	return &Keeping{rates: r, first: r.First.table(firstBins), other: r.Other.table(otherBins)}
}

func (p Prior) table(bins int) []float64 {
	t := make([]float64, bins)
	for i := range t {
		t[i] = (1 - p.Round) * math.Pow(1+edge(i).Minutes()/p.Scale.Minutes(), -p.Shape)
		for _, s := range schedules {
			if edge(i) < s.every {
				t[i] += p.Round * s.share
			}
		}
		t[i] *= p.Weight
	}
	return t
}

// Learned are the constants. Those of the priors and Blur were tuned on one half of the sample trace's functions; Price, Bridge and
// Spare are round numbers, chosen with both halves in view. None of them stands on a knife's edge. On the other half (pool/sim.Halves),
// cold calls at idle memory-time beside a fixed ten minutes:
//
//	as they are                  0.203 at 0.943
//	with one of them      halved                doubled
//	Price                 0.181 at 1.082        0.246 at 0.828
//	Spare.Each            0.201 at 0.967        0.207 at 0.937
//	Spare.Most            0.204 at 0.942        0.203 at 0.943
//	Spare.Minutes         0.203 at 0.943        0.203 at 0.943
//	Blur                  0.205 at 0.931        0.203 at 0.952
//	Bridge                0.213 at 0.899        0.202 at 0.965
//	First.Weight          0.205 at 0.925        0.202 at 0.970
//	First.Shape           0.214 at 0.909        0.208 at 0.956
//
// Price trades one against the other, and nothing else does much: without Spare it is 0.31 at 0.87.
func Learned() Rates {
	return Rates{Price: 1.1, Spare: Spare{Each: 8, Most: 8, Uses: .5, Minutes: 10}, Blur: 52, Bridge: time.Minute,
		First: Prior{Weight: 1.3, Shape: 1.15, Scale: 5 * time.Minute, Round: .135},
		Other: Prior{Weight: .145, Shape: .22, Scale: 30 * time.Second}}
}

// Least is how long an instance is kept whatever the odds, so that a release costs no thought.
const Least = 15 * time.Second

// The bounds of what a start costs, for the odds.
const leastCold, mostCold = 100 * time.Millisecond, 5 * time.Second

// Need is what decides how likely a call must be: what a start takes, and how much memory an instance has.
type Need struct {
	Cold     time.Duration
	MemoryMB int
}

// chance a minute at which an instance earns its memory.
func (k *Keeping) enough(need Need) float64 {
	return k.rates.Price * float64(need.MemoryMB) / 1024 / cold(need).Seconds() / 60
}

func cold(need Need) time.Duration { return min(max(need.Cold, leastCold), mostCold) }

// Worth is what an instance is worth whose place, the n-th, has been idle for an age: seconds of waiting spared, by the odds,
// a gigabyte and hour.
func (k *Keeping) Worth(h *Habit, n int, age time.Duration, need Need) float64 {
	o := k.odds(h, n, age)
	return o.next() * 60 * cold(need).Seconds() * 1024 / float64(max(need.MemoryMB, 1))
}

// soon is the chance a minute of a call from which on an instance has its memory at hand: to push it out takes about as much processor
// time as a start, and it comes back slowly.
const soon = .25

// Soon reports whether a call of the n-th place, which has been idle for an age, is too likely for an instance to be without its memory.
func (k *Keeping) Soon(h *Habit, n int, age time.Duration) bool {
	if from, to := h.forecast(); n == 1 && age >= from && age < to {
		return true
	}
	o := k.odds(h, n, age)
	here, then := o.next(), o.next() // in this bin and the one after it
	return max(here, then) >= soon
}

// odds walk through the bins of a place's idle times from one on.
type odds struct {
	own   [firstBins]float64 // how many of the idle times that are known count for a bin
	prior []float64
	i     int
	after float64 // what lasts at least to bin i
}

func (k *Keeping) odds(h *Habit, n int, age time.Duration) (o odds) {
	o.prior = k.first
	if n > 1 {
		o.prior = k.other
	}
	o.i = bin(age, len(o.prior))
	o.after = o.prior[o.i]
	if bins := h.bins(n); bins != nil {
		o.know(bins, k.rates.Blur)
	}
	for i := o.i; i < len(o.prior); i++ {
		o.after += o.own[i]
	}
	return o
}

// know spreads what is known. The more of the idle times came again to the minute, the more they are taken so; the rest of what they
// count is spread widely, over half to twice each.
func (o *odds) know(bins []uint8, blur float64) {
	last := len(bins) - 1
	known, again := 0, 0
	for i := minute; i < last; i++ {
		if n := int(bins[i]); n > 0 {
			known += n
			if n > 1 || i > minute && bins[i-1] > 0 || bins[i+1] > 0 && i+1 < last {
				again += n
			}
		}
	}
	sharp := float64(again) / max(float64(known), 1)
	side := sharp * blur / (blur + float64(known)) / 4
	for i, c := range bins {
		n := float64(c)
		switch {
		case c == 0:
		case i < minute || i == last:
			o.own[i] += n
		default:
			o.own[i] += n * (sharp - 2*side)
			o.own[max(i-1, minute)] += n * side
			o.own[min(i+1, last-1)] += n * side
			m := i - minute + 1 // minutes
			from, to := minute+m/2-1, min(minute+m*2, last)
			each := n * (1 - sharp) / float64(to-from)
			for j := from; j < to; j++ {
				o.own[j] += each
			}
		}
	}
}

func (o *odds) more() bool { return o.i < len(o.prior)-1 }

// next is the chance a minute that an idle time which has lasted to the bin ends in it. It goes on to the following bin.
func (o *odds) next() float64 {
	if !o.more() {
		return 0
	}
	mass := o.own[o.i] + o.prior[o.i] - o.prior[o.i+1]
	chance := mass / o.after / (edge(o.i+1) - edge(o.i)).Minutes()
	o.after -= mass
	o.i++
	return chance
}

// Until is up to which age an instance is kept whose place, the n-th, has been idle for an age. No later than age is not any longer.
func (k *Keeping) Until(h *Habit, n int, age time.Duration, need Need) time.Duration {
	if age < Least {
		return Least
	}
	end, enough := age, k.enough(need)
	if from, to := h.forecast(); n == 1 && age >= from && age < to {
		end = to
	}
	for o := k.odds(h, n, age); o.more() && edge(o.i) <= end+k.rates.Bridge; {
		if to := edge(o.i + 1); o.next() >= enough {
			end = max(end, to)
		}
	}
	return end
}

// Next is the age, not before one, at which an instance for the n-th place becomes worth to be made though nobody waits for it.
func (k *Keeping) Next(h *Habit, n int, age time.Duration, need Need) (time.Duration, bool) {
	enough := k.enough(need)
	for o := k.odds(h, n, age); o.more(); {
		if at := edge(o.i); o.next() >= enough {
			return max(age, at), true
		}
	}
	if from, to := h.forecast(); n == 1 && age < to {
		return max(age, from), true
	}
	return 0, false
}

// spares is how many instances are idle in any case while so many executions are under way: those that the chance a minute of one more
// execution is worth, by what was seen of that chance while as many were.
func (k *Keeping) spares(h *Habit, busy int, need Need) int {
	if busy < 1 {
		return 0
	}
	s, c := k.rates.Spare, h.growth[class(busy+1)]
	uses := float64(c.uses)
	if busy > 1 { // what never ran twice at once has no spare one
		uses += s.Uses * s.Minutes
	}
	if uses/(float64(c.minutes)+s.Minutes) < k.enough(need) {
		return 0
	}
	return min(1+busy/s.Each, s.Most)
}
