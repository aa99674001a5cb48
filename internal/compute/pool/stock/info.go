package stock

import (
	"slices"
	"strings"
)

// Info describes what there is of one kind, for people.
type Info struct {
	Kind
	Ready, Making int
	MemoryMB      int  // that the node reckons with
	Zygote        bool // of a fork: there is one to fork more from
}

// List returns what there is, by kind.
func (s *Stock) List() []Info {
	if s == nil {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []Info
	for k, sh := range s.kinds {
		l := s.families[k.family()]
		i := Info{Kind: k, Ready: len(sh.ready), Making: sh.making, MemoryMB: len(sh.ready) * weights[k.Form], Zygote: k.Form == Fork && l != nil && l.zygote != nil}
		if i.Ready > 0 || i.Making > 0 || i.Zygote {
			out = append(out, i)
		}
	}
	slices.SortFunc(out, func(x, y Info) int { return compare(x.Kind, y.Kind) })
	return out
}

// String names a kind: "stem nodejs20.x".
func (k Kind) String() string { return strings.TrimSpace(string(k.Form) + " " + k.Runtime) }
