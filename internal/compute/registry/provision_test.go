package registry

import (
	"maps"
	"testing"

	"artesian/internal/faas"
)

func TestShare(t *testing.T) {
	for _, c := range []struct {
		alias faas.Alias
		n     int
		want  map[string]int
	}{
		{faas.Alias{Version: "1"}, 3, map[string]int{"1": 3}},
		{faas.Alias{Version: "1", Other: "2", Share: 0.5}, 4, map[string]int{"1": 2, "2": 2}},
		{faas.Alias{Version: "1", Other: "2", Share: 0.05}, 4, map[string]int{"1": 3, "2": 1}},
		{faas.Alias{Version: "1", Other: "2", Share: 1}, 4, map[string]int{"1": 1, "2": 3}},
		{faas.Alias{Version: "1", Other: "2", Share: 0.5}, 1, map[string]int{"1": 1, "2": 1}},
	} {
		if got := Share(c.alias, c.n); !maps.Equal(got, c.want) {
			t.Errorf("%+v, %d: %v, want %v", c.alias, c.n, got, c.want)
		}
	}
}

// TestHandOver moves an alias whose instances are kept ready, twice before the first move is done: its calls go where they went, and what
// serves them stays ready, until the last version's instances are there.
func TestHandOver(t *testing.T) {
	r := &Registry{}
	id := faas.FunctionID{Name: "f"}
	record := func(version string, provisioned bool) *Record {
		rec := &Record{Version: faas.Version{ID: faas.VersionID{FunctionID: id, Version: faas.Latest}}, First: 1, Next: 4,
			Aliases: map[string]faas.Alias{"live": {Name: "live", Version: version}}}
		if provisioned {
			rec.Provisions = map[string]Provision{"live": {Count: 2}}
		}
		return rec
	}
	for _, n := range []string{"1", "2", "3"} {
		r.versions.Store(versionKey{id, n}, &Record{Version: faas.Version{ID: faas.VersionID{FunctionID: id, Version: n}}})
	}
	var old *Record
	put := func(now *Record) {
		r.handOver(id, old, now)
		if now == nil {
			r.functions.Delete(id)
		} else {
			r.functions.Store(id, now)
		}
		old = now
	}
	expect := func(what, serves string, ready map[string]int, handing int) {
		t.Helper()
		v, err := r.Resolve(id, "live", 0.5)
		if err != nil || v.ID.Version != serves {
			t.Errorf("%s: served by %v, %v; want %s", what, v, err, serves)
		}
		if got := r.Ready(old); !maps.Equal(got, ready) || len(r.Handing(old)) != handing {
			t.Errorf("%s: ready %v, want %v; handing over %v", what, got, ready, r.Handing(old))
		}
	}
	put(record("1", false))
	put(record("2", false))
	expect("nothing is kept ready", "2", map[string]int{}, 0)
	put(record("2", true))
	expect("it is now", "2", map[string]int{"2": 2}, 0)
	put(record("1", true))
	expect("moved", "2", map[string]int{"1": 2, "2": 2}, 1)
	put(record("3", true))
	expect("moved again", "2", map[string]int{"3": 2, "2": 2}, 1)
	r.HandOver(id, "live")
	expect("handed over", "3", map[string]int{"3": 2}, 0)
	put(record("1", true))
	put(record("3", true))
	expect("moved back", "3", map[string]int{"3": 2}, 0)
	put(record("1", true))
	r.versions.Store(versionKey{id, "3"}, &Record{Deleted: true})
	expect("the old version is deleted meanwhile", "1", map[string]int{"1": 2, "3": 2}, 1)
	put(record("1", false))
	expect("nothing is kept ready any more", "1", map[string]int{}, 0)
	put(record("2", true))
	put(record("1", true))
	put(nil)
	if n := r.handing.Load(); n != 0 {
		t.Errorf("%d hand-overs of a function that is gone", n)
	}
}
