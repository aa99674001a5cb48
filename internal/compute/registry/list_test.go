package registry_test

import (
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"artesian/internal/compute/registry"
	"artesian/internal/engine/kv"
	"artesian/internal/faas"
)

func names(recs []*registry.Record) (out []string) {
	for _, r := range recs {
		out = append(out, r.Version.ID.Name)
	}
	return out
}

// A page has its scope's functions by name, and one that cannot be read does not make it short.
func TestListInPages(t *testing.T) {
	f := open(t, t.TempDir(), nil)
	for _, name := range []string{"d", "a", "c", "f", "B"} {
		if _, err := f.reg.Create(t.Context(), version(name, "x"), nil, false); err != nil {
			t.Fatal(err)
		}
	}
	other := version("aa", "x")
	other.ID.Region = "eu-west-1"
	if _, err := f.reg.Create(t.Context(), other, nil, false); err != nil {
		t.Fatal(err)
	}
	if _, err := f.store.Create(t.Context(), kv.Key{Scope: scope, Kind: "function", Name: "b"}, []byte(`{"format":99}`)); err != nil {
		t.Fatal(err)
	}
	if err := f.reg.Delete(t.Context(), function("d"), ""); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		after string
		limit int
		want  string
	}{
		{"", 10, "B a c f"}, {"", 3, "B a c"}, {"a", 1, "c"}, {"a", 2, "c f"}, {"bb", 5, "c f"}, {"f", 5, ""}, {"", 0, ""},
	} {
		if got := strings.Join(names(f.reg.List(scope, c.after, c.limit)), " "); got != c.want {
			t.Errorf("%d after %q: %q, not %q", c.limit, c.after, got, c.want)
		}
	}
	if got := names(f.reg.List(other.ID.Scope, "", 10)); !slices.Equal(got, []string{"aa"}) {
		t.Errorf("in the other region: %q", got)
	}
}

// shelves is a store that has only what Watch and Page give.
type shelves struct {
	registry.Store
	entries []kv.Entry // by name
}

func (s *shelves) Watch(kind string, fn func(kv.Entry, bool)) func() {
	for _, e := range s.entries {
		if e.Key.Kind == kind {
			fn(e, false)
		}
	}
	return func() {}
}

func (s *shelves) Page(_ faas.Scope, _, _, after string, limit int) ([]kv.Entry, bool) {
	from, found := slices.BinarySearchFunc(s.entries, after, func(e kv.Entry, name string) int { return strings.Compare(e.Key.Name, name) })
	if found {
		from++
	}
	to := min(len(s.entries), from+limit)
	return slices.Clone(s.entries[from:to]), to < len(s.entries)
}

// BenchmarkList is a page of 50 of 10,000 functions, and all hashes that they use.
func BenchmarkList(b *testing.B) {
	s := &shelves{}
	for i := range 10_000 {
		name := fmt.Sprintf("f%05d", i)
		value := fmt.Sprintf(`{"format":1,"version":{"ID":{"Account":%q,"Region":%q,"Name":%q},"Code":{"SHA256":"%064d"}}}`, scope.Account, scope.Region, name, i)
		s.entries = append(s.entries, kv.Entry{Key: kv.Key{Scope: scope, Kind: "function", Name: name}, Value: []byte(value), Rev: uint64(i + 1)})
	}
	r := registry.Open(s, time.Now, slog.New(slog.DiscardHandler), func(faas.VersionID) {})
	defer r.Close()
	b.Run("page", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if got := len(r.List(scope, "f05000", 50)); got != 50 {
				b.Fatal(got)
			}
		}
	})
	b.Run("references", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if got := len(r.References()); got == 0 {
				b.Fatal(got)
			}
		}
	})
}
