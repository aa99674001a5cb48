package pool

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"artesian/internal/faas"
)

// group is all there is of one version, or of one tenant of it.
type group struct {
	pool    *Pool
	key     groupKey
	version *faas.Version

	mu       sync.Mutex
	idle     []*Instance // last used last: lent from the end, reaped from the front
	busy     map[*Instance]struct{}
	open     []*Instance // those of busy that may take more calls, where calls share; longest busy first
	waiters  []*waiter
	starting int      // those that nobody waits for included
	placing  []*claim // those of starting that have no memory yet
	failures int      // starts in a row
	before   time.Time
	served   bool // an instance has been there
	draining bool // replaced or closing: nothing rests here
	gone     bool // draining and empty: no longer the pool's
	killed   bool // the pool could wait no longer
	timer    *time.Timer
	armed    time.Time // when timer fires next; zero: it does not

	habit  *Habit        // nil for a tenant's
	cold   time.Duration // what a start takes, on average
	usedMB int           // what the instance that was used last has used at most; 0: not measured
	barren bool          // what was made ahead came to nothing: no more before the next call
	held   holding       // what is kept ready whatever the odds
}

// errGone asks the caller to look its group up again.
var errGone = errors.New("group is gone")

// waiter is a caller without an instance. Exactly one result is delivered unless it leaves first.
type waiter struct {
	group  *group
	result chan result
}

// errWithdrawn means that a start was given up because its caller was served otherwise.
var errWithdrawn = errors.New("start withdrawn")

type result struct {
	in  *Instance
	err error
}

// claim returns an idle instance, or a place in the queue with a start under way for it.
func (g *group) claim() (*Instance, *waiter, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.pool.closing.Load() {
		return nil, nil, errClosing()
	}
	if g.gone {
		return nil, nil, errGone
	}
	now := time.Now()
	if in := g.join(now); in != nil {
		return in, nil, nil
	}
	if in := g.held.take(); in != nil {
		g.pool.heldCalls.Add(1)
		return g.lend(in), nil, nil
	}
	if g.held.want > 0 {
		g.pool.heldSpilled.Add(1)
	}
	g.barren = false
	if place := g.demand(1); g.habit != nil && place > g.demand(0) {
		g.habit.Use(place, now)
	}
	if n := len(g.idle); n > 0 {
		in := g.idle[n-1]
		g.idle = g.idle[:n-1]
		in = g.lend(in)
		if n == 1 {
			g.decide(now) // one more may be needed
		}
		return in, nil, nil
	}
	if len(g.waiters) >= g.pool.cfg.MaxWaiting {
		return nil, nil, faas.Errorf(faas.Throttled, "%d calls wait for an instance of %s already", len(g.waiters), g.version.ID.Name)
	}
	w := &waiter{group: g, result: make(chan result, 1)}
	g.waiters = append(g.waiters, w)
	g.decide(now)
	return nil, w, nil
}

func errClosing() error { return faas.Errorf(faas.Unavailable, "the platform is shutting down") }

// lend counts an instance as busy and returns what its holder gets. The caller holds the lock.
func (g *group) lend(in *Instance) *Instance {
	if g.busy == nil {
		g.busy = make(map[*Instance]struct{})
	}
	g.busy[in] = struct{}{}
	g.pool.work.Add(1)
	return g.share(in)
}

// wait returns what is delivered, or leaves the queue when ctx ends.
func (w *waiter) wait(ctx context.Context) (*Instance, error) {
	select {
	case r := <-w.result:
		return r.in, r.err
	case <-ctx.Done():
	}
	w.group.mu.Lock()
	if i := slices.Index(w.group.waiters, w); i >= 0 {
		w.group.waiters = slices.Delete(w.group.waiters, i, i+1)
		w.group.withdraw()
		w.group.mu.Unlock()
		return nil, ctx.Err()
	}
	w.group.mu.Unlock()
	if r := <-w.result; r.in != nil { // delivered as ctx ended
		w.group.release(r.in)
	}
	return nil, ctx.Err()
}

// demand is how many instances serve calls, or are waited for, if so many more calls wait, without those that are kept ready. The caller holds the lock.
func (g *group) demand(more int) int { return len(g.busy) - g.held.busy + g.wanted(more) }

// decide applies the policy. The caller holds the lock.
func (g *group) decide(now time.Time) {
	s := State{Waiting: g.wanted(0), Starting: g.starting, Busy: len(g.busy) - g.held.busy, Roomy: g.roomy(), Draining: g.draining, NotBefore: g.before,
		KeepAlive: g.pool.cfg.KeepAlive, MaxAge: g.pool.cfg.MaxAge, Keeping: g.pool.keeping, Habit: g.habit, Barren: g.barren, Need: g.need()}
	if n := len(g.idle); n > 0 {
		s.IdleSince, s.Started = make([]time.Time, n), make([]time.Time, n)
		for i, in := range g.idle {
			s.IdleSince[i], s.Started[i] = in.since, in.started
		}
		if g.pool.cfg.Reclaim {
			s.Resident = make([]bool, n)
			for i, in := range g.idle {
				s.Resident[i] = in.resident()
			}
		}
	}
	a := Decide(s, now)
	for range a.Start {
		why := g.why()
		g.starting++
		g.pool.work.Add(1)
		go g.start(why)
	}
	for _, i := range a.Reclaim {
		g.idle[i].push()
	}
	for _, i := range slices.Backward(a.End) {
		g.end(g.idle[i])
		g.idle = slices.Delete(g.idle, i, i+1)
	}
	for range a.Ahead {
		if !g.ahead(now) {
			break
		}
	}
	g.arm(a.Again, now)
}

