package app

import (
	"context"
	"slices"
	"strings"
	"time"

	"artesian/internal/compute/registry"
	"artesian/internal/engine/kv"
	"artesian/internal/faas"
)

// evict makes room for so many further bytes, those of image next, and lets go of what was not used for a fortnight. The version is Inactive then, as on Lambda: the
// next call has its image made again. What has instances is in use.
func (s *images) evict(ctx context.Context, more int64, next kv.Key) {
	now := time.Now()
	for _, in := range s.app.pool.List() {
		s.mu.Lock()
		s.use(in.Version, now)
		s.mu.Unlock()
	}
	for _, e := range excess(s.list(next), more, s.most(), next.Scope.Account, now) {
		name, number, _ := strings.Cut(e.key.Name, ":")
		id := faas.FunctionID{Scope: e.key.Scope, Name: name}
		reason := "The function is idle: its image was not used for 14 days."
		if now.Sub(e.used) < idleImage {
			reason = "The function is idle: others' images needed the room of its own (images_mb)."
		}
		rec, err := s.app.functions.Get(id, number)
		if err == nil {
			err = s.app.functions.Settle(ctx, rec.Version.ID, registry.Standing{State: faas.Inactive, Update: faas.Successful, Code: "Idle", Reason: reason})
		}
		if err != nil && faas.KindOf(err) != faas.NotFound {
			s.app.cfg.Logger.Warn("let go of an image", "function", id.ARN(), "version", number, "error", err)
			continue
		}
		s.forget(ctx, faas.VersionID{FunctionID: id, Version: number})
	}
	s.remember(ctx)
}

// remember writes down which images were used, seldom.
func (s *images) remember(ctx context.Context) {
	for _, k := range s.list(kv.Key{}) {
		s.mu.Lock()
		a, ok := s.stored[k.key]
		s.mu.Unlock()
		if ok && k.used.Sub(a.Used) >= oftenUsed {
			a.Used = k.used.UTC()
			if err := s.write(ctx, k.key, &a); err != nil && ctx.Err() == nil {
				s.app.cfg.Logger.Warn("note the use of an image", "name", k.key.Name, "error", err)
			}
		}
	}
}

// stored is an image on the disk.
type stored struct {
	key  kv.Key
	size int64
	used time.Time
}

// list are all images but one.
func (s *images) list(without kv.Key) (all []stored) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for key, a := range s.stored {
		if key == without {
			continue
		}
		used := a.Used
		if at := s.used[key]; at.After(used) {
			used = at
		}
		all = append(all, stored{key, a.size(), used})
	}
	return all
}

// excess are the images that go: those that were not used for idleImage, and of the others, until the rest and more bytes of an account are
// no more than most, those of the account that has most, the one that was used longest ago first. So who has
// much makes room for who has little.
func excess(all []stored, more, most int64, account string, now time.Time) (gone []stored) {
	slices.SortFunc(all, func(a, b stored) int { return a.used.Compare(b.used) })
	sizes, sum := map[string]int64{account: more}, more
	all = slices.DeleteFunc(all, func(e stored) bool {
		if now.Sub(e.used) >= idleImage {
			gone = append(gone, e)
			return true
		}
		sizes[e.key.Scope.Account] += e.size
		sum += e.size
		return false
	})
	for ; sum > most && len(all) > 0; sum -= gone[len(gone)-1].size {
		next := 0
		for i, e := range all {
			if sizes[e.key.Scope.Account] > sizes[all[next].key.Scope.Account] {
				next = i
			}
		}
		gone = append(gone, all[next])
		sizes[all[next].key.Scope.Account] -= all[next].size
		all = slices.Delete(all, next, next+1)
	}
	return gone
}
