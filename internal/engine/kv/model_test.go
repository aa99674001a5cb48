package kv_test

import (
	"fmt"
	"testing"

	"pgregory.net/rapid"

	"artesian/internal/engine"
	"artesian/internal/engine/kv"
	"artesian/internal/faas"
)

// model is a store, or two on one stream, beside a map.
type model struct {
	t     *testing.T
	dir   string
	eng   *engine.Engine
	store *kv.Store
	want  map[kv.Key]kv.Entry
	seen  map[kv.Key]uint64 // what a watcher keeps
}

func (m *model) start() {
	var err error
	if m.eng, err = engine.Open(m.t.Context(), engine.Config{Dir: m.dir}); err != nil {
		m.t.Fatal(err)
	}
	if m.store, err = kv.Open(m.t.Context(), m.eng); err != nil {
		m.t.Fatal(err)
	}
	m.seen = map[kv.Key]uint64{}
	m.store.Watch("thing", func(e kv.Entry, deleted bool) {
		if deleted {
			delete(m.seen, e.Key)
		} else {
			m.seen[e.Key] = e.Rev
		}
	})
}

func (m *model) stop() {
	m.store.Close()
	m.eng.Close()
}

func aKey() *rapid.Generator[kv.Key] {
	names := rapid.OneOf(rapid.SampledFrom([]string{"a", "a b", "a.b", ".", "*", ">", "=", "=41", "ü", "\x00", "a/b\n"}), rapid.StringN(1, 40, 512))
	return rapid.Custom(func(t *rapid.T) kv.Key {
		return kv.Key{Scope: faas.Scope{Account: rapid.SampledFrom([]string{"000000000000", "111111111111"}).Draw(t, "account"),
			Region: rapid.SampledFrom([]string{"us-east-1", "global"}).Draw(t, "region")}, Kind: "thing", Name: names.Draw(t, "name")}
	})
}

// some draws a key that is there more often than not.
func (m *model) some(t *rapid.T) kv.Key {
	if len(m.want) > 0 && rapid.IntRange(0, 3).Draw(t, "known") > 0 {
		var keys []kv.Key
		for k := range m.want {
			keys = append(keys, k)
		}
		return keys[rapid.IntRange(0, len(keys)-1).Draw(t, "which")%len(keys)]
	}
	return aKey().Draw(t, "key")
}

func (m *model) create(t *rapid.T) {
	k, v := m.some(t), []byte(rapid.String().Draw(t, "value"))
	rev, err := m.store.Create(t.Context(), k, v)
	if _, there := m.want[k]; there {
		m.conflict(t, err)
		return
	}
	m.accept(t, kv.Entry{Key: k, Value: v, Rev: rev}, err)
}

func (m *model) update(t *rapid.T) {
	k, v := m.some(t), []byte(rapid.String().Draw(t, "value"))
	have, there := m.want[k]
	expect := have.Rev + rapid.SampledFrom([]uint64{0, 0, 0, 1}).Draw(t, "off")
	if expect == 0 {
		expect = 1
	}
	rev, err := m.store.Update(t.Context(), k, v, expect)
	if !there || expect != have.Rev {
		m.conflict(t, err)
		return
	}
	m.accept(t, kv.Entry{Key: k, Value: v, Rev: rev}, err)
}

func (m *model) delete(t *rapid.T) {
	k := m.some(t)
	have, there := m.want[k]
	expect := max(1, have.Rev+rapid.SampledFrom([]uint64{0, 0, 0, 1}).Draw(t, "off"))
	err := m.store.Delete(t.Context(), k, expect)
	if !there || expect != have.Rev {
		m.conflict(t, err)
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	delete(m.want, k)
}

func (m *model) conflict(t *rapid.T, err error) {
	if faas.KindOf(err) != faas.Conflict || err == nil {
		t.Fatalf("want a conflict, have %v", err)
	}
}

func (m *model) accept(t *rapid.T, e kv.Entry, err error) {
	if err != nil {
		t.Fatal(err)
	}
	m.want[e.Key] = e
}

func (m *model) check(t *rapid.T) {
	counts := map[faas.Scope]int{}
	for k, want := range m.want {
		counts[k.Scope]++
		if have, ok := m.store.Get(k); !ok || have.Rev != want.Rev || string(have.Value) != string(want.Value) {
			t.Fatalf("%v is %v instead of %v", k, have, want)
		}
		if m.seen[k] != want.Rev {
			t.Fatalf("the watcher has %v at %d instead of %d", k, m.seen[k], want.Rev)
		}
	}
	if len(m.seen) != len(m.want) {
		t.Fatalf("the watcher has %d entries instead of %d", len(m.seen), len(m.want))
	}
	for sc, n := range counts {
		list := m.store.List(sc, "thing", "")
		if len(list) != n {
			t.Fatalf("%v lists %d entries instead of %d", sc, len(list), n)
		}
		for i := 1; i < n; i++ {
			if list[i-1].Key.Name >= list[i].Key.Name {
				t.Fatal(fmt.Sprintf("%q before %q", list[i-1].Key.Name, list[i].Key.Name))
			}
		}
	}
}

// TestModel runs random writes and restarts beside a map.
func TestModel(t *testing.T) {
	runs := 0
	rapid.Check(t, func(rt *rapid.T) {
		if runs++; runs > 15 { // every run starts engines, so rapid's hundred would take too long
			return
		}
		m := &model{t: t, dir: t.TempDir(), want: map[kv.Key]kv.Entry{}}
		m.start()
		defer m.stop()
		rt.Repeat(map[string]func(*rapid.T){
			"create": m.create, "update": m.update, "delete": m.delete, "": m.check,
			"restart": func(*rapid.T) {
				m.stop()
				m.start()
			},
		})
	})
}
