package logs

import (
	"context"
	"fmt"
	"sync"
	"time"
)

const (
	writers    = 16                    // groups that are written at the same time
	hurryPause = 10 * time.Millisecond // the least time between two rounds
	floodPause = 50 * time.Millisecond // the same while a group fills its frames: it gets 10 MB a second
	failPause  = time.Second           // the same while the disk fails
)

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
