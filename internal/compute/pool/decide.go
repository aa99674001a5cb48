package pool

import "time"

// State is what a decision about one version's instances rests on. It holds no pointers to anything live but the Habit, which its
// owner lends for the time of the decision.
type State struct {
	Waiting   int         // callers without an instance
	Starting  int         // instances on their way
	Busy      int         // executions under way
	Roomy     bool        // an instance that calls share takes another one
	IdleSince []time.Time // when what each idle instance stands for was last used, oldest first
	Started   []time.Time // when each of them was started, in the same order
	Resident  []bool      // whose memory could be pushed out of RAM, in the same order; nil: there is nowhere to
	MaxAge    time.Duration
	Draining  bool          // replaced by a newer revision, or the pool is closing
	NotBefore time.Time     // after a start that went wrong: no new one before this
	KeepAlive time.Duration // an idle instance is kept so long, no more and no less; 0: as long as the odds have it

	// what the odds rest on
	Keeping *Keeping
	Habit   *Habit // nil: nothing is known, and nothing made ahead
	Barren  bool   // what was made ahead came to nothing: nothing more is
	Need    Need
}

// Action is what to do for a version: start instances, and stop idle ones.
type Action struct {
	Start int
	Ahead int   // instances to make though nobody waits for them, where there is room
	End   []int // idle instances to stop, by their place among the idle, in order
	// Reclaim are idle instances that stay but do not need their memory soon, by their place among the idle before End.
	Reclaim []int
	// Again is when the same state would lead to another decision; zero is never.
	Again time.Time
}

// Decide is the whole scaling policy: one instance on its way for every caller that waits; idle ones stay as long as the odds of a call
// are worth their memory, or for KeepAlive; one is made ahead when the odds say so; all go at MaxAge.
// It is pure: the same state and time give the same action.
func Decide(s State, now time.Time) Action {
	var a Action
	if missing := s.Waiting - s.Starting; missing > 0 {
		if now.Before(s.NotBefore) {
			a.again(s.NotBefore)
		} else {
			a.Start = missing
		}
	}
	stays := false // the longest idle goes first: while it is worth it, so are those before it
	spares := s.spares()
	for i := range s.IdleSince {
		if aged(s.Started[i], now, s.MaxAge) || s.Draining {
			a.End = append(a.End, i)
			continue
		}
		if !stays && len(s.IdleSince)-i <= spares {
			stays = true
			a.again(now.Add(Least))
		}
		if !stays {
			end := s.until(i, now)
			if stays = now.Before(end); !stays {
				a.End = append(a.End, i)
				continue
			}
			a.again(end)
		}
		if s.MaxAge > 0 {
			a.again(s.Started[i].Add(s.MaxAge))
		}
		if s.Resident != nil && s.Resident[i] {
			s.reclaim(&a, i, now)
		}
	}
	s.ahead(&a, now)
	return a
}

// restful is how long an instance must have been idle before its memory is pushed out, and how seldom it is looked at before that.
const restful = time.Minute

// reclaim decides whether an instance that stays is to be without its memory until its next call.
func (s *State) reclaim(a *Action, i int, now time.Time) {
	since := s.IdleSince[i]
	if since.Before(s.Started[i]) { // it stands for a place that was left before it was there
		since = s.Started[i]
	}
	switch place := s.Busy + len(s.IdleSince) - i; {
	case now.Before(since.Add(restful)):
		a.again(since.Add(restful))
	case s.Keeping.Soon(s.Habit, place, max(now.Sub(s.IdleSince[i]), 0)):
		a.again(now.Add(restful))
	default:
		a.Reclaim = append(a.Reclaim, i)
	}
}

// until is when an idle instance's time is over.
func (s *State) until(i int, now time.Time) time.Time {
	since := s.IdleSince[i]
	if s.KeepAlive > 0 {
		return since.Add(s.KeepAlive)
	}
	return since.Add(s.Keeping.Until(s.Habit, s.Busy+len(s.IdleSince)-i, max(now.Sub(since), 0), s.Need))
}

// spares is how many instances are to be idle because others are not: calls that overlap may soon be more.
func (s *State) spares() int {
	if s.KeepAlive > 0 || s.Habit == nil || s.Barren || s.Draining || s.Roomy {
		return 0
	}
	return s.Keeping.spares(s.Habit, s.Busy, s.Need)
}

// ahead decides which instances are made that nobody waits for: spare ones, and one when the next place that none is there for is likely
// to be used.
func (s *State) ahead(a *Action, now time.Time) {
	if s.KeepAlive > 0 || s.Habit == nil || s.Barren || s.Draining || s.Waiting+s.Starting > 0 {
		return
	}
	rest := len(s.IdleSince) - len(a.End)
	missing := max(s.spares()-rest, 0)
	at, ok := now, missing > 0
	if !ok {
		at, ok = s.due(s.Busy+rest+1, now)
	}
	if !ok {
		return
	}
	if at.Before(s.NotBefore) {
		at = s.NotBefore
	}
	if now.Before(at) {
		a.again(at)
	} else {
		a.Ahead = max(missing, 1)
	}
}

// due is when an instance for the n-th place is to be there.
func (s *State) due(n int, now time.Time) (time.Time, bool) {
	left := s.Habit.Left(n)
	if left.IsZero() || n > places && n > s.Busy+1 { // it was never needed, or is not told apart from those beyond
		return now, false
	}
	age, ok := s.Keeping.Next(s.Habit, n, max(now.Sub(left), 0), s.Need)
	return left.Add(age), ok
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
