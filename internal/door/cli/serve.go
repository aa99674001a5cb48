package cli

import (
	"fmt"
	"slices"
	"strings"

	"artesian/internal/door/gateway/admin"
)

// family is a language whose versions serve one another's functions.
type family struct {
	title  string
	number func(runtime string) int // by which its identifiers are ordered; -1 of other languages'
	add    string                   // how a version of it is added, after "artesian runtime add "; %d is its number
}

var (
	pythons = family{"Python", minor, "PATH"}
	nodes   = family{"Node.js", major, "node@%d"}
	javas   = family{"Java", javaMajor, "PATH"}
)

// usable are the interpreters of the language that can be used, in the daemon's order.
func (f family) usable(all []admin.Runtime) (out []admin.Runtime) {
	for _, r := range all {
		if f.number(r.Name) >= 0 && r.Note == "" {
			out = append(out, r)
		}
	}
	return out
}

// newest is the highest number of interpreters, of which there is at least one.
func (f family) newest(usable []admin.Runtime) int {
	return f.number(slices.MaxFunc(usable, func(a, b admin.Runtime) int { return f.number(a.Name) - f.number(b.Name) }).Name)
}

// server picks, as the daemon does, the version asked for, else the next newer one, else, where that is allowed, the newest
// of the older ones. usable is in the daemon's order of preference. It refuses what the daemon would not serve.
func (f family) server(usable []admin.Runtime, runtime string, nearest bool) (admin.Runtime, error) {
	best, want := -1, f.number(runtime)
	for i, r := range usable {
		if m := f.number(r.Name); m >= want && (best < 0 || m < f.number(usable[best].Name)) {
			best = i
		}
	}
	if best < 0 && nearest {
		best = slices.IndexFunc(usable, func(r admin.Runtime) bool { return f.number(r.Name) == f.newest(usable) })
	}
	if best >= 0 {
		return usable[best], nil
	}
	var here []string
	for _, r := range usable {
		if !slices.Contains(here, r.Version) {
			here = append(here, r.Version)
		}
	}
	add := strings.ReplaceAll(f.add, "%d", fmt.Sprint(want))
	return admin.Runtime{}, fmt.Errorf("runtime %s needs that version of %s or a newer one, and the daemon has only %s; add one with: artesian runtime add %s, "+
		"or name another runtime with --runtime", runtime, f.title, strings.Join(here, ", "), add)
}
