package logs

import (
	"cmp"
	"context"
	"encoding/json"
	"slices"
	"strings"
	"time"
)

// StreamQuery selects streams of a group.
type StreamQuery struct {
	Prefix     string
	ByTime     bool // in the order of their latest event, not of their names
	Descending bool
	After      *Stream // the last one of the page before
	Limit      int
}

// compare is the order of the query's answer.
func (q *StreamQuery) compare(a, b *Stream) int {
	c := 0
	if q.ByTime {
		c = a.Last.Compare(b.Last)
	}
	c = cmp.Or(c, strings.Compare(a.Name, b.Name))
	if q.Descending {
		return -c
	}
	return c
}

// Streams returns up to q.Limit streams in the query's order, and whether there are more. Memory: in the order of names, a
// page; in the order of time, the group's streams.
func (s *Store) Streams(ctx context.Context, id GroupID, q StreamQuery) ([]Stream, bool, error) {
	s.settled(ctx, id)
	k, err := s.book.find(id)
	if err != nil {
		return nil, false, err
	}
	return s.streams(ctx, k, q)
}

func (s *Store) streams(ctx context.Context, k *known, q StreamQuery) ([]Stream, bool, error) {
	sel := selection{q: &q, at: map[string]*Stream{}}
	graves, err := s.graves(k)
	if err != nil {
		return nil, false, err
	}
	for _, e := range s.kv.List(k.id.Scope, streamKind, k.Incarnation+"/") {
		var se streamEntry
		if err := json.Unmarshal(e.Value, &se); err == nil && se.Version == entryVersion {
			sel.take(&Stream{Name: se.Name, Created: time.UnixMilli(se.Created).UTC()})
		}
	}
	err = s.directory(ctx, k, func(seq uint64, f *frame) (bool, error) {
		for i := range f.streams {
			if p := &f.streams[i]; seq > graves[p.name] {
				sel.take(p.stream(f.ingested))
			}
		}
		return true, nil
	})
	if err != nil {
		return nil, false, err
	}
	page, more := sel.page()
	return page, more, nil
}

func (p *streamPart) stream(ingested int64) *Stream {
	at := time.UnixMilli(ingested).UTC()
	return &Stream{Name: p.name, Created: at, First: time.UnixMilli(p.first).UTC(), Last: time.UnixMilli(p.last).UTC(), Ingested: at}
}

// selection gathers the streams of a page from all that is said about them. In the order of names it keeps few: once so
// many come before a name, no later word can bring it onto the page.
type selection struct {
	q  *StreamQuery
	at map[string]*Stream
}

func (l *selection) take(st *Stream) {
	if !strings.HasPrefix(st.Name, l.q.Prefix) || !l.q.ByTime && l.q.After != nil && l.q.compare(st, l.q.After) <= 0 {
		return
	}
	if have, ok := l.at[st.Name]; ok {
		have.merge(st)
		return
	}
	l.at[st.Name] = st
	if most := 2*l.q.Limit + 64; !l.q.ByTime && len(l.at) > most {
		l.cut(l.q.Limit + 1)
	}
}

// cut keeps the first n.
func (l *selection) cut(n int) []*Stream {
	all := make([]*Stream, 0, len(l.at))
	for _, st := range l.at {
		all = append(all, st)
	}
	slices.SortFunc(all, l.q.compare)
	for _, st := range all[min(n, len(all)):] {
		delete(l.at, st.Name)
	}
	return all[:min(n, len(all))]
}

func (l *selection) page() ([]Stream, bool) {
	if l.q.ByTime && l.q.After != nil {
		for name, st := range l.at {
			if l.q.compare(st, l.q.After) <= 0 {
				delete(l.at, name)
			}
		}
	}
	var out []Stream
	first := l.cut(l.q.Limit + 1)
	for _, st := range first[:min(l.q.Limit, len(first))] {
		out = append(out, *st)
	}
	return out, len(first) > l.q.Limit
}

// merge adds what another word says about the same stream.
func (st *Stream) merge(o *Stream) {
	if o.Created.Before(st.Created) {
		st.Created = o.Created
	}
	if st.First.IsZero() || !o.First.IsZero() && o.First.Before(st.First) {
		st.First = o.First
	}
	if o.Last.After(st.Last) {
		st.Last = o.Last
	}
	if o.Ingested.After(st.Ingested) {
		st.Ingested = o.Ingested
	}
}
