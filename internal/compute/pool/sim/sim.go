package sim

import (
	"container/heap"
	"runtime"
	"slices"
	"sync"
	"time"

	"artesian/internal/compute/pool"
)

// Policy is one way to keep instances.
type Policy struct {
	Name      string
	KeepAlive time.Duration // an idle instance is kept so long; 0: Keeping decides
	Keeping   *pool.Keeping
}

// Figures are what a policy costs.
type Figures struct {
	Policy string
	Calls  int
	Colds  int     // calls for which an instance had to be started
	Queued int     // calls that a busy instance served before one was started for them
	Ahead  int     // instances started for no call
	IdleGB float64 // gigabyte hours of instances without a call
}

// ColdTime is what a start takes: a call that comes earlier is cold, too.
const ColdTime = 100 * time.Millisecond

// replay is one function under one policy.
type replay struct {
	Figures
	f     *Function
	p     Policy
	habit pool.Habit
	busy  ends
	idle  []resting
	timer time.Duration           // when to decide next; 0: never
	waits time.Duration           // until when somebody waits for a start: nothing is made ahead meanwhile
	rests func(gigabytes float64) // told of every time that an instance was idle, in gigabyte hours
}

// resting is an idle instance: since when what it stands for has not been used, and since when it is there itself.
type resting struct{ since, from, starts time.Duration }

// ready is when it can take a call: one made ahead takes its time like any other.
func (in resting) ready() time.Duration {
	return in.from + in.starts
}

// epoch is when the trace begins, for policies, which know real times only.
var epoch = time.Date(2019, 7, 1, 8, 0, 0, 0, time.UTC)

func (r *replay) run(calls []call) {
	end := time.Duration(len(r.f.PerMin)) * time.Minute
	r.Calls = len(calls)
	for _, c := range calls {
		r.until(c.at)
		r.arrive(c)
	}
	r.until(end)
	for _, in := range r.idle {
		r.rested(in, end)
	}
}

// until lets calls end and timers fire up to a time, in their order.
func (r *replay) until(at time.Duration) {
	for {
		ends, fires := len(r.busy) > 0 && r.busy[0] <= at, r.timer > 0 && r.timer <= at
		switch {
		case ends && (!fires || r.busy[0] <= r.timer):
			r.depart(heap.Pop(&r.busy).(time.Duration))
		case fires:
			now := r.timer
			r.timer = 0
			r.decide(now)
		default:
			return
		}
	}
}

// arrive serves a call by an idle instance, or by whichever comes first: one that a call before it frees, or one that is started for it.
func (r *replay) arrive(c call) {
	r.habit.Use(len(r.busy)+1, epoch.Add(c.at))
	ready := c.at
	n := len(r.idle)
	if n > 0 {
		ready = max(ready, r.idle[n-1].ready())
	} else {
		ready += ColdTime
	}
	switch {
	case ready > c.at && len(r.busy) > 0 && r.busy[0] <= ready:
		r.Queued++
		ready = heap.Pop(&r.busy).(time.Duration)
		if n == 0 { // what was started for it rests
			r.idle = append(r.idle, resting{c.at, c.at, ColdTime})
			r.arm(c.at + r.least())
		}
	case n > 0:
		r.rested(r.idle[n-1], c.at)
		r.idle = r.idle[:n-1]
		fallthrough
	default:
		if ready > c.at {
			r.Colds++
			r.waits = ready
		}
	}
	heap.Push(&r.busy, ready+c.takes)
	if len(r.idle) == 0 {
		r.decide(c.at)
	}
}

// least is how long an instance is kept before anything is decided.
func (r *replay) least() time.Duration {
	if r.p.KeepAlive > 0 {
		return r.p.KeepAlive
	}
	return pool.Least
}

func (r *replay) depart(now time.Duration) {
	r.habit.Leave(len(r.busy)+1, epoch.Add(now))
	r.idle = append(r.idle, resting{since: now, from: now})
	r.arm(now + r.least())
}

func (r *replay) arm(at time.Duration) {
	if r.timer == 0 || at < r.timer {
		r.timer = at
	}
}

func (r *replay) decide(now time.Duration) {
	s := pool.State{Busy: len(r.busy), KeepAlive: r.p.KeepAlive, Keeping: r.p.Keeping, Habit: &r.habit, Need: pool.Need{Cold: ColdTime, MemoryMB: r.f.MemoryMB}}
	for _, in := range r.idle {
		s.IdleSince = append(s.IdleSince, epoch.Add(in.since))
		s.Started = append(s.Started, epoch.Add(in.from))
	}
	if now < r.waits {
		s.Busy, s.Waiting, s.Starting = s.Busy-1, 1, 1
		defer r.arm(r.waits)
	}
	a := pool.Decide(s, epoch.Add(now))
	for i := len(a.End) - 1; i >= 0; i-- {
		n := a.End[i]
		r.rested(r.idle[n], now)
		r.idle = append(r.idle[:n], r.idle[n+1:]...)
	}
	for range a.Ahead {
		r.Ahead++
		since := now // of a place that was never used
		if left := r.habit.Left(len(r.busy) + len(r.idle) + 1); !left.IsZero() {
			since = left.Sub(epoch)
		}
		r.idle = append([]resting{{since, now, ColdTime}}, r.idle...)
		a.Again = epoch.Add(now + time.Millisecond)
	}
	if !a.Again.IsZero() {
		r.arm(max(a.Again.Sub(epoch), now+1))
	}
}

