package pool

import (
	"cmp"
	"slices"
	"time"
)

// reclaim stops idle instances, those first that are worth the least, until what the waiting miss is on its way back. It stops none
// where all of them would not give back least MB, if so much is missing: nobody waits then who would be served.
func (p *Pool) reclaim(least int) {
	p.reclaiming.Lock()
	defer p.reclaiming.Unlock()
	missing := p.memory.short()
	if missing == 0 {
		return
	}
	if p.cfg.Yield != nil {
		p.cfg.Yield()
		if missing = p.memory.short(); missing == 0 {
			return
		}
	}
	var all []candidate
	now := time.Now()
	p.groups.Range(func(_, v any) bool {
		all = v.(*group).candidates(all, now)
		return true
	})
	idle := 0
	for _, c := range all {
		idle += c.in.Version.MemoryMB
	}
	if idle < min(least, missing) {
		return
	}
	slices.SortStableFunc(all, func(a, b candidate) int {
		return cmp.Or(cmp.Compare(a.worth, b.worth), a.since.Compare(b.since))
	})
	for _, c := range all {
		if missing <= 0 {
			return
		}
		if c.in.group.remove(c.in) {
			missing -= c.in.Version.MemoryMB
		}
	}
}

// candidate is an idle instance that could make room.
type candidate struct {
	in    *Instance
	worth float64
	since time.Time
}

// candidates appends the group's idle instances with what each is worth now.
func (g *group) candidates(all []candidate, now time.Time) []candidate {
	g.mu.Lock()
	defer g.mu.Unlock()
	need := Need{Cold: g.cold, MemoryMB: g.version.MemoryMB} // as much as its end gives back
	for i, in := range g.idle {
		place := len(g.busy) - g.held.busy + len(g.idle) - i
		all = append(all, candidate{in, g.pool.keeping.Worth(g.habit, place, max(now.Sub(in.since), 0), need), in.since})
	}
	return all
}
