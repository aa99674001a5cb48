package pool

import (
	"slices"
	"sync"
	"time"
)

// Calls share instances where their version asks for it. The one that is shared, the host, is busy as long as a call holds a seat on
// it. A seat is an Instance of its own to its holder: how it came to be, whether it is of use, what it costs are the call's; the
// sandbox, the session and the output are the host's.

// sharing is the CPU time of a host, split among the calls that hold it: what is used while n of them run is a n-th each's.
type sharing struct {
	mu     sync.Mutex
	last   time.Duration // what had been used when it was split last
	spare  time.Duration // what nobody has been charged for
	owed   map[*Instance]time.Duration
	memory int64 // the high-water mark that was read last
}

// seats is how many calls an instance of the group takes at once.
func (g *group) seats() int { return g.version.Seats() }

// wanted is how many instances those who wait need, if they are so many more. The caller holds the lock.
func (g *group) wanted(more int) int { return (len(g.waiters) + more + g.seats() - 1) / g.seats() }

// roomy reports whether an instance that calls share takes another one. The caller holds the lock.
func (g *group) roomy() bool {
	return slices.ContainsFunc(g.open, func(host *Instance) bool { return !host.broken && len(host.taken) < g.seats() })
}

// seat makes room for one more call on a host; nil if there is none. The caller holds the lock.
func (g *group) seat(host *Instance) *Instance {
	if len(host.taken) >= g.seats() {
		return nil
	}
	in := &Instance{ID: host.ID, Version: host.Version, Running: host.Running, group: g, started: host.started, host: host}
	host.taken[in] = struct{}{}
	g.pool.work.Add(1)
	return in
}

// join finds a seat beside other calls, on the host that has been busy longest: one is filled before another is begun. The caller
// holds the lock.
func (g *group) join(now time.Time) *Instance {
	for _, host := range g.open {
		if host.broken || ended(host) || aged(host.started, now, g.pool.cfg.MaxAge) {
			continue
		}
		if in := g.seat(host); in != nil {
			return in
		}
	}
	return nil
}

// share opens an instance that was lent to more calls than its first, whose seat it returns. The caller holds the lock.
func (g *group) share(host *Instance) *Instance {
	if g.seats() == 1 || host.InitErr != nil { // who repairs an instance has it alone
		return host
	}
	host.taken = map[*Instance]struct{}{}
	g.open = append(g.open, host)
	in := g.seat(host)
	in.Cold, in.first = host.Cold, true
	return in
}

// fill gives seats on a host to those who wait. The caller holds the lock.
func (g *group) fill(host *Instance) {
	for len(g.waiters) > 0 && !g.killed && host.taken != nil && !host.broken {
		in := g.seat(host)
		if in == nil {
			return
		}
		g.deliver(result{in: in})
		g.withdraw()
	}
}

// leaveSeat takes a seat back, and with the last one the host.
func (g *group) leaveSeat(in *Instance) {
	defer g.pool.work.Done()
	host := in.host
	host.uncharge(in)
	g.mu.Lock()
	delete(host.taken, in)
	host.broken = host.broken || in.broken
	last := len(host.taken) == 0
	if last {
		host.taken = nil
		g.open = slices.DeleteFunc(g.open, func(o *Instance) bool { return o == host })
	} else if !aged(host.started, time.Now(), g.pool.cfg.MaxAge) && !ended(host) {
		g.fill(host)
	}
	g.mu.Unlock()
	if last {
		g.release(host)
	}
}

// charge begins to count for a seat.
func (in *Instance) charge() {
	s := &in.host.sharing
	s.mu.Lock()
	defer s.mu.Unlock()
	s.split(in.host)
	if s.owed == nil {
		s.owed = map[*Instance]time.Duration{}
	}
	s.owed[in] = 0
}

// split charges what was used since the last time. The caller holds the lock.
func (s *sharing) split(host *Instance) {
	if u, err := host.Sandbox.Usage(); err == nil {
		s.spare += max(u.CPU-s.last, 0)
		s.last, s.memory = u.CPU, u.Peak
	}
	n := time.Duration(len(s.owed))
	if n == 0 {
		return
	}
	for in := range s.owed {
		s.owed[in] += s.spare / n
	}
	s.spare %= n
}

// meter is Meter of a seat.
func (in *Instance) meter() (cpu time.Duration, peak int64) {
	s := &in.host.sharing
	s.mu.Lock()
	defer s.mu.Unlock()
	s.split(in.host)
	cpu = s.owed[in]
	s.owed[in] = 0
	return cpu, s.memory
}

// uncharge ends what charge began.
func (host *Instance) uncharge(in *Instance) {
	s := &host.sharing
	s.mu.Lock()
	defer s.mu.Unlock()
	s.spare += s.owed[in]
	delete(s.owed, in)
}
