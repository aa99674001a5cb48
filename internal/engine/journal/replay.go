package journal

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"artesian/internal/faas"
)

// deliveryTime is how long Replay waits for a group before it reads that group by itself.
const deliveryTime = 500 * time.Millisecond

// group is one message of the stream.
type group struct {
	seq     Seq
	data    []byte
	trimmed bool // everything up to seq is gone
	alone   bool // nothing more need be delivered: the next one is looked for at once
}

// Replay calls fn for every record of the groups from from up to the newest one at the time of the call, in order. Groups
// trimmed away are passed over. A group that is damaged, or missing between others, ends it with a *DamageError before
// any record of that group is seen; an error of fn ends it with that error. fn may keep Data, but not modify it.
func (j *Journal) Replay(ctx context.Context, from Seq, fn func(Seq, Record) error) error {
	from = max(from, 1)
	info, err := j.stream.Info(ctx)
	if err != nil {
		return j.unread(err)
	}
	last := Seq(info.State.LastSeq)
	from = max(from, Seq(info.State.FirstSeq))
	if info.State.Msgs == 0 || from > last {
		return nil
	}
	cons, err := j.stream.OrderedConsumer(ctx, jetstream.OrderedConsumerConfig{
		DeliverPolicy: jetstream.DeliverByStartSequencePolicy, OptStartSeq: uint64(from)})
	if err != nil {
		return j.unread(err)
	}
	delivered, err := cons.Messages()
	if err != nil {
		return j.unread(err)
	}
	defer delivered.Stop()
	return j.read(ctx, delivered, from, last, fn)
}

// read hands the records of the groups from next to last on.
func (j *Journal) read(ctx context.Context, delivered jetstream.MessagesContext, next, last Seq, fn func(Seq, Record) error) error {
	patience := deliveryTime
	for next <= last {
		g, err := j.fetch(ctx, delivered, next, patience)
		if err != nil {
			return err
		}
		if err := j.records(g, fn); err != nil {
			return err
		}
		next, patience = g.seq+1, deliveryTime
		if g.alone {
			patience = 0
		}
	}
	return nil
}

// fetch waits for the next group. One that does not come is looked for: the delivery may be late, or the group trimmed
// meanwhile, and neither is damage.
func (j *Journal) fetch(ctx context.Context, delivered jetstream.MessagesContext, next Seq, patience time.Duration) (group, error) {
	wait, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for {
		msg, err := delivered.Next(jetstream.NextContext(wait))
		if errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil {
			return j.look(ctx, next)
		}
		if err != nil {
			return group{}, j.unread(err)
		}
		meta, err := msg.Metadata()
		if err != nil {
			return group{}, j.unread(err)
		}
		g := group{seq: Seq(meta.Sequence.Stream), data: msg.Data(), alone: meta.NumPending == 0}
		if g.seq > next { // what is between must be trimmed; if that is not all of it, g is looked for later
			if before, err := j.look(ctx, next); err != nil || !before.trimmed || before.seq+1 != g.seq {
				return before, err
			}
		}
		if g.seq >= next { // the others came late
			return g, nil
		}
	}
}

// look reads one group by itself.
func (j *Journal) look(ctx context.Context, seq Seq) (group, error) {
	raw, err := j.stream.GetMsg(ctx, uint64(seq))
	if err == nil {
		return group{seq: seq, data: raw.Data, alone: true}, nil
	}
	if !errors.Is(err, jetstream.ErrMsgNotFound) {
		return group{}, j.unread(err)
	}
	info, err := j.stream.Info(ctx)
	if err != nil {
		return group{}, j.unread(err)
	}
	if first := Seq(info.State.FirstSeq); first > seq {
		return group{seq: first - 1, trimmed: true}, nil
	}
	return group{}, &DamageError{j.subject, seq, errMissing}
}

// records hands the records of a group on.
func (j *Journal) records(g group, fn func(Seq, Record) error) error {
	if g.trimmed {
		return nil
	}
	var stopped error
	err := decode(g.data, func(r Record) error {
		stopped = fn(g.seq, r)
		return stopped
	})
	if err != nil && stopped == nil {
		err = &DamageError{j.subject, g.seq, err}
	}
	return err
}

func (j *Journal) unread(err error) error {
	return &faas.Error{Kind: faas.Unavailable, Op: "replay journal", Message: "the journal cannot be read now; try again",
		Cause: fmt.Errorf("read %s: %w", j.subject, err)}
}
