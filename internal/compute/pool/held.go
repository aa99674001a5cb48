package pool

import (
	"context"
	"errors"
	"runtime"
	"slices"
	"time"

	"artesian/internal/faas"
)

// holding is what a group keeps ready whatever the odds: instances that were asked for, not learned. Its group's lock guards it.
type holding struct {
	version  *faas.Version // what they are started from
	want     int
	ready    []*Instance // last used last
	busy     int         // of the group's busy ones
	starting int
	failures int       // in a row
	before   time.Time // no start before
	err      error     // why the last start came to nothing
	changed  func()    // told when any of this is another; it must not block
}

// there is how many there are, or will be.
func (h *holding) there() int { return len(h.ready) + h.busy + h.starting }

// take returns one for a call.
func (h *holding) take() *Instance {
	n := len(h.ready)
	if n == 0 {
		return nil
	}
	in := h.ready[n-1]
	h.ready = h.ready[:n-1]
	h.busy++
	return in
}

func (h *holding) remove(in *Instance) bool {
	i := slices.Index(h.ready, in)
	if i >= 0 {
		h.ready = slices.Delete(h.ready, i, i+1)
	}
	return i >= 0
}

func (h *holding) tell() {
	if h.changed != nil {
		h.changed()
	}
}

// Held is how far a version is with what is kept ready of it.
type Held struct {
	Want  int
	There int   // initialised, busy or not
	Busy  int   // of those
	Err   error // why the last start came to nothing, until one succeeds; those missing are tried again
}

// Hold keeps n instances of a version ready whatever the odds, and replaces those that end or get old; 0 ends that. Calls take them
// first. They have their memory like any other, before the idle ones of others. changed is called when Held would tell something
// new; it must not block.
func (p *Pool) Hold(v *faas.Version, n int, changed func()) {
	if p.closing.Load() {
		return
	}
	if n == 0 {
		if _, ok := p.groups.Load(groupKey{v.ID, ""}); !ok {
			return
		}
	}
	for {
		g := p.group(v, "")
		g.mu.Lock()
		if g.gone {
			g.mu.Unlock()
			continue
		}
		if g.draining {
			n = 0
		}
		if g.held.want != n {
			g.held.failures, g.held.before, g.held.err = 0, time.Time{}, nil
		}
		g.held.want, g.held.changed = n, changed
		if g.held.version == nil {
			held := *v
			held.Held = true
			g.held.version = &held
		}
		g.provide(time.Now())
		g.mu.Unlock()
		return
	}
}

// Holds tells how far Hold is with a version.
func (p *Pool) Holds(id faas.VersionID) Held {
	v, ok := p.groups.Load(groupKey{id, ""})
	if !ok {
		return Held{}
	}
	g := v.(*group)
	g.mu.Lock()
	defer g.mu.Unlock()
	return Held{Want: g.held.want, There: len(g.held.ready) + g.held.busy, Busy: g.held.busy, Err: g.held.err}
}

// HeldTotals are of all that is kept ready, of all versions together.
type HeldTotals struct {
	Held
	Calls, Spilled int64 // since the pool began: calls that took what was ready, and that found none of it
}

// HeldTotals sums up what is kept ready.
func (p *Pool) HeldTotals() (t HeldTotals) {
	p.groups.Range(func(_, v any) bool {
		g := v.(*group)
		g.mu.Lock()
		defer g.mu.Unlock()
		t.Want += g.held.want
		t.There += len(g.held.ready) + g.held.busy
		t.Busy += g.held.busy
		return true
	})
	t.Calls, t.Spilled = p.heldCalls.Load(), p.heldSpilled.Load()
	return t
}

// provide starts what is missing of what is kept ready, and lets go of what is too much or too old. The caller holds the lock.
func (g *group) provide(now time.Time) {
	h := &g.held
	if h.want == 0 && h.there() == 0 {
		return
	}
	if most := g.pool.cfg.MaxAge; most > 0 {
		h.ready = slices.DeleteFunc(h.ready, func(in *Instance) bool {
			old := aged(in.started, now, most)
			if old {
				g.end(in)
			} else {
				g.arm(in.started.Add(most), now)
			}
			return old
		})
	}
	for h.there()-h.starting > h.want && len(h.ready) > 0 { // the longest idle first
		g.end(h.ready[0])
		h.ready = slices.Delete(h.ready, 0, 1)
	}
	if g.pool.closing.Load() || h.there() >= h.want {
		return
	}
	if now.Before(h.before) {
		g.arm(h.before, now)
		return
	}
	for h.there() < h.want && h.starting < 2*runtime.GOMAXPROCS(0) {
		h.starting++
		g.pool.work.Add(1)
		go g.startHeld()
	}
}

// startHeld makes one of what is kept ready.
func (g *group) startHeld() {
	defer g.pool.work.Done()
	in, err := g.launchHeld()
	if err == nil && in.InitErr != nil {
		err = &InitError{in.InitErr}
	}
	now := time.Now()
	g.mu.Lock()
	defer g.mu.Unlock()
	h := &g.held
	defer h.tell()
	h.starting--
	switch {
	case err != nil:
		if in != nil {
			g.end(in)
		}
		h.failures++
		h.before, h.err = now.Add(backoff(h.failures)), err
	case g.killed || g.draining || h.there() >= h.want:
		g.end(in)
	default:
		h.failures, h.err, g.served = 0, nil, true
		g.learn(in)
		in.held, in.Cold = true, nil
		if len(g.waiters) > 0 {
			h.busy++
			g.deliver(result{in: g.lend(in)})
			g.fill(in)
			g.withdraw()
			break
		}
		in.rest(now, g.pool.cfg.Grace)
		h.ready = append(h.ready, in)
		if ended(in) && h.remove(in) {
			g.end(in)
		}
	}
	g.provide(now)
	g.settle()
}

// InitError means that an instance was started, and the function's own initialisation went wrong.
type InitError struct{ Err error }

func (e *InitError) Error() string { return "initialise: " + e.Err.Error() }
func (e *InitError) Unwrap() error { return e.Err }

// heldWait is how long a start that no call waits for has its place in the queue for memory.
const heldWait = 500 * time.Millisecond

// ErrNoMemory means that the node has not the memory for one more instance.
var ErrNoMemory = errors.New("the node's memory for functions is in use")

// launchHeld is launch for what nobody waits for.
func (g *group) launchHeld() (*Instance, error) {
	p, v := g.pool, g.held.version
	begin := time.Now()
	ctx, cancel := context.WithTimeout(p.life, min(p.cfg.PlaceWait, heldWait)) // calls that need memory stand behind it
	defer cancel()
	if err := p.Take(ctx, v.MemoryMB); errors.Is(err, ErrNoMemory) {
		return nil, err
	} else if err != nil {
		return nil, errors.Join(ErrNoMemory, err)
	}
	return g.bring(v, "", time.Since(begin))
}

// restHeld takes back one of what is kept ready. The caller holds the lock.
func (g *group) restHeld(in *Instance, now time.Time, dead bool) {
	h := &g.held
	h.busy--
	switch {
	case dead || g.draining || h.there() >= h.want+h.starting:
		g.end(in)
	case len(g.waiters) > 0:
		h.busy++
		g.deliver(result{in: g.lend(in)})
		g.fill(in)
		g.withdraw()
		return
	default:
		in.rest(now, g.pool.cfg.Grace)
		h.ready = append(h.ready, in)
		return
	}
	g.provide(now)
	g.decide(now)
	g.settle()
	h.tell()
}
