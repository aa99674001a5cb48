package meter

import (
	"context"
	"slices"
	"time"

	"artesian/internal/engine/journal"
	"artesian/internal/faas"
)

const (
	dayGrace        = 2 * time.Hour // a day is closed so long after its end: records come when calls end
	checkpointPause = time.Hour     // between looks for days to close
)

// checkpoint moves days that are over out of memory, writes a snapshot of the rest and trims the journals, when it is
// time. Every step leaves a ledger that reads the same, so a crash between two of them costs nothing: groups of closed
// days that no snapshot names are never read. What does not succeed is tried again next time.
func (l *Ledger) checkpoint(ctx context.Context) {
	now := l.cfg.Now()
	over := DayOf(now.Add(-dayGrace))
	l.mu.Lock()
	due := l.state.since >= l.cfg.Checkpoint
	if !due && now.Sub(l.looked) >= checkpointPause {
		due = l.state.overdue(over)
		l.looked = now
	}
	l.mu.Unlock()
	if !due {
		return
	}
	begin, err := l.snapshot(ctx, over)
	if err == nil {
		err = l.trim(ctx, begin)
	}
	if faas.KindOf(err) == faas.Conflict {
		err = l.refresh(ctx)
	}
	if err != nil {
		l.cfg.Logger.Warn("usage ledger not checkpointed", "error", err)
	}
}

// refresh learns what the journals hold, after an append whose acknowledgement was lost.
func (l *Ledger) refresh(ctx context.Context) error {
	days, err := l.open(ctx, daysLog)
	if err != nil {
		return err
	}
	l.mu.Lock()
	l.days = days
	l.mu.Unlock()
	return l.resync(ctx)
}

// overdue reports whether a day before over is open.
func (s *state) overdue(over Day) bool {
	for k := range s.open {
		if k.Day < over {
			return true
		}
	}
	return false
}

// snapshot writes the days before over to their journal, then all other sums and where the closed days are. It returns the
// first group of the snapshot.
func (l *Ledger) snapshot(ctx context.Context, over Day) (journal.Seq, error) {
	old, open, where := l.split(over)
	for day, rows := range old {
		seqs, err := l.closeDay(ctx, rows)
		if err != nil {
			return 0, err
		}
		where[day] = append(where[day], seqs...)
	}
	for day := range where {
		if day < over-Day(l.cfg.KeepDays) {
			delete(where, day)
		}
	}
	begin := l.last + 1
	recs, size := []journal.Record{{Kind: kindBegin, Data: newEncoder()}}, 0
	for k, s := range open {
		recs = append(recs, encodeRow(kindRest, k, s))
		if size += rowSize(&k); size < l.groupBytes {
			continue
		}
		if _, err := l.append(ctx, recs); err != nil {
			return 0, err
		}
		recs, size = nil, 0
	}
	if _, err := l.append(ctx, append(recs, encodeEnd(len(open), where))); err != nil {
		return 0, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.state.open, l.state.closed, l.state.since = open, where, 0
	return begin, nil
}

// split returns copies of what is to be closed, by day, of what stays open, and of where the closed days are. Only the
// writer changes them.
func (l *Ledger) split(over Day) (old map[Day]sums, open sums, where closed) {
	l.mu.Lock()
	defer l.mu.Unlock()
	old, open, where = map[Day]sums{}, sums{}, closed{}
	for k, s := range l.state.open {
		if k.Day >= over {
			open[k] = s
			continue
		}
		if old[k.Day] == nil {
			old[k.Day] = sums{}
		}
		old[k.Day][k] = s
	}
	for day, seqs := range l.state.closed {
		where[day] = slices.Clone(seqs)
	}
	return old, open, where
}

// closeDay appends rows to the journal of closed days and returns the groups they are in.
func (l *Ledger) closeDay(ctx context.Context, rows sums) (seqs []journal.Seq, err error) {
	var recs []journal.Record
	size := 0
	flush := func() error {
		seq, err := l.days.Append(ctx, l.days.Last(), recs...)
		seqs, recs, size = append(seqs, seq), nil, 0
		return err
	}
	for k, s := range rows {
		recs = append(recs, encodeRow(kindRow, k, s))
		if size += rowSize(&k); size < l.groupBytes {
			continue
		}
		if err := flush(); err != nil {
			return nil, err
		}
	}
	if len(recs) == 0 {
		return seqs, nil
	}
	return seqs, flush()
}

// trim drops what nothing refers to any more: usage before the snapshot and before the oldest receipt, and days before the
// oldest that is kept.
func (l *Ledger) trim(ctx context.Context, begin journal.Seq) error {
	l.mu.Lock()
	if first := l.index.first(); first != 0 {
		begin = min(begin, first)
	}
	oldest := l.days.Last() + 1
	for _, seqs := range l.state.closed {
		oldest = min(oldest, slices.Min(seqs))
	}
	l.mu.Unlock()
	if err := l.usage.TrimBefore(ctx, begin); err != nil {
		return err
	}
	return l.days.TrimBefore(ctx, oldest)
}
