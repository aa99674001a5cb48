package pool

import (
	"math"
	"time"
)

// Sizes of a Habit. It stays below a kilobyte: every function that was ever called has one.
const (
	firstBins = 3 + 240 // the first place's idle times are told apart by the minute, up to four hours
	otherBins = 3 + 60  // those of the others up to one
	places    = 64      // so many simultaneous executions are told apart; those beyond share the last
	classes   = 5       // the other places: the 2nd, the 3rd and 4th, the 5th to 8th, the 9th to 16th, and the rest
	far       = 3       // so many idle times beyond the range are remembered one by one
)

// Habit is what is remembered of one function's idle times. An execution that finds n-1 others under way uses the n-th place;
// a place's idle time is how long nobody used it. Since the instance last used is lent first, the n-th idle instance from the end is
// what serves the n-th place from now, and it has been idle as long as its place. The zero value knows nothing. It has no lock.
type Habit struct {
	first  [firstBins]uint8
	other  [classes][otherBins]uint8
	growth [classes]growth // how often a place of a class was needed while the one before it was in use
	event  int64           // when a place was taken or left last, in milliseconds since 1970; 0: not known
	far    [far]uint32     // idle times of the first place beyond the range, in seconds, newest first
	left   [places]uint32  // when each place was last left, in seconds since 1970; 0 is never
}

// Use notes that an execution takes the n-th place, counted from 1.
func (h *Habit) Use(n int, now time.Time) {
	h.pass(n, now)
	if n > 1 {
		h.growth[class(n)].uses++
	}
	left := h.Left(n)
	if left.IsZero() {
		return
	}
	gap := now.Sub(left)
	bins := h.bins(n)
	i := bin(gap, len(bins))
	if n == 1 && i == firstBins-1 {
		copy(h.far[1:], h.far[:far-1])
		h.far[0] = uint32(gap / time.Second)
	}
	if bins[i] == math.MaxUint8 {
		if i < minute { // a function that is called all the time still remembers its nights
			return
		}
		for j := range bins {
			bins[j] /= 2
		}
	}
	bins[i]++
}

// Leave notes that an execution leaves the n-th place.
func (h *Habit) Leave(n int, now time.Time) {
	h.pass(n+1, now)
	h.left[place(n)] = uint32(now.Unix())
}

// growth is how many executions took a place of a class, and for how many minutes the place before it was the last in use.
type growth struct{ uses, minutes float32 }

// pass counts the time in which the n-th place was the next.
func (h *Habit) pass(n int, now time.Time) {
	at, before := now.UnixMilli(), h.event
	h.event = at
	if n < 2 || before == 0 || at < before {
		return
	}
	c := &h.growth[class(n)]
	c.minutes += float32(at-before) / 60_000
	if c.minutes > 24*60 { // what was yesterday counts half
		c.uses, c.minutes = c.uses/2, c.minutes/2
	}
}

// Left is when the n-th place was last left, to the second; zero is never.
func (h *Habit) Left(n int) time.Time {
	if h == nil || h.left[place(n)] == 0 {
		return time.Time{}
	}
	return time.Unix(int64(h.left[place(n)]), 0)
}

// bins are the counts of a place's idle times; the last one is of those beyond the range. nil: nothing is known.
func (h *Habit) bins(n int) []uint8 {
	switch {
	case h == nil:
		return nil
	case n <= 1:
		return h.first[:]
	}
	return h.other[class(n)][:]
}

func place(n int) int { return min(max(n, 1), places) - 1 }

// class is which of the other places share what is known of them.
func class(n int) int {
	c := 0
	for n > 2<<c && c < classes-1 {
		c++
	}
	return c
}

// minute is the first bin that is a minute wide: those before end at 15, 30 and 60 seconds.
const minute = 3

func bin(gap time.Duration, bins int) int {
	switch {
	case gap < 15*time.Second:
		return 0
	case gap < 30*time.Second:
		return 1
	case gap < time.Minute:
		return 2
	}
	return min(int(gap/time.Minute)+minute-1, bins-1)
}

// edge is where a bin begins.
func edge(i int) time.Duration {
	switch i {
	case 0:
		return 0
	case 1:
		return 15 * time.Second
	case 2:
		return 30 * time.Second
	}
	return time.Duration(i-minute+1) * time.Minute
}

// forecast is when an idle time beyond the range is expected to end: the last ones must be alike. Nothing is expected: zero.
func (h *Habit) forecast() (from, to time.Duration) {
	if h == nil || h.far[far-1] == 0 {
		return 0, 0
	}
	least, most := h.far[0], h.far[0]
	for _, s := range h.far {
		least, most = min(least, s), max(most, s)
	}
	slack := max(60, most/50)
	if most-least > 2*slack {
		return 0, 0
	}
	return time.Duration(least-slack) * time.Second, time.Duration(most+slack) * time.Second
}
