package kv_test

import (
	"context"
	"fmt"
	"testing"

	"artesian/internal/engine"
	"artesian/internal/engine/kv"
	"artesian/internal/faas"
)

func openEngine(tb testing.TB, dir string) *engine.Engine {
	tb.Helper()
	e, err := engine.Open(context.Background(), engine.Config{Dir: dir})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { e.Close() })
	return e
}

func openStore(tb testing.TB, e *engine.Engine) *kv.Store {
	tb.Helper()
	s, err := kv.Open(tb.Context(), e)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(s.Close)
	return s
}

func key(name string) kv.Key {
	return kv.Key{Scope: faas.Scope{Account: faas.DefaultAccount, Region: faas.DefaultRegion}, Kind: "function", Name: name}
}

func TestQuick(t *testing.T) {
	dir := t.TempDir()
	e := openEngine(t, dir)
	t.Log("engine", e.Ready())
	s := openStore(t, e)
	ctx := t.Context()
	for i := range 20 {
		k := key(fmt.Sprint("a b/", i))
		rev, err := s.Create(ctx, k, []byte("x"))
		if err != nil {
			t.Fatal(err)
		}
		if got, ok := s.Get(k); !ok || got.Rev != rev {
			t.Fatal(got, ok)
		}
		if _, err := s.Create(ctx, k, nil); faas.KindOf(err) != faas.Conflict {
			t.Fatal(err)
		}
		rev, err = s.Update(ctx, k, []byte("y"), rev)
		if err != nil {
			t.Fatal(err)
		}
		if i%2 == 0 {
			if err := s.Delete(ctx, k, rev); err != nil {
				t.Fatal(err)
			}
		}
	}
	if n := len(s.List(key("").Scope, "function", "")); n != 10 {
		t.Fatal(n)
	}
	s.Close()
	e.Close()
	e = openEngine(t, dir)
	t.Log("engine", e.Ready())
	s = openStore(t, e)
	if n := len(s.List(key("").Scope, "function", "")); n != 10 {
		t.Fatal(n)
	}
}
