package pool

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// TestPressureOrder takes the node's memory piece by piece: idle instances go in the order of frequency × what a start costs ÷ memory,
// and only as many as it takes. Each of them differs from the next in one of the three.
func TestPressureOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := &fakeNode{}
		idle := []struct { // in the order in which they are to go
			name  string
			calls int // two minutes apart
			cold  time.Duration
			mb    int
		}{
			{"seldom, quick, large", 1, 200 * time.Millisecond, 512},
			{"seldom, quick, small", 1, 200 * time.Millisecond, 128},
			{"often, quick, small", 60, 200 * time.Millisecond, 128},
			{"often, slow, large", 60, 4 * time.Second, 512},
			{"often, slow, small", 60, 4 * time.Second, 128},
		}
		total := 0
		for _, f := range idle {
			total += f.mb
		}
		p := New(n, Config{MemoryMB: total, KeepAlive: 10 * time.Hour})
		for left := 60; left > 0; left-- { // all are called last at about the same time, the best first, so that age alone would have them go in reverse
			for _, f := range slices.Backward(idle) {
				if f.calls >= left {
					n.delay = f.cold
					warmth(t, p, version(f.name, f.mb), time.Second)
				}
			}
			time.Sleep(2 * time.Minute)
		}
		var running sync.WaitGroup
		n.delay = time.Millisecond
		for i, f := range idle {
			running.Go(func() { warmth(t, p, version(fmt.Sprint("new ", i), f.mb), time.Hour) })
			synctest.Wait()
			time.Sleep(time.Second)
			var left []string
			for _, in := range p.List() {
				if !in.Idle.IsZero() {
					left = append(left, in.Version.Name)
				}
			}
			var want []string
			for _, f := range idle[i+1:] {
				want = append(want, f.name)
			}
			slices.Sort(want)
			if !slices.Equal(left, want) {
				t.Errorf("when %d pieces were taken, idle are %q, want %q", i+1, left, want)
			}
		}
		running.Wait()
		closeAll(t, p)
	})
}