// need reckons an idle instance with the memory that it has used, and with half of what it may use at least, which nobody else gets.
func (g *group) need() Need {
	mb := g.version.MemoryMB
	if g.usedMB > 0 {
		mb = min(mb, max(g.usedMB, mb/2))
	}
	return Need{Cold: g.cold, MemoryMB: mb}
}

// arm sees to it that decide runs again at a time, or before. The caller holds the lock.
func (g *group) arm(at, now time.Time) {
	switch {
	case at.IsZero() || !g.armed.IsZero() && !at.Before(g.armed):
		return
	case g.timer == nil:
		g.timer = time.AfterFunc(at.Sub(now), g.tick)
	default:
		g.timer.Reset(at.Sub(now))
	}
	g.armed = at
}

func (g *group) tick() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.armed = time.Time{}
	g.decide(time.Now())
	g.provide(time.Now())
	g.settle()
}

// start brings one instance up and hands it over; why says what it is started for.
func (g *group) start(why string) {
	defer g.pool.work.Done()
	in, err := g.launch(why)
	g.mu.Lock()
	g.starting--
	if errors.Is(err, errWithdrawn) {
		g.decide(time.Now())
		g.settle()
		g.mu.Unlock()
		return
	}
	if err != nil {
		g.failures++
		g.before = time.Now().Add(backoff(g.failures))
		g.deliver(result{err: err})
		g.decide(time.Now())
		g.settle()
		g.mu.Unlock()
		return
	}
	g.failures, g.served = 0, true
	g.learn(in)
	lent := g.lend(in)
	handed := !g.killed && g.deliver(result{in: lent})
	g.fill(in)
	if handed {
		g.decide(time.Now()) // nothing was made ahead while it was waited for
	}
	g.mu.Unlock()
	if !handed {
		g.release(lent)
	}
}

// launch is the cold start: memory, sandbox, runtime, the function's own initialisation.
func (g *group) launch(why string) (*Instance, error) {
	begin := time.Now()
	if err := g.place(); err != nil {
		return nil, err
	}
	return g.bring(g.version, why, time.Since(begin))
}

// bring is the cold start of an instance that has its memory, which it gives back when there will be none.
func (g *group) bring(v *faas.Version, why string, waited time.Duration) (*Instance, error) {
	p, placed := g.pool, time.Now()
	ctx, cancel := context.WithTimeout(p.life, faas.MaxInit)
	defer cancel()
	r, err := p.launcher.Launch(ctx, v)
	if err != nil {
		p.memory.give(v.MemoryMB)
		return nil, fmt.Errorf("start %s: %w", v.ID.Name, err)
	}
	in := &Instance{ID: fmt.Sprintf("i%d", p.nextID.Add(1)), Version: v, Running: r, group: g, started: placed, busy: true,
		Cold: &faas.Cold{Way: r.Way, Why: because(why, r.Note), Place: waited, Sandbox: time.Since(placed)}}
	p.watch(in, r)
	phases, err := r.Session.Init(ctx)
	in.Cold.Runtime, in.Cold.Init = phases.Runtime, phases.Init
	if in.InitErr = err; err == nil {
		err = in.Run()
	}
	if err != nil && in.InitErr == nil {
		in.InitErr = err
	}
	if r.Ready != nil {
		r.Ready(in.Cold, in.InitErr)
	}
	return in, nil
}

