package sim

import (
	"math"
	"testing"
	"time"

	"artesian/internal/compute/pool"
)

// few is every twentieth function of the half that the policy was not tuned on.
func few(t *testing.T) map[int]*Function {
	t.Helper()
	all, err := Sample()
	if err != nil {
		t.Fatal(err)
	}
	if len(all) != 500 || len(all[0].PerMin) != 480 {
		t.Fatalf("%d functions of %d minutes", len(all), len(all[0].PerMin))
	}
	_, _, held := Halves(all)
	part := make(map[int]*Function)
	for i, f := range held {
		if i%20 == 1 {
			part[i] = f
		}
	}
	return part
}

func TestComparedWithFixedTimes(t *testing.T) {
	ours, ten, sixty, clairvoyant := Compare(few(t))
	for _, f := range []Figures{ours, ten, sixty, clairvoyant} {
		t.Logf("%+v", f)
	}
	if ours.Colds*3 > ten.Colds || ours.IdleGB > 1.05*ten.IdleGB {
		t.Error("not a third of the colds of ten minutes at about its memory-time")
	}
	if sixty.Colds > ten.Colds || sixty.IdleGB < ten.IdleGB || clairvoyant.Colds > ten.Colds || clairvoyant.IdleGB > ten.IdleGB {
		t.Error("what is kept longer must spare more and cost more, and who knows everything must not do worse")
	}
	if ours.Calls != ten.Calls || ours.Calls != clairvoyant.Calls {
		t.Error("the calls differ")
	}
}

func TestSameEveryTime(t *testing.T) {
	part := few(t)
	p := Policy{Keeping: pool.NewKeeping(pool.Learned())}
	a, b := Run(part, p), Run(part, p)
	if a.Colds != b.Colds || a.Ahead != b.Ahead || math.Abs(a.IdleGB-b.IdleGB) > 1e-9 {
		t.Errorf("%+v, then %+v", a, b)
	}
}

// TestByHand replays what can be worked out by hand: calls in minutes 0, 5 and 30, of a second each.
func TestByHand(t *testing.T) {
	f := &Function{Trigger: "timer", PerMin: make([]int, 120), MemoryMB: 1024}
	for m, n := range map[int]int{0: 1, 5: 1, 30: 1} {
		f.PerMin[m] = n
	}
	for i := range f.durations {
		f.durations[i] = time.Second
	}
	r := Run(map[int]*Function{0: f}, Policy{KeepAlive: 10 * time.Minute})
	idle := (5*time.Minute - time.Second + 2*10*time.Minute).Hours()
	if r.Calls != 3 || r.Colds != 2 || r.Queued != 0 || r.Ahead != 0 || math.Abs(r.IdleGB-idle) > 0.0002 {
		t.Errorf("%+v, want 3 calls, 2 colds, %.4f GB h", r, idle)
	}
	c := Clairvoyant(map[int]*Function{0: f}, 0.09) // the first pause takes a twelfth of an hour
	if c.Colds != 2 || math.Abs(c.IdleGB-(5*time.Minute-time.Second).Hours()) > 0.0002 {
		t.Errorf("clairvoyant: %+v", c)
	}
}

// TestBusyServesFirst has ten calls a second which take 50 ms: who finds the instance busy is served by it before another is there.
func TestBusyServesFirst(t *testing.T) {
	f := &Function{Trigger: "http", PerMin: []int{600}, MemoryMB: 1024}
	for i := range f.durations {
		f.durations[i] = 50 * time.Millisecond
	}
	r := Run(map[int]*Function{0: f}, Policy{KeepAlive: 10 * time.Minute})
	if r.Queued == 0 || r.Colds+r.Queued > 20 {
		t.Errorf("%+v", r)
	}
}
