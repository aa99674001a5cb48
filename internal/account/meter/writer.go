package meter

import (
	"bytes"
	"context"
	"slices"
	"time"

	"artesian/internal/engine/journal"
	"artesian/internal/faas"
)

const (
	groupBytes   = 512 << 10 // of records in one group, less when the engine's messages are smaller
	hurryRecords = 4096      // so many do not wait for Config.Every
	firstBackoff = 50 * time.Millisecond
	maxBackoff   = 2 * time.Second
)

// run is the writer. It owns the journals; everything else it shares under mu.
func (l *Ledger) run() {
	defer close(l.done)
	tick := time.NewTicker(checkpointPause)
	defer tick.Stop()
	for closing := false; !closing; {
		select {
		case <-l.wake:
			closing = l.gather()
		case <-tick.C:
		case <-l.ending:
			closing = true
		}
		l.write()
		l.checkpoint(context.Background())
	}
}

// gather lets records come together for a while, unless somebody waits for them. It reports whether the ledger closes.
func (l *Ledger) gather() bool {
	timer := time.NewTimer(l.cfg.Every)
	defer timer.Stop()
	for {
		l.mu.Lock()
		hurry := len(l.waiters) > 0 || len(l.queue) >= hurryRecords
		l.mu.Unlock()
		if hurry {
			return false
		}
		select {
		case <-timer.C:
			return false
		case <-l.wake:
		case <-l.ending:
			return true
		}
	}
}

// write makes durable what has gathered, and tells who waits for it. While the disk does not take it, it tries again and
// again; when the ledger closes, only once more.
func (l *Ledger) write() {
	backoff := firstBackoff
	for {
		err := l.drain(context.Background())
		l.told(err)
		if err == nil {
			return
		}
		select {
		case <-time.After(backoff):
		case <-l.ending:
			l.told(l.drain(context.Background()))
			return
		}
		backoff = min(2*backoff, maxBackoff)
	}
}

// told answers those who wait in Flush, and says once in the log that the disk fails or takes records again.
func (l *Ledger) told(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err != nil || len(l.queue)+len(l.inflight)+len(l.spilled) == 0 && l.overflow == nil { // else more came meanwhile: next time
		for _, w := range l.waiters {
			w <- err
		}
		l.waiters = nil
	}
	if failing := err != nil; failing != l.failing {
		l.failing = failing
		if failing {
			l.cfg.Logger.Error("usage records cannot be written; they are kept in memory", "error", err)
		} else {
			l.cfg.Logger.Info("usage records are written again")
		}
	}
}

// drain writes the queue, group by group, and then what did not fit into it.
func (l *Ledger) drain(ctx context.Context) error {
	for {
		batch, recs := l.take()
		if len(batch) == 0 {
			return l.drainOverflow(ctx)
		}
		seq, err := l.append(ctx, recs)
		if faas.KindOf(err) == faas.Conflict {
			if err := l.resync(ctx); err != nil {
				return err
			}
			continue
		}
		if err != nil {
			return err
		}
		l.mu.Lock()
		for i := range batch {
			l.count(&batch[i], place{seq, uint32(i)})
		}
		l.inflight = l.inflight[len(batch):]
		l.mu.Unlock()
	}
}

func (l *Ledger) append(ctx context.Context, recs []journal.Record) (journal.Seq, error) {
	seq, err := l.usage.Append(ctx, l.last, recs...)
	if err == nil {
		l.last = seq
	}
	return seq, err
}

// take returns the next group, which is in flight from then on.
func (l *Ledger) take() ([]faas.Usage, []journal.Record) {
	l.mu.Lock()
	if len(l.inflight) == 0 {
		l.inflight, l.queue = l.queue, nil
	}
	batch := l.inflight
	l.mu.Unlock()
	var recs []journal.Record
	for i, size := 0, 0; i < len(batch) && size < l.groupBytes; i++ {
		recs = append(recs, encodeUsage(&batch[i]))
		size += len(recs[i].Data)
	}
	return batch[:len(recs)], recs
}

// resync reads what is in the journal after what is known of it: groups of ours whose acknowledgement was lost. In the
// same moment in which they become part of the state they are no longer on their way, so that nobody sees them twice.
func (l *Ledger) resync(ctx context.Context) error {
	type read struct {
		seq journal.Seq
		rec journal.Record
	}
	var lost []read
	err := l.usage.Replay(ctx, l.last+1, func(seq journal.Seq, r journal.Record) error {
		r.Data = bytes.Clone(r.Data)
		lost = append(lost, read{seq, r})
		return nil
	})
	if err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	var pos position
	for _, g := range lost {
		if err := l.foldNext(&pos, g.seq, g.rec); err != nil {
			return err
		}
	}
	l.inflight = slices.DeleteFunc(l.inflight, func(u faas.Usage) bool {
		p, ok := l.index.find(l.index.hash(u.RequestID))
		return ok && p.seq != 0
	})
	if len(l.spilled) > 0 && l.spilled[0].name == l.state.spill {
		l.spilled = l.spilled[1:]
	}
	return nil
}