// place takes the memory for one instance, as long as somebody waits for it.
func (g *group) place() error {
	c, err := g.queue()
	if err != nil {
		return err
	}
	g.pool.reclaim(0) // what runs may end meanwhile
	timeout := time.NewTimer(g.pool.cfg.PlaceWait)
	defer timeout.Stop()
	select {
	case <-c.granted:
	case <-c.gone:
	case <-timeout.C:
		g.pool.memory.withdraw(c)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if i := slices.Index(g.placing, c); i >= 0 {
		g.placing = slices.Delete(g.placing, i, i+1)
		select {
		case <-c.granted:
			return nil
		default:
			return g.pool.memory.full()
		}
	}
	select {
	case <-c.granted: // withdrawn too late
		return nil
	default:
		return errWithdrawn
	}
}

// queue claims the memory of one instance.
func (g *group) queue() (*claim, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.starting > g.wanted(0) { // its caller has been served before it began
		return nil, errWithdrawn
	}
	c, err := g.pool.memory.claim(g.version.MemoryMB)
	if err == nil {
		g.placing = append(g.placing, c)
	}
	return c, err
}

// withdraw gives up starts without memory that nobody waits for. The caller holds the lock.
func (g *group) withdraw() {
	for excess := g.starting - g.wanted(0); excess > 0 && len(g.placing) > 0; excess-- {
		last := g.placing[len(g.placing)-1]
		g.placing = g.placing[:len(g.placing)-1]
		g.pool.memory.withdraw(last)
	}
}

// deliver hands a result to the oldest waiter and reports whether there was one. The caller holds the lock.
func (g *group) deliver(r result) bool {
	if len(g.waiters) == 0 {
		return false
	}
	w := g.waiters[0]
	g.waiters = slices.Delete(g.waiters, 0, 1)
	w.result <- r
	return true
}

// release takes an instance back from its holder: to the next waiter, to rest, or to its end.
func (g *group) release(in *Instance) {
	if in.host != nil {
		g.leaveSeat(in)
		return
	}
	defer g.pool.work.Done()
	in.Cold, in.Rested, in.Thawed = nil, time.Time{}, false
	now := time.Now()
	dead := in.broken || in.InitErr != nil || ended(in) || aged(in.started, now, g.pool.cfg.MaxAge)

	g.mu.Lock()
	place := g.demand(0)
	delete(g.busy, in)
	if in.last.Peak > 0 {
		g.usedMB = int(in.last.Peak >> 20)
	}
	dead = dead || g.killed
	switch {
	case in.held:
		g.restHeld(in, now, dead)
	case !dead && len(g.waiters) > 0:
		g.deliver(result{in: g.lend(in)})
		g.fill(in)
		g.withdraw()
	case !dead && !g.draining:
		g.leave(place, now)
		in.rest(now, g.pool.cfg.Grace)
		in.since = now
		g.idle = append(g.idle, in)
		g.arm(now.Add(g.pool.least()), now)
		if most := g.pool.cfg.MaxAge; most > 0 {
			g.arm(in.started.Add(most), now)
		}
	default:
		g.leave(place, now)
		g.end(in)
		g.decide(now)
		g.settle()
		g.mu.Unlock()
		return
	}
	g.mu.Unlock()
	// Both are looked at once the instance can be seen among the idle: a claim on memory that came before is found here, one
	// that comes after finds it there; likewise the end of its sandbox and watch. What is kept ready makes no room.
	if ended(in) || !in.held && g.pool.memory.short() > 0 {
		g.remove(in)
	}
}

// ended reports whether the instance's sandbox is gone.
func ended(in *Instance) bool {
	select {
	case <-in.Sandbox.Done():
		return true
	default:
		return false
	}
}

// settle takes a drained group, or a tenant's, out of the pool once nothing of it is left: tenants may be without number. The
// caller holds the lock.
func (g *group) settle() {
	if len(g.idle)+len(g.busy)+len(g.waiters)+g.starting+g.held.there() > 0 || g.pool.closing.Load() {
		return
	}
	switch now := time.Now(); {
	case g.draining:
	case g.key.tenant == "":
		return
	case now.Before(g.before): // the pause after a failed start goes on
		g.arm(g.before, now)
		return
	}
	g.gone = true
	g.pool.displace(g)
	g.held.tell() // who wants some of it to be kept ready begins anew
}

// remove stops an instance if it is idle, and reports whether it was.
func (g *group) remove(in *Instance) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	i := slices.Index(g.idle, in)
	switch {
	case i >= 0:
		g.idle = slices.Delete(g.idle, i, i+1)
	case g.held.remove(in):
		g.held.tell()
	default:
		return false
	}
	g.end(in)
	g.provide(time.Now())
	g.settle()
	return true
}

// end stops an instance, which is in no list any more, and then gives its memory back. Nobody waits for it: a sandbox
// takes milliseconds to take down.
func (g *group) end(in *Instance) {
	g.pool.memory.leave(g.version.MemoryMB)
	g.pool.work.Add(1)
	go func() {
		defer g.pool.work.Done()
		in.stop()
		g.pool.memory.left(g.version.MemoryMB)
	}()
}

func (g *group) drain() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.draining = true
	g.held.want = 0
	g.provide(time.Now())
	g.decide(time.Now())
	g.settle()
}

// kill ends the sandboxes of the busy instances, whose holders see the runtime exit, and turns away who waits.
func (g *group) kill() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.killed = true
	for g.deliver(result{err: errClosing()}) {
	}
	for in := range g.busy {
		go in.kill()
	}
}

// members returns the instances and whether each is idle.
func (g *group) members() map[*Instance]bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	all := make(map[*Instance]bool, len(g.idle)+len(g.busy))
	for _, in := range g.idle {
		all[in] = true
	}
	for _, in := range g.held.ready {
		all[in] = true
	}
	for in := range g.busy {
		all[in] = false
	}
	return all
}
