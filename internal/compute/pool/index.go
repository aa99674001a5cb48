package pool

import (
	"sync"

	"artesian/internal/faas"
)

// index finds the groups of one function without a look at all others. Its lock is held for a moment, when a group comes or goes:
// no call takes it that finds its group.
type index struct {
	mu       sync.Mutex // taken after group.mu
	families map[faas.FunctionID]*family
}

// family is what a function has had of groups since the daemon started.
type family struct {
	groups  map[*group]struct{}
	current string // the revision of $LATEST that was kept last; empty: not known
	gone    bool   // the function was deleted
}

// place makes a group findable, unless one of its key is there, which it returns then. A call may come with a revision that was
// replaced after it looked: it is served, and nothing of it stays.
func (p *Pool) place(g *group) *group {
	x := &p.index
	x.mu.Lock()
	defer x.mu.Unlock()
	if there, ok := p.groups.Load(g.key); ok {
		return there.(*group)
	}
	f := x.families[g.key.FunctionID]
	if f == nil {
		if x.families == nil {
			x.families = map[faas.FunctionID]*family{}
		}
		f = &family{groups: map[*group]struct{}{}}
		x.families[g.key.FunctionID] = f
	}
	g.draining = f.obsolete(g.key.VersionID)
	f.groups[g] = struct{}{}
	p.groups.Store(g.key, g)
	return g
}

// obsolete reports whether a version is known to be replaced.
func (f *family) obsolete(v faas.VersionID) bool {
	return f.gone || v.Version == faas.Latest && f.current != "" && v.Revision != f.current
}

// displace takes a group out.
func (p *Pool) displace(g *group) {
	x := &p.index
	x.mu.Lock()
	defer x.mu.Unlock()
	if !p.groups.CompareAndDelete(g.key, g) {
		return
	}
	f := x.families[g.key.FunctionID]
	if delete(f.groups, g); len(f.groups) == 0 && f.gone {
		delete(x.families, g.key.FunctionID)
	}
}

// keep notes which revision of a function is the current one, none when it is gone, and returns its groups.
func (p *Pool) keep(id faas.FunctionID, revision string) []*group {
	x := &p.index
	x.mu.Lock()
	defer x.mu.Unlock()
	f := x.families[id]
	if f == nil {
		return nil
	}
	f.current, f.gone = revision, revision == ""
	if f.gone && len(f.groups) == 0 {
		delete(x.families, id)
	}
	return f.list()
}

// of returns a function's groups.
func (p *Pool) of(id faas.FunctionID) []*group {
	x := &p.index
	x.mu.Lock()
	defer x.mu.Unlock()
	if f := x.families[id]; f != nil {
		return f.list()
	}
	return nil
}

func (f *family) list() []*group {
	all := make([]*group, 0, len(f.groups))
	for g := range f.groups {
		all = append(all, g)
	}
	return all
}
