package pool

import (
	"cmp"
	"slices"
	"strings"
)

// Kind is what instances are counted by.
type Kind struct {
	Runtime string
	State   string // starting, busy, idle, frozen or reclaimed
}

// Count is how many instances of a kind there are, and the memory that they are configured with.
type Count struct {
	Kind
	Instances int
	MemoryMB  int
}

// Count counts the instances, those on their way included, by runtime and state.
func (p *Pool) Count() []Count {
	all := map[Kind]Count{}
	p.groups.Range(func(_, v any) bool {
		v.(*group).count(func(state string, n int, memory int) {
			k := Kind{v.(*group).version.Runtime, state}
			c := all[k]
			all[k] = Count{k, c.Instances + n, c.MemoryMB + n*memory}
		})
		return true
	})
	out := make([]Count, 0, len(all))
	for _, c := range all {
		if c.Instances > 0 {
			out = append(out, c)
		}
	}
	slices.SortFunc(out, func(a, b Count) int {
		return cmp.Or(strings.Compare(a.Runtime, b.Runtime), strings.Compare(a.State, b.State))
	})
	return out
}

func (g *group) count(add func(state string, n, memory int)) {
	g.mu.Lock()
	defer g.mu.Unlock()
	mb := g.version.MemoryMB
	add("starting", g.starting+g.held.starting, mb)
	add("busy", len(g.busy), mb)
	for _, in := range slices.Concat(g.idle, g.held.ready) {
		in.mu.Lock()
		frozen, pushed := in.frozen, in.pushed
		in.mu.Unlock()
		switch {
		case pushed:
			add("reclaimed", 1, mb)
		case frozen:
			add("frozen", 1, mb)
		default:
			add("idle", 1, mb)
		}
	}
}
