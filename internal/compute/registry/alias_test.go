package registry_test

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"pgregory.net/rapid"

	"artesian/internal/compute/registry"
	"artesian/internal/faas"
)

func TestPick(t *testing.T) {
	below := math.Nextafter(1, 0)
	for _, c := range []struct {
		alias faas.Alias
		at    float64
		want  string
	}{
		{faas.Alias{Version: "1"}, 0, "1"},
		{faas.Alias{Version: "1", Other: "2", Share: 0}, 0, "1"},
		{faas.Alias{Version: "1", Other: "2", Share: 0.3}, 0, "2"},
		{faas.Alias{Version: "1", Other: "2", Share: 0.3}, 0.29, "2"},
		{faas.Alias{Version: "1", Other: "2", Share: 0.3}, 0.3, "1"},
		{faas.Alias{Version: "1", Other: "2", Share: 1}, below, "2"},
	} {
		if got := c.alias.Pick(c.at); got != c.want {
			t.Errorf("%+v at %v: %s, not %s", c.alias, c.at, got, c.want)
		}
	}
}

// TestAliasesFollowTheModel runs random operations against a plain model of a function's versions and aliases: names resolve to
// what they were set to, and what an alias serves can't be deleted.
func TestAliasesFollowTheModel(t *testing.T) {
	f := open(t, t.TempDir(), nil)
	run := 0
	rapid.Check(t, func(rt *rapid.T) {
		run++
		id, rec := function(fmt.Sprintf("f%d", run)), must[*registry.Record](t)
		rec(f.reg.Create(t.Context(), version(id.Name, "0"), nil, true))
		versions, aliases, next := map[string]bool{"1": true}, map[string]faas.Alias{}, 2
		number := rapid.Custom(func(t *rapid.T) string { return strconv.Itoa(rapid.IntRange(1, next).Draw(t, "n")) })
		name := rapid.SampledFrom([]string{"live", "beta", "x-1"})
		there := func(a faas.Alias) bool { return versions[a.Version] && (a.Other == "" || versions[a.Other]) }
		rt.Repeat(map[string]func(*rapid.T){
			"publish": func(rt *rapid.T) {
				v := rec(f.reg.Update(t.Context(), id, "", true, func(r *registry.Record) error {
					r.Version.Code.SHA256 = strconv.Itoa(next)
					return nil
				}))
				versions[v.Version.ID.Version] = true
				next++
			},
			"create": func(rt *rapid.T) {
				a := faas.Alias{Name: name.Draw(rt, "name"), Version: number.Draw(rt, "version"), Other: rapid.OneOf(rapid.Just(""), number).Draw(rt, "other"), Share: 0.5}
				_, taken := aliases[a.Name]
				got, err := f.reg.CreateAlias(t.Context(), id, a)
				switch want := map[bool]faas.Kind{true: faas.Conflict, false: faas.NotFound}[taken]; {
				case !taken && there(a):
					if err != nil {
						rt.Fatal(err)
					}
					aliases[a.Name] = got
				case faas.KindOf(err) != want || err == nil:
					rt.Fatalf("create %+v: %v", a, err)
				}
			},
			"update": func(rt *rapid.T) {
				n, v := name.Draw(rt, "name"), number.Draw(rt, "version")
				old, ok := aliases[n]
				got, err := f.reg.UpdateAlias(t.Context(), id, n, old.Revision, func(a *faas.Alias) error { a.Version, a.Other = v, ""; return nil })
				if ok && versions[v] != (err == nil) || !ok && faas.KindOf(err) != faas.NotFound {
					rt.Fatalf("update %s to %s: %v", n, v, err)
				}
				if err == nil {
					aliases[n] = got
				}
			},
			"delete alias": func(rt *rapid.T) {
				n := name.Draw(rt, "name")
				if err := f.reg.DeleteAlias(t.Context(), id, n); err != nil {
					rt.Fatal(err)
				}
				delete(aliases, n)
			},
			"delete version": func(rt *rapid.T) {
				v := number.Draw(rt, "version")
				var serve []string
				for _, a := range aliases {
					if a.Serves(v) {
						serve = append(serve, a.Name)
					}
				}
				err := f.reg.Delete(t.Context(), id, v)
				switch {
				case !versions[v] && faas.KindOf(err) != faas.NotFound,
					versions[v] && serve != nil && (faas.KindOf(err) != faas.Conflict || !strings.Contains(faas.Message(err), serve[0])),
					versions[v] && serve == nil && err != nil:
					rt.Fatalf("delete %s, served by %v: %v", v, serve, err)
				case err == nil:
					delete(versions, v)
				}
			},
			"": func(rt *rapid.T) {
				list, err := f.reg.Aliases(id)
				if err != nil || len(list) != len(aliases) {
					rt.Fatalf("%v, %v; want %v", list, err, aliases)
				}
				for n, a := range aliases {
					for at, want := range map[float64]string{0: a.Pick(0), 0.9: a.Pick(0.9)} {
						if v, err := f.reg.Resolve(id, n, at); err != nil || v.ID.Version != want {
							rt.Fatalf("%s at %v: %v, %v; want %s", n, at, v, err, want)
						}
					}
				}
				all, err := f.reg.Versions(id)
				if err != nil || len(all) != len(versions)+1 {
					rt.Fatalf("%d versions, %v; want %v", len(all)-1, err, slices.Sorted(maps.Keys(versions)))
				}
			},
		})
	})
}

