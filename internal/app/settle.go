package app

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"artesian/internal/compute/lang/pack"
	"artesian/internal/compute/registry"
	"artesian/internal/faas"
)

// settler remembers which functions may have something about them that is not settled.
type settler struct {
	changes
	work sync.WaitGroup // who settles
}

// changes are functions that are new or have changed.
type changes struct {
	mu    sync.Mutex
	noted []faas.VersionID
	wake  chan struct{}
}

// listen returns what tells that there are some. There may be already.
func (s *changes) listen() <-chan struct{} {
	wake := make(chan struct{}, 1)
	wake <- struct{}{}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.wake = wake
	return wake
}

// note takes in that a function is new or changed. It does not block.
func (s *changes) note(v faas.VersionID) {
	if v.Version == faas.Latest && v.Revision != "" {
		s.noteAny(v)
	}
}

// noteAny takes in also that a version has changed, or that something is gone.
func (s *changes) noteAny(v faas.VersionID) {
	s.mu.Lock()
	s.noted = append(s.noted, v)
	wake := s.wake
	s.mu.Unlock()
	select {
	case wake <- struct{}{}:
	default: // it is awake, or not running yet
	}
}

func (s *changes) take() []faas.VersionID {
	s.mu.Lock()
	defer s.mu.Unlock()
	noted := s.noted
	s.noted = nil
	return noted
}

// settle has functions that are Pending wait for the pack that their runtime carries, those of before the start too. What
// came out without its pack before is tried once more, and what is Active gets back a pack that is no longer here: it was
// removed, or this program carries a newer one than the last.
func (a *App) settle() {
	wake := a.settler.listen()
	ctx, cancel := context.WithCancel(context.Background())
	work := &a.settler.work
	work.Go(func() {
		for first := true; ; first = false {
			select {
			case <-wake:
			case <-ctx.Done():
				return
			}
			runtimes := make(map[string]bool)
			for _, id := range a.settler.take() {
				rec, err := a.functions.Get(id.FunctionID, "")
				if err != nil || rec.Version.ID.Revision != id.Revision {
					continue // gone, or noted again
				}
				runtimes[rec.Version.Runtime] = true
				for _, v := range a.unsettled(rec, first) {
					work.Go(func() { a.settleOne(ctx, v.ID, v.Runtime) })
				}
			}
			for runtime := range runtimes {
				if first {
					work.Go(func() { a.restore(ctx, runtime) })
				}
			}
		}
	})
	a.onStop(func(context.Context) error { cancel(); work.Wait(); return nil })
}

// unsettled are the versions of a function that are to be settled. A published one is settled with its $LATEST, so here are those
// that came out without their pack: tried again when the function is, at the start, and when the pack has come meanwhile.
func (a *App) unsettled(rec *registry.Record, start bool) (list []*faas.Version) {
	v := &rec.Version
	pending := v.State == faas.Pending || v.Update == faas.InProgress
	if pending {
		list = append(list, v)
	}
	if start || pending || lacks(v) && a.has(v.Runtime) {
		for _, l := range a.lacking(rec) {
			if !pending || l.ID.Version != faas.Latest {
				list = append(list, l)
			}
		}
	}
	return list
}

// restore installs what functions of a runtime that are there already had. Where that goes wrong they are as they were, and
// the log says why.
func (a *App) restore(ctx context.Context, runtime string) {
	if m, err := a.carries(runtime); err == nil && m != nil {
		_ = a.installPack(ctx, m)
	}
	a.runtimes.Meet(runtime)
}

// packMissing begins the reason of a state that is what it is because a pack could not be installed.
const packMissing = "Runtime pack not installed: "

// settleOne installs what the runtime carries, and writes how that came out.
func (a *App) settleOne(ctx context.Context, id faas.VersionID, runtime string) {
	m, err := a.carries(runtime)
	if err == nil && m != nil {
		err = a.installPack(ctx, m)
	}
	if ctx.Err() != nil {
		return // the next start goes on
	}
	a.runtimes.Meet(runtime)
	s := registry.Standing{State: faas.Active, Update: faas.Successful}
	switch {
	case err == nil:
	case m == nil: // the interpreter has vanished since
		s.State, s.Reason, s.Code = faas.Failed, faas.Message(err), "InvalidRuntime"
	case m.Needed && a.packPath(m) == "":
		s.State, s.Reason, s.Code = faas.Failed, a.without(m, err), "InvalidRuntime"
	default:
		s.Reason = a.without(m, err)
	}
	if s.State == faas.Failed {
		s.Update, s.UpdateReason, s.UpdateCode = faas.Failed, s.Reason, s.Code
	}
	for pause := 50 * time.Millisecond; ; pause = min(2*pause, 5*time.Second) {
		err := a.functions.Settle(ctx, id, s)
		if err == nil && s.Reason == "" {
			a.pool.RetireFunction(id.FunctionID, "") // what started meanwhile lacks the pack
		}
		if kind := faas.KindOf(err); err == nil || kind == faas.Precondition || kind == faas.NotFound || errors.Is(err, context.Canceled) {
			return // a newer update has a standing of its own
		} else if kind != faas.Conflict {
			a.cfg.Logger.Warn("settle function", "function", id.Name, "error", err)
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return
		}
	}
}

// carries returns the pack that a runtime carries and that is not here, nil when there is nothing to install.
func (a *App) carries(runtime string) (*pack.Manifest, error) {
	language, number, err := a.runtimes.Carrier(runtime)
	if err != nil || language == "" {
		return nil, err
	}
	return a.packs.Missing(language, number), nil
}

// without is the reason of a state without a pack that could not be had.
func (a *App) without(m *pack.Manifest, err error) string {
	runs := "The function runs without " + m.Title
	switch {
	case a.packPath(m) != "":
		runs = "The function runs with an older one"
	case m.Needed:
		runs = fmt.Sprintf("No %s function runs without it", m.Language)
	}
	return fmt.Sprintf("%s%s. %s; it is tried again for an hour, when the function is updated and when the daemon starts.", packMissing, faas.Message(err), runs)
}

// has reports whether all that a runtime carries is here.
func (a *App) has(runtime string) bool {
	m, err := a.carries(runtime)
	return err == nil && m == nil
}

// installs says what a runtime carries and is not here, and whether functions wait for it: what could not be had lately is tried
// again while they run without it.
func (a *App) installs(runtime string) (reason string, wait bool) {
	m, err := a.carries(runtime)
	if err != nil || m == nil {
		return "", false // what is wrong with a runtime is said elsewhere
	}
	if err := a.retries.nudge(m.Name); err != nil && (!m.Needed || a.packPath(m) != "") {
		return a.without(m, err), false
	}
	return fmt.Sprintf("Runtime pack %s %s (%s, %.1f MB) is being installed.", m.Name, m.Version, m.Title, float64(m.Size())/1e6), true
}
