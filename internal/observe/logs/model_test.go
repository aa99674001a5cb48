package logs_test

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"artesian/internal/faas"
	"artesian/internal/observe/logs"
)

// entry is an event as the model keeps it.
type entry struct {
	stream, message string
	at              int64
}

// model is what a group should hold.
type model struct {
	h       *house
	name    string
	exists  bool
	entries []entry
	made    map[string]bool // by a user
	writers map[string]*logs.Writer
	n       int
	base    time.Time
}

func (m *model) id() logs.GroupID { return group(m.name) }

func (m *model) streams() []string {
	var out []string
	for s := range m.made {
		out = append(out, s)
	}
	for _, e := range m.entries {
		out = append(out, e.stream)
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// expect returns the messages that pass, in the order in which they are shown.
func (m *model) expect(pass func(entry) bool) []string {
	type placed struct {
		entry
		place int
	}
	var out []placed
	for i, e := range m.entries {
		if pass(e) {
			out = append(out, placed{e, i})
		}
	}
	slices.SortStableFunc(out, func(a, b placed) int { return cmp.Compare(a.at, b.at) })
	var text []string
	for _, p := range out {
		text = append(text, p.message)
	}
	return text
}

var names = []string{"a", "ab", "b", "c/1"}

func (m *model) write(t *rapid.T) {
	s := rapid.SampledFrom(names).Draw(t, "stream")
	w := m.writers[s]
	if w == nil {
		var err error
		if w, err = m.h.Writer(m.id(), s); err != nil {
			t.Fatal(err)
		}
		m.writers[s] = w
	}
	for range rapid.IntRange(1, 5).Draw(t, "count") {
		e := m.event(t, s)
		w.Write(time.UnixMilli(e.at), e.message)
		m.entries = append(m.entries, e)
	}
	m.exists = true
}

func (m *model) event(t *rapid.T, stream string) entry {
	m.n++
	at := m.base.UnixMilli() + rapid.Int64Range(-1000, 1000).Draw(t, "at")
	return entry{stream, fmt.Sprintf("%s-%d", stream, m.n), at}
}

func (m *model) flush(t *rapid.T) {
	if err := m.h.Flush(context.Background(), m.id()); err != nil {
		t.Fatal(err)
	}
}

func (m *model) create(t *rapid.T) {
	m.flush(t)
	s := rapid.SampledFrom(names).Draw(t, "stream")
	err := m.h.CreateStream(context.Background(), m.id(), s)
	want := "<nil>"
	switch {
	case !m.exists:
		want = faas.NotFound.String()
	case slices.Contains(m.streams(), s):
		want = faas.Conflict.String()
	default:
		m.made[s] = true
	}
	if got := kindOf(err); got != want {
		t.Fatalf("create %s: %s, want %s", s, got, want)
	}
}

func (m *model) put(t *rapid.T) {
	m.flush(t)
	s := rapid.SampledFrom(names).Draw(t, "stream")
	e := m.event(t, s)
	err := m.h.Put(context.Background(), m.id(), s, []logs.Put{{Time: time.UnixMilli(e.at), Message: e.message}})
	want := "<nil>"
	if !slices.Contains(m.streams(), s) {
		want = faas.NotFound.String()
	} else {
		m.entries = append(m.entries, e)
	}
	if got := kindOf(err); got != want {
		t.Fatalf("put to %s: %s, want %s", s, got, want)
	}
}

func kindOf(err error) string {
	if err == nil {
		return "<nil>"
	}
	return faas.KindOf(err).String()
}

func (m *model) deleteStream(t *rapid.T) {
	s := rapid.SampledFrom(names).Draw(t, "stream")
	err := m.h.DeleteStream(context.Background(), m.id(), s)
	want := "<nil>"
	if !slices.Contains(m.streams(), s) {
		want = faas.NotFound.String()
	}
	if got := kindOf(err); got != want {
		t.Fatalf("delete %s: %s, want %s", s, got, want)
	}
	delete(m.made, s)
	m.entries = slices.DeleteFunc(m.entries, func(e entry) bool { return e.stream == s })
}

func (m *model) deleteGroup(t *rapid.T) {
	m.flush(t)
	if err := m.h.DeleteGroup(context.Background(), m.id()); (err == nil) != m.exists {
		t.Fatal(err)
	}
	m.exists, m.entries, m.made = false, nil, map[string]bool{}
}

func (m *model) reopen(t *rapid.T) {
	m.letGo()
	ctx := context.Background()
	if err := m.h.Store.Close(ctx); err != nil {
		t.Fatal(err)
	}
	var err error
	if m.h.Store, err = logs.Open(ctx, m.h.eng, m.h.reg, logs.Config{Interval: time.Millisecond}); err != nil {
		t.Fatal(err)
	}
}

func (m *model) letGo() {
	for _, w := range m.writers {
		w.Close()
	}
	m.writers = map[string]*logs.Writer{}
}

// check compares every way of reading with the model.
func (m *model) check(t *rapid.T) {
	m.filter(t)
	if m.exists {
		m.get(t)
		m.list(t)
	}
}

func (m *model) filter(t *rapid.T) {
	q := logs.Query{Limit: rapid.IntRange(1, 12).Draw(t, "limit")}
	if rapid.Bool().Draw(t, "from") {
		q.From = m.base.UnixMilli() + rapid.Int64Range(-1000, 1000).Draw(t, "from at")
	}
	if rapid.Bool().Draw(t, "to") {
		q.To = m.base.UnixMilli() + rapid.Int64Range(-1000, 1000).Draw(t, "to at")
	}
	if rapid.Bool().Draw(t, "prefix?") {
		q.Prefix = rapid.SampledFrom([]string{"a", "c", "zz"}).Draw(t, "prefix")
	}
	var got []logs.Event
	for {
		page, err := m.h.Filter(context.Background(), m.id(), q)
		if !m.exists {
			if faas.KindOf(err) != faas.NotFound {
				t.Fatal(err)
			}
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, page.Events...)
		if q.Token = page.Token; q.Token == "" {
			break
		}
	}
	slices.SortStableFunc(got, func(a, b logs.Event) int { return a.Time.Compare(b.Time) }) // pages are in the order of arrival
	want := m.expect(func(e entry) bool {
		return strings.HasPrefix(e.stream, q.Prefix) && e.at >= q.From && (q.To == 0 || e.at <= q.To)
	})
	compareSets(t, "filter", got, want)
}

// compareSets wants the same messages; those of one stream in the same order.
func compareSets(t *rapid.T, what string, got []logs.Event, want []string) {
	var text []string
	for _, e := range got {
		text = append(text, e.Message)
	}
	a, b := slices.Sorted(slices.Values(text)), slices.Sorted(slices.Values(want))
	if !slices.Equal(a, b) {
		t.Fatalf("%s: %v, want %v", what, text, want)
	}
}

func (m *model) get(t *rapid.T) {
	s := rapid.SampledFrom(names).Draw(t, "stream to get")
	want := m.expect(func(e entry) bool { return e.stream == s })
	for _, head := range []bool{true, false} {
		q := logs.GetQuery{Stream: s, Limit: rapid.IntRange(1, 7).Draw(t, "page"), FromHead: head}
		var got []logs.Event
		for {
			page, err := m.h.Get(context.Background(), m.id(), q)
			if !slices.Contains(m.streams(), s) {
				if faas.KindOf(err) != faas.NotFound {
					t.Fatal(err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, page.Events...)
			next := page.Forward
			if !head {
				next = page.Backward
			}
			if next == q.Token || q.Token == "" && len(page.Events) == 0 {
				break
			}
			q.Token = next
		}
		compareSets(t, fmt.Sprintf("get from head %v", head), got, want)
	}
}

func (m *model) list(t *rapid.T) {
	q := logs.StreamQuery{Limit: rapid.IntRange(1, 3).Draw(t, "streams"), Descending: rapid.Bool().Draw(t, "down"), ByTime: rapid.Bool().Draw(t, "by time")}
	var got []string
	for {
		page, more, err := m.h.Streams(context.Background(), m.id(), q)
		if err != nil {
			t.Fatal(err)
		}
		for _, st := range page {
			got = append(got, st.Name)
			m.times(t, &st)
		}
		if !more {
			break
		}
		q.After = &page[len(page)-1]
	}
	want := m.streams()
	if q.ByTime {
		slices.Sort(got)
	} else if q.Descending {
		slices.Reverse(want)
	}
	if !slices.Equal(got, want) {
		t.Fatalf("streams %v, want %v", got, want)
	}
}

func (m *model) times(t *rapid.T, st *logs.Stream) {
	first, last, any := int64(0), int64(0), false
	for _, e := range m.entries {
		if e.stream == st.Name {
			if !any {
				first, last, any = e.at, e.at, true
			}
			first, last = min(first, e.at), max(last, e.at)
		}
	}
	if any && (st.First.UnixMilli() != first || st.Last.UnixMilli() != last) {
		t.Fatalf("%s: %v to %v, want %d to %d", st.Name, st.First.UnixMilli(), st.Last.UnixMilli(), first, last)
	}
}

// TestModel compares the store with a list in memory, through restarts.
func TestModel(t *testing.T) {
	h := open(t, t.TempDir(), logs.Config{Interval: time.Millisecond})
	groups := 0
	rapid.Check(t, func(r *rapid.T) {
		groups++
		m := &model{h: h, name: fmt.Sprint("/model/", groups), made: map[string]bool{}, writers: map[string]*logs.Writer{}, base: time.Now()}
		defer m.letGo()
		r.Repeat(map[string]func(*rapid.T){
			"write":       m.write,
			"write more":  m.write,
			"put":         m.put,
			"make stream": m.create,
			"drop stream": m.deleteStream,
			"drop group":  m.deleteGroup,
			"restart":     m.reopen,
			"read":        m.check,
		})
		m.check(r)
	})
}
