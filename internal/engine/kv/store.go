// Package kv is the registry: small values under scoped keys, durable when a write returns, read from memory.
//
// Every write is one message of a JetStream stream, fenced by the sequence of the last message of its key: that alone
// decides who wins. A mirror in memory follows the stream in order; reads touch nothing else. A write returns after the
// mirror, and every watcher, has it.
package kv

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"artesian/internal/engine"
	"artesian/internal/faas"
)

const (
	streamName    = "KV"
	subjectPrefix = "kv."
	opHeader      = "Artesian-Op" // "delete" makes the message a delete marker
	opDelete      = "delete"
	headerRoom    = 4 << 10          // bytes of a message that its subject and headers may take
	visibleTime   = 15 * time.Second // within which the mirror must have a stored write
)

// Entry is one value. Value is shared between all readers: never modify it.
type Entry struct {
	Key   Key
	Value []byte
	Rev   uint64 // grows with every write; what Update and Delete expect
}

// Store is the registry. It is safe for concurrent use until Close.
type Store struct {
	eng    *engine.Engine
	stream jetstream.Stream
	mirror *mirror
	sweep  *sweeper
	follow jetstream.ConsumeContext

	// apply is held while one message is put in and its watchers are told, and while a watcher is added. Never take it
	// while holding mirror.mu.
	apply    sync.Mutex
	watchers []*watcher

	loaded chan struct{} // closed when the mirror has what the stream had at Open
	closed chan struct{}
	caught sync.Once
	ending sync.Once
	stop   context.CancelFunc // ends the sweeper
	swept  sync.WaitGroup     // the sweeper
}

// Open starts the store on an engine and returns once everything stored is in memory.
func Open(ctx context.Context, eng *engine.Engine) (*Store, error) {
	st, err := eng.Stream(ctx, jetstream.StreamConfig{
		Name:       streamName,
		Subjects:   []string{subjectPrefix + ">"},
		Storage:    jetstream.FileStorage,
		Retention:  jetstream.LimitsPolicy,
		Discard:    jetstream.DiscardNew,
		MaxMsgSize: int32(eng.MaxPayload()),
	})
	if err != nil {
		return nil, fmt.Errorf("open registry: %w", err)
	}
	s := &Store{eng: eng, stream: st, mirror: newMirror(), loaded: make(chan struct{}), closed: make(chan struct{})}
	s.sweep = newSweeper(st, s.mirror, eng.Logger())
	if err := s.load(ctx); err != nil {
		s.Close()
		return nil, fmt.Errorf("load registry: %w", err)
	}
	return s, nil
}

