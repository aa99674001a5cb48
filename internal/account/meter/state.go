package meter

import (
	"context"
	"fmt"

	"artesian/internal/engine/journal"
	"artesian/internal/faas"
)

// state is the fold of the usage journal.
type state struct {
	open   sums   // of days that are not closed, and what came late for closed ones
	closed closed // where the rest is
	since  int    // records since the last snapshot
	spill  string // the name of the last group of sums that overflowed

	// A snapshot that is being read.
	reading sums
	rows    int
}

func newState() state { return state{open: sums{}, closed: closed{}} }

// replay folds the journal from a group on into index and state.
func (l *Ledger) replay(ctx context.Context, from journal.Seq) error {
	var pos position
	return l.usage.Replay(ctx, from, func(seq journal.Seq, r journal.Record) error {
		l.mu.Lock()
		defer l.mu.Unlock()
		return l.foldNext(&pos, seq, r)
	})
}

// position is where a replay stands.
type position struct {
	seq   journal.Seq
	usage uint32 // usage records of the group so far
}

// foldNext folds the next record of a replay. mu is held.
func (l *Ledger) foldNext(pos *position, seq journal.Seq, r journal.Record) error {
	if seq != pos.seq {
		*pos = position{seq: seq}
	}
	l.last = seq
	if err := l.fold(place{seq, pos.usage}, r); err != nil {
		return fmt.Errorf("group %d: %w", seq, err)
	}
	if r.Kind == kindUsage {
		pos.usage++
	}
	return nil
}

// fold takes one record in. mu is held.
func (l *Ledger) fold(at place, r journal.Record) error {
	s := &l.state
	switch r.Kind {
	case kindUsage:
		u, err := decodeUsage(r.Data)
		if err != nil {
			return err
		}
		l.count(&u, at)
		return nil
	case kindRow:
		k, sum, err := decodeRow(r.Data)
		if err == nil {
			s.open.add(k, &sum)
			s.since++
		}
		return err
	case kindSpill:
		d, err := newDecoder(r.Data)
		if err != nil {
			return err
		}
		s.spill = d.text()
		return d.end()
	case kindBegin:
		d, err := newDecoder(r.Data)
		if err != nil {
			return err
		}
		s.reading, s.rows = sums{}, 0
		return d.end()
	case kindRest:
		k, sum, err := decodeRow(r.Data)
		if err == nil && s.reading != nil {
			s.reading.add(k, &sum)
			s.rows++
		}
		return err
	case kindEnd:
		return s.end(r.Data)
	}
	return faas.Errorf(faas.Unsupported, "the usage ledger has records of kind %d, which this version does not know; use a newer version", r.Kind)
}

// end makes a snapshot the state, when all of it was there. One whose beginning was trimmed away is followed by another.
func (s *state) end(data []byte) error {
	rows, c, err := decodeEnd(data)
	if err != nil {
		return err
	}
	if s.reading != nil && rows == s.rows {
		s.open, s.closed, s.since = s.reading, c, 0
	}
	s.reading = nil
	return nil
}

// count adds a usage record that is durable at a place, unless it was counted before. mu is held.
func (l *Ledger) count(u *faas.Usage, at place) {
	h := l.index.hash(u.RequestID)
	p, known := l.index.find(h)
	if known && p.seq != 0 {
		return
	}
	if !known {
		l.index.claim(u.RequestID)
	}
	l.index.settle(u.RequestID, at)
	l.state.open.addUsage(u)
	l.state.since++
}
