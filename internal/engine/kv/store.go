// Package kv is the registry: small values under scoped keys, durable when a write returns, read from memory.
//
// Every write is one message of a JetStream stream, fenced by the sequence of the last message of its key: that alone
// decides who wins. A mirror in memory has the messages in the order of the stream; reads touch nothing else. A write
// returns after the mirror, and every watcher, has it.
package kv

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"

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
	headerRoom    = 4 << 10 // bytes of a message that its subject and headers may take
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
	early    map[uint64]message // by sequence: came before a message that precedes it

	filling sync.Mutex // held by the one writer that fetches what the mirror lacks
	tail    uint64     // last sequence of the stream at Open

	loaded chan struct{} // closed when the mirror has what the stream had at Open
	closed chan struct{}
	caught sync.Once
	ending sync.Once
	stop   context.CancelFunc // ends the sweeper
	swept  sync.WaitGroup     // the sweeper
}

// Open starts the store on an engine and returns once everything stored is in memory. Have one Store on an engine at a
// time: writes of two are fenced against each other, but either may sweep a delete marker before the other has seen it.
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
	s := &Store{eng: eng, stream: st, mirror: newMirror(), early: map[uint64]message{}, loaded: make(chan struct{}), closed: make(chan struct{})}
	s.sweep = newSweeper(st, s.mirror, eng.Logger())
	if err := s.load(ctx); err != nil {
		s.Close()
		return nil, fmt.Errorf("load registry: %w", err)
	}
	return s, nil
}

// Close stops following the stream; the store must not be used afterwards, and no watcher is called. It does not close
// the engine.
func (s *Store) Close() {
	s.ending.Do(func() {
		s.apply.Lock()
		close(s.closed)
		s.apply.Unlock()
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
	if s.ended() {
		return 0, errClosing()
	}
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
	s.offer(message{Entry: Entry{Key: key, Value: bytes.Clone(value), Rev: seq}, deleted: op == opDelete})
	if err := s.visible(ctx, seq); err != nil {
		return 0, err
	}
	return seq, nil
}

// named says in the public message which entry an error is about.
func named(err error, key Key) error {
	var e *faas.Error
	if !errors.As(err, &e) {
		return err
	}
	return &faas.Error{Kind: e.Kind, Message: fmt.Sprintf("%s %q: %s", key.Kind, key.Name, e.Message), Cause: e.Cause}
}