// TestAliasOrDeletion lets aliases be made of a version while it is deleted: never are both done.
func TestAliasOrDeletion(t *testing.T) {
	f, rec := open(t, t.TempDir(), nil), must[*registry.Record](t)
	both := [2]int{}
	for i := range 40 {
		id := function(fmt.Sprintf("f%d", i))
		rec(f.reg.Create(t.Context(), version(id.Name, "a"), nil, true))
		var wg sync.WaitGroup
		var made, deleted error
		wg.Go(func() { _, made = f.reg.CreateAlias(t.Context(), id, faas.Alias{Name: "live", Version: "1"}) })
		wg.Go(func() { deleted = f.reg.Delete(t.Context(), id, "1") })
		wg.Wait()
		if (made == nil) == (deleted == nil) {
			t.Fatalf("alias: %v; deletion: %v", made, deleted)
		}
		if made == nil {
			both[0]++
		} else {
			both[1]++
		}
		if _, err := f.reg.Resolve(id, "live", 0); (err == nil) != (made == nil) {
			t.Fatalf("alias: %v; resolved: %v", made, err)
		}
	}
	t.Logf("%d aliases, %d deletions", both[0], both[1])
}

// TestDeletionIsOneWrite cuts the deletion of a version after every write, and opens the book again: the version is there or gone,
// its number stays used, and the next deletion finishes what was cut.
func TestDeletionIsOneWrite(t *testing.T) {
	for left := range 4 {
		t.Run(fmt.Sprint(left), func(t *testing.T) {
			dir := t.TempDir()
			t.Run("cut", func(t *testing.T) {
				c := &cut{left: 100}
				f, rec := open(t, dir, func(s registry.Store) registry.Store { c.Store = s; return c }), must[*registry.Record](t)
				rec(f.reg.Create(t.Context(), version("f", "a"), nil, true))
				c.left = left
				err := f.reg.Delete(t.Context(), function("f"), "1")
				if left == 0 && !errors.Is(err, errCut) || left > 0 && err != nil {
					t.Fatal(err)
				}
			})
			f := open(t, dir, nil)
			if _, err := f.reg.Resolve(function("f"), "1", 0); (err == nil) != (left == 0) {
				t.Fatalf("version 1: %v", err)
			}
			if v := must[*registry.Record](t)(f.reg.Update(t.Context(), function("f"), "", true, func(r *registry.Record) error {
				r.Version.Code.SHA256 = "b"
				return nil
			})); v.Version.ID.Version != "2" {
				t.Fatalf("%+v", v.Version.ID)
			}
			if err := f.reg.Delete(t.Context(), function("f"), "2"); err != nil {
				t.Fatal(err)
			}
			if used := f.reg.References(); used["a"] != (left == 0) {
				t.Errorf("after %d writes the code is still referred to: %v", left, used)
			}
		})
	}
}

// TestReservationsLeaveARest reserves from all sides: what is left for others never falls below 100, and a function's end gives
// its share back.
func TestReservationsLeaveARest(t *testing.T) {
	dir := t.TempDir()
	t.Run("reserve", func(t *testing.T) {
		f, rec := open(t, dir, nil), must[*registry.Record](t)
		var wg sync.WaitGroup
		for i := range 12 {
			rec(f.reg.Create(t.Context(), version(fmt.Sprintf("f%d", i), "a"), nil, false))
			wg.Go(func() {
				n := 100
				if err := f.reg.Reserve(t.Context(), function(fmt.Sprintf("f%d", i)), &n, 1000); err != nil && !strings.Contains(faas.Message(err), "below its minimum value of [100]") {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if n := f.reg.Reserved(scope); n != 900 {
			t.Fatalf("%d are reserved", n)
		}
	})
	f := open(t, dir, nil)
	if n := f.reg.Reserved(scope); n != 900 {
		t.Fatalf("%d are reserved after a restart", n)
	}
	given := 0
	for i := range 12 {
		id := function(fmt.Sprintf("f%d", i))
		n, ok := f.reg.Reservation(id)
		if !ok {
			continue
		}
		var err error
		if given++; given%2 == 0 {
			err = f.reg.Delete(t.Context(), id, "")
		} else {
			err = f.reg.Reserve(t.Context(), id, nil, 1000)
		}
		if left := f.reg.Reserved(scope); err != nil || n != 100 || left != 900-100*given {
			t.Fatalf("%v: %d was reserved, %d still are", err, n, left)
		}
	}
}
