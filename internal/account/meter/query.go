package meter

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"

	"artesian/internal/engine/journal"
	"artesian/internal/faas"
)

// Filter selects sums. Zero fields select everything.
type Filter struct {
	Account, Region, Function string
	From, To                  Day  // both included; To 0 is no end
	Versions                  bool // keep versions apart; else Key.Version of the answer is empty
}

func (f *Filter) match(k *Key) bool {
	return (f.Account == "" || f.Account == k.Account) && (f.Region == "" || f.Region == k.Region) &&
		(f.Function == "" || f.Function == k.Function) && f.day(k.Day)
}

func (f *Filter) day(d Day) bool { return d >= f.From && (f.To == 0 || d <= f.To) }

// Row is one sum and whose it is.
type Row struct {
	Key
	Sum
}

// Sums returns what was used, newest day first, then by account, region, function and version. What was recorded before
// the call is in it, durable or not. Memory: the rows selected. Unavailable: days that are not in memory cannot be read.
func (l *Ledger) Sums(ctx context.Context, f Filter) ([]Row, error) {
	all := sums{}
	take := func(k Key, s *Sum) {
		if !f.match(&k) {
			return
		}
		if !f.Versions {
			k.Version = ""
		}
		all.add(k, s)
	}
	groups := l.collect(&f, take)
	if err := l.readDays(ctx, groups, take); err != nil {
		return nil, err
	}
	rows := make([]Row, 0, len(all))
	for k, s := range all {
		rows = append(rows, Row{k, *s})
	}
	slices.SortFunc(rows, func(a, b Row) int {
		return cmp.Or(cmp.Compare(b.Day, a.Day), strings.Compare(a.Account, b.Account), strings.Compare(a.Region, b.Region),
			strings.Compare(a.Function, b.Function), strings.Compare(a.Version, b.Version))
	})
	return rows, nil
}

// collect takes what is in memory and returns the groups of closed days that belong to it, in order.
func (l *Ledger) collect(f *Filter, take func(Key, *Sum)) []journal.Seq {
	l.mu.Lock()
	defer l.mu.Unlock()
	sets := []sums{l.state.open, l.overflow}
	for _, s := range l.spilled {
		sets = append(sets, s.rows)
	}
	for _, set := range sets {
		for k, s := range set {
			take(k, s)
		}
	}
	for _, batch := range [][]faas.Usage{l.inflight, l.queue} {
		for i := range batch {
			s := sumOf(&batch[i])
			take(keyOf(&batch[i]), &s)
		}
	}
	var groups []journal.Seq
	for day, seqs := range l.state.closed {
		if f.day(day) {
			groups = append(groups, seqs...)
		}
	}
	slices.Sort(groups)
	return groups
}

var errEnough = errors.New("read enough")

// readDays calls take for the rows of the groups.
func (l *Ledger) readDays(ctx context.Context, groups []journal.Seq, take func(Key, *Sum)) error {
	if len(groups) == 0 {
		return nil
	}
	l.mu.Lock()
	days := l.days
	l.mu.Unlock()
	last := groups[len(groups)-1]
	err := days.Replay(ctx, groups[0], func(seq journal.Seq, r journal.Record) error {
		if seq > last {
			return errEnough
		}
		if _, ok := slices.BinarySearch(groups, seq); !ok {
			return nil
		}
		k, s, err := decodeRow(r.Data)
		if err == nil {
			take(k, &s)
		}
		return err
	})
	if errors.Is(err, errEnough) {
		return nil
	}
	return err
}

// Receipt returns the usage record of an invocation, if it is among the newest Config.Receipts. NotFound: it is not.
func (l *Ledger) Receipt(ctx context.Context, requestID string) (faas.Usage, error) {
	at, u, ok := l.lookUp(requestID)
	switch {
	case u != nil:
		return *u, nil
	case !ok:
		return faas.Usage{}, faas.Errorf(faas.NotFound, "there is no receipt of the request %s; the newest %d are kept", requestID, l.cfg.Receipts)
	case at.seq == 0:
		return faas.Usage{}, faas.Errorf(faas.NotFound, "the receipt of the request %s was given up under overload; its usage is in the sums", requestID)
	}
	return l.readReceipt(ctx, requestID, at)
}

// MaxTrace is how many receipts Trace returns at most.
const MaxTrace = 1000

// Trace returns the usage records of a scope that belong to one trace, oldest first: those among the newest Config.Receipts. It
// reads all of these.
func (l *Ledger) Trace(ctx context.Context, s faas.Scope, id string) ([]faas.Usage, error) {
	var found []faas.Usage
	take := func(u *faas.Usage) {
		if len(found) < MaxTrace && u.TraceID == id && u.Account == s.Account && u.Region == s.Region {
			found = append(found, *u)
		}
	}
	if id == "" {
		return nil, nil
	}
	pending, first := l.pending()
	known := map[string]bool{}
	if first != 0 {
		err := l.usage.Replay(ctx, first, func(_ journal.Seq, r journal.Record) error {
			if r.Kind != kindUsage || !bytes.Contains(r.Data, []byte(id)) {
				return nil
			}
			u, err := decodeUsage(r.Data)
			if err == nil {
				known[u.RequestID] = true
				take(&u)
			}
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	for i := range pending {
		if !known[pending[i].RequestID] { // else it became durable meanwhile
			take(&pending[i])
		}
	}
	slices.SortStableFunc(found, func(a, b faas.Usage) int { return a.Start.Add(-a.Queue).Compare(b.Start.Add(-b.Queue)) })
	return found, nil
}

// pending returns what is not durable yet, and the oldest group with a receipt in the index.
func (l *Ledger) pending() ([]faas.Usage, journal.Seq) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Concat(l.inflight, l.queue), l.index.first()
}

// lookUp returns the place of a receipt, or the record itself when it is not durable yet.
func (l *Ledger) lookUp(id string) (place, *faas.Usage, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	at, ok := l.index.find(l.index.hash(id))
	if !ok || at.seq != 0 {
		return at, nil, ok
	}
	for _, batch := range [][]faas.Usage{l.inflight, l.queue} {
		if i := slices.IndexFunc(batch, func(u faas.Usage) bool { return u.RequestID == id }); i >= 0 {
			u := batch[i]
			return at, &u, true
		}
	}
	return at, nil, true
}

func (l *Ledger) readReceipt(ctx context.Context, id string, at place) (faas.Usage, error) {
	var found *faas.Usage
	var pos uint32
	err := l.usage.Replay(ctx, at.seq, func(seq journal.Seq, r journal.Record) error {
		if seq != at.seq || pos > at.pos {
			return errEnough
		}
		if r.Kind != kindUsage {
			return nil
		}
		if pos++; pos <= at.pos {
			return nil
		}
		u, err := decodeUsage(r.Data)
		if err == nil && u.RequestID == id {
			found = &u
		}
		return err
	})
	if err != nil && !errors.Is(err, errEnough) {
		return faas.Usage{}, err
	}
	if found == nil {
		return faas.Usage{}, faas.Errorf(faas.NotFound, "there is no receipt of the request %s any more", id)
	}
	return *found, nil
}
