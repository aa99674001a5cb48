package stock

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"artesian/internal/compute/sandbox"
)

// fake is a cell or zygote that does nothing.
type fake struct {
	id     string
	once   sync.Once
	done   chan struct{}
	forks  atomic.Int64
	began  time.Time
	ready  error
	closed atomic.Bool
}

func newFake(id string) *fake { return &fake{id: id, done: make(chan struct{}), began: time.Now()} }

func (f *fake) ID() string            { return f.id }
func (f *fake) Done() <-chan struct{} { return f.done }
func (f *fake) Become(context.Context, sandbox.Spec) (sandbox.Sandbox, error) {
	return nil, errors.New("fake")
}
func (f *fake) Ready(context.Context) error { return f.ready }
func (f *fake) Channel() *net.UnixConn      { return nil }
func (f *fake) Forks() int                  { return int(f.forks.Load()) }
func (f *fake) Started() time.Time          { return f.began }
func (f *fake) Close() error                { f.closed.Store(true); f.die(); return nil }
func (f *fake) die()                        { f.once.Do(func() { close(f.done) }) }

// source makes fakes, each in takes.
type source struct {
	mu      sync.Mutex
	takes   time.Duration
	fails   error
	made    map[Kind][]*fake
	zygotes []*fake
}

func (s *source) Cell(ctx context.Context, k Kind, z sandbox.Zygote) (sandbox.Cell, error) {
	time.Sleep(s.takes)
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := cmp.Or(s.fails, ctx.Err()); err != nil {
		return nil, err
	}
	if (k.Form == Fork) != (z != nil) {
		return nil, fmt.Errorf("%v with zygote %v", k, z)
	}
	f := newFake(fmt.Sprint(k, len(s.made[k])))
	s.made[k] = append(s.made[k], f)
	return f, nil
}

func (s *source) Zygote(context.Context, Family) (sandbox.Zygote, error) {
	time.Sleep(s.takes)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fails != nil {
		return nil, s.fails
	}
	f := newFake("zygote")
	s.zygotes = append(s.zygotes, f)
	return f, nil
}

func (s *source) first(k Kind) *fake {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.made[k][0]
}

// purse is memory of a size.
type purse struct {
	mu        sync.Mutex
	free, had int
}

func (p *purse) Borrow(mb int) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.free < mb {
		return false
	}
	p.free -= mb
	return true
}

func (p *purse) Return(mb int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.free += mb
}

func (p *purse) borrowed() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.had - p.free
}

// stocked runs f with a stock in a bubble of its own time, and sees to it that all is gone and given back at the end.
func stocked(t *testing.T, cfg Config, f func(*Stock, *source, *purse)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		src, mem := &source{takes: time.Millisecond, made: map[Kind][]*fake{}}, &purse{free: 1000, had: 1000}
		s := New(src, mem, cfg)
		f(s, src, mem)
		s.Close()
		synctest.Wait()
		if mb := mem.borrowed(); mb != 0 {
			t.Errorf("%d MB were not given back", mb)
		}
		for _, made := range src.made {
			for _, c := range made {
				if !c.closed.Load() {
					t.Errorf("cell %s is left", c.id)
				}
			}
		}
		for _, z := range src.zygotes {
			if !z.closed.Load() {
				t.Error("a zygote is left")
			}
		}
	})
}

var (
	blankKind = Kind{Form: Blank, TmpMB: 512}
	forkKind  = Kind{Form: Fork, Runtime: "python3.11", Account: "1", TmpMB: 512}
)

func ready(s *Stock, k Kind) int {
	for _, i := range s.List() {
		if i.Kind == k {
			return i.Ready
		}
	}
	return 0
}

// take takes a cell, which must be there, and closes it as its user would.
func take(t *testing.T, s *Stock, k Kind) *fake {
	t.Helper()
	c, _ := s.Take(k)
	if c == nil {
		t.Fatalf("no %v is ready", k)
	}
	_ = c.Close()
	return c.(*fake)
}