// load follows the stream from its beginning and waits until it has caught up.
func (s *Store) load(ctx context.Context) error {
	info, err := s.stream.Info(ctx)
	if err != nil {
		return err
	}
	if info.State.Msgs == 0 {
		s.mirror.advance(info.State.LastSeq)
		s.caughtUp()
	}
	cons, err := s.stream.OrderedConsumer(ctx, jetstream.OrderedConsumerConfig{DeliverPolicy: jetstream.DeliverAllPolicy})
	if err != nil {
		return err
	}
	s.follow, err = cons.Consume(s.take, jetstream.ConsumeErrHandler(func(_ jetstream.ConsumeContext, err error) {
		s.eng.Logger().Warn("registry follower", "error", err)
	}))
	if err != nil {
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

func (s *Store) caughtUp() {
	s.caught.Do(func() {
		s.mirror.loaded()
		close(s.loaded)
	})
}

// take puts one message of the stream in. It runs on one goroutine, in stream order.
func (s *Store) take(msg jetstream.Msg) {
	meta, err := msg.Metadata()
	if err != nil {
		s.eng.Logger().Error("registry message without metadata", "error", err)
		return
	}
	key, err := parseSubject(msg.Subject())
	if err != nil {
		s.eng.Logger().Error("registry message with a foreign key", "error", err)
	} else {
		s.put(Entry{Key: key, Value: msg.Data(), Rev: meta.Sequence.Stream}, msg.Headers().Get(opHeader) == opDelete)
	}
	if meta.NumPending == 0 {
		s.caughtUp()
	}
	s.mirror.advance(meta.Sequence.Stream)
}

func (s *Store) put(e Entry, deleted bool) {
	s.apply.Lock()
	defer s.apply.Unlock()
	old, fresh := s.mirror.set(e, deleted)
	if !fresh {
		return
	}
	if old != 0 {
		s.sweep.add(garbage{key: e.Key, seq: old})
	}
	if deleted {
		s.sweep.add(garbage{key: e.Key, seq: e.Rev, marker: true})
		e.Value = nil
	}
	s.tell(e, deleted)
}

// Close stops following the stream; the store must not be used afterwards. It does not close the engine.
func (s *Store) Close() {
	s.ending.Do(func() {
		close(s.closed)
		if s.follow != nil {
			s.follow.Stop()
			<-s.follow.Closed()
		}
		if s.stop != nil {
			s.stop()
			s.swept.Wait()
		}
	})
}

// Get returns the entry of a key. It does no I/O.
func (s *Store) Get(key Key) (Entry, bool) { return s.mirror.get(key) }

// List returns the entries of a kind in a scope whose names have the prefix, sorted by name. It does no I/O.
func (s *Store) List(scope faas.Scope, kind, prefix string) []Entry {
	out, _ := s.mirror.page(shelf{scope, kind}, prefix, "", 0)
	return out
}

// Page is List in portions: up to limit entries with names after after, and whether more follow. A limit of 0 is none.
func (s *Store) Page(scope faas.Scope, kind, prefix, after string, limit int) (page []Entry, more bool) {
	return s.mirror.page(shelf{scope, kind}, prefix, after, limit)
}

// MaxValue returns the size of the largest value, in bytes.
func (s *Store) MaxValue() int { return s.eng.MaxPayload() - headerRoom }

// createTries bounds how often Create follows a key that others delete and make at the same time.
const createTries = 16

// Create stores a value under a key that has none and returns its revision. Conflict: it has one. Invalid: a bad key.
// TooLarge: over MaxValue. Unavailable: not stored, or not known to be.
func (s *Store) Create(ctx context.Context, key Key, value []byte) (uint64, error) {
	if err := key.check(); err != nil {
		return 0, err
	}
	expect := s.mirror.lastSeq(key)
	for range createTries {
		rev, err := s.write(ctx, key, value, "", expect)
		if faas.KindOf(err) != faas.Conflict {
			return rev, err
		}
		last, live, lerr := s.last(ctx, key)
		if lerr != nil {
			return 0, lerr
		}
		if live {
			return 0, &faas.Error{Kind: faas.Conflict, Message: fmt.Sprintf("%s %q exists already", key.Kind, key.Name), Cause: err}
		}
		expect = last
	}
	return 0, faas.Errorf(faas.Conflict, "%s %q is being made and deleted by others", key.Kind, key.Name)
}

// last asks the stream for the last message of a key; 0 when there is none.
func (s *Store) last(ctx context.Context, key Key) (seq uint64, live bool, err error) {
	raw, err := s.stream.GetLastMsgForSubject(ctx, key.subject())
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return 0, false, nil
	}
	if err != nil {
		return 0, false, &faas.Error{Kind: faas.Unavailable, Message: "the registry did not answer; try again", Cause: err}
	}
	return raw.Sequence, raw.Header.Get(opHeader) != opDelete, nil
}

// Update replaces the value that has revision rev and returns the new revision. Conflict: the entry has another revision
// or is gone. Otherwise as Create.
func (s *Store) Update(ctx context.Context, key Key, value []byte, rev uint64) (uint64, error) {
	if err := checkRev(key, rev); err != nil {
		return 0, err
	}
	return s.write(ctx, key, value, "", rev)
}

// Delete removes the entry that has revision rev. Conflict: it has another revision or is gone. Unavailable: not removed,
// or not known to be.
func (s *Store) Delete(ctx context.Context, key Key, rev uint64) error {
	if err := checkRev(key, rev); err != nil {
		return err
	}
	_, err := s.write(ctx, key, nil, opDelete, rev)
	return err
}

func checkRev(key Key, rev uint64) error {
	if rev == 0 {
		return faas.Errorf(faas.Invalid, "the revision of %s %q must not be 0", key.Kind, key.Name)
	}
	return key.check()
}

// write stores one message and waits until the mirror has it.
func (s *Store) write(ctx context.Context, key Key, value []byte, op string, expect uint64) (uint64, error) {
	if len(value) > s.MaxValue() {
		return 0, faas.Errorf(faas.TooLarge, "%s %q has %d bytes; at most %d are allowed", key.Kind, key.Name, len(value), s.MaxValue())
	}
	msg := &nats.Msg{Subject: key.subject(), Header: nats.Header{}, Data: value}
	if op != "" {
		msg.Header.Set(opHeader, op)
	} else if err := s.eng.CheckSpace(int64(len(value))); err != nil { // a delete is what makes room
		return 0, err
	}
	seq, err := s.eng.Publish(ctx, msg, engine.ExpectSubject(s.stream, msg.Subject, expect))
	if err != nil {
		return 0, named(err, key)
	}
	seen, cancel := context.WithTimeout(ctx, visibleTime)
	defer cancel()
	select {
	case <-s.mirror.reached(seq):
		return seq, nil
	case <-seen.Done():
		return 0, &faas.Error{Kind: faas.Unavailable, Message: "the write was stored, but is not visible yet", Cause: seen.Err()}
	case <-s.closed:
		return 0, faas.Errorf(faas.Unavailable, "the registry is closing")
	}
}

// named says in the public message which entry an error is about.
func named(err error, key Key) error {
	var e *faas.Error
	if !errors.As(err, &e) {
		return err
	}
	return &faas.Error{Kind: e.Kind, Message: fmt.Sprintf("%s %q: %s", key.Kind, key.Name, e.Message), Cause: e.Cause}
}
