package app

import (
	"context"
	"sync"

	"artesian/internal/faas"
)

// archives has runtimes write the archives that they start sooner by: one at a time, each once.
type archives struct {
	write func(ctx context.Context, runtime string) error // nil: nothing is made ahead
	needs func(runtime string) bool
	turn  sync.Mutex // held while one is written; nothing else waits for it

	mu    sync.Mutex
	begun map[string]bool // by runtime identifier; what went wrong is tried again after the next start
}

// first reports, once for a runtime that needs an archive, that it has none.
func (s *archives) first(runtime string) bool {
	if s.write == nil || !s.needs(runtime) {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.begun == nil {
		s.begun = make(map[string]bool)
	}
	begun := s.begun[runtime]
	s.begun[runtime] = true
	return !begun
}

// foresee has the stock hold what calls of v would be served from. A runtime that lacks its archive writes it first, in the
// background: what is in the stock shares memory then.
func (a *App) foresee(ctx context.Context, work *sync.WaitGroup, v faas.Version) {
	if !a.archives.first(v.Runtime) {
		a.expect(&v)
		return
	}
	work.Go(func() {
		a.archives.turn.Lock()
		defer a.archives.turn.Unlock()
		if err := a.archives.write(ctx, v.Runtime); err == nil {
			a.cfg.Logger.Debug("archive of a runtime written", "runtime", v.Runtime)
		} else if ctx.Err() == nil {
			a.cfg.Logger.Warn("archive of a runtime not written: its functions start slower", "runtime", v.Runtime, "error", err)
		}
		if ctx.Err() == nil {
			a.expect(&v)
		}
	})
}
