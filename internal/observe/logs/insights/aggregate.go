package insights

import (
	"math"
	"slices"
	"strings"
)

// aggregate is one call in a stats command.
type aggregate struct {
	arg   expr // nil: the row itself
	start func() accumulator
}

// accumulator gathers the values of one aggregate for one group. The time is the row's, nil where it has none; add
// returns how many bytes it keeps more.
type accumulator interface {
	add(v, at any) int
	value() any
}

// aggregates yields how an aggregate is begun, by its lower-case name; the number is pct's.
func aggregates(name string) (func(percent float64) accumulator, bool) {
	keep := func(better func(v, at, best, bestAt any) bool) (func(float64) accumulator, bool) {
		return func(float64) accumulator { return &best{better: better} }, true
	}
	numbers := func(of func(*sums) any) (func(float64) accumulator, bool) {
		return func(float64) accumulator { return &sums{of: of} }, true
	}
	switch name {
	case "count":
		return func(float64) accumulator { return new(count) }, true
	case "count_distinct":
		return func(float64) accumulator { return distinct{} }, true
	case "sum":
		return numbers(func(s *sums) any { return s.sum })
	case "avg":
		return numbers(func(s *sums) any { return finite(s.sum / s.n) })
	case "stddev":
		return numbers(func(s *sums) any { return finite(math.Sqrt(max(0, s.m2/s.n))) })
	case "pct":
		return func(p float64) accumulator { return &percentile{p: p} }, true
	case "median":
		return func(float64) accumulator { return &percentile{p: 50} }, true
	case "min":
		return keep(func(v, _, b, _ any) bool { return order(v, b) < 0 })
	case "max":
		return keep(func(v, _, b, _ any) bool { return order(v, b) > 0 })
	case "earliest":
		return keep(func(_, at, _, b any) bool { return order(at, b) < 0 })
	case "latest":
		return keep(func(_, at, _, b any) bool { return order(at, b) >= 0 })
	case "sortsfirst":
		return keep(func(v, _, b, _ any) bool { return strings.Compare(text(v), text(b)) < 0 })
	case "sortslast":
		return keep(func(v, _, b, _ any) bool { return strings.Compare(text(v), text(b)) > 0 })
	}
	return nil, false
}

// aggregate takes the arguments of an aggregate whose name and opening parenthesis have been read.
func (p *parser) aggregate(start int, name string, begin func(float64) accumulator) (expr, error) {
	outer := p.collect
	p.collect = nil
	defer func() { p.collect = outer }()
	a := aggregate{}
	percent := 0.0
	star := p.eat("*")
	if star && !p.eat(")") {
		return nil, p.unexpected("a closing parenthesis")
	}
	var args []expr
	if !star {
		var err error
		if args, err = p.arguments(); err != nil {
			return nil, err
		}
	}
	want := 1
	switch strings.ToLower(name) {
	case "count":
		want = min(len(args), 1)
	case "pct":
		if want = 2; len(args) == want {
			n, ok := number(args[1](&row{}))
			if !ok || n < 0 || n > 100 {
				return nil, p.wrong(start, "the percentile of pct must be a number from 0 to 100")
			}
			percent = n
		}
	}
	if len(args) != want {
		return nil, p.wrong(start, "the function %s takes %d arguments, not %d", name, want, len(args))
	}
	if len(args) > 0 {
		a.arg = args[0]
	}
	a.start = func() accumulator { return begin(percent) }
	*outer = append(*outer, a)
	slot := aggregateSlot(len(*outer) - 1)
	return func(r *row) any { return r.set[slot] }, nil
}

// aggregateSlot names the value of an aggregate in a row of statistics; no query can name it.
func aggregateSlot(i int) string { return "\x00" + string(rune('0'+i)) }

type count float64

func (c *count) add(v, _ any) int {
	if v != nil {
		*c++
	}
	return 0
}
func (c *count) value() any { return float64(*c) }

type distinct map[string]struct{}

func (d distinct) add(v, _ any) int {
	if v == nil {
		return 0
	}
	t := text(v)
	if _, ok := d[t]; ok {
		return 0
	}
	d[t] = struct{}{}
	return len(t) + 48
}
func (d distinct) value() any { return float64(len(d)) }

// sums keeps what sum, mean and deviation need (Welford's way).
type sums struct {
	n, sum, mean, m2 float64
	of               func(*sums) any
}

func (s *sums) add(v, _ any) int {
	if x, ok := number(v); ok {
		s.n++
		s.sum += x
		d := x - s.mean
		s.mean += d / s.n
		s.m2 += d * (x - s.mean)
	}
	return 0
}

func (s *sums) value() any {
	if s.n == 0 {
		return nil
	}
	return s.of(s)
}

type percentile struct {
	p    float64
	have []float64
}

func (p *percentile) add(v, _ any) int {
	x, ok := number(v)
	if !ok {
		return 0
	}
	p.have = append(p.have, x)
	return 16
}

// value interpolates between the nearest two.
func (p *percentile) value() any {
	if len(p.have) == 0 {
		return nil
	}
	slices.Sort(p.have)
	at := p.p / 100 * float64(len(p.have)-1)
	low := int(at)
	high := min(low+1, len(p.have)-1)
	return p.have[low] + (p.have[high]-p.have[low])*(at-float64(low))
}

// best keeps the one value that is better than all others.
type best struct {
	better func(v, at, best, bestAt any) bool
	v, at  any
}

func (b *best) add(v, at any) int {
	if v == nil || b.v != nil && !b.better(v, at, b.v, b.at) {
		return 0
	}
	size := len(text(v)) - len(text(b.v))
	b.v, b.at = v, at
	return size
}
func (b *best) value() any { return b.v }
