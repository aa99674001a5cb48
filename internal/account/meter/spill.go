package meter

import (
	"context"

	"artesian/internal/engine/journal"
	"artesian/internal/faas"
)

// spill is one group of sums that have no records of their own. Its name tells it apart when nobody knows whether it was written.
type spill struct {
	name string
	rows sums
}

// drainOverflow writes the sums of what the queue had no room for, and of what belongs to no call.
func (l *Ledger) drainOverflow(ctx context.Context) error {
	l.takeOverflow()
	for len(l.spilled) > 0 { // only the writer changes it
		s := l.spilled[0]
		e := newEncoder()
		e.text(s.name)
		recs := []journal.Record{{Kind: kindSpill, Data: e}}
		for k, sum := range s.rows {
			recs = append(recs, encodeRow(kindRow, k, sum))
		}
		_, err := l.append(ctx, recs)
		if faas.KindOf(err) == faas.Conflict {
			if err := l.resync(ctx); err != nil {
				return err
			}
			continue
		}
		if err != nil {
			return err
		}
		l.landed(s)
	}
	return nil
}

// landed makes the first group, which is durable, a part of the state.
func (l *Ledger) landed(s spill) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for k, sum := range s.rows {
		l.state.open.add(k, sum)
		l.state.since++
	}
	l.spilled = l.spilled[1:]
}

// takeOverflow cuts what overflowed into groups.
func (l *Ledger) takeOverflow() {
	l.mu.Lock()
	defer l.mu.Unlock()
	group, size := sums{}, 0
	for k, sum := range l.overflow {
		group[k] = sum
		if size += rowSize(&k); size >= l.groupBytes {
			l.spilled = append(l.spilled, spill{faas.NewUUID(), group})
			group, size = sums{}, 0
		}
	}
	if len(group) > 0 {
		l.spilled = append(l.spilled, spill{faas.NewUUID(), group})
	}
	l.overflow, l.spilling = nil, false
}

// rowSize is about what a row takes in the journal.
func rowSize(k *Key) int {
	return 160 + len(k.Account) + len(k.Region) + len(k.Function) + len(k.Version)
}
