package logs

import (
	"context"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"

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

// sweepOrphans removes events and streams of incarnations that no group has: a crash came between the two steps of a
// deletion. A group's entry is there before its first event, so what is listed first and has no entry afterwards is left over.
func (s *Store) sweepOrphans(ctx context.Context) error {
	info, err := s.stream.Info(ctx, jetstream.WithSubjectFilter("logs.>"))
	if err != nil {
		return unread(err)
	}
	live := map[string]bool{}
	s.book.mu.RLock()
	for _, k := range s.book.groups {
		live[k.Incarnation] = true
		if k.Version != entryVersion { // whose incarnation is not known
			s.book.mu.RUnlock()
			return nil
		}
	}
	s.book.mu.RUnlock()
	for subject := range info.State.Subjects {
		p := strings.Split(subject, ".")
		if len(p) != 5 || live[p[3]] {
			continue
		}
		if err := s.clear(ctx, faas.Scope{Account: p[1], Region: p[2]}, p[3]); err != nil {
			return err
		}
	}
	return nil
}
