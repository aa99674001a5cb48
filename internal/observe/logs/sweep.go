package logs

import (
	"context"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"artesian/internal/engine/kv"
	"artesian/internal/faas"
)

// sweeper removes what deleted groups left behind, once, and then what has expired, again and again.
func (s *Store) sweeper(ctx context.Context) {
	if err := s.sweepOrphans(ctx); err != nil && ctx.Err() == nil {
		s.cfg.Logger.Warn("events of deleted log groups not removed", "error", err)
	}
	t := time.NewTicker(s.cfg.Sweep)
	defer t.Stop()
	for {
		select {
		case <-t.C:
			if err := s.Sweep(ctx); err != nil && ctx.Err() == nil {
				s.cfg.Logger.Warn("expired log events not removed", "error", err)
			}
		case <-ctx.Done():
			return
		}
	}
}

// Sweep removes the events that are past their group's retention, as far as all of their message is. Readers do not see
// expired events in any case.
func (s *Store) Sweep(ctx context.Context) error {
	for _, k := range s.book.all(nil, func(string) bool { return true }) {
		if k.Retention > 0 {
			expiry := k.expiry(s.cfg.Now())
			if err := s.trim(ctx, k, func(t *totals) bool { return t.ingested+int64(t.ahead) >= expiry }); err != nil {
				return err
			}
		}
		if err := s.sweepStreams(ctx, k); err != nil {
			return err
		}
	}
	return nil
}

// trim removes the messages before the first for which keep holds.
func (s *Store) trim(ctx context.Context, k *known, keep func(*totals) bool) error {
	seq, err := s.search(ctx, k.subject(data), keep)
	if err != nil || seq == 0 {
		return err
	}
	first, err := s.at(ctx, k.subject(data), 1)
	if err != nil || first == nil || first.seq >= seq {
		return err
	}
	return s.purge(ctx, k.subject("*"), seq)
}

// trimSize removes the oldest messages of a group until its newest GroupBytes are left.
func (s *Store) trimSize(ctx context.Context, k *known, now totals) error {
	limit := uint64(s.cfg.GroupBytes)
	if now.bytes <= limit {
		return nil
	}
	return s.trim(ctx, k, func(t *totals) bool { return t.bytes+limit >= now.bytes })
}

// sweepOrphans removes events and streams of incarnations that no group has: a crash came between the steps of a deletion.
// A group's entry is there before anything of it, so what is listed first and has no entry afterwards is left over.
func (s *Store) sweepOrphans(ctx context.Context) error {
	info, err := s.stream.Info(ctx, jetstream.WithSubjectFilter("logs.>"))
	if err != nil {
		return unread(err)
	}
	found := map[orphan]bool{}
	for subject := range info.State.Subjects {
		if p := strings.Split(subject, "."); len(p) == 5 {
			found[orphan{faas.Scope{Account: p[1], Region: p[2]}, p[3]}] = true
		}
	}
	for _, kind := range [...]string{streamKind, goneKind} {
		stop := s.kv.Watch(kind, func(e kv.Entry, _ bool) {
			incarnation, _, _ := strings.Cut(e.Key.Name, "/")
			found[orphan{e.Key.Scope, incarnation}] = true
		})
		stop()
	}
	live, known := s.book.incarnations()
	if !known {
		return nil
	}
	for o := range found {
		if live[o] {
			continue
		}
		if err := s.clear(ctx, o.scope, o.incarnation); err != nil {
			return err
		}
	}
	return nil
}

// orphan is an incarnation of a group of which something was found.
type orphan struct {
	scope       faas.Scope
	incarnation string
}
