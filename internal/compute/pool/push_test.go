package pool

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"artesian/internal/faas"
)

// pushable counts how often its memory was pushed out, and how often while it was not frozen.
type pushable struct {
	*fakeSandbox
	pushed, thawed *atomic.Int64
}

func (s pushable) Reclaim() error {
	s.pushed.Add(1)
	if !s.frozen.Load() {
		s.thawed.Add(1)
	}
	return errors.New("not all of it") // an instance lives on without
}

type pushingNode struct {
	fakeNode
	pushed, thawed atomic.Int64
}

func (n *pushingNode) Launch(ctx context.Context, v *faas.Version) (*Running, error) {
	r, err := n.fakeNode.Launch(ctx, v)
	if err == nil {
		r.Sandbox = pushable{r.Sandbox.(*fakeSandbox), &n.pushed, &n.thawed}
	}
	return r, err
}

// TestIdleMemoryIsPushedOut: once in each rest that is long enough, frozen, and only where there is somewhere to.
func TestIdleMemoryIsPushedOut(t *testing.T) {
	for name, c := range map[string]struct {
		cfg   Config
		every time.Duration
		want  int64
	}{
		"seldom called":     {Config{Reclaim: true}, 5 * time.Minute, 10},
		"often called":      {Config{Reclaim: true}, 30 * time.Second, 0},
		"nowhere to go":     {Config{}, 5 * time.Minute, 0},
		"kept a fixed time": {Config{Reclaim: true, KeepAlive: 10 * time.Minute}, 5 * time.Minute, 10},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := &pushingNode{fakeNode: fakeNode{delay: 2 * time.Second}}
				p := New(n, c.cfg)
				v := version("f", 128)
				for i := range 10 {
					if warmth(t, p, v, time.Second) && i > 0 {
						t.Errorf("call %d was cold", i)
					}
					time.Sleep(c.every)
					if is := slices.ContainsFunc(p.List(), func(i Info) bool { return i.State == "reclaimed" }); is != (c.want > 0) {
						t.Errorf("after call %d an instance is reclaimed: %t", i, is)
					}
				}
				if got := n.pushed.Load(); got != c.want {
					t.Errorf("pushed out %d times, want %d", got, c.want)
				}
				if n.thawed.Load() > 0 {
					t.Error("it was not frozen")
				}
				closeAll(t, p)
			})
		})
	}
}

// slow takes its time to push memory out, and counts how many do so at once.
type slow struct {
	*fakeSandbox
	node *slowNode
}

func (s slow) Reclaim() error {
	n := s.node.at.Add(1)
	defer s.node.at.Add(-1)
	s.node.all.Add(1)
	s.node.most.Store(max(s.node.most.Load(), n))
	time.Sleep(time.Second)
	return nil
}

type slowNode struct {
	fakeNode
	at, most, all atomic.Int64
}

func (n *slowNode) Launch(ctx context.Context, v *faas.Version) (*Running, error) {
	r, err := n.fakeNode.Launch(ctx, v)
	if err == nil {
		r.Sandbox = slow{r.Sandbox.(*fakeSandbox), n}
	}
	return r, err
}

// TestPushedOutOneByOne: what went to rest together is pushed out one after the other, and what was called before its turn is not.
func TestPushedOutOneByOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := &slowNode{fakeNode: fakeNode{delay: 2 * time.Second}}
		p := New(n, Config{Reclaim: true, KeepAlive: time.Hour})
		var calls sync.WaitGroup
		for _, name := range []string{"a", "b", "c", "d", "e"} {
			calls.Go(func() { warmth(t, p, version(name, 128), time.Second) })
		}
		calls.Wait()
		time.Sleep(restful + 1500*time.Millisecond) // the second one's turn
		waits := slices.IndexFunc(p.List(), func(i Info) bool { return i.State == "frozen" })
		if waits < 0 {
			t.Fatalf("%d were pushed out at once", n.most.Load())
		}
		warmth(t, p, version(p.List()[waits].Version.Name, 128), time.Second)
		time.Sleep(10 * time.Second)
		if all, most := n.all.Load(), n.most.Load(); all != 4 || most != 1 {
			t.Errorf("%d of 4 were pushed out, %d at once", all, most)
		}
		time.Sleep(10 * restful)
		if all := n.all.Load(); all != 5 {
			t.Errorf("%d of 5 were pushed out", all)
		}
		closeAll(t, p)
	})
}

// TestDueKeepsItsMemory: what is made ahead, or about to be called, is not pushed out.
func TestDueKeepsItsMemory(t *testing.T) {
	h, end := every(10*time.Minute, time.Second, 10*time.Hour)
	s := State{Keeping: NewKeeping(Learned()), Habit: h, Need: Need{Cold: 5 * time.Second, MemoryMB: 128}, Resident: []bool{true}}
	for after, want := range map[time.Duration]int{30 * time.Second: 0, 3 * time.Minute: 1, 9*time.Minute + 30*time.Second: 0} {
		s.IdleSince, s.Started = []time.Time{end}, []time.Time{noon}
		a := Decide(s, end.Add(after))
		if len(a.Reclaim) != want || len(a.End) > 0 {
			t.Errorf("after %v: %+v, want %d pushed out", after, a, want)
		}
	}
	s.Started[0] = end.Add(6 * time.Minute)
	if a := Decide(s, end.Add(6*time.Minute+30*time.Second)); len(a.Reclaim) != 0 {
		t.Errorf("made ahead half a minute ago: %+v", a)
	}
}
