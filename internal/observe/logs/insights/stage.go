package insights

import (
	"regexp"
	"slices"
	"strings"

	"artesian/internal/faas"
)

// stage takes rows one after the other; finish ends them.
type stage interface {
	push(*row) error
	finish() error
}

// maxKept is how much one query may keep in memory, in bytes, by estimate.
const maxKept = 64 << 20

// execution is one run of a query.
type execution struct{ kept int }

// keep counts bytes that a stage keeps, or gives back.
func (x *execution) keep(n int) error {
	if x.kept += n; x.kept > maxKept {
		return faas.Errorf(faas.LimitExceeded, "the query keeps more than %d MB; filter more, or ask for a shorter time", maxKept>>20)
	}
	return nil
}

// size estimates what a row takes.
func (r *row) size() int {
	n := 400
	if r.event != nil {
		n += len(r.event.Message)
	}
	for name, v := range r.set {
		n += len(name) + 32
		if s, ok := v.(string); ok {
			n += len(s)
		}
	}
	return n
}

type filtering struct {
	stage
	keep expr
}

func (f *filtering) push(r *row) error {
	if truth(f.keep(r)) {
		return f.stage.push(r)
	}
	return nil
}

// computing puts the values of columns into rows, for the commands after it.
type computing struct {
	stage
	columns []column
}

func (c *computing) push(r *row) error {
	for _, one := range c.columns {
		r.put(one.name, one.of(r))
	}
	return c.stage.push(r)
}

type extracting struct {
	stage
	field string
	re    *regexp.Regexp
	names []string
}

func (e *extracting) push(r *row) error {
	if v := r.get(e.field); v != nil {
		if m := e.re.FindStringSubmatch(text(v)); m != nil {
			for i, name := range e.names {
				r.put(name, m[i+1])
			}
		}
	}
	return e.stage.push(r)
}

type limiting struct {
	stage
	left int
}

func (l *limiting) push(r *row) error {
	if l.left == 0 {
		return nil
	}
	l.left--
	return l.stage.push(r)
}

// unique lets the first row of each combination of values pass, and all in which one of them is missing.
type unique struct {
	stage
	x     *execution
	names []string
	seen  map[string]bool
}

func (u *unique) push(r *row) error {
	var key strings.Builder
	for _, name := range u.names {
		v := r.get(name)
		if v == nil {
			return u.stage.push(r)
		}
		key.WriteString(text(v))
		key.WriteByte(0)
	}
	if u.seen[key.String()] {
		return nil
	}
	u.seen[key.String()] = true
	if err := u.x.keep(key.Len() + 48); err != nil {
		return err
	}
	return u.stage.push(r)
}

type sortKey struct {
	of   expr
	desc bool
}

// sorting hands rows on in order. Where no later command needs more of them, it keeps no more than an answer has.
type sorting struct {
	next stage
	x    *execution
	keys []sortKey
	most int // 0: all
	rows []sorted
	n    int
}

type sorted struct {
	*row
	keys  []any
	place int
	size  int
}

func (s *sorting) build(next stage, x *execution) stage {
	return &sorting{next: next, x: x, keys: s.keys, most: wanted(next)}
}

// wanted is how many of the first rows can reach the answer from a stage on; 0 is any.
func wanted(s stage) int {
	switch s := s.(type) {
	case *computing:
		return wanted(s.stage)
	case *extracting:
		return wanted(s.stage)
	case *limiting:
		return s.left
	case *answer:
		return s.most
	}
	return 0
}

func (s *sorting) push(r *row) error {
	one := sorted{row: r, place: s.n, size: r.size()}
	s.n++
	for _, k := range s.keys {
		v := k.of(r)
		if t, ok := v.(string); ok {
			one.size += len(t)
		}
		one.keys = append(one.keys, v)
	}
	r.forget()
	s.rows = append(s.rows, one)
	if s.most > 0 && len(s.rows) >= 2*s.most+64 {
		s.cut()
	}
	return s.x.keep(one.size)
}

