package journal

import (
	"context"
	"fmt"

	"artesian/internal/faas"
)

// waitingGroups bounds what waits in Submit, in frames of the largest size.
const waitingGroups = 4

// submission is the records of one Submit, encoded, and where the answer goes.
type submission struct {
	frame []byte // unfinished
	done  chan result
}

type result struct {
	seq Seq
	err error
}

// Submit appends recs for the journal's one owner, after whatever that owner submitted before: submissions that come while
// the previous group is being synced are packed into the next group. recs stay together; the sequence is their group's.
//
// Conflict: someone else has appended. Unavailable: not appended, or not known to be. Either ends Submit for this Journal;
// its owner opens it anew and replays it. When the disk is full it is not ended. Throttled: too much waits already. When
// ctx ends first, recs may be appended all the same. Do not mix Submit with Append at the same time.
func (j *Journal) Submit(ctx context.Context, recs ...Record) (Seq, error) {
	frame, err := encode(recs, j.limit())
	if err != nil {
		return 0, err
	}
	s := &submission{frame: frame, done: make(chan result, 1)}
	if err := j.enqueue(s); err != nil {
		return 0, err
	}
	select {
	case r := <-s.done:
		return r.seq, r.err
	case <-ctx.Done():
		return 0, &faas.Error{Kind: faas.Unavailable, Op: "append to journal", Message: "the request ended before the write was confirmed",
			Cause: ctx.Err()}
	}
}

func (j *Journal) enqueue(s *submission) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.broken != nil {
		return j.broken
	}
	if j.queued+len(s.frame) > waitingGroups*j.limit() {
		return faas.Errorf(faas.Throttled, "too much is waiting to be written; try again")
	}
	j.queue = append(j.queue, s)
	j.queued += len(s.frame)
	if !j.busy {
		j.busy = true
		go j.drain()
	}
	return nil
}

// drain writes what is queued, group by group, and ends when there is nothing.
func (j *Journal) drain() {
	for {
		batch, expect := j.take()
		if len(batch) == 0 {
			return
		}
		frame := batch[0].frame
		for _, s := range batch[1:] {
			frame = append(frame, s.frame[1:]...) // without its version byte
		}
		seq, err := j.settle(expect, frame)
		for _, s := range batch {
			s.done <- result{seq, err}
		}
	}
}

// take removes from the queue what fits into one group, or marks the queue as unattended when it is empty.
func (j *Journal) take() ([]*submission, Seq) {
	j.mu.Lock()
	defer j.mu.Unlock()
	size, n := 1+checksum, 0
	for n < len(j.queue) && (n == 0 || size+len(j.queue[n].frame) <= j.limit()) {
		size += len(j.queue[n].frame)
		n++
	}
	batch := j.queue[:n:n]
	j.queue = j.queue[n:]
	for _, s := range batch {
		j.queued -= len(s.frame)
	}
	if n == 0 {
		j.queue, j.busy = nil, false
	}
	return batch, j.last
}

// settle writes one group. A failure that leaves it open what the journal holds ends Submit, and all that waits with it.
func (j *Journal) settle(expect Seq, frame []byte) (Seq, error) {
	if err := j.stopped(); err != nil {
		return 0, err
	}
	if err := j.eng.CheckSpace(int64(len(frame))); err != nil {
		return 0, err
	}
	seq, err := j.write(context.Background(), expect, frame)
	if err != nil {
		j.mu.Lock()
		j.broken = fmt.Errorf("submit: %w", err)
		j.mu.Unlock()
	}
	return seq, err
}

func (j *Journal) stopped() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.broken
}
