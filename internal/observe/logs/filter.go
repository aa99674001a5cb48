package logs

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

const scanBytes = 32 << 20 // of frames that one page may read; then the page ends, with a token

// event makes an Event of what a frame holds. Its ID is the message's sequence and its place in it.
func (f *frame) event(p *streamPart, seq uint64, index int, at int64, message []byte) Event {
	return Event{ID: eventID(position{seq, index}), Stream: p.name, Time: time.UnixMilli(at).UTC(), Ingested: time.UnixMilli(f.ingested).UTC(),
		Message: string(message)}
}

func eventID(p position) string { return fmt.Sprintf("%020d%08d", p.seq, p.index) }

// sortEvents puts events in the order in which they are shown: by the time they happened, then as they arrived.
func sortEvents(events []Event) {
	slices.SortStableFunc(events, func(a, b Event) int {
		return cmp.Or(a.Time.Compare(b.Time), strings.Compare(a.ID, b.ID))
	})
}

// Query selects events of a group.
type Query struct {
	Streams []string                  // names; none is all
	Prefix  string                    // of stream names
	From    int64                     // ms since 1970, included
	To      int64                     // ms since 1970, included; 0 is no end
	Limit   int                       // events in a page
	Token   string                    // of the page before
	Match   func(message string) bool // nil: every message
}

func (q *Query) stream(name string) bool {
	return strings.HasPrefix(name, q.Prefix) && (len(q.Streams) == 0 || slices.Contains(q.Streams, name))
}

// forever is a time that nothing comes after.
const forever = int64(1) << 62

// Page is a part of an answer.
type Page struct {
	Events []Event // by the time they happened
	Token  string  // empty: there is no more
}

// Filter returns events of a group, oldest arrival first: pages follow the order of arrival, and within a page events are
// in the order in which they happened. A page holds at most q.Limit events or MaxBatchBytes, and may be empty with a Token
// when much was passed over. NotFound: there is no such group, or there are no events and a named stream does not exist.
// Invalid: not a token.
func (s *Store) Filter(ctx context.Context, id GroupID, q Query) (Page, error) {
	s.settled(ctx, id)
	k, err := s.book.find(id)
	if err != nil {
		return Page{}, err
	}
	to := forever
	if q.To != 0 {
		to = q.To
	}
	r, err := s.reader(k, q.stream, q.From, to)
	if err != nil {
		return Page{}, err
	}
	start := position{}
	if q.Token != "" {
		start, err = parseToken(q.Token, filterToken)
	} else {
		start.seq, err = s.since(ctx, k, r.from)
	}
	if err != nil {
		return Page{}, err
	}
	r.keep = q.Match
	spans := []span{{start.seq, ^uint64(0)}}
	if q.Prefix != "" || len(q.Streams) > 0 {
		if spans, err = s.spans(ctx, k, spans[0], func(p *streamPart) bool { return q.stream(p.name) }); err != nil {
			return Page{}, err
		}
	}
	page, err := s.filter(ctx, r, spans, start, q.Limit)
	if err == nil && len(page.Events) == 0 && page.Token == "" && q.Token == "" {
		err = s.exist(ctx, k, q.Streams)
	}
	return page, err
}

// exist returns NotFound when one of the streams does not.
func (s *Store) exist(ctx context.Context, k *known, streams []string) error {
	for _, name := range streams {
		if _, err := s.findStream(ctx, k, name); err != nil {
			return err
		}
	}
	return nil
}

func (s *Store) filter(ctx context.Context, r *reader, spans []span, start position, limit int) (Page, error) {
	end, err := s.end(ctx, r)
	if err != nil {
		return Page{}, err
	}
	page, scanned, stopped := newPage(limit), 0, false
	for _, sp := range spans {
		err := s.scan(ctx, r.k.subject(data), sp, func(seq uint64, f *frame) (bool, error) {
			if stopped = f.ingested > end; stopped {
				return false, nil
			}
			if scanned += f.size(); scanned > scanBytes {
				page.rest = &position{seq, 0}
				return false, nil
			}
			return s.picked(ctx, r, seq, f, start, page.add)
		})
		if err != nil {
			return Page{}, err
		}
		if page.rest != nil || stopped {
			break
		}
	}
	sortEvents(page.events)
	out := Page{Events: page.events}
	if page.rest != nil {
		out.Token = page.rest.token(filterToken)
	}
	return out, nil
}

