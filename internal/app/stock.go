package app

import (
	"context"
	"sync"

	"artesian/internal/compute/pool/node"
	"artesian/internal/compute/pool/stock"
	"artesian/internal/compute/registry"
	"artesian/internal/compute/sandbox"
	"artesian/internal/faas"
)

// mostAheadMB bounds what is made ahead of calls unless a setting says otherwise, beside its share of the memory.
const (
	mostAheadMB  = 1024
	shareOfAhead = 8
)

// openStock keeps sandboxes ready ahead of the calls that need one, where the isolation level can.
func (a *App) openStock(n *node.Node) {
	if _, ok := a.maker.(sandbox.Ahead); !ok || a.cfg.AheadMB == 0 {
		return
	}
	a.stock = stock.New(n, a.pool, stock.Config{MemoryMB: a.cfg.AheadMB, Logger: a.cfg.Logger})
	n.Stock = a.stock
	a.expect = n.Expect
	a.beforehand.node = n
	n.Launched = func(v *faas.Version) {
		if n.Uncompiled(v) {
			a.expected.note(v.ID)
		}
	}
	a.onStop(func(context.Context) error { a.stock.Close(); return nil })
}

// expectCalls has the stock hold what calls of the functions there are would be served from, and of those that change from now
// on: the daemon serves already.
func (a *App) expectCalls(context.Context) error {
	if a.stock == nil {
		return nil
	}
	ctx, cancel := context.WithCancel(context.Background())
	wake := a.expected.listen()
	var work sync.WaitGroup
	work.Go(func() {
		a.functions.Each(func(r *registry.Record) {
			if ctx.Err() == nil {
				a.foresee(ctx, &work, r.Version, false)
			}
		})
		for {
			select {
			case <-wake:
			case <-ctx.Done():
				return
			}
			for _, id := range a.expected.take() {
				if r, err := a.functions.Get(id.FunctionID, ""); err == nil && r.Version.State == faas.Active {
					a.foresee(ctx, &work, r.Version, true)
				}
			}
		}
	})
	a.onStop(func(context.Context) error { cancel(); work.Wait(); return nil })
	return nil
}
