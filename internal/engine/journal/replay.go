package journal

import (
	"context"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"artesian/internal/faas"
)

// deliveryTime is how long a group that the stream should have may take to come.
const deliveryTime = 15 * time.Second

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
	groups, err := cons.Messages()
	if err != nil {
		return j.unread(err)
	}
	defer groups.Stop()
	for next := from; next <= last; {
		msg, err := j.fetch(ctx, groups, next)
		if err != nil {
			return err
		}
		seq, more, err := j.one(ctx, msg, next, fn)
		if err != nil {
			return err
		}
		if !more && seq < last {
			return &DamageError{j.subject, seq + 1, errMissing}
		}
		next = seq + 1
	}
	return nil
}

// fetch waits for the next message. A stream whose end is lost delivers nothing more.
func (j *Journal) fetch(ctx context.Context, groups jetstream.MessagesContext, next Seq) (jetstream.Msg, error) {
	wait, cancel := context.WithTimeout(ctx, deliveryTime)
	defer cancel()
	msg, err := groups.Next(jetstream.NextContext(wait))
	if err == nil {
		return msg, nil
	}
	if ctx.Err() == nil && wait.Err() != nil {
		return nil, &DamageError{j.subject, next, errMissing}
	}
	return nil, j.unread(err)
}

// one hands the records of a group on. next is the sequence that it should have.
func (j *Journal) one(ctx context.Context, msg jetstream.Msg, next Seq, fn func(Seq, Record) error) (Seq, bool, error) {
	meta, err := msg.Metadata()
	if err != nil {
		return 0, false, j.unread(err)
	}
	seq := Seq(meta.Sequence.Stream)
	if seq != next {
		info, err := j.stream.Info(ctx)
		if err != nil {
			return 0, false, j.unread(err)
		}
		if Seq(info.State.FirstSeq) <= next {
			return 0, false, &DamageError{j.subject, next, errMissing}
		}
	}
	var stopped error
	err = decode(msg.Data(), func(r Record) error {
		stopped = fn(seq, r)
		return stopped
	})
	if err != nil && stopped == nil {
		err = &DamageError{j.subject, seq, err}
	}
	return seq, meta.NumPending > 0, err
}

func (j *Journal) unread(err error) error {
	return &faas.Error{Kind: faas.Unavailable, Op: "replay journal", Message: "the journal cannot be read now; try again",
		Cause: fmt.Errorf("read %s: %w", j.subject, err)}
}
