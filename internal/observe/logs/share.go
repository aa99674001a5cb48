package logs

import (
	"context"
	"fmt"
	"sync"

	"artesian/internal/faas"
)

// The disk's share of each group. The stream itself drops its oldest messages at TotalBytes, whosever they are; so that those who
// flood do not push out their neighbours, the largest account's largest group is trimmed before that.
const (
	crowdedPart = 8   // the part of TotalBytes that is left when trimming begins
	relievedBy  = 16  // the part of TotalBytes that trimming then gives back
	closePart   = 32  // the part of TotalBytes that is left when writers wait for it
	overhead    = 256 // bytes that a message takes beside its frame, about
)

// usage is what the stream takes on disk, about.
type usage struct {
	mu      sync.Mutex
	stored  int64 // when last looked, and what was written since the question
	written int64 // ever
	flying  int64 // is being written
	waiting int
	touched map[orphan]bool // groups written to since they were last measured
	looked  chan struct{}   // closed at the end of the next look
	spent   bool            // the last look could give nothing back
}

func newUsage() *usage { return &usage{touched: map[orphan]bool{}, looked: make(chan struct{})} }

func (k *known) life() orphan { return orphan{k.id.Scope, k.Incarnation} }

// reserve makes sure that n bytes of a group may be written; the caller calls release afterwards. When trimming can't keep up
// it waits, unless there is nothing to trim.
func (s *Store) reserve(ctx context.Context, k *known, n int) error {
	u, total := s.usage, s.cfg.TotalBytes
	u.mu.Lock()
	defer u.mu.Unlock()
	for waited := false; ; waited = true {
		after := u.stored + u.flying + int64(n)
		if after > total-total/crowdedPart {
			nudge(s.crowded)
		}
		if after <= total-total/closePart || waited && u.spent {
			u.flying += int64(n)
			return nil
		}
		if err := u.wait(ctx); err != nil {
			return err
		}
	}
}

// wait waits for the end of a look. mu is held before and afterwards.
func (u *usage) wait(ctx context.Context) error {
	looked := u.looked
	u.waiting++
	u.mu.Unlock()
	defer func() {
		u.mu.Lock()
		u.waiting--
	}()
	select {
	case <-looked:
		return nil
	case <-ctx.Done():
		return &faas.Error{Kind: faas.Unavailable, Op: "write log", Message: "the log is closing", Cause: ctx.Err()}
	}
}

// release ends a reservation; written says that the bytes are in the stream now.
func (u *usage) release(k *known, n int, written bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.flying -= int64(n)
	if written {
		u.stored += int64(n) + overhead
		u.written += int64(n) + overhead
		u.touched[k.life()] = true
	}
}

func (u *usage) sum() int64 {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.written
}

// look takes over what the stream took when sum was as given, and returns what is taken with what is being written, and
// whether somebody waits. What was written meanwhile may count twice until the next look.
func (u *usage) look(stored, sum int64) (used int64, awaited bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	stored += u.written - sum
	u.stored = stored
	return stored + u.flying, u.waiting > 0
}

// tell ends a look.
func (u *usage) tell(spent bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.spent = spent
	close(u.looked)
	u.looked = make(chan struct{})
}

func (u *usage) take() map[orphan]bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	all := u.touched
	u.touched = map[orphan]bool{}
	return all
}

// reliever trims the largest groups whenever the disk's part is nearly used up.
func (s *Store) reliever(ctx context.Context) {
	sizes := map[orphan]int64{}
	for {
		select {
		case <-s.crowded:
		case <-ctx.Done():
			return
		}
		freed, err := s.relieve(ctx, sizes)
		if err != nil && ctx.Err() == nil {
			s.cfg.Logger.Warn("log groups not trimmed to their share", "error", err)
		}
		s.usage.tell(!freed)
	}
}

