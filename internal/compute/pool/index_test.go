package pool

import (
	"testing"
	"testing/synctest"
	"time"

	"artesian/internal/faas"
)

// TestReplacedWhileCalled: a call that looked before its revision was replaced is served, and leaves no instance behind.
func TestReplacedWhileCalled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		node := &fakeNode{}
		p := New(node, Config{KeepAlive: time.Hour})
		now := version("f", 128)
		now.ID.Revision = "r2"
		if err := p.With(t.Context(), version("f", 128), hold(0)); err != nil {
			t.Fatal(err)
		}
		p.RetireFunction(now.ID.FunctionID, "r2")
		if err := p.With(t.Context(), version("f", 128), hold(0)); err != nil {
			t.Error("a call of the revision before:", err)
		}
		synctest.Wait()
		if _, alive := node.count(); alive != 0 {
			t.Errorf("%d instances are left of a revision that was replaced", alive)
		}
		if err := p.With(t.Context(), now, hold(0)); err != nil {
			t.Error(err)
		}
		synctest.Wait()
		if _, alive := node.count(); alive != 1 {
			t.Errorf("%d instances of the current revision", alive)
		}
		p.RetireFunction(now.ID.FunctionID, "")
		synctest.Wait()
		if groups := len(p.of(now.ID.FunctionID)); groups != 0 || len(p.index.families) != 0 {
			t.Errorf("%d groups and %d families are left of a function that is gone", groups, len(p.index.families))
		}
		closeAll(t, p)
	})
}

// TestRetireFindsItsOwn: only the function's own instances go.
func TestRetireFindsItsOwn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		node := &fakeNode{}
		p := New(node, Config{KeepAlive: time.Hour})
		for _, name := range []string{"f", "g"} {
			for _, number := range []string{faas.Latest, "1", "2"} {
				v := version(name, 128)
				v.ID.Version = number
				if err := p.With(t.Context(), v, hold(0)); err != nil {
					t.Fatal(err)
				}
			}
		}
		f := version("f", 128).ID
		for _, c := range []struct {
			retire func()
			left   int
		}{
			{func() { p.RetireFunction(f.FunctionID, "r1") }, 6},
			{func() { p.RetireVersion(f.FunctionID, "1") }, 5},
			{func() { p.RetireFunction(f.FunctionID, "r2") }, 4},
			{func() { p.Retire(faas.VersionID{FunctionID: f.FunctionID, Version: "2", Revision: "r1"}) }, 3},
			{func() { p.RetireFunction(f.FunctionID, "") }, 3},
		} {
			c.retire()
			synctest.Wait()
			if _, alive := node.count(); alive != c.left {
				t.Errorf("%d instances are left, not %d", alive, c.left)
			}
		}
		closeAll(t, p)
	})
}

// warmed is a pool with an idle instance.
func warmed(tb testing.TB) (*Pool, *faas.Version) {
	p := New(&fakeNode{}, Config{})
	v := version("f", 128)
	if err := p.With(tb.Context(), v, hold(0)); err != nil {
		tb.Fatal(err)
	}
	return p, v
}

// TestLendAllocates: an idle instance is lent without memory but for the name that its group is found by.
func TestLendAllocates(t *testing.T) {
	p, v := warmed(t)
	ctx := t.Context()
	nothing := func(*Instance) error { return nil }
	if n := testing.AllocsPerRun(200, func() { _ = p.With(ctx, v, nothing) }); n > 1 {
		t.Errorf("%v allocations", n)
	}
	closeAll(t, p)
}

func BenchmarkLend(b *testing.B) {
	p, v := warmed(b)
	ctx := b.Context()
	nothing := func(*Instance) error { return nil }
	b.ReportAllocs()
	for b.Loop() {
		if err := p.With(ctx, v, nothing); err != nil {
			b.Fatal(err)
		}
	}
}
