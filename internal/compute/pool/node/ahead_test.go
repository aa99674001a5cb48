package node

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"artesian/internal/compute/pool/stock"
	"artesian/internal/compute/sandbox"
	"artesian/internal/faas"
)

// forkless is a stock's source that makes blank cells, and no zygote: trying to takes until wait is closed.
type forkless struct {
	made atomic.Int64
	wait chan struct{}
}

func (f *forkless) Cell(context.Context, stock.Kind, sandbox.Zygote) (sandbox.Cell, error) {
	f.made.Add(1)
	return idle{done: make(chan struct{})}, nil
}

func (f *forkless) Zygote(context.Context, stock.Family) (sandbox.Zygote, error) {
	<-f.wait
	return nil, errors.New("no zygote")
}

// idle is a cell that does nothing.
type idle struct {
	sandbox.Cell
	done chan struct{}
}

func (i idle) Done() <-chan struct{} { return i.done }
func (i idle) Close() error          { close(i.done); return nil }

// TestSecondBest: blank cells that forks come for while their zygote is on its way are no demand for more of them. When there are no
// forks to hope for, they are.
func TestSecondBest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src := &forkless{wait: make(chan struct{})}
		n := &Node{Stock: stock.New(src, plenty{}, stock.Config{})}
		defer n.Stock.Close()
		blank := stock.Kind{Form: stock.Blank}
		fork := stock.Kind{Form: stock.Fork, Runtime: "python3.13", Account: "1"}
		calls := func() {
			for range 20 {
				_, _ = n.Stock.Take(fork)
				_, take := n.second(fork)
				if c, _ := take(blank); c != nil {
					_ = c.Close()
				}
			}
			time.Sleep(10 * time.Second)
		}
		calls()
		if made := src.made.Load(); made != 1 {
			t.Errorf("%d blank cells were made while the zygote was", made)
		}
		close(src.wait)
		time.Sleep(time.Second)
		calls()
		if made := src.made.Load(); made < 15 {
			t.Errorf("%d blank cells were made where nothing else can be", made)
		}
	})
}

// TestLaunchFromStock: a launch takes what is ready and says so; when nothing is, it makes all itself and says that.
func TestLaunchFromStock(t *testing.T) {
	n, v := benchNode(t), benchVersion()
	n.Stock = stock.New(n, plenty{}, stock.Config{})
	t.Cleanup(n.Stock.Close)
	launch := func(way, note string) {
		t.Helper()
		r, err := n.Launch(context.Background(), v)
		if err != nil {
			t.Fatal(err)
		}
		defer stop(r)
		if r.Way != way || !strings.Contains(r.Note, note) {
			t.Errorf("way %q, note %q; want %q and %q", r.Way, r.Note, way, note)
		}
		if _, err := r.Session.Init(context.Background()); err != nil {
			t.Error(err)
		}
	}
	launch(faas.WayStart, "no cell ready")
	for deadline := time.Now().Add(30 * time.Second); len(n.Stock.List()) == 0 || n.Stock.List()[0].Ready == 0; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("nothing was made after a launch that lacked it")
		}
	}
	launch(faas.WayCell, "cell ready")
}
