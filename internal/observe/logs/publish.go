package logs

import (
	"context"
	"fmt"

	"github.com/nats-io/nats.go"

	"artesian/internal/engine"
	"artesian/internal/faas"
)

// head is where a group's log ends. The flusher alone uses it, and one goroutine of it at a time for each group.
type head struct {
	incarnation string // of the group that the rest is about; empty: not known
	seq         uint64 // last message, 0 is none
	totals
	checked uint64 // totals.bytes when the size limit was last looked at
	segment segment
}

// publish makes records durable as one frame at the end of the group's log.
func (s *Store) publish(ctx context.Context, g *group, recs []record, epoch int) error {
	if len(recs) == 0 {
		return nil
	}
	for range 3 {
		k, err := s.ensure(ctx, g, epoch)
		if err != nil || k == nil {
			return err
		}
		if err := s.eng.CheckSpace(frameBytes); err != nil {
			return err
		}
		if err := s.readHead(ctx, g, k); err != nil {
			return err
		}
		prev := g.prepared.totals
		prev.ingested = max(prev.ingested, s.cfg.Now().UnixMilli())
		b, f, next := encodeFrame(prev, recs)
		if err := s.reserve(ctx, k, len(b)); err != nil {
			return err
		}
		msg := &nats.Msg{Subject: k.subject(data), Header: nats.Header{}, Data: b}
		seq, err := s.eng.Publish(ctx, msg, engine.ExpectSubject(s.stream, msg.Subject, g.prepared.seq))
		s.usage.release(k, len(b), err == nil)
		if faas.KindOf(err) == faas.Conflict { // the group's oldest messages, and with them its last, may have been trimmed
			g.prepared = head{}
			continue
		}
		if err != nil {
			g.prepared = head{}
			return err
		}
		g.prepared.seq, g.prepared.totals = seq, next
		g.prepared.segment.add(f, len(b))
		s.published(ctx, g, k)
		return nil
	}
	return faas.Errorf(faas.Unavailable, "the log group %s is written to by somebody else", g.id.Name)
}

// ensure returns the group in the registry, made when it is not there. It returns nil when the group was deleted since
// the records were taken: they went with it.
func (s *Store) ensure(ctx context.Context, g *group, epoch int) (*known, error) {
	for range 3 {
		k, err := s.book.find(g.id)
		if faas.KindOf(err) != faas.NotFound {
			return k, err
		}
		g.mu.Lock()
		gone := g.epoch != epoch
		g.mu.Unlock()
		if gone {
			return nil, nil
		}
		if err := s.CreateGroup(ctx, g.id, nil); err != nil && faas.KindOf(err) != faas.Conflict {
			return nil, err
		}
	}
	return nil, faas.Errorf(faas.Unavailable, "the log group %s is being made and deleted by others", g.id.Name)
}

// readHead learns where the group's log ends, unless that is known.
func (s *Store) readHead(ctx context.Context, g *group, k *known) error {
	if g.prepared.incarnation == k.Incarnation {
		return nil
	}
	h := head{incarnation: k.Incarnation}
	last, err := s.last(ctx, k.subject(data))
	if err != nil {
		return err
	}
	if last != nil {
		f, err := decodeFrame(last.data)
		if err != nil {
			return fmt.Errorf("read end of log: %w", err)
		}
		h.seq, h.totals = last.seq, f.next(len(last.data))
	}
	digest, err := s.last(ctx, k.subject(digests))
	if err != nil {
		return err
	}
	if digest != nil {
		h.segment.lastSeq = digest.seq
	}
	err = s.scan(ctx, k.subject(data), span{h.segment.lastSeq, h.seq + 1}, func(_ uint64, f *frame) (bool, error) {
		h.segment.add(f, f.size())
		return true, nil
	})
	if err != nil {
		return err
	}
	g.prepared = h
	return nil
}

// published follows a write: the group's size limit, a deletion that came between, and those who follow the log.
func (s *Store) published(ctx context.Context, g *group, k *known) {
	if now, err := s.book.find(g.id); err != nil || now.Incarnation != k.Incarnation {
		if err := s.purge(ctx, k.subject("*"), 0); err != nil {
			s.cfg.Logger.Warn("events of a deleted log group not removed; the next start removes them", "group", g.id.Name, "error", err)
		}
		return
	}
	if h := &g.prepared; h.bytes-h.checked >= uint64(s.cfg.GroupBytes)/16 {
		h.checked = h.bytes
		if err := s.trimSize(ctx, k, h.totals); err != nil {
			s.cfg.Logger.Warn("log group not trimmed to its size", "group", g.id.Name, "error", err)
		}
	}
	if err := s.digest(ctx, &g.prepared, k); err != nil {
		g.prepared = head{} // nobody can tell where the digests end
		s.cfg.Logger.Warn("log group not digested", "group", g.id.Name, "error", err)
	}
	s.notify(g.id)
}
