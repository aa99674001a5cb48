package app

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"time"

	"artesian/internal/compute/lang"
	"artesian/internal/compute/registry"
	"artesian/internal/engine/kv"
	"artesian/internal/faas"
)

// mostMaking is how many images are made at once: one for each account, and these together. An initialisation may take as long as
// its function likes, and no other account waits for that.
const mostMaking = 4

// snapshot makes the images of versions that wait for theirs, in the background.
func (a *App) snapshot() {
	s := &a.snapshots
	wake := s.listen()
	s.orphans()
	ctx, cancel := context.WithCancel(context.Background())
	var work sync.WaitGroup
	work.Go(func() { s.dispatch(ctx, &work, wake) })
	a.onStop(func(context.Context) error { cancel(); work.Wait(); s.close(); return nil })
}

// dispatch looks at what has changed, one after the other in each account.
func (s *snapshots) dispatch(ctx context.Context, work *sync.WaitGroup, wake <-chan struct{}) {
	var queue []faas.VersionID
	busy, done := map[string]bool{}, make(chan string, mostMaking)
	idle := time.NewTicker(time.Hour)
	defer idle.Stop()
	for {
		select {
		case <-idle.C:
			s.evict(ctx, 0, kv.Key{})
		case <-wake:
			queue = append(queue, s.take()...)
		case account := <-done:
			delete(busy, account)
		case <-ctx.Done():
			return
		}
		queue = slices.DeleteFunc(queue, func(id faas.VersionID) bool {
			if !s.concerned(id) {
				return true
			}
			if busy[id.Account] || len(busy) == mostMaking {
				return false
			}
			busy[id.Account] = true
			work.Go(func() {
				s.look(ctx, id)
				done <- id.Account
			})
			return true
		})
	}
}

// note takes in that a function or a version has changed.
func (s *snapshots) note(v faas.VersionID) { s.changes.noteAny(v) }

// orphans notes all images whose version may be gone: a daemon that was killed may have had no time to remove them.
func (s *snapshots) orphans() {
	s.images.mu.Lock()
	defer s.images.mu.Unlock()
	for key := range s.stored {
		name, number, _ := strings.Cut(key.Name, ":")
		s.note(faas.VersionID{FunctionID: faas.FunctionID{Scope: key.Scope, Name: name}, Version: number})
	}
}

// concerned tells whether there is anything to do for a version, or those of a function.
func (s *snapshots) concerned(id faas.VersionID) bool {
	return s.vanished(id) || len(s.waiting(id)) > 0
}

// vanished tells that a version, or a function, is gone.
func (s *snapshots) vanished(id faas.VersionID) bool {
	_, err := s.app.functions.Get(id.FunctionID, id.Version)
	return faas.KindOf(err) == faas.NotFound
}

// waiting are those versions of a function that wait for an image, or this one if it does.
func (s *snapshots) waiting(id faas.VersionID) (list []*faas.Version) {
	add := func(rec *registry.Record, err error) {
		if err == nil && (registry.Imaging(&rec.Version) || s.outdated(&rec.Version) || s.called(&rec.Version)) {
			list = append(list, &rec.Version)
		}
	}
	if id.Version != faas.Latest {
		add(s.app.functions.Get(id.FunctionID, id.Version))
		return list
	}
	all, err := s.app.functions.Versions(id.FunctionID)
	for _, rec := range all {
		add(rec, err)
	}
	return list
}

// called tells whether a version was called when it was Inactive.
func (s *snapshots) called(v *faas.Version) bool {
	_, called := s.waking.Load(v.ID)
	return called && v.State == faas.Inactive
}

// look sees to a version, or to those of a function.
func (s *snapshots) look(ctx context.Context, id faas.VersionID) {
	if s.vanished(id) {
		s.forget(ctx, id)
		return
	}
	for _, v := range s.waiting(id) {
		switch {
		case registry.Imaging(v), s.called(v) && s.resume(ctx, v):
			s.make(ctx, *v)
		case s.outdated(v):
			s.makeAnew(ctx, *v)
		}
		if s.vanished(v.ID) {
			s.forget(ctx, v.ID)
		}
	}
}

// make makes the image of a version and says how that came out.
func (s *snapshots) make(ctx context.Context, v faas.Version) {
	bounded, cancel := context.WithTimeout(ctx, max(leastInit, v.Timeout))
	defer cancel()
	standing := registry.Standing{State: faas.Active, Update: faas.Successful}
	err := s.keep(bounded, &v)
	var failure *lang.Failure
	switch {
	case ctx.Err() != nil:
		return // it is Pending at the next start
	case err == nil:
	case errors.As(err, &failure):
		standing.State, standing.Code, standing.Reason = faas.Failed, imageFailed, "The function's initialisation failed: "+failure.Type
	case errors.Is(err, lang.ErrExited):
		standing.State, standing.Code, standing.Reason = faas.Failed, imageFailed, "The function's process ended during its initialisation"
	case errors.Is(err, context.DeadlineExceeded):
		standing.State, standing.Code, standing.Reason = faas.Failed, imageTimeout, "The function's initialisation took too long"
	default:
		standing.Reason = "Started without an image: " + publicly(err)
		s.app.cfg.Logger.Warn("make an image", "function", v.ID.FunctionID.ARN(), "version", v.ID.Version, "error", err)
	}
	if err := s.app.functions.Settle(ctx, v.ID, standing); err != nil && ctx.Err() == nil {
		s.app.cfg.Logger.Warn("settle a version", "function", v.ID.FunctionID.ARN(), "version", v.ID.Version, "error", err)
	}
}

// publicly is what an error tells to whoever may see a function.
func publicly(err error) string {
	if message := faas.Message(err); message != "" {
		return message
	}
	return "it could not be made; the daemon's log says why."
}

// renew has an image made anew, once for each ground: a version whose initialisation goes wrong now is started plainly.
func (s *snapshots) renew(id faas.VersionID, ground string) {
	s.images.mu.Lock()
	known := s.renewed[id] == ground
	s.renewed[id] = ground
	s.images.mu.Unlock()
	if !known {
		s.note(id)
	}
}

// outdated tells whether the image of a version is to be made anew and has not been.
func (s *snapshots) outdated(v *faas.Version) bool {
	s.images.mu.Lock()
	ground, asked := s.renewed[v.ID]
	s.images.mu.Unlock()
	if !asked || v.State != faas.Active {
		return false
	}
	a, err := s.record(v.ID)
	return err == nil && a.Ground != ground
}

// makeAnew makes an image in place of an outdated one. The version stays what it is.
func (s *snapshots) makeAnew(ctx context.Context, v faas.Version) {
	bounded, cancel := context.WithTimeout(ctx, max(leastInit, v.Timeout))
	defer cancel()
	if err := s.keep(bounded, &v); err != nil && ctx.Err() == nil {
		s.app.cfg.Logger.Warn("make an image anew", "function", v.ID.FunctionID.ARN(), "version", v.ID.Version, "error", err)
	}
}
