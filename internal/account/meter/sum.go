package meter

import (
	"slices"
	"time"

	"artesian/internal/account/price"
	"artesian/internal/faas"
)

// Day is a day in UTC, counted from 1 January 1970.
type Day int32

// DayOf returns the day of an instant.
func DayOf(t time.Time) Day {
	s := t.Unix()
	d := s / 86400
	if s%86400 < 0 {
		d--
	}
	return Day(d)
}

// Time returns the day's first instant.
func (d Day) Time() time.Time { return time.Unix(int64(d)*86400, 0).UTC() }

// String returns the day as 2006-01-02.
func (d Day) String() string { return d.Time().Format(time.DateOnly) }

// Key says whose usage a Sum is.
type Key struct {
	faas.Scope
	Function string
	Version  string
	Day      Day // on which the invocations began
}

// outcomes is the order in which a Sum counts them; what is not among them is counted last.
var outcomes = [...]faas.Outcome{faas.OutcomeOK, faas.OutcomeError, faas.OutcomeTimeout, faas.OutcomeMemory, faas.OutcomeExit,
	faas.OutcomeInit, faas.OutcomeThrottled, faas.OutcomeCancelled, faas.OutcomeUnavailable}

// Sum is usage added up.
type Sum struct {
	Outcomes    [len(outcomes) + 1]int64 // read them with Count
	Cold        int64                    // invocations that waited for a cold start
	Place       time.Duration            // of the cold starts, as are the next three
	Sandbox     time.Duration
	Runtime     time.Duration
	Init        time.Duration
	Queue       time.Duration
	Run         time.Duration
	BilledMS    int64
	Used        price.Quantity // what is charged for
	BytesIn     int64
	PeakMB      int64 // the highest
	Receiptless int64 // invocations that are in this sum, but whose own record was given up under overload
}

// sumOf returns the sum of one invocation.
func sumOf(u *faas.Usage) Sum {
	s := Sum{Queue: u.Queue, Run: u.Run, BilledMS: u.BilledMS, Used: price.Of(u), BytesIn: u.BytesIn, PeakMB: int64(u.PeakMB)}
	i := slices.Index(outcomes[:], u.Outcome)
	if i < 0 {
		i = len(outcomes)
	}
	s.Outcomes[i] = 1
	if c := u.Cold; c != nil {
		s.Cold, s.Place, s.Sandbox, s.Runtime, s.Init = 1, c.Place, c.Sandbox, c.Runtime, c.Init
	}
	return s
}

// Add adds o to s.
func (s *Sum) Add(o *Sum) {
	for i := range s.Outcomes {
		s.Outcomes[i] += o.Outcomes[i]
	}
	s.Cold += o.Cold
	s.Place += o.Place
	s.Sandbox += o.Sandbox
	s.Runtime += o.Runtime
	s.Init += o.Init
	s.Queue += o.Queue
	s.Run += o.Run
	s.BilledMS += o.BilledMS
	s.Used = s.Used.Add(o.Used)
	s.BytesIn += o.BytesIn
	s.PeakMB = max(s.PeakMB, o.PeakMB)
	s.Receiptless += o.Receiptless
}

// Count returns how many invocations ended so.
func (s *Sum) Count(o faas.Outcome) int64 {
	if i := slices.Index(outcomes[:], o); i >= 0 {
		return s.Outcomes[i]
	}
	return s.Outcomes[len(outcomes)]
}

// Calls returns the number of invocations, however they ended.
func (s *Sum) Calls() int64 {
	var n int64
	for _, c := range s.Outcomes {
		n += c
	}
	return n
}

// Errors returns the number of invocations that did not end well.
func (s *Sum) Errors() int64 { return s.Calls() - s.Count(faas.OutcomeOK) }

// sums is usage by key.
type sums map[Key]*Sum

func (t sums) add(k Key, s *Sum) {
	if have, ok := t[k]; ok {
		have.Add(s)
		return
	}
	c := *s
	t[k] = &c
}

func (t sums) addUsage(u *faas.Usage) {
	s := sumOf(u)
	t.add(keyOf(u), &s)
}

func keyOf(u *faas.Usage) Key {
	return Key{faas.Scope{Account: u.Account, Region: u.Region}, u.Function, u.Version, DayOf(u.Start)}
}