// rested counts what an instance was idle.
func (r *replay) rested(in resting, until time.Duration) {
	gb := (until - in.from).Hours() * float64(r.f.MemoryMB) / 1024
	r.IdleGB += gb
	if r.rests != nil {
		r.rests(gb)
	}
}

// ends is a heap of times.
type ends []time.Duration

func (e ends) Len() int           { return len(e) }
func (e ends) Less(i, j int) bool { return e[i] < e[j] }
func (e ends) Swap(i, j int)      { e[i], e[j] = e[j], e[i] }
func (e *ends) Push(x any)        { *e = append(*e, x.(time.Duration)) }
func (e *ends) Pop() any {
	old := *e
	x := old[len(old)-1]
	*e = old[:len(old)-1]
	return x
}

// Run replays functions under a policy. Which of the trace they are decides how their calls fall within their minutes.
func Run(functions map[int]*Function, p Policy) Figures {
	total := Figures{Policy: p.Name}
	each(functions, func(i int, f *Function) Figures {
		r := &replay{f: f, p: p}
		r.run(f.calls(uint64(i)))
		return r.Figures
	}, func(f Figures) {
		total.Calls, total.Colds, total.Queued = total.Calls+f.Calls, total.Colds+f.Colds, total.Queued+f.Queued
		total.Ahead, total.IdleGB = total.Ahead+f.Ahead, total.IdleGB+f.IdleGB
	})
	return total
}

// Clairvoyant is what somebody could do at best who knows every next call, has so much idle memory-time, and makes nothing ahead:
// of the times between two uses, those are kept through that take the least memory-time.
func Clairvoyant(functions map[int]*Function, idleGB float64) Figures {
	type rests struct {
		Figures
		all []float64
	}
	total := Figures{Policy: "clairvoyant"}
	var all []float64
	each(functions, func(i int, f *Function) (s rests) {
		r := &replay{f: f, p: Policy{KeepAlive: time.Duration(len(f.PerMin)+1) * time.Minute}}
		r.rests = func(gb float64) { s.all = append(s.all, gb) }
		r.run(f.calls(uint64(i)))
		s.Figures = r.Figures
		s.all = s.all[:len(s.all)-len(r.idle)] // the last ones end with the trace, not with a call
		return s
	}, func(s rests) {
		total.Calls, total.Colds, total.Queued = total.Calls+s.Calls, total.Colds+s.Colds, total.Queued+s.Queued
		all = append(all, s.all...)
	})
	slices.Sort(all)
	for _, gb := range all {
		if total.IdleGB+gb > idleGB {
			total.Colds++
			continue
		}
		total.IdleGB += gb
	}
	return total
}

// Compare replays functions under the policies that are worth comparing: ours, two fixed times, and a clairvoyant with the memory-time
// of ten minutes.
func Compare(functions map[int]*Function) (ours, ten, sixty, clairvoyant Figures) {
	ours = Run(functions, Policy{Name: "learned", Keeping: pool.NewKeeping(pool.Learned())})
	ten = Run(functions, Policy{Name: "fixed 10 minutes", KeepAlive: 10 * time.Minute})
	sixty = Run(functions, Policy{Name: "fixed 60 minutes", KeepAlive: time.Hour})
	return ours, ten, sixty, Clairvoyant(functions, ten.IdleGB)
}

// each works on functions, as many at once as there are processors, and hands the results on one by one.
func each[R any](functions map[int]*Function, work func(int, *Function) R, take func(R)) {
	var wg sync.WaitGroup
	var mu sync.Mutex
	free := make(chan struct{}, runtime.GOMAXPROCS(0))
	for i, f := range functions {
		free <- struct{}{}
		wg.Go(func() {
			r := work(i, f)
			<-free
			mu.Lock()
			defer mu.Unlock()
			take(r)
		})
	}
	wg.Wait()
}

// Halves splits a trace: the policy was tuned on one half of the functions, every other one, and the other half tells how it does
// where it was not.
func Halves(all []*Function) (whole, tuned, held map[int]*Function) {
	whole, tuned, held = make(map[int]*Function), make(map[int]*Function), make(map[int]*Function)
	for i, f := range all {
		whole[i] = f
		if i%2 == 0 {
			tuned[i] = f
		} else {
			held[i] = f
		}
	}
	return whole, tuned, held
}