// TestStockFollowsDemand: what is expected is there; who takes finds more next time; after a while without, it is one again, and
// then none.
func TestStockFollowsDemand(t *testing.T) {
	stocked(t, Config{}, func(s *Stock, _ *source, _ *purse) {
		if c, _ := s.Take(blankKind); c != nil {
			t.Fatal("an empty stock has a cell")
		}
		time.Sleep(time.Second)
		for range 2 {
			take(t, s, blankKind)
		}
		time.Sleep(time.Second)
		if n := ready(s, blankKind); n < 3 {
			t.Errorf("%d ready after three were asked for", n)
		}
		time.Sleep(2 * time.Minute)
		if n := ready(s, blankKind); n != 1 {
			t.Errorf("%d ready after two minutes without", n)
		}
		time.Sleep(time.Hour)
		if l := s.List(); len(l) > 0 {
			t.Errorf("after an hour without: %+v", l)
		}
	})
}

// TestStockSpares: what is taken for want of something better is handed out, and not wanted more for that.
func TestStockSpares(t *testing.T) {
	stocked(t, Config{}, func(s *Stock, src *source, _ *purse) {
		s.Expect(blankKind)
		time.Sleep(time.Second)
		for i := range 20 {
			c, _ := s.Spare(blankKind)
			if (c != nil) != (i == 0) {
				t.Fatalf("the %d. time: %v", i+1, c)
			}
			if c != nil {
				_ = c.Close()
			}
		}
		time.Sleep(time.Second)
		if n := ready(s, blankKind); n != 1 {
			t.Errorf("%d ready", n)
		}
	})
}

// TestStockKeepsOutOfTheWay: nothing is made while starts run, unless they never cease.
func TestStockKeepsOutOfTheWay(t *testing.T) {
	stocked(t, Config{}, func(s *Stock, src *source, _ *purse) {
		ended := s.Starting()
		s.Expect(blankKind)
		time.Sleep(patience / 2)
		if n := ready(s, blankKind); n != 0 {
			t.Errorf("%d made while a start ran", n)
		}
		time.Sleep(patience)
		if n := ready(s, blankKind); n != 1 {
			t.Errorf("%d made while a start ran for long", n)
		}
		ended()
		ended()
		take(t, s, blankKind)
		time.Sleep(2*quiet + 2*src.takes)
		if n := ready(s, blankKind); n == 0 {
			t.Error("nothing made after the start had ended")
		}
	})
}

// TestStockReplacesTheDead: a cell that dies on its shelf is replaced, and never handed out.
func TestStockReplacesTheDead(t *testing.T) {
	stocked(t, Config{}, func(s *Stock, src *source, _ *purse) {
		s.Expect(blankKind)
		time.Sleep(time.Second)
		src.first(blankKind).die()
		if c, _ := s.Take(blankKind); c != nil {
			t.Error("a dead cell was handed out")
		}
		time.Sleep(time.Minute)
		if take(t, s, blankKind) == src.first(blankKind) {
			t.Error("the dead cell again")
		}
	})
}

// TestStockFails: what cannot be made is tried less and less often.
func TestStockFails(t *testing.T) {
	stocked(t, Config{Keep: 24 * time.Hour}, func(s *Stock, src *source, _ *purse) {
		src.mu.Lock()
		src.fails = errors.New("no")
		src.mu.Unlock()
		s.Expect(blankKind)
		time.Sleep(10 * time.Minute)
		s.mu.Lock()
		failures := s.kinds[blankKind].failures
		s.mu.Unlock()
		if failures < 10 || failures > 20 {
			t.Errorf("tried %d times in ten minutes", failures)
		}
		src.mu.Lock()
		src.fails = nil
		src.mu.Unlock()
		time.Sleep(2 * time.Minute)
		take(t, s, blankKind)
	})
}

