package app

import (
	"context"
	"path/filepath"
	"sync"

	"artesian/internal/compute/lang/python"
	"artesian/internal/compute/sandbox"
)

// publisher is a runtime that makes something ready of what is published.
type publisher interface {
	// Publish begins to, for a package and its layers that are unpacked at host directories code and layers.
	Publish(code, layers string)
}

// openBytecode opens what functions' Python is compiled to. A level that shows functions the host's files has nothing to show it by.
func (a *App) openBytecode() (err error) {
	if a.cfg.Isolation == sandbox.Process {
		return nil
	}
	a.bytecode, err = python.OpenBytecode(filepath.Join(a.engine.Dir(), "bytecode"), a.cfg.Logger)
	return err
}

// compile compiles functions' modules, those of a function when it is new or has changed, in the background. What was there at the
// start has been compiled, or is when it runs.
func (a *App) compile() {
	if a.bytecode == nil {
		return
	}
	wake := a.published.listen()
	ctx, cancel := context.WithCancel(context.Background())
	var work sync.WaitGroup
	work.Go(func() { a.bytecode.Run(ctx, a.maker) })
	work.Go(func() {
		for first := true; ; first = false {
			select {
			case <-wake:
			case <-ctx.Done():
				return
			}
			for _, id := range a.published.take() {
				if rec, err := a.functions.Get(id.FunctionID, ""); err == nil && !first && rec.Version.ID.Revision == id.Revision {
					a.compileFor(ctx, rec.Version.Runtime, rec.Version.Code.SHA256, func() (string, error) { return a.packages.Layers(ctx, rec.Version.Layers) })
				}
			}
		}
	})
	a.onStop(func(context.Context) error { cancel(); work.Wait(); return nil })
}

// compileFor tells a runtime of a package. What goes wrong here is told to who starts an instance.
func (a *App) compileFor(ctx context.Context, runtime, sha string, layers func() (string, error)) {
	r, err := a.runtimes.Resolve(runtime)
	p, ok := r.(publisher)
	if err != nil || !ok {
		return
	}
	code, err := a.packages.Dir(ctx, sha)
	if err != nil {
		return
	}
	if dir, err := layers(); err == nil {
		p.Publish(code, dir)
	}
}
