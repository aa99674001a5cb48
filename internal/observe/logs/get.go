package logs

import (
	"context"
	"slices"
	"strings"
)

// StreamPage is a part of one stream.
type StreamPage struct {
	Events   []Event // by the time they happened
	Forward  string  // token of the events after these
	Backward string  // token of the events before these
}

// GetQuery selects events of one stream.
type GetQuery struct {
	Stream   string
	From     int64  // ms since 1970, included
	To       int64  // ms since 1970, not included; 0 is no end
	Limit    int    // events in a page
	FromHead bool   // without a token: the oldest page, else the newest
	Token    string // Forward or Backward of another page
}

// Get returns events of one stream: a page forward or backward from a token, or the newest or oldest page. At an end of the
// stream it returns the token it was given. A page holds at most q.Limit events or MaxBatchBytes. NotFound: group or
// stream does not exist. Invalid: not a token.
func (s *Store) Get(ctx context.Context, id GroupID, q GetQuery) (StreamPage, error) {
	s.settled(ctx, id)
	k, err := s.book.find(id)
	if err != nil {
		return StreamPage{}, err
	}
	to := forever
	if q.To != 0 {
		to = q.To - 1
	}
	r, err := s.reader(k, func(name string) bool { return name == q.Stream }, q.From, to)
	if err != nil {
		return StreamPage{}, err
	}
	page, err := s.get(ctx, r, q)
	if err == nil && len(page.Events) == 0 && q.Token == "" {
		_, err = s.findStream(ctx, k, q.Stream)
	}
	return page, err
}

func (s *Store) get(ctx context.Context, r *reader, q GetQuery) (StreamPage, error) {
	if strings.HasPrefix(q.Token, backwardToken+"/") {
		before, err := parseToken(q.Token, backwardToken)
		if err != nil {
			return StreamPage{}, err
		}
		return s.backward(ctx, r, before, q.Limit)
	}
	if q.Token != "" {
		start, err := parseToken(q.Token, forwardToken)
		if err != nil {
			return StreamPage{}, err
		}
		return s.forward(ctx, r, start, q.Limit)
	}
	if q.FromHead {
		seq, err := s.since(ctx, r.k, r.from)
		if err != nil {
			return StreamPage{}, err
		}
		return s.forward(ctx, r, position{seq: seq}, q.Limit)
	}
	last, err := s.last(ctx, r.k.subject(data))
	if err != nil {
		return StreamPage{}, err
	}
	end := position{}
	if last != nil {
		end.seq = last.seq + 1
	}
	return s.backward(ctx, r, end, q.Limit)
}

func (s *Store) streamSpans(ctx context.Context, r *reader, whole span) ([]span, error) {
	return s.spans(ctx, r.k, whole, func(p *streamPart) bool { return r.match(p.name) })
}

// forward reads from a position on.
func (s *Store) forward(ctx context.Context, r *reader, start position, limit int) (StreamPage, error) {
	spans, err := s.streamSpans(ctx, r, span{start.seq, ^uint64(0)})
	if err != nil {
		return StreamPage{}, err
	}
	end, err := s.end(ctx, r)
	if err != nil {
		return StreamPage{}, err
	}
	page, after, scanned, stopped := newPage(limit), start, 0, false
	for _, sp := range spans {
		err := s.scan(ctx, r.k.subject(data), sp, func(seq uint64, f *frame) (bool, error) {
			if stopped = f.ingested > end; stopped {
				return false, nil
			}
			if scanned += f.size(); scanned > scanBytes {
				page.rest = &position{seq, 0}
				return false, nil
			}
			return r.pick(seq, f, start, func(e Event, at position) bool {
				after = position{at.seq, at.index + 1}
				return page.add(e, at)
			})
		})
		if err != nil {
			return StreamPage{}, err
		}
		if page.rest != nil {
			after = *page.rest
		}
		if page.rest != nil || stopped {
			break
		}
	}
	sortEvents(page.events)
	return StreamPage{page.events, after.token(forwardToken), firstOf(page.events, start).token(backwardToken)}, nil
}

// backward reads what is before a position: stretch by stretch from the end, each forward, keeping the newest events.
func (s *Store) backward(ctx context.Context, r *reader, before position, limit int) (StreamPage, error) {
	low, err := s.since(ctx, r.k, r.from)
	if err != nil {
		return StreamPage{}, err
	}
	spans, err := s.streamSpans(ctx, r, span{low, before.seq + 1})
	if err != nil {
		return StreamPage{}, err
	}
	page, reached := newestOf{limit: limit}, before
	for _, sp := range slices.Backward(spans) {
		var part newestOf
		part.limit, part.bytes = limit-len(page.events), page.bytes
		err := s.scan(ctx, r.k.subject(data), sp, func(seq uint64, f *frame) (bool, error) {
			page.scanned += f.size()
			return r.pick(seq, f, position{}, func(e Event, at position) bool {
				if at.compare(before) < 0 {
					part.add(e)
				}
				return true
			})
		})
		if err != nil {
			return StreamPage{}, err
		}
		page.events, page.bytes = append(part.events, page.events...), part.bytes
		if reached = (position{seq: sp.from}); part.full || len(page.events) >= limit || page.scanned > scanBytes {
			break
		}
	}
	after := before
	if len(page.events) > 0 {
		reached = firstOf(page.events, before)
	} else if reached.seq <= low || len(spans) == 0 {
		reached = before // the end of the stream
	}
	sortEvents(page.events)
	return StreamPage{page.events, after.token(forwardToken), reached.token(backwardToken)}, nil
}

// newestOf keeps the newest events that fit.
type newestOf struct {
	limit, bytes, scanned int
	events                []Event
	full                  bool // something did not fit
}

func (n *newestOf) add(e Event) {
	n.events = append(n.events, e)
	n.bytes += len(e.Message) + EventOverhead
	for len(n.events) > n.limit || n.bytes > MaxBatchBytes && len(n.events) > 1 {
		n.bytes -= len(n.events[0].Message) + EventOverhead
		n.events, n.full = n.events[1:], true
	}
}

// firstOf returns the position of the event that arrived first, or another one when there is none.
func firstOf(events []Event, other position) position {
	if len(events) == 0 {
		return other
	}
	first := slices.MinFunc(events, func(a, b Event) int { return strings.Compare(a.ID, b.ID) })
	return first.position()
}
