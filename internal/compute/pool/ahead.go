package pool

import (
	"runtime"
	"slices"
	"time"
)

// retryAhead is when an instance that there was no room for is thought of again.
const retryAhead = time.Minute

// ahead makes an instance that nobody waits for, if the node has memory that nobody asks for, and a processor: it never stops another
// for it. It reports whether one is on its way. The caller holds the lock.
func (g *group) ahead(now time.Time) bool {
	p := g.pool
	if p.closing.Load() {
		return false
	}
	if p.ahead.Add(1) > int64(runtime.GOMAXPROCS(0)) || !p.memory.borrow(g.version.MemoryMB) {
		p.ahead.Add(-1)
		g.arm(now.Add(retryAhead), now)
		return false
	}
	g.starting++
	p.work.Add(1)
	go g.startAhead()
	return true
}

func (g *group) startAhead() {
	defer g.pool.work.Done()
	in, err := g.bring(g.version, "made ahead, and not ready yet", 0)
	g.pool.ahead.Add(-1)
	now := time.Now()
	g.mu.Lock()
	defer g.mu.Unlock()
	g.starting--
	if err != nil {
		g.failures++
		g.before = now.Add(backoff(g.failures))
		g.barren = true
		g.decide(now)
		g.settle()
		return
	}
	g.learn(in)
	switch {
	case !g.killed && len(g.waiters) > 0: // a call came meanwhile
		g.failures, g.served = 0, true
		g.deliver(result{in: g.lend(in)})
		g.fill(in)
		g.decide(now)
	case in.InitErr != nil || g.killed || g.draining:
		g.barren = g.barren || in.InitErr != nil
		g.end(in)
		g.decide(now)
		g.settle()
	default:
		g.failures, g.served = 0, true
		g.keep(in, now)
		g.decide(now)
	}
}

// keep lays an instance down that has served nobody, as the longest idle: it stands for the place that none was there for.
func (g *group) keep(in *Instance, now time.Time) {
	in.Cold = nil
	in.rest(now, g.pool.cfg.Grace)
	in.since = now
	if left := g.habit.Left(len(g.busy) - g.held.busy + len(g.idle) + 1); !left.IsZero() {
		in.since = left
	}
	g.idle = slices.Insert(g.idle, 0, in)
	g.arm(now.Add(g.pool.least()), now)
	if most := g.pool.cfg.MaxAge; most > 0 {
		g.arm(in.started.Add(most), now)
	}
}

// learn takes in what a start took. The caller holds the lock.
func (g *group) learn(in *Instance) {
	if in.InitErr != nil || in.Cold == nil {
		return
	}
	took := in.Cold.Sandbox + in.Cold.Runtime + in.Cold.Init
	if g.cold == 0 {
		g.cold = took
	}
	g.cold += (took - g.cold) / 4
}

// leave notes that an execution is over at a place. The caller holds the lock.
func (g *group) leave(place int, now time.Time) {
	if g.habit != nil {
		g.habit.Leave(place, now)
	}
}

// least is how long an idle instance is kept as it is before anything is decided.
func (p *Pool) least() time.Duration {
	switch {
	case p.cfg.KeepAlive == 0:
		return Least
	case p.cfg.Reclaim:
		return min(p.cfg.KeepAlive, restful)
	}
	return p.cfg.KeepAlive
}
