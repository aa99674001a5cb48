package logs

import (
	"context"
	"time"

	"artesian/internal/faas"
)

// tail is one who follows a log.
type tail struct{ more chan struct{} }

func (t *tail) nudge() { nudge(t.more) }

// TailQuery says what of a group to follow.
type TailQuery struct {
	Since time.Time                 // events that happened before are left out; zero follows from now on
	Match func(message string) bool // nil: every message
}

// Tail calls fn with the events of a group as they become durable, in order, none left out and none twice, until ctx ends
// or fn returns an error, which Tail returns. The group need not exist yet, and may be deleted and made anew meanwhile. A
// slow fn falls behind; it slows nobody and costs no memory.
func (s *Store) Tail(ctx context.Context, id GroupID, q TailQuery, fn func([]Event) error) error {
	if err := id.check(); err != nil {
		return err
	}
	t, err := s.follow(id)
	if err != nil {
		return err
	}
	defer s.unfollow(id, t)
	c := cursor{since: q.Since.UnixMilli(), match: q.Match}
	if q.Since.IsZero() {
		c.since = -forever
		if err := s.skip(ctx, id, &c); err != nil {
			return err
		}
	}
	for {
		if err := s.catchUp(ctx, id, &c, fn); err != nil {
			return err
		}
		select {
		case <-t.more:
		case <-ctx.Done():
			return ctx.Err()
		}
		s.mu.Lock()
		closed := s.closed
		s.mu.Unlock()
		if closed {
			return faas.Errorf(faas.Unavailable, "the log is closing")
		}
	}
}

// cursor is how far a tail has come in which incarnation of the group.
type cursor struct {
	incarnation string
	next        uint64
	since       int64
	match       func(message string) bool
}

func (s *Store) follow(id GroupID) (*tail, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, faas.Errorf(faas.Unavailable, "the log is closing")
	}
	t := &tail{more: make(chan struct{}, 1)}
	if s.tails[id] == nil {
		s.tails[id] = map[*tail]struct{}{}
	}
	s.tails[id][t] = struct{}{}
	return t, nil
}

func (s *Store) unfollow(id GroupID, t *tail) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if delete(s.tails[id], t); len(s.tails[id]) == 0 {
		delete(s.tails, id)
	}
}

// notify wakes those who follow a group.
func (s *Store) notify(id GroupID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for t := range s.tails[id] {
		t.nudge()
	}
}

// skip moves the cursor to the end of the log.
func (s *Store) skip(ctx context.Context, id GroupID, c *cursor) error {
	k, err := s.book.find(id)
	if faas.KindOf(err) == faas.NotFound {
		return nil
	}
	if err != nil {
		return err
	}
	m, err := s.last(ctx, k.subject(data))
	if err != nil {
		return err
	}
	c.incarnation = k.Incarnation
	if m != nil {
		c.next = m.seq + 1
	}
	return nil
}

// catchUp gives fn what has come since the cursor.
func (s *Store) catchUp(ctx context.Context, id GroupID, c *cursor, fn func([]Event) error) error {
	k, err := s.book.find(id)
	if faas.KindOf(err) == faas.NotFound {
		return nil
	}
	if err != nil {
		return err
	}
	if c.incarnation != k.Incarnation {
		c.incarnation, c.next = k.Incarnation, 0
		if c.next, err = s.since(ctx, k, c.since); err != nil {
			return err
		}
	}
	r, err := s.reader(k, func(string) bool { return true }, c.since, forever)
	if err != nil {
		return err
	}
	r.keep = c.match
	return s.scan(ctx, k.subject(data), span{c.next, ^uint64(0)}, func(seq uint64, f *frame) (bool, error) {
		c.next = seq + 1
		var events []Event
		_, err := s.picked(ctx, r, seq, f, position{}, func(e Event, _ position) bool {
			events = append(events, e)
			return true
		})
		if err != nil || len(events) == 0 {
			return true, err
		}
		sortEvents(events)
		return true, fn(events)
	})
}
