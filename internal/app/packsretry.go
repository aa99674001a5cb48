package app

import (
	"context"
	"strings"
	"sync"
	"time"

	"artesian/internal/compute/lang/pack"
	"artesian/internal/compute/registry"
	"artesian/internal/faas"
)

// Pauses between attempts to install a pack that could not be had. They double, and after retryFor it counts as never tried.
const (
	firstRetry = 15 * time.Second
	mostRetry  = 5 * time.Minute
	retryFor   = time.Hour
)

// retries are the packs that could not be had lately, by name. While one is here, nobody waits for its registry.
type retries struct {
	mu sync.Mutex
	of map[string]*retry
}

type retry struct {
	err  error         // of the last attempt; guarded by retries.mu
	wake chan struct{} // asks for an attempt now
}

// failed takes in an attempt that went wrong. It returns nil when further ones are under way already.
func (r *retries) failed(name string, err error) *retry {
	r.mu.Lock()
	defer r.mu.Unlock()
	if t := r.of[name]; t != nil {
		t.err = err
		return nil
	}
	if r.of == nil {
		r.of = make(map[string]*retry)
	}
	t := &retry{err: err, wake: make(chan struct{}, 1)}
	r.of[name] = t
	return t
}

// nudge returns why a pack could not be had lately, and has it tried now; nil when nothing is known against it.
func (r *retries) nudge(name string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	t := r.of[name]
	if t == nil {
		return nil
	}
	select {
	case t.wake <- struct{}{}:
	default:
	}
	return t.err
}

func (r *retries) forget(name string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.of, name)
}

// installPack installs a pack, and sees to further attempts when that goes wrong.
func (a *App) installPack(ctx context.Context, m *pack.Manifest) error {
	err := a.packs.Install(ctx, m)
	if err == nil || ctx.Err() != nil {
		return err
	}
	if t := a.retries.failed(m.Name, err); t != nil {
		a.settler.work.Go(func() { a.tryAgain(ctx, m, t) })
	}
	return err
}

// tryAgain installs a pack once its registry is back, and has functions that run without it get it.
func (a *App) tryAgain(ctx context.Context, m *pack.Manifest, t *retry) {
	defer a.retries.forget(m.Name)
	end := time.Now().Add(retryFor)
	for pause := firstRetry; time.Now().Before(end); pause = min(2*pause, mostRetry) {
		select {
		case <-time.After(pause):
		case <-t.wake:
		case <-ctx.Done():
			return
		}
		err := a.packs.Install(ctx, m)
		if err == nil {
			a.retries.forget(m.Name) // before functions are looked through: a later one waits for nothing
			a.supply(ctx)
			return
		}
		a.retries.failed(m.Name, err)
	}
}

// supply settles all versions that came out without a pack that is here now.
func (a *App) supply(ctx context.Context) {
	a.functions.Each(func(rec *registry.Record) {
		for _, v := range a.lacking(rec) {
			if a.has(v.Runtime) {
				a.settleOne(ctx, v.ID, v.Runtime)
			}
		}
	})
}

// lacking are the versions of a function that came out without their pack, $LATEST among them.
func (a *App) lacking(rec *registry.Record) (list []*faas.Version) {
	versions, _ := a.functions.Versions(rec.Version.ID.FunctionID) // gone meanwhile: none
	for _, r := range versions {
		if v := &r.Version; lacks(v) {
			list = append(list, v)
		}
	}
	return list
}

// lacks reports whether a version came out without its pack.
func lacks(v *faas.Version) bool { return strings.HasPrefix(v.StateReason, packMissing) }
