package logs

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"artesian/internal/engine"
	"artesian/internal/faas"
)

const (
	writers    = 16                    // groups that are written at the same time
	hurryPause = 10 * time.Millisecond // the least time between two rounds
	floodPause = 50 * time.Millisecond // the same while a group fills its frames: it gets 10 MB a second
	failPause  = time.Second           // the same while the disk fails
)

// head is where a group's log ends. The flusher alone uses it, and one goroutine of it at a time for each group.
type head struct {
	incarnation string // of the group that the rest is about; empty: not known
	seq         uint64 // last message, 0 is none
	totals
	checked uint64 // totals.bytes when the size limit was last looked at
	segment segment
}

func (s *Store) enqueue(g *group) {
	s.dirty.Lock()
	s.dirty.groups = append(s.dirty.groups, g)
	s.dirty.Unlock()
	nudge(s.wake)
}

// dirty are the groups that have something to write.
type dirty struct {
	sync.Mutex
	groups []*group
}

func (d *dirty) take() []*group {
	d.Lock()
	defer d.Unlock()
	all := d.groups
	d.groups = nil
	return all
}

// flusher writes in rounds: one frame of each group that has something, several groups at a time. So a group that floods
// gets no more of the disk than any other, and no group waits for more than a round.
func (s *Store) flusher(ctx context.Context) {
	for {
		select {
		case <-s.wake:
		case <-ctx.Done():
			return
		}
		began := time.Now()
		s.gather(ctx)
		if rest := s.round(ctx) - time.Since(began); rest > 0 {
			select {
			case <-time.After(rest):
			case <-ctx.Done():
				return
			}
		}
	}
}

// gather lets events come together, unless somebody waits for them.
func (s *Store) gather(ctx context.Context) {
	t := time.NewTimer(s.cfg.Interval)
	defer t.Stop()
	select {
	case <-t.C:
	case <-s.hurry:
	case <-ctx.Done():
	}
}

// round writes one frame for each group in need, and returns the least time from its beginning to the next round.
func (s *Store) round(ctx context.Context) time.Duration {
	var (
		work  sync.WaitGroup
		slot  = make(chan struct{}, writers)
		mu    sync.Mutex
		pause = hurryPause
	)
	for _, g := range s.dirty.take() {
		slot <- struct{}{}
		work.Go(func() {
			defer func() { <-slot }()
			p := s.flush(ctx, g)
			mu.Lock()
			pause = max(pause, p)
			mu.Unlock()
		})
	}
	work.Wait()
	return pause
}

// flush writes one frame of a group. It returns how long the group should wait for its next.
func (s *Store) flush(ctx context.Context, g *group) time.Duration {
	recs, full, epoch := g.take(s.cfg.Now())
	err := s.publish(ctx, g, recs, epoch)
	if err != nil {
		s.cfg.Logger.Warn("log events not written", "group", g.id.Name, "error", err)
	}
	s.settle(g, recs, epoch, err)
	switch {
	case err != nil:
		return failPause
	case full:
		return floodPause
	}
	return hurryPause
}

// take returns the records of the next frame, which stay in the buffer until they are settled, and whether they fill it.
func (g *group) take(now time.Time) (recs []record, full bool, epoch int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.confess(now)
	n, size := 0, 0
	for ; n < len(g.pending) && size < frameBytes; n++ {
		size += g.pending[n].size()
	}
	return g.pending[:n:n], size >= frameBytes, g.epoch
}

// confess logs how many events were dropped, once there is room again. mu is held.
func (g *group) confess(now time.Time) {
	if g.failing {
		return
	}
	for stream, n := range g.lost {
		g.pending = append(g.pending, record{stream, now.UnixMilli(), fmt.Sprintf("[artesian] %d log events were dropped: the disk did not take them\n", n)})
		size := g.pending[len(g.pending)-1].size()
		g.bytes += size
		g.store.buffered.Add(int64(size))
		g.added++
	}
	g.lost = nil
}

// settle removes what was written and tells those who wait. What was not written stays, for the next round.
func (s *Store) settle(g *group, recs []record, epoch int, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	g.mu.Lock()
	defer g.mu.Unlock()
	g.failing = err != nil
	if err == nil && g.epoch == epoch {
		g.discard(len(recs))
	}
	keep := g.waiters[:0]
	for _, w := range g.waiters {
		if err != nil || g.settled >= w.mark {
			w.told <- err
		} else {
			keep = append(keep, w)
		}
	}
	g.waiters = keep
	g.room.Broadcast()
	if len(g.pending) > 0 || len(g.lost) > 0 {
		s.enqueue(g)
		if len(g.waiters) > 0 || g.bytes >= frameBytes {
			nudge(s.hurry)
		}
		return
	}
	g.dirty = false
	s.forget(g)
}

// discard drops the first n records. mu is held.
func (g *group) discard(n int) {
	size := 0
	for i := range n {
		size += g.pending[i].size()
	}
	if g.pending = g.pending[n:]; len(g.pending) == 0 {
		g.pending = nil
	}
	g.bytes -= size
	g.settled += uint64(n)
	g.store.buffered.Add(-int64(size))
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
		msg := &nats.Msg{Subject: k.subject(data), Header: nats.Header{}, Data: b}
		seq, err := s.eng.Publish(ctx, msg, engine.ExpectSubject(s.stream, msg.Subject, g.prepared.seq))
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
