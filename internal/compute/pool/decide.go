package pool

import "time"

// State is what a decision about one version's instances rests on. It holds no pointers to anything live.
type State struct {
	Waiting   int         // callers without an instance
	Starting  int         // instances on their way
	IdleSince []time.Time // when each idle instance was last used, oldest first
	Draining  bool        // replaced by a newer revision, or the pool is closing
	NotBefore time.Time   // after a start that went wrong: no new one before this
	KeepAlive time.Duration
}

// Action is one thing to do for a version: start instances, or stop the oldest idle ones.
type Action struct {
	Start int
	Reap  int
	// Again is when the same state would lead to another decision; zero is never.
	Again time.Time
}

// Decide is the whole scaling policy: one instance on its way for every caller that waits, idle ones gone after KeepAlive.
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
			if a.Again.IsZero() || end.Before(a.Again) {
				a.Again = end
			}
			break
		}
		a.Reap++
	}
	return a
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
