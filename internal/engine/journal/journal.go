// Package journal is the fenced log: an append is one checksummed group of records, in the log whole or not at all,
// durable when it returns, and only accepted by the sequence that the appender expects. Whatever state an owner has is a
// fold of its journal.
package journal

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"artesian/internal/engine"
	"artesian/internal/faas"
)

const headerRoom = 1 << 10 // bytes of a message that its subject and headers may take

var namePattern = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,63}$`)

// Seq is the place of a group in its journal. The first is 1; an append gives its group the next one.
type Seq uint64

// Limits trim a journal from its beginning, whole groups at a time. Zero is no limit.
type Limits struct {
	MaxAge   time.Duration // since the append; at least 100 ms
	MaxBytes int64         // on disk, before encryption
}

// Journal is one log. It is safe for concurrent use and needs no closing.
type Journal struct {
	eng     *engine.Engine
	stream  jetstream.Stream
	subject string

	// mu is never held while waiting.
	mu     sync.Mutex
	last   Seq
	queue  []*submission
	queued int   // bytes in queue
	busy   bool  // a goroutine is writing what is queued
	broken error // what ended Submit
}

// Open opens the journal, or makes it. A name is 1 to 64 of a-z, 0-9 and -. The limits given replace those it had.
func Open(ctx context.Context, eng *engine.Engine, name string, limits Limits) (*Journal, error) {
	if !namePattern.MatchString(name) {
		return nil, faas.Errorf(faas.Invalid, "the journal name %q must be 1 to 64 of a-z, 0-9 and -", name)
	}
	j := &Journal{eng: eng, subject: "journal." + name}
	cfg := jetstream.StreamConfig{
		Name:       "JOURNAL-" + name,
		Subjects:   []string{j.subject},
		Storage:    jetstream.FileStorage,
		Retention:  jetstream.LimitsPolicy,
		Discard:    jetstream.DiscardOld,
		MaxMsgSize: int32(eng.MaxPayload()),
		MaxAge:     limits.MaxAge,
		MaxBytes:   -1,
	}
	if limits.MaxBytes > 0 {
		cfg.MaxBytes = limits.MaxBytes
	}
	var err error
	if j.stream, err = eng.Stream(ctx, cfg); err != nil {
		return nil, fmt.Errorf("open journal %s: %w", name, err)
	}
	info, err := j.stream.Info(ctx)
	if err != nil {
		return nil, fmt.Errorf("open journal %s: %w", name, err)
	}
	j.last = Seq(info.State.LastSeq)
	return j, nil
}

// Last returns the sequence of the newest group that this Journal has seen, 0 when there was none. Another appender may
// have gone on from there: the next append tells.
func (j *Journal) Last() Seq {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.last
}

func (j *Journal) saw(seq Seq) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.last = max(j.last, seq)
}

// Append adds recs as one group after the group expect, and returns its sequence. Conflict: the journal's newest group is
// another one. TooLarge: the group is over the engine's MaxPayload. Unavailable: not appended, or not known to be; Replay
// from expect+1 tells.
func (j *Journal) Append(ctx context.Context, expect Seq, recs ...Record) (Seq, error) {
	b, err := encode(recs, j.limit())
	if err != nil {
		return 0, err
	}
	if err := j.eng.CheckSpace(int64(len(b))); err != nil {
		return 0, err
	}
	return j.write(ctx, expect, b)
}

// limit is the size of the largest frame.
func (j *Journal) limit() int { return j.eng.MaxPayload() - headerRoom }

// write stores an unfinished frame.
func (j *Journal) write(ctx context.Context, expect Seq, b []byte) (Seq, error) {
	msg := &nats.Msg{Subject: j.subject, Header: nats.Header{}, Data: finish(b)}
	seq, err := j.eng.Publish(ctx, msg, engine.ExpectLast(j.stream, uint64(expect)))
	if err != nil {
		return 0, fmt.Errorf("append to %s: %w", j.subject, err)
	}
	j.saw(Seq(seq))
	return Seq(seq), nil
}

// TrimBefore removes the groups before seq. Sequences go on as they were.
func (j *Journal) TrimBefore(ctx context.Context, seq Seq) error {
	if seq <= 1 {
		return nil
	}
	if last := j.Last(); seq > last+1 {
		return faas.Errorf(faas.Invalid, "cannot trim before %d: the newest group is %d", seq, last)
	}
	if err := j.stream.Purge(ctx, jetstream.WithPurgeSequence(uint64(seq))); err != nil {
		return &faas.Error{Kind: faas.Unavailable, Op: "trim journal", Message: "the journal was not trimmed; try again", Cause: err}
	}
	return nil
}

// DamageError says which group of a journal cannot be read.
type DamageError struct {
	Journal string
	Seq     Seq
	Cause   error
}

func (e *DamageError) Error() string {
	return fmt.Sprintf("%s: group %d: %v", e.Journal, e.Seq, e.Cause)
}

func (e *DamageError) Unwrap() error { return e.Cause }

var errMissing = errors.New("the group is missing")
