package pool

import "time"

// State is what a decision about one version's instances rests on. It holds no pointers to anything live.
type State struct {
	Waiting   int         // callers without an instance
	Starting  int         // instances on their way
	IdleSince []time.Time // when each idle instance was last used, oldest first
	Started   []time.Time // when each of them was started, in the same order
	MaxAge    time.Duration
	Draining  bool      // replaced by a newer revision, or the pool is closing
	NotBefore time.Time // after a start that went wrong: no new one before this
	KeepAlive time.Duration
}

// Action is what to do for a version: start instances, and stop idle ones.
type Action struct {
	Start int
	Reap  int   // so many from the longest idle on
	Old   []int // these too, by their place among the idle, because they are too old
	// Again is when the same state would lead to another decision; zero is never.
	Again time.Time
}

// Decide is the whole scaling policy: one instance on its way for every caller that waits, idle ones gone after KeepAlive
// and at MaxAge.
// It is pure: the same state and time give the same action.
func Decide(s State, now time.Time) Action {
	var a Action
	if missing := s.Waiting - s.Starting; missing > 0 {
		if now.Before(s.NotBefore) {
			a.Again = s.NotBefore
		} else {
			a.Start = missing
		}
	}
	for _, since := range s.IdleSince {
		end := since.Add(s.KeepAlive)
		if !s.Draining && now.Before(end) {
			a.again(end)
			break
		}
		a.Reap++
	}
	for i := a.Reap; i < len(s.Started); i++ {
		if aged(s.Started[i], now, s.MaxAge) {
			a.Old = append(a.Old, i)
		} else if s.MaxAge > 0 {
			a.again(s.Started[i].Add(s.MaxAge))
		}
	}
	return a
}

// again notes a time at which to decide anew, unless an earlier one is noted.
func (a *Action) again(at time.Time) {
	if a.Again.IsZero() || at.Before(a.Again) {
		a.Again = at
	}
}

// aged reports whether an instance has reached most, if there is such a limit.
func aged(started, now time.Time, most time.Duration) bool {
	return most > 0 && !now.Before(started.Add(most))
}

// backoff is how long after the n-th failed start in a row the next may be tried.
func backoff(n int) time.Duration {
	const first, most = 100 * time.Millisecond, 10 * time.Second
	d := first
	for ; n > 1 && d < most; n-- {
		d *= 2
	}
	return min(d, most)
}
