package app

import (
	"context"
	"sync"

	"artesian/internal/compute/pool/node"
	"artesian/internal/faas"
)

// beforehand is what is written once so that starts take less: archives of runtimes, packages in a compiled form.
type beforehand struct {
	node *node.Node
	turn sync.Mutex // held while one is written; nothing else waits for it

	mu    sync.Mutex
	begun map[string]bool // what went wrong is tried again after the next start
}

// todo is one of them.
type todo struct {
	what  string
	write func(context.Context, *faas.Version) error
}

// lacking are those that v would profit from, each the first time. Of a version that is not new its package is left for when it runs.
func (b *beforehand) lacking(v *faas.Version, fresh bool) (all []todo) {
	if b.node.Unarchived(v.Runtime) && b.first(v.Runtime) {
		all = append(all, todo{"archive of a runtime", func(ctx context.Context, v *faas.Version) error { return b.node.Archive(ctx, v.Runtime) }})
	}
	if fresh && b.node.Uncompiled(v) && b.first(v.Runtime+" "+v.Code.SHA256) {
		all = append(all, todo{"compiled form of a package", b.node.Compile})
	}
	return all
}

func (b *beforehand) first(name string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.begun == nil {
		b.begun = make(map[string]bool)
	}
	begun := b.begun[name]
	b.begun[name] = true
	return !begun
}

// foresee has the stock hold what calls of v would be served from. What v lacks is written first, in the background: what is in
// the stock profits then.
func (a *App) foresee(ctx context.Context, work *sync.WaitGroup, v faas.Version, fresh bool) {
	all := a.beforehand.lacking(&v, fresh)
	if len(all) == 0 {
		a.expect(&v)
		return
	}
	work.Go(func() {
		a.beforehand.turn.Lock()
		defer a.beforehand.turn.Unlock()
		for _, t := range all {
			if err := t.write(ctx, &v); err == nil {
				a.cfg.Logger.Debug("written: "+t.what, "runtime", v.Runtime, "function", v.ID.Name)
			} else if ctx.Err() == nil {
				a.cfg.Logger.Warn("not written, functions start slower: "+t.what, "runtime", v.Runtime, "function", v.ID.Name, "error", err)
			}
		}
		if ctx.Err() == nil {
			a.expect(&v)
		}
	})
}
