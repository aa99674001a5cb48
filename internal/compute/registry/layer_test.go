package registry_test

import (
	"slices"
	"sync"
	"testing"

	"artesian/internal/compute/registry"
	"artesian/internal/faas"
)

func layer(name, sha string) registry.Layer {
	return registry.Layer{ID: faas.LayerID{Scope: scope, Name: name}, Code: faas.Code{SHA256: sha}}
}

func numbers(f *fixture, name string) (list []int64) {
	f.reg.LayerVersions(scope, name, 0, func(l *registry.Layer) bool { list = append(list, l.ID.Version); return true })
	return list
}

// TestLayers: numbers are given once, also by many at a time, after deletions and after the store was closed.
func TestLayers(t *testing.T) {
	dir := t.TempDir()
	t.Run("publish", func(t *testing.T) {
		f := open(t, dir, nil)
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				if _, err := f.reg.PublishLayer(t.Context(), layer("l", "a")); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if got := numbers(f, "l"); !slices.Equal(got, []int64{8, 7, 6, 5, 4, 3, 2, 1}) {
			t.Fatalf("numbers are %v", got)
		}
		for n := int64(2); n <= 8; n++ {
			id := faas.LayerID{Scope: scope, Name: "l", Version: n}
			for range 2 {
				if err := f.reg.DeleteLayer(t.Context(), id); err != nil {
					t.Fatal(err)
				}
			}
			if _, err := f.reg.Layer(id); faas.KindOf(err) != faas.NotFound {
				t.Fatalf("deleted version %d: %v", n, err)
			}
		}
	})
	t.Run("again", func(t *testing.T) {
		f := open(t, dir, nil)
		l := must[*registry.Layer](t)(f.reg.PublishLayer(t.Context(), layer("l", "b")))
		if l.ID.Version != 9 || !slices.Equal(numbers(f, "l"), []int64{9, 1}) {
			t.Fatalf("published %d; there are %v", l.ID.Version, numbers(f, "l"))
		}
		var names []string
		f.reg.LayerNames(scope, "", func(name string) bool { names = append(names, name); return true })
		if !slices.Equal(names, []string{"l"}) {
			t.Fatalf("names are %v", names)
		}
	})
}

// TestLayerReferences: content is in use while a layer or a function's version, also a published one, has it.
func TestLayerReferences(t *testing.T) {
	f := open(t, t.TempDir(), nil)
	l := must[*registry.Layer](t)(f.reg.PublishLayer(t.Context(), layer("l", "a")))
	if used := f.reg.References(); len(used) != 1 || !used["a"] {
		t.Fatalf("%v", used)
	}
	v := version("f", "code")
	v.Layers = []faas.Layer{{ARN: l.ID.ARN(), Code: l.Code}, {ARN: "other", Code: faas.Code{SHA256: "b"}}}
	must[*registry.Record](t)(f.reg.Create(t.Context(), v, nil, true))
	must[*registry.Record](t)(f.reg.Update(t.Context(), function("f"), "", false, func(r *registry.Record) error { r.Version.Layers = nil; return nil }))
	if err := f.reg.DeleteLayer(t.Context(), l.ID); err != nil {
		t.Fatal(err)
	}
	used := f.reg.References()
	if want := []string{"code", "a", "b", faas.Merged(v.Layers)}; len(used) != 4 || slices.ContainsFunc(want, func(sha string) bool { return !used[sha] }) {
		t.Fatalf("%v instead of %v", used, want)
	}
	if err := f.reg.Delete(t.Context(), function("f"), ""); err != nil {
		t.Fatal(err)
	}
	if used := f.reg.References(); len(used) != 0 {
		t.Fatalf("still referred to: %v", used)
	}
}

func TestLayerGrants(t *testing.T) {
	f, ok := open(t, t.TempDir(), nil), must[*registry.Layer](t)
	l := ok(f.reg.PublishLayer(t.Context(), layer("l", "a")))
	grant := func(g registry.Grant) func([]registry.Grant) ([]registry.Grant, error) {
		return func(have []registry.Grant) ([]registry.Grant, error) { return append(slices.Clone(have), g), nil }
	}
	for _, c := range []struct {
		grant registry.Grant
		reads bool
	}{
		{registry.Grant{Principal: "210987654321"}, false},
		{registry.Grant{Principal: "*", Organization: "o-1234567890"}, false},
		{registry.Grant{Principal: "123456789012"}, true},
	} {
		before := l.Revision
		if l = ok(f.reg.GrantLayer(t.Context(), l.ID, before, grant(c.grant))); l.Revision == before {
			t.Fatal("the revision stays")
		}
		if l.Readable("123456789012") != c.reads || !l.Readable(scope.Account) {
			t.Errorf("%+v: %v", c.grant, l.Readable("123456789012"))
		}
		if _, err := f.reg.GrantLayer(t.Context(), l.ID, "stale", grant(c.grant)); faas.KindOf(err) != faas.Precondition {
			t.Errorf("stale revision: %v", err)
		}
	}
}
