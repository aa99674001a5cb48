package pool

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"artesian/internal/compute/sandbox"
	"artesian/internal/faas"
)

// shared is a version whose instances take n calls at once.
func shared(n int) *faas.Version {
	v := version("f", 128)
	v.Runtime, v.Concurrency = "provided.al2023", n
	return v
}

// TestCallsShare: so many instances are started as the calls need, one is filled before another is begun, and one without calls rests.
func TestCallsShare(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		node := &fakeNode{delay: time.Second}
		p := New(node, Config{KeepAlive: time.Hour})
		v := shared(3)
		var wg sync.WaitGroup
		var mu sync.Mutex
		on := map[string]int{}
		call := func(d time.Duration) {
			if err := p.With(t.Context(), v, func(in *Instance) error {
				mu.Lock()
				on[in.ID]++
				mu.Unlock()
				time.Sleep(d)
				return nil
			}); err != nil {
				t.Error(err)
			}
		}
		for range 7 {
			wg.Go(func() { call(time.Minute) })
		}
		time.Sleep(10 * time.Second)
		if all, _ := node.count(); all != 3 {
			t.Errorf("%d instances for 7 calls, 3 on each", all)
		}
		for range 2 {
			wg.Go(func() { call(time.Minute) })
		}
		synctest.Wait()
		for id, n := range on {
			if n != 3 {
				t.Errorf("%d calls on %s", n, id)
			}
		}
		wg.Wait()
		call(time.Second)
		wg.Go(func() { call(time.Second) })
		wg.Go(func() { call(time.Second) })
		wg.Wait()
		if all, alive := node.count(); all != 3 || alive != 3 {
			t.Errorf("%d instances, %d alive, after calls that those there could take", all, alive)
		}
		if states := p.List(); len(states) != 3 || states[0].State == "busy" {
			t.Errorf("at rest: %+v", states)
		}
		p.RetireFunction(v.ID.FunctionID, "")
		synctest.Wait()
		if _, alive := node.count(); alive != 0 {
			t.Errorf("%d instances outlive their function", alive)
		}
		closeAll(t, p)
	})
}

// TestOneOfThoseThatShareFails: an instance that one call found to be of no use takes no more, and goes when the others are done.
func TestOneOfThoseThatShareFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		node := &fakeNode{}
		p := New(node, Config{KeepAlive: time.Hour})
		v := shared(2)
		broken := errors.New("broken")
		first := ""
		var wg sync.WaitGroup
		wg.Go(func() {
			if err := p.With(t.Context(), v, func(in *Instance) error { first = in.ID; time.Sleep(time.Minute); return nil }); err != nil {
				t.Error(err)
			}
		})
		synctest.Wait()
		if err := p.With(t.Context(), v, func(in *Instance) error {
			if in.ID != first || in.Cold != nil {
				t.Errorf("the second call is on %s, cold %v", in.ID, in.Cold)
			}
			in.Discard()
			return broken
		}); !errors.Is(err, broken) {
			t.Error(err)
		}
		if err := p.With(t.Context(), v, func(in *Instance) error {
			if in.ID == first {
				t.Error("a call came to an instance that is of no use")
			}
			return nil
		}); err != nil {
			t.Error(err)
		}
		if _, alive := node.count(); alive != 2 {
			t.Errorf("%d alive while a call goes on", alive)
		}
		wg.Wait()
		synctest.Wait()
		if _, alive := node.count(); alive != 1 {
			t.Errorf("%d alive at the end", alive)
		}
		closeAll(t, p)
	})
}

// TestAWaiterLeaves: who leaves while an instance is on its way takes nobody's place.
func TestAWaiterLeaves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		node := &fakeNode{delay: time.Second}
		p := New(node, Config{KeepAlive: time.Hour})
		v := shared(2)
		var wg sync.WaitGroup
		for i := range 4 {
			wg.Go(func() {
				ctx, cancel := context.WithTimeout(t.Context(), time.Duration(i+1)*400*time.Millisecond)
				defer cancel()
				err := p.With(ctx, v, hold(time.Minute))
				if served := (i+1)*400 > 1000; served != (err == nil) {
					t.Errorf("caller %d: %v", i, err)
				}
			})
		}
		wg.Wait()
		closeAll(t, p)
		if _, alive := node.count(); alive != 0 {
			t.Errorf("%d alive", alive)
		}
	})
}

// burner uses a second of CPU time each second.
type burner struct {
	fakeSandbox
	begun time.Time
}

func (b *burner) Usage() (sandbox.Usage, error) {
	return sandbox.Usage{CPU: time.Since(b.begun), Peak: 7}, nil
}

type burners struct{ fakeNode }

func (b *burners) Launch(ctx context.Context, v *faas.Version) (*Running, error) {
	r, err := b.fakeNode.Launch(ctx, v)
	if err == nil {
		r.Sandbox = &burner{fakeSandbox: fakeSandbox{done: make(chan struct{})}, begun: time.Now()}
	}
	return r, err
}

// TestSharedCPU: what is used while several calls run is split among them, and nothing is counted twice.
func TestSharedCPU(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := New(&burners{}, Config{})
		v := shared(2)
		used := func(d time.Duration) (cpu time.Duration) {
			if err := p.With(t.Context(), v, func(in *Instance) error {
				time.Sleep(d)
				cpu, _ = in.Meter()
				return nil
			}); err != nil {
				t.Error(err)
			}
			return cpu
		}
		var long, short time.Duration
		var wg sync.WaitGroup
		wg.Go(func() { long = used(10 * time.Second) })
		time.Sleep(4 * time.Second)
		wg.Go(func() { short = used(2 * time.Second) })
		wg.Wait()
		if short != time.Second || long != 9*time.Second {
			t.Errorf("%v and %v of 10 s, of which 2 s were shared", long, short)
		}
		closeAll(t, p)
	})
}