// since returns the first message that may hold an event from a time on.
func (s *Store) since(ctx context.Context, k *known, from int64) (uint64, error) {
	if from <= 0 {
		return 0, nil
	}
	return s.search(ctx, k.subject(data), func(t *totals) bool { return t.ingested+int64(t.ahead) >= from })
}

// end returns the time after whose ingestion there is nothing for the reader: no event of the group came later than its
// totals say.
func (s *Store) end(ctx context.Context, r *reader) (int64, error) {
	if r.to == forever {
		return forever, nil
	}
	last, err := s.last(ctx, r.k.subject(data))
	if err != nil || last == nil {
		return forever, err
	}
	f, err := decodeFrame(last.data)
	if err != nil {
		return 0, fmt.Errorf("read end of log: %w", err)
	}
	return r.to + int64(f.behind), nil
}

// settled waits for what was written before, so that a reader sees it. When the disk does not take it, readers see what
// there is.
func (s *Store) settled(ctx context.Context, id GroupID) { _ = s.Flush(ctx, id) }

// reader picks events out of frames.
type reader struct {
	k        *known
	match    func(stream string) bool
	from, to int64
	graves   map[string]uint64
	keep     func(message string) bool // nil: every message
}

// reader returns a reader for events that happened between two times and have not expired.
func (s *Store) reader(k *known, match func(string) bool, from, to int64) (*reader, error) {
	graves, err := s.graves(k)
	if err != nil {
		return nil, err
	}
	return &reader{k: k, match: match, from: max(from, k.expiry(s.cfg.Now())), to: to, graves: graves}, nil
}

// Matching runs fn, which applies a pattern to a frame of events at most, while few others do so: anybody may ask for any
// pattern, and functions need processors, too. The error is ctx's.
func (s *Store) Matching(ctx context.Context, fn func()) error {
	select {
	case s.patterns <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { <-s.patterns }()
	fn()
	return nil
}

// picked is r.pick, for a reader with a pattern within Matching.
func (s *Store) picked(ctx context.Context, r *reader, seq uint64, f *frame, start position, add func(Event, position) bool) (on bool, err error) {
	if r.keep == nil {
		return r.pick(seq, f, start, add)
	}
	failed := s.Matching(ctx, func() { on, err = r.pick(seq, f, start, add) })
	return on, errors.Join(err, failed)
}

// pick gives add the events of a frame from a position on, until add returns false. It reports whether to go on.
func (r *reader) pick(seq uint64, f *frame, start position, add func(Event, position) bool) (bool, error) {
	for i := range f.streams {
		p := &f.streams[i]
		if !r.match(p.name) || p.last < r.from || p.first > r.to || seq <= r.graves[p.name] {
			continue
		}
		on := true
		err := f.events(p, func(index int, at int64, message []byte) bool {
			pos := position{seq, index}
			if at >= r.from && at <= r.to && pos.compare(start) >= 0 && (r.keep == nil || r.keep(string(message))) {
				on = add(f.event(p, seq, index, at, message), pos)
			}
			return on
		})
		if err != nil || !on {
			return false, err
		}
	}
	return true, nil
}

// pageBuilder fills a page.
type pageBuilder struct {
	limit, bytes int
	events       []Event
	rest         *position // of the first event that did not fit
}

func newPage(limit int) *pageBuilder { return &pageBuilder{limit: limit} }

func (b *pageBuilder) add(e Event, at position) bool {
	size := len(e.Message) + EventOverhead
	if len(b.events) >= b.limit || len(b.events) > 0 && b.bytes+size > MaxBatchBytes {
		b.rest = &at
		return false
	}
	b.events = append(b.events, e)
	b.bytes += size
	return true
}
