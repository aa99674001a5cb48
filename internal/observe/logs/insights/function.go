package insights

import (
	"math"
	"strings"
	"time"
	"unicode/utf8"
)

// function is what a call with so many arguments computes.
type function struct {
	min, max int // arguments
	of       func(args []any) any
}

// functions are those that any expression may call
// (https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/CWL_QuerySyntax-operations-functions.html).
func functions(name string) (function, bool) {
	if f, ok := numeric(name); ok {
		return f, true
	}
	if f, ok := textual(name); ok {
		return f, true
	}
	switch name {
	case "ispresent":
		return function{1, 1, func(a []any) any { return a[0] != nil }}, true
	case "isempty":
		return function{1, 1, func(a []any) any { return a[0] == nil || text(a[0]) == "" }}, true
	case "isblank":
		return function{1, 1, func(a []any) any { return strings.TrimSpace(text(a[0])) == "" }}, true
	case "coalesce":
		return function{1, 20, func(a []any) any {
			for _, v := range a {
				if v != nil {
					return v
				}
			}
			return nil
		}}, true
	case "tomillis":
		return function{1, 1, func(a []any) any {
			if n, ok := number(a[0]); ok {
				return n
			}
			return nil
		}}, true
	case "frommillis":
		return function{1, 1, func(a []any) any {
			if n, ok := number(a[0]); ok && math.Abs(n) < 1e15 {
				return stamp(n)
			}
			return nil
		}}, true
	}
	return function{}, false
}

func numeric(name string) (function, bool) {
	one := func(f func(float64) float64) (function, bool) {
		return function{1, 1, func(a []any) any {
			n, ok := number(a[0])
			if !ok {
				return nil
			}
			return finite(f(n))
		}}, true
	}
	extreme := func(sign int) (function, bool) {
		return function{1, 20, func(a []any) any {
			var best any
			for _, v := range a {
				if v != nil && (best == nil || order(v, best)*sign > 0) {
					best = v
				}
			}
			return best
		}}, true
	}
	switch name {
	case "abs":
		return one(math.Abs)
	case "ceil":
		return one(math.Ceil)
	case "floor":
		return one(math.Floor)
	case "log":
		return one(math.Log)
	case "sqrt":
		return one(math.Sqrt)
	case "greatest":
		return extreme(1)
	case "least":
		return extreme(-1)
	}
	return function{}, false
}

func textual(name string) (function, bool) {
	one := func(f func(string) string) (function, bool) {
		return function{1, 1, func(a []any) any {
			if a[0] == nil {
				return nil
			}
			return f(text(a[0]))
		}}, true
	}
	switch name {
	case "strlen":
		return function{1, 1, func(a []any) any {
			if a[0] == nil {
				return nil
			}
			return float64(utf8.RuneCountInString(text(a[0])))
		}}, true
	case "concat":
		return function{1, 20, func(a []any) any {
			var b strings.Builder
			for _, v := range a {
				if b.WriteString(text(v)); b.Len() > maxText {
					return nil
				}
			}
			return b.String()
		}}, true
	case "lower", "tolower":
		return one(strings.ToLower)
	case "upper", "toupper":
		return one(strings.ToUpper)
	case "trim", "ltrim", "rtrim":
		return function{1, 2, func(a []any) any {
			if a[0] == nil {
				return nil
			}
			cut := " \t\r\n"
			if len(a) > 1 {
				cut = text(a[1])
			}
			s := text(a[0])
			if name != "rtrim" {
				s = strings.TrimLeft(s, cut)
			}
			if name != "ltrim" {
				s = strings.TrimRight(s, cut)
			}
			return s
		}}, true
	case "replace":
		return function{3, 3, func(a []any) any {
			if a[0] == nil {
				return nil
			}
			s, old, with := text(a[0]), text(a[1]), text(a[2])
			if n := strings.Count(s, old); old == "" || len(s)+n*(len(with)-len(old)) > maxText {
				return nil
			}
			return strings.ReplaceAll(s, old, with)
		}}, true
	case "strcontains":
		return function{2, 2, func(a []any) any {
			if a[0] != nil && a[1] != nil && strings.Contains(text(a[0]), text(a[1])) {
				return 1.0
			}
			return 0.0
		}}, true
	case "substr":
		return function{2, 3, substr}, true
	}
	return function{}, false
}