// cut keeps the first rows in order.
func (s *sorting) cut() {
	slices.SortFunc(s.rows, s.compare)
	if s.most > 0 && len(s.rows) > s.most {
		for _, r := range s.rows[s.most:] {
			_ = s.x.keep(-r.size) // giving back is never too much
		}
		clear(s.rows[s.most:])
		s.rows = s.rows[:s.most]
	}
}

// compare has rows without a value last, whatever the direction.
func (s *sorting) compare(a, b sorted) int {
	for i, k := range s.keys {
		x, y := a.keys[i], b.keys[i]
		switch {
		case x == nil && y == nil:
			continue
		case x == nil:
			return 1
		case y == nil:
			return -1
		}
		if c := order(x, y); c != 0 {
			if k.desc {
				return -c
			}
			return c
		}
	}
	return a.place - b.place
}

func (s *sorting) finish() error {
	s.cut()
	for i := range s.rows {
		if err := s.x.keep(-s.rows[i].size); err != nil {
			return err
		}
		if err := s.next.push(s.rows[i].row); err != nil {
			return err
		}
	}
	s.rows = nil
	return s.next.finish()
}

// grouping computes statistics.
type grouping struct {
	next       stage
	x          *execution
	columns    []column
	by         []column
	aggregates []aggregate

	groups map[string]*statistic
	order  []*statistic
}

// statistic is one group.
type statistic struct {
	by  []any
	acc []accumulator
}

func (g *grouping) build(next stage, x *execution) stage {
	return &grouping{next: next, x: x, columns: g.columns, by: g.by, aggregates: g.aggregates, groups: map[string]*statistic{}}
}

func (g *grouping) push(r *row) error {
	s, err := g.group(r)
	if err != nil {
		return err
	}
	at := r.get("@timestamp")
	kept := 0
	for i, a := range g.aggregates {
		v := any(true)
		if a.arg != nil {
			v = a.arg(r)
		}
		kept += s.acc[i].add(v, at)
	}
	return g.x.keep(kept)
}

func (g *grouping) group(r *row) (*statistic, error) {
	var key strings.Builder
	by := make([]any, len(g.by))
	for i, b := range g.by {
		if by[i] = b.of(r); by[i] != nil {
			key.WriteByte(1)
			key.WriteString(text(by[i]))
		}
		key.WriteByte(0)
	}
	if s, ok := g.groups[key.String()]; ok {
		return s, nil
	}
	s := &statistic{by: by}
	for _, a := range g.aggregates {
		s.acc = append(s.acc, a.start())
	}
	g.groups[key.String()] = s
	g.order = append(g.order, s)
	return s, g.x.keep(2*key.Len() + 200 + 64*len(s.acc))
}

func (g *grouping) finish() error {
	if len(g.by) == 0 && len(g.order) == 0 { // of no rows there is one line, too
		if _, err := g.group(&row{}); err != nil {
			return err
		}
	}
	for _, s := range g.order {
		r := &row{}
		for i, b := range g.by {
			if s.by[i] != nil {
				r.put(b.name, s.by[i])
			}
		}
		for i, a := range s.acc {
			if v := a.value(); v != nil {
				r.put(aggregateSlot(i), v)
			}
		}
		for _, c := range g.columns {
			if v := c.of(r); v != nil {
				r.put(c.name, v)
			}
		}
		if err := g.next.push(r); err != nil {
			return err
		}
	}
	return g.next.finish()
}

// Field is a value of an answer with its name.
type Field struct{ Name, Value string }

// answer gathers the rows that are left.
type answer struct {
	q    *Query
	x    *execution
	most int
	rows [][]Field
}

func (a *answer) push(r *row) error {
	if len(a.rows) >= a.most {
		return nil
	}
	var out []Field
	size := 0
	add := func(name string) {
		if v := r.get(name); v != nil {
			out = append(out, Field{name, text(v)})
			size += len(out[len(out)-1].Value) + 64
		}
	}
	for _, name := range a.q.columns {
		add(name)
	}
	if r.event != nil {
		add("@ptr")
	}
	a.rows = append(a.rows, out)
	return a.x.keep(size)
}

func (a *answer) finish() error { return nil }
