package registry_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"artesian/internal/compute/registry"
	"artesian/internal/engine"
	"artesian/internal/engine/kv"
	"artesian/internal/faas"
)

type fixture struct {
	store   *kv.Store
	reg     *registry.Registry
	changed []faas.VersionID
	mu      sync.Mutex
}

func open(t *testing.T, dir string, wrap func(registry.Store) registry.Store) *fixture {
	t.Helper()
	eng, err := engine.Open(t.Context(), engine.Config{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	store, err := kv.Open(t.Context(), eng)
	if err != nil {
		t.Fatal(err)
	}
	f := &fixture{store: store}
	var s registry.Store = store
	if wrap != nil {
		s = wrap(s)
	}
	f.reg = registry.Open(s, time.Now, slog.New(slog.DiscardHandler), func(v faas.VersionID) {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.changed = append(f.changed, v)
	})
	t.Cleanup(func() {
		f.reg.Close()
		store.Close()
		if err := eng.Close(); err != nil {
			t.Error(err)
		}
	})
	return f
}

var scope = faas.Scope{Account: faas.DefaultAccount, Region: faas.DefaultRegion}

func function(name string) faas.FunctionID { return faas.FunctionID{Scope: scope, Name: name} }

func version(name, sha string) faas.Version {
	return faas.Version{ID: faas.VersionID{FunctionID: function(name)}, Runtime: "python3.11", MemoryMB: 128, Code: faas.Code{SHA256: sha}, State: faas.Active}
}

func must[T any](t *testing.T) func(T, error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func TestLifeOfAFunction(t *testing.T) {
	f, rec := open(t, t.TempDir(), nil), must[*registry.Record](t)
	created := rec(f.reg.Create(t.Context(), version("f", "a"), map[string]string{"k": "v"}, false))
	if _, err := f.reg.Create(t.Context(), version("f", "b"), nil, false); faas.KindOf(err) != faas.Conflict {
		t.Fatalf("second create: %v", err)
	}
	one := rec(f.reg.Publish(t.Context(), function("f"), "", "", "first"))
	if one.Version.ID.Version != "1" || one.Version.Description != "first" {
		t.Fatalf("%+v", one.Version.ID)
	}
	if again := rec(f.reg.Publish(t.Context(), function("f"), "", "", "")); again.Version.ID.Version != "1" {
		t.Fatalf("publishing what did not change made version %s", again.Version.ID.Version)
	}
	if _, err := f.reg.Publish(t.Context(), function("f"), "", "other", ""); faas.KindOf(err) != faas.Invalid {
		t.Fatalf("wrong code hash: %v", err)
	}
	updated := rec(f.reg.Update(t.Context(), function("f"), created.Version.ID.Revision, false, func(r *registry.Record) error {
		r.Version.Code.SHA256 = "b"
		return nil
	}))
	if updated.Version.ID.Revision == created.Version.ID.Revision {
		t.Fatal("the revision did not change")
	}
	if _, err := f.reg.Update(t.Context(), function("f"), created.Version.ID.Revision, false, func(*registry.Record) error { return nil }); faas.KindOf(err) != faas.Precondition {
		t.Fatalf("stale revision: %v", err)
	}
	if v := rec(f.reg.Publish(t.Context(), function("f"), "", "", "")); v.Version.ID.Version != "2" || v.Version.Code.SHA256 != "b" {
		t.Fatalf("%+v", v.Version)
	}
	if v := must[*faas.Version](t)(f.reg.Resolve(function("f"), "1", 0)); v.Code.SHA256 != "a" {
		t.Fatalf("version 1 changed: %+v", v)
	}
	if list := must[[]*registry.Record](t)(f.reg.Versions(function("f"))); len(list) != 3 {
		t.Fatalf("%d versions", len(list))
	}
	if used := f.reg.References(); !used["a"] || !used["b"] {
		t.Fatalf("%v", used)
	}
	if err := f.reg.Delete(t.Context(), function("f"), "1"); err != nil {
		t.Fatal(err)
	}
	if _, err := f.reg.Resolve(function("f"), "1", 0); faas.KindOf(err) != faas.NotFound {
		t.Fatalf("deleted version: %v", err)
	}
	if err := f.reg.Delete(t.Context(), function("f"), ""); err != nil {
		t.Fatal(err)
	}
	if used := f.reg.References(); len(used) != 0 {
		t.Fatalf("still referred to: %v", used)
	}
	if last := f.changed[len(f.changed)-1]; last.Revision != "" || last.Name != "f" {
		t.Fatalf("the deletion was told as %+v", last)
	}
}

func TestOneOfManyUpdatesWins(t *testing.T) {
	f := open(t, t.TempDir(), nil)
	created := must[*registry.Record](t)(f.reg.Create(t.Context(), version("f", "a"), nil, false))
	var wg sync.WaitGroup
	var mu sync.Mutex
	kinds := map[faas.Kind]int{}
	won := 0
	for i := range 16 {
		wg.Go(func() {
			_, err := f.reg.Update(t.Context(), function("f"), created.Version.ID.Revision, false, func(r *registry.Record) error {
				r.Version.Description = fmt.Sprint(i)
				return nil
			})
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				won++
			} else {
				kinds[faas.KindOf(err)]++
			}
		})
	}
	wg.Wait()
	if won != 1 || kinds[faas.Conflict]+kinds[faas.Precondition] != 15 {
		t.Fatalf("%d won, others %v", won, kinds)
	}
}

// cut lets a number of writes through and fails those after.
type cut struct {
	registry.Store
	left int
}

var errCut = errors.New("cut")

func (c *cut) ok() error {
	if c.left == 0 {
		return errCut
	}
	c.left--
	return nil
}

func (c *cut) Create(ctx context.Context, k kv.Key, v []byte) (uint64, error) {
	if err := c.ok(); err != nil {
		return 0, err
	}
	return c.Store.Create(ctx, k, v)
}

func (c *cut) Update(ctx context.Context, k kv.Key, v []byte, rev uint64) (uint64, error) {
	if err := c.ok(); err != nil {
		return 0, err
	}
	return c.Store.Update(ctx, k, v, rev)
}

func (c *cut) Delete(ctx context.Context, k kv.Key, rev uint64) error {
	if err := c.ok(); err != nil {
		return err
	}
	return c.Store.Delete(ctx, k, rev)
}

// TestHalfPublishedIsInvisible stops publications and a deletion after every one of their writes.
func TestHalfPublishedIsInvisible(t *testing.T) {
	c := &cut{left: 2}
	f, rec := open(t, t.TempDir(), func(s registry.Store) registry.Store { c.Store = s; return c }), must[*registry.Record](t)
	set := func(sha string) func(*registry.Record) error {
		return func(r *registry.Record) error { r.Version.Code.SHA256 = sha; return nil }
	}
	versions := func(want ...string) {
		t.Helper()
		var got []string
		for _, r := range must[[]*registry.Record](t)(f.reg.Versions(function("f"))) {
			got = append(got, r.Version.ID.Version+" "+r.Version.Code.SHA256)
		}
		if !slices.Equal(got, want) {
			t.Fatalf("got %v, want %v", got, want)
		}
	}
	rec(f.reg.Create(t.Context(), version("f", "a"), nil, false))
	rec(f.reg.Publish(t.Context(), function("f"), "", "", ""))
	for left := range 2 { // the version before gets its record, the function's record publishes
		c.left = left
		if _, err := f.reg.Update(t.Context(), function("f"), "", true, set("b")); !errors.Is(err, errCut) {
			t.Fatal(err)
		}
		versions("$LATEST a", "1 a")
	}
	c.left = 100
	if v := rec(f.reg.Update(t.Context(), function("f"), "", true, set("b"))); v.Version.ID.Version != "2" {
		t.Fatalf("%+v", v.Version)
	}
	versions("$LATEST b", "1 a", "2 b")
	for left := range 2 { // the number is kept, the function goes
		c.left = left
		if err := f.reg.Delete(t.Context(), function("f"), ""); !errors.Is(err, errCut) {
			t.Fatal(err)
		}
		versions("$LATEST b", "1 a", "2 b")
	}
	c.left = 2
	if err := f.reg.Delete(t.Context(), function("f"), ""); err != nil {
		t.Fatal(err)
	}
	if _, err := f.reg.Resolve(function("f"), "1", 0); faas.KindOf(err) != faas.NotFound {
		t.Fatalf("version of a deleted function: %v", err)
	}
	c.left = 100
	rec(f.reg.Create(t.Context(), version("f", "c"), nil, true))
	versions("$LATEST c", "3 c") // what was left of the first function does not come back, nor do its numbers
	if used := f.reg.References(); len(used) != 1 || !used["c"] {
		t.Fatalf("still referred to: %v", used)
	}
}

// TestDeletedVersions stay so, and the number of none is given again.
func TestDeletedVersions(t *testing.T) {
	dir := t.TempDir()
	t.Run("delete", func(t *testing.T) {
		f, rec := open(t, dir, nil), must[*registry.Record](t)
		rec(f.reg.Create(t.Context(), version("f", "a"), nil, true))
		for _, sha := range []string{"b", "c"} {
			rec(f.reg.Update(t.Context(), function("f"), "", true, func(r *registry.Record) error { r.Version.Code.SHA256 = sha; return nil }))
		}
		for _, number := range []string{"1", "3"} {
			if err := f.reg.Delete(t.Context(), function("f"), number); err != nil {
				t.Fatal(err)
			}
		}
		for _, number := range []string{"0", "1", "3", "4", "02", "+2", "x"} {
			if err := f.reg.Delete(t.Context(), function("f"), number); faas.KindOf(err) != faas.NotFound {
				t.Errorf("%s: %v", number, err)
			}
		}
		if used := f.reg.References(); len(used) != 2 || !used["b"] || !used["c"] {
			t.Errorf("%v", used)
		}
	})
	f := open(t, dir, nil)
	if v := must[*registry.Record](t)(f.reg.Publish(t.Context(), function("f"), "", "", "")); v.Version.ID.Version != "4" {
		t.Errorf("%+v", v.Version.ID)
	}
	for number, there := range map[string]bool{"1": false, "2": true, "3": false, "4": true} {
		if _, err := f.reg.Resolve(function("f"), number, 0); (err == nil) != there {
			t.Errorf("version %s: %v", number, err)
		}
	}
}

func TestReopenFindsEverything(t *testing.T) {
	dir := t.TempDir()
	t.Run("write", func(t *testing.T) {
		f := open(t, dir, nil)
		for i := range 25 {
			must[*registry.Record](t)(f.reg.Create(t.Context(), version(fmt.Sprintf("f%02d", i), "a"), nil, false))
		}
		must[*registry.Record](t)(f.reg.Publish(t.Context(), function("f07"), "", "", ""))
	})
	f := open(t, dir, nil)
	var names []string
	after := ""
	for {
		page := f.reg.List(scope, after, 10)
		if len(page) == 0 {
			break
		}
		for _, r := range page {
			names, after = append(names, r.Version.ID.Name), r.Version.ID.Name
		}
	}
	if len(names) != 25 || names[0] != "f00" || names[24] != "f24" {
		t.Fatalf("%v", names)
	}
	must[*faas.Version](t)(f.reg.Resolve(function("f07"), "1", 0))
	other := faas.FunctionID{Scope: faas.Scope{Account: scope.Account, Region: "eu-west-1"}, Name: "f07"}
	if _, err := f.reg.Resolve(other, "", 0); faas.KindOf(err) != faas.NotFound {
		t.Fatalf("another region sees it: %v", err)
	}
}

// TestPublishedVersionsNeverChange publishes and updates from all sides: what an answered publication said stays so.
func TestPublishedVersionsNeverChange(t *testing.T) {
	f := open(t, t.TempDir(), nil)
	must[*registry.Record](t)(f.reg.Create(t.Context(), version("f", "first"), nil, false))
	var wg sync.WaitGroup
	var mu sync.Mutex
	said := map[string]faas.Version{}
	for i := range 6 {
		wg.Go(func() {
			for j := range 25 {
				_, err := f.reg.Update(t.Context(), function("f"), "", false, func(r *registry.Record) error {
					r.Version.Code.SHA256 = fmt.Sprintf("%d-%d", i, j)
					return nil
				})
				if err != nil && faas.KindOf(err) != faas.Conflict {
					t.Error(err)
				}
				rec, err := f.reg.Publish(t.Context(), function("f"), "", "", fmt.Sprint(i))
				if err != nil {
					if faas.KindOf(err) != faas.Conflict {
						t.Error(err)
					}
					continue
				}
				mu.Lock()
				if old, ok := said[rec.Version.ID.Version]; ok && !reflect.DeepEqual(old, rec.Version) {
					t.Errorf("version %s was published as %+v and as %+v", rec.Version.ID.Version, old, rec.Version)
				}
				said[rec.Version.ID.Version] = rec.Version
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	if len(said) < 10 {
		t.Fatalf("only %d versions were published", len(said))
	}
	for number, want := range said {
		got := must[*faas.Version](t)(f.reg.Resolve(function("f"), number, 0))
		if got.Code != want.Code || got.ID != want.ID || got.Description != want.Description {
			t.Errorf("version %s was published as %+v and is %+v", number, want, *got)
		}
	}
}

// TestConfigureStartsOver has many change one record at once: each gets its turn, and a refusal is not repeated.
func TestConfigureStartsOver(t *testing.T) {
	f := open(t, t.TempDir(), nil)
	created := must[*registry.Record](t)(f.reg.Create(t.Context(), version("f", "a"), nil, false))
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			if err := f.reg.Tag(t.Context(), function("f"), func(tags map[string]string) error { tags[fmt.Sprint(i)] = ""; return nil }); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	rec := must[*registry.Record](t)(f.reg.Get(function("f"), ""))
	if len(rec.Tags) != 8 || rec.Version.ID.Revision != created.Version.ID.Revision {
		t.Fatalf("%v, revision %s", rec.Tags, rec.Version.ID.Revision)
	}
	asked := 0
	_, err := f.reg.Configure(t.Context(), function("f"), func(*registry.Record) error { asked++; return faas.Errorf(faas.Conflict, "taken") })
	if faas.Message(err) != "taken" || asked != 1 {
		t.Fatalf("%v after %d tries", err, asked)
	}
}

// TestPublishTellsAndStands: publishing is told although $LATEST stays what it is, and publishing once more answers with what the version
// has become.
func TestPublishTellsAndStands(t *testing.T) {
	f, rec := open(t, t.TempDir(), nil), must[*registry.Record](t)
	id := function("f")
	v := version("f", "a")
	v.SnapStart, v.State = true, faas.Active
	rec(f.reg.Create(t.Context(), v, nil, false))
	told := func() int {
		f.mu.Lock()
		defer f.mu.Unlock()
		return len(f.changed)
	}
	before := told()
	one := rec(f.reg.Publish(t.Context(), id, "", "", "")).Version
	if one.State != faas.Pending || told() != before+1 {
		t.Errorf("published: %s, told %d times", one.State, told()-before)
	}
	if err := f.reg.Settle(t.Context(), one.ID, registry.Standing{State: faas.Active, Update: faas.Successful}); err != nil {
		t.Fatal(err)
	}
	if again := rec(f.reg.Publish(t.Context(), id, "", "", "")).Version; again.ID != one.ID || again.State != faas.Active {
		t.Errorf("published again: %s, version %s", again.State, again.ID.Version)
	}
}

// TestNothingIsKeptReadyOfAnImage: a version that goes on from an image has no provisioned concurrency, by whatever name.
func TestNothingIsKeptReadyOfAnImage(t *testing.T) {
	f, rec := open(t, t.TempDir(), nil), must[*registry.Record](t)
	id := function("f")
	rec(f.reg.Create(t.Context(), version("f", "a"), nil, true))
	rec(f.reg.Update(t.Context(), id, "", true, func(r *registry.Record) error { r.Version.SnapStart = true; return nil }))
	alias := must[faas.Alias](t)
	alias(f.reg.CreateAlias(t.Context(), id, faas.Alias{Name: "plain", Version: "1"}))
	alias(f.reg.CreateAlias(t.Context(), id, faas.Alias{Name: "image", Version: "2"}))
	must[registry.Provision](t)(f.reg.Provision(t.Context(), id, "plain", 1, 1000))
	refused := func(what string, err error) {
		t.Helper()
		if faas.KindOf(err) != faas.Invalid || !strings.Contains(err.Error(), "SnapStart") {
			t.Errorf("%s: %v", what, err)
		}
	}
	for _, qualifier := range []string{"2", "image"} {
		_, err := f.reg.Provision(t.Context(), id, qualifier, 1, 1000)
		refused(qualifier, err)
	}
	_, err := f.reg.UpdateAlias(t.Context(), id, "plain", "", func(a *faas.Alias) error { a.Version = "2"; return nil })
	refused("moved", err)
	_, err = f.reg.UpdateAlias(t.Context(), id, "plain", "", func(a *faas.Alias) error { a.Other, a.Share = "2", 0.1; return nil })
	refused("weighted", err)
}
