package kv

import (
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"artesian/internal/faas"
)

const (
	lagTime     = 50 * time.Millisecond // after which a writer fetches what the mirror lacks before its write
	visibleTime = 15 * time.Second      // within which the mirror must have a stored write
)

// message is what the mirror takes. It comes from the follower, from its writer as soon as the stream has it, or from a
// writer that fetched it: whichever is first.
type message struct {
	Entry
	deleted bool
	void    bool // nothing of ours has this sequence
}

// load follows the stream from its beginning and waits until it has caught up.
func (s *Store) load(ctx context.Context) error {
	info, err := s.stream.Info(ctx)
	if err != nil {
		return err
	}
	s.tail = info.State.LastSeq
	if info.State.Msgs == 0 {
		s.caughtUp()
	}
	if err := s.start(ctx); err != nil {
		return err
	}
	select {
	case <-s.loaded:
		run, stop := context.WithCancel(context.Background())
		s.stop = stop
		s.swept.Go(func() { s.sweep.run(run) })
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// start makes the follower.
func (s *Store) start(ctx context.Context) error {
	cons, err := s.stream.OrderedConsumer(ctx, jetstream.OrderedConsumerConfig{DeliverPolicy: jetstream.DeliverAllPolicy})
	if err != nil {
		return err
	}
	s.follow, err = cons.Consume(s.take, jetstream.ConsumeErrHandler(func(_ jetstream.ConsumeContext, err error) {
		s.eng.Logger().Warn("registry follower", "error", err)
	}))
	return err
}

// caughtUp ends the loading. Messages that were removed from the stream's end do not come, so their place is passed over.
func (s *Store) caughtUp() {
	s.caught.Do(func() {
		s.mirror.loaded()
		s.mirror.advance(s.tail)
		close(s.loaded)
	})
}

// take puts in what the follower delivers. It runs on one goroutine, in stream order.
func (s *Store) take(msg jetstream.Msg) {
	meta, err := msg.Metadata()
	if err != nil {
		s.eng.Logger().Error("registry message without metadata", "error", err)
		return
	}
	s.arrive(s.read(msg.Subject(), msg.Headers(), msg.Data(), meta.Sequence.Stream))
	if meta.NumPending == 0 {
		s.caughtUp()
	}
}

func (s *Store) read(subject string, header nats.Header, data []byte, seq uint64) message {
	key, err := parseSubject(subject)
	if err != nil {
		s.eng.Logger().Error("registry message with a foreign key", "error", err)
		return message{Entry: Entry{Rev: seq}, void: true}
	}
	return message{Entry: Entry{Key: key, Value: data, Rev: seq}, deleted: header.Get(opHeader) == opDelete}
}

// arrive puts in a message from the follower: what the stream has before it is in, or early.
func (s *Store) arrive(m message) {
	s.apply.Lock()
	defer s.apply.Unlock()
	for _, seq := range slices.Sorted(maps.Keys(s.early)) {
		if seq < m.Rev {
			s.put(s.early[seq])
		}
	}
	s.put(m)
	s.drain()
}

// offer puts in a message that came on another way, as soon as everything before it is in.
func (s *Store) offer(m message) {
	s.apply.Lock()
	defer s.apply.Unlock()
	if m.Rev > s.mirror.at() {
		s.early[m.Rev] = m
	}
	s.drain()
}

// drain puts in the early messages that follow directly. apply is held.
func (s *Store) drain() {
	for len(s.early) > 0 {
		m, ok := s.early[s.mirror.at()+1]
		if !ok {
			return
		}
		s.put(m)
	}
}

// put puts in the next message and tells watchers, and then writers. One that is in already changes nothing. apply is held.
func (s *Store) put(m message) {
	delete(s.early, m.Rev)
	if m.Rev <= s.mirror.at() || s.ended() {
		return
	}
	if !m.void {
		if old := s.mirror.set(m.Entry, m.deleted); old != 0 {
			s.sweep.add(garbage{key: m.Key, seq: old})
		}
		if m.deleted {
			s.sweep.add(garbage{key: m.Key, seq: m.Rev, marker: true})
			m.Value = nil
		}
		s.tell(m.Entry, m.deleted)
	}
	s.mirror.advance(m.Rev)
}

// visible waits until everything up to seq, which the stream has and which was offered, is in. Before it may be writes of
// others that are just being offered, or one whose answer was lost: what the follower does not bring soon is fetched.
func (s *Store) visible(ctx context.Context, seq uint64) error {
	in := s.mirror.reached(seq)
	select {
	case <-in:
		return nil
	default:
	}
	ctx, cancel := context.WithTimeout(ctx, visibleTime)
	defer cancel()
	lag := time.NewTicker(lagTime)
	defer lag.Stop()
	var cause error
	for {
		select {
		case <-in:
			return nil
		case <-lag.C:
			cause = s.fill(ctx, seq)
		case <-ctx.Done():
			return &faas.Error{Kind: faas.Unavailable, Message: "the write was stored, but is not visible yet", Cause: errors.Join(ctx.Err(), cause)}
		case <-s.closed:
			return errClosing()
		}
	}
}

// fill fetches what the mirror lacks before seq. One writer does so at a time.
func (s *Store) fill(ctx context.Context, seq uint64) error {
	if !s.filling.TryLock() {
		return nil
	}
	defer s.filling.Unlock()
	for next := s.mirror.at() + 1; next < seq; next = max(next, s.mirror.at()) + 1 {
		raw, err := s.stream.GetMsg(ctx, next)
		switch {
		case errors.Is(err, jetstream.ErrMsgNotFound):
			s.offer(message{Entry: Entry{Rev: next}, void: true})
		case err != nil:
			return err
		default:
			s.offer(s.read(raw.Subject, raw.Header, raw.Data, next))
		}
	}
	return nil
}

func (s *Store) ended() bool {
	select {
	case <-s.closed:
		return true
	default:
		return false
	}
}

func errClosing() error { return faas.Errorf(faas.Unavailable, "the registry is closing") }