// relieve trims groups until less is used, and returns whether it trimmed. sizes is what is known of them from the time
// before; only those written to since are measured anew.
func (s *Store) relieve(ctx context.Context, sizes map[orphan]int64) (freed bool, err error) {
	crowded := s.cfg.TotalBytes - s.cfg.TotalBytes/crowdedPart
	used, awaited, err := s.look(ctx)
	if err != nil || used <= crowded && !awaited {
		return false, err
	}
	shares, err := s.shares(ctx, sizes)
	if err != nil {
		return false, err
	}
	for goal := crowded - s.cfg.TotalBytes/relievedBy; used > goal; {
		i, amount := largest(shares, used-goal)
		if i < 0 {
			return freed, nil
		}
		p := &shares[i]
		if err := s.shrink(ctx, p.group, amount); err != nil {
			return freed, err
		}
		left, err := s.stored(ctx, p.group)
		if err != nil {
			return freed, err
		}
		p.spent = left >= p.bytes
		freed = freed || !p.spent
		p.bytes, sizes[p.group.life()] = left, left
		if used, _, err = s.look(ctx); err != nil {
			return freed, err
		}
	}
	return freed, nil
}

// look asks the stream what it takes.
func (s *Store) look(ctx context.Context) (used int64, awaited bool, err error) {
	sum := s.usage.sum()
	info, err := s.stream.Info(ctx)
	if err != nil {
		return 0, false, unread(err)
	}
	used, awaited = s.usage.look(int64(info.State.Bytes), sum)
	return used, awaited, nil
}

// share is what one group takes.
type share struct {
	group *known
	bytes int64
	spent bool // nothing more can be trimmed
}

func (s *Store) shares(ctx context.Context, sizes map[orphan]int64) ([]share, error) {
	for o := range s.usage.take() {
		delete(sizes, o)
	}
	groups := s.book.all(nil, func(string) bool { return true })
	out, live := make([]share, 0, len(groups)), make(map[orphan]bool, len(groups))
	for _, k := range groups {
		size, ok := sizes[k.life()]
		if !ok {
			var err error
			if size, err = s.stored(ctx, k); err != nil {
				return nil, err
			}
			sizes[k.life()] = size
		}
		live[k.life()] = true
		out = append(out, share{group: k, bytes: size})
	}
	for o := range sizes {
		if !live[o] {
			delete(sizes, o)
		}
	}
	return out, nil
}

// largest chooses the largest group of the account that takes most, and by how much it shrinks when so much is needed: down to
// the account's second, and by a quarter at least, so that groups of like size shrink together. It returns -1 when there is
// nothing to trim.
func largest(shares []share, need int64) (index int, amount int64) {
	accounts := map[string]int64{}
	for i := range shares {
		if p := &shares[i]; !p.spent {
			accounts[p.group.id.Account] += p.bytes
		}
	}
	account, most := "", int64(0)
	for a, n := range accounts {
		if n > most || n == most && a < account {
			account, most = a, n
		}
	}
	index, second := -1, int64(0)
	for i := range shares {
		p := &shares[i]
		if p.spent || p.bytes == 0 || p.group.id.Account != account {
			continue
		}
		switch {
		case index < 0 || p.bytes > shares[index].bytes:
			if index >= 0 {
				second = shares[index].bytes
			}
			index = i
		case p.bytes > second:
			second = p.bytes
		}
	}
	if index < 0 {
		return -1, 0
	}
	size := shares[index].bytes
	return index, min(need, max(size-second, size/4, 1))
}

// shrink removes the oldest messages of a group, so many bytes or a little more. Its newest message stays.
func (s *Store) shrink(ctx context.Context, k *known, amount int64) error {
	first, err := s.at(ctx, k.subject(data), 1)
	if err != nil || first == nil {
		return err
	}
	f, err := decodeFrame(first.data)
	if err != nil {
		return fmt.Errorf("read log message %d: %w", first.seq, err)
	}
	last, err := s.last(ctx, k.subject(data))
	if err != nil || last == nil {
		return err
	}
	until := f.bytes + uint64(amount)
	newest, err := decodeFrame(last.data)
	if err != nil {
		return fmt.Errorf("read log message %d: %w", last.seq, err)
	}
	return s.trim(ctx, k, func(t *totals) bool { return t.bytes >= min(until, newest.bytes) })
}