// Bounds of texts that functions make, in bytes: of one of concat or replace, and of all for a row. What is beyond is nothing.
const (
	maxText = 1 << 20
	maxMade = 16 << 20
)

// substr takes a text, from which character on (from 0), and how many.
func substr(a []any) any {
	from, ok := number(a[1])
	if a[0] == nil || !ok {
		return nil
	}
	runes := []rune(text(a[0]))
	begin := int(min(max(from, 0), float64(len(runes))))
	end := len(runes)
	if len(a) > 2 {
		n, ok := number(a[2])
		if !ok {
			return nil
		}
		end = begin + int(min(max(n, 0), float64(end-begin)))
	}
	return string(runes[begin:end])
}

// call takes the arguments of a function whose name and opening parenthesis have been read.
func (p *parser) call(start int, name string) (expr, error) {
	if a, ok := aggregates(strings.ToLower(name)); ok && p.collect != nil {
		return p.aggregate(start, name, a)
	}
	switch lower := strings.ToLower(name); lower {
	case "bin":
		every, err := p.period()
		if err == nil && !p.eat(")") {
			err = p.unexpected("a closing parenthesis")
		}
		return func(r *row) any { return floor(r.get("@timestamp"), every) }, err
	case "datefloor", "dateceil":
		return p.rounding(lower == "dateceil")
	default:
		f, ok := functions(lower)
		if !ok {
			if _, ok := aggregates(lower); ok {
				return nil, p.wrong(start, "the function %s is for the list of stats only", name)
			}
			return nil, p.wrong(start, "the function %s is not supported here", name)
		}
		args, err := p.arguments()
		if err != nil {
			return nil, err
		}
		if len(args) < f.min || len(args) > f.max {
			return nil, p.wrong(start, "the function %s takes %d to %d arguments, not %d", name, f.min, f.max, len(args))
		}
		return func(r *row) any {
			if r.made > maxMade {
				return nil
			}
			values := make([]any, len(args))
			for i, a := range args {
				values[i] = a(r)
			}
			v := f.of(values)
			if s, ok := v.(string); ok {
				if r.made += len(s); r.made > maxMade {
					return nil
				}
			}
			return v
		}, nil
	}
}

// arguments takes expressions up to the closing parenthesis.
func (p *parser) arguments() ([]expr, error) {
	var args []expr
	if p.eat(")") {
		return nil, nil
	}
	for {
		e, err := p.expression()
		if err != nil {
			return nil, err
		}
		if args = append(args, e); p.eat(")") {
			return args, nil
		}
		if !p.eat(",") {
			return nil, p.unexpected("a comma or a closing parenthesis")
		}
	}
}

func (p *parser) rounding(up bool) (expr, error) {
	e, err := p.expression()
	if err != nil {
		return nil, err
	}
	if !p.eat(",") {
		return nil, p.unexpected("a comma and a period")
	}
	every, err := p.period()
	if err == nil && !p.eat(")") {
		err = p.unexpected("a closing parenthesis")
	}
	return func(r *row) any {
		v := e(r)
		low := floor(v, every)
		if n, ok := number(v); up && ok && low != nil && float64(low.(stamp)) < n {
			return low.(stamp) + stamp(every.Milliseconds())
		}
		return low
	}, err
}

// floor rounds a time down to a multiple of a period.
func floor(v any, every time.Duration) any {
	n, ok := number(v)
	if !ok || math.Abs(n) > 1e15 {
		return nil
	}
	step := float64(every.Milliseconds())
	return stamp(math.Floor(n/step) * step)
}