// TestZygoteFails: who would like a fork is told that none is to be hoped for, until there is a zygote after all.
func TestZygoteFails(t *testing.T) {
	stocked(t, Config{}, func(s *Stock, src *source, _ *purse) {
		fail := func(err error) {
			src.mu.Lock()
			defer src.mu.Unlock()
			src.fails = err
		}
		fail(errors.New("no"))
		if s.Failing(forkKind.family()) {
			t.Error("nothing was tried yet")
		}
		s.Expect(forkKind)
		time.Sleep(time.Minute)
		if !s.Failing(forkKind.family()) {
			t.Error("there is no zygote, and it is said to come")
		}
		fail(nil)
		time.Sleep(2 * time.Minute)
		if s.Failing(forkKind.family()) {
			t.Error("failing with a zygote")
		}
		take(t, s, forkKind)
	})
}

// TestZygotes: forks have one, which is replaced when it dies, when it is worn and when it is old, and let go with the last who
// wants it.
func TestZygotes(t *testing.T) {
	stocked(t, Config{Forks: 10, Age: 30 * time.Minute}, func(s *Stock, src *source, _ *purse) {
		current := func() *fake {
			z := s.Zygote(forkKind.family())
			if z == nil {
				t.Fatal("no zygote")
			}
			return z.(*fake)
		}
		s.Expect(forkKind)
		time.Sleep(time.Second)
		take(t, s, forkKind)
		first := current()
		first.die()
		time.Sleep(5 * time.Second)
		second := current()
		if second == first {
			t.Fatal("a dead zygote is kept")
		}
		second.forks.Store(10)
		take(t, s, forkKind)
		time.Sleep(time.Second)
		third := current()
		if third == second || !second.closed.Load() {
			t.Fatal("a worn zygote is kept")
		}
		time.Sleep(31 * time.Minute)
		if fourth := current(); fourth == third || !third.closed.Load() {
			t.Fatal("an old zygote is kept")
		}
		time.Sleep(2 * time.Hour)
		if s.Zygote(forkKind.family()) != nil {
			t.Error("a zygote for nobody")
		}
	})
}

// TestStockYields: when memory is short everything goes, and comes back later.
func TestStockYields(t *testing.T) {
	stocked(t, Config{}, func(s *Stock, _ *source, mem *purse) {
		s.Expect(blankKind)
		s.Expect(forkKind)
		time.Sleep(time.Second)
		borrowed := mem.borrowed()
		if mb := s.Yield(); mb != borrowed || mb < zygoteWeight || mem.borrowed() != 0 {
			t.Errorf("%d of %d MB yielded, %d still borrowed", mb, borrowed, mem.borrowed())
		}
		time.Sleep(pressed / 2)
		if l := s.List(); len(l) > 0 {
			t.Errorf("while memory is short: %+v", l)
		}
		time.Sleep(pressed)
		take(t, s, blankKind)
		take(t, s, forkKind)
	})
}

// TestStockWithoutMemory: what cannot be paid for is not made, and made once it can.
func TestStockWithoutMemory(t *testing.T) {
	stocked(t, Config{}, func(s *Stock, _ *source, mem *purse) {
		if !mem.Borrow(mem.had) {
			t.Fatal("the purse is empty")
		}
		s.Expect(forkKind)
		s.Expect(blankKind)
		time.Sleep(10 * time.Second)
		if l := s.List(); len(l) > 0 {
			t.Errorf("made %v without memory", l)
		}
		mem.Return(mem.had)
		time.Sleep(10 * time.Second)
		take(t, s, blankKind)
		take(t, s, forkKind)
	})
}

// TestNoStock: without a stock there is nothing, and nobody minds.
func TestNoStock(t *testing.T) {
	var s *Stock
	s.Expect(blankKind)
	s.Starting()()
	if c, n := s.Take(blankKind); c != nil || n != 0 || s.Zygote(forkKind.family()) != nil || s.List() != nil || s.Yield() != 0 {
		t.Error("something of nothing")
	}
	s.Close()
}
