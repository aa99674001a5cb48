package insights

import (
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
)

// expr computes a value of a row.
type expr func(*row) any

// maxNesting bounds parentheses, operators that repeat and calls within calls.
const maxNesting = 100

func (p *parser) deeper(f func() (expr, error)) (expr, error) {
	if p.depth++; p.depth > maxNesting {
		return nil, p.wrong(p.at, "the expression is nested too deeply")
	}
	defer func() { p.depth-- }()
	return f()
}

// expression takes conditions joined by or, and, not.
func (p *parser) expression() (expr, error) {
	return p.deeper(func() (expr, error) {
		return p.joined("or", func() (expr, error) { return p.joined("and", p.negation, true) }, false)
	})
}

// joined takes operands joined by a keyword; the first whose truth differs from all decides.
func (p *parser) joined(keyword string, operand func() (expr, error), all bool) (expr, error) {
	first, err := operand()
	if err != nil || !p.word(keyword) {
		return first, err
	}
	list := []expr{first}
	for {
		next, err := operand()
		if err != nil {
			return nil, err
		}
		if list = append(list, next); !p.word(keyword) {
			break
		}
	}
	return func(r *row) any {
		for _, e := range list {
			if truth(e(r)) != all {
				return !all
			}
		}
		return all
	}, nil
}

func (p *parser) negation() (expr, error) {
	if !p.word("not") {
		return p.comparison()
	}
	e, err := p.deeper(p.negation)
	return func(r *row) any { return !truth(e(r)) }, err
}

// comparison takes two sums and what is between them. What there is not is equal to nothing, nor different from anything.
func (p *parser) comparison() (expr, error) {
	left, err := p.sum()
	if err != nil {
		return nil, err
	}
	not := p.word("not")
	switch {
	case p.word("in"):
		return p.in(left, not)
	case p.word("like"), p.eat("=~"):
		return p.like(left, not)
	case not:
		return nil, p.unexpected("like or in")
	}
	for op, holds := range comparisons() {
		if p.eat(op) {
			right, err := p.sum()
			return func(r *row) any {
				a, b := left(r), right(r)
				return a != nil && b != nil && holds(order(a, b))
			}, err
		}
	}
	return left, nil
}

// comparisons yields the operators, those first that begin with another.
func comparisons() func(func(string, func(int) bool) bool) {
	return func(yield func(string, func(int) bool) bool) {
		_ = yield("!=", func(c int) bool { return c != 0 }) && yield("<=", func(c int) bool { return c <= 0 }) &&
			yield(">=", func(c int) bool { return c >= 0 }) && yield("==", func(c int) bool { return c == 0 }) &&
			yield("=", func(c int) bool { return c == 0 }) && yield("<", func(c int) bool { return c < 0 }) &&
			yield(">", func(c int) bool { return c > 0 })
	}
}

// like takes a regular expression, or a text to be found within.
func (p *parser) like(left expr, not bool) (expr, error) {
	switch p.peek() {
	case '/':
		re, err := p.regex()
		return func(r *row) any {
			v := left(r)
			return v != nil && re.MatchString(text(v)) != not
		}, err
	case '"', '\'':
		part, err := p.str()
		return func(r *row) any {
			v := left(r)
			return v != nil && strings.Contains(text(v), part) != not
		}, err
	}
	return nil, p.unexpected("a regular expression between slashes, or a string")
}

func (p *parser) in(left expr, not bool) (expr, error) {
	if !p.eat("[") {
		return nil, p.unexpected("[")
	}
	var list []expr
	for {
		e, err := p.sum()
		if err != nil {
			return nil, err
		}
		if list = append(list, e); p.eat(",") {
			continue
		}
		if !p.eat("]") {
			return nil, p.unexpected("a comma or ]")
		}
		break
	}
	return func(r *row) any {
		v := left(r)
		return v != nil && slices.ContainsFunc(list, func(e expr) bool { w := e(r); return w != nil && order(v, w) == 0 }) != not
	}, nil
}

func (p *parser) sum() (expr, error) {
	return p.chain([]string{"+", "-"}, func() (expr, error) { return p.chain([]string{"*", "/", "%"}, p.power) })
}

// chain takes operands joined by any of some arithmetic operators.
func (p *parser) chain(ops []string, operand func() (expr, error)) (expr, error) {
	left, err := operand()
	for err == nil {
		i := slices.IndexFunc(ops, p.eat)
		if i < 0 {
			return left, nil
		}
		a := left
		var b expr
		b, err = operand()
		left = arithmetic(ops[i], a, b)
	}
	return nil, err
}

func (p *parser) power() (expr, error) {
	left, err := p.unary()
	if err != nil || !p.eat("^") {
		return left, err
	}
	right, err := p.deeper(p.power)
	return arithmetic("^", left, right), err
}

// arithmetic is nothing where an operand is no number, or the result none.
func arithmetic(op string, a, b expr) expr {
	return func(r *row) any {
		x, ok1 := number(a(r))
		y, ok2 := number(b(r))
		if !ok1 || !ok2 {
			return nil
		}
		var z float64
		switch op {
		case "+":
			z = x + y
		case "-":
			z = x - y
		case "*":
			z = x * y
		case "/":
			z = x / y
		case "%":
			z = math.Mod(x, y)
		case "^":
			z = math.Pow(x, y)
		}
		return finite(z)
	}
}

func finite(z float64) any {
	if math.IsNaN(z) || math.IsInf(z, 0) {
		return nil
	}
	return z
}

func (p *parser) unary() (expr, error) {
	if p.eat("-") {
		e, err := p.deeper(p.unary)
		return arithmetic("-", func(*row) any { return 0.0 }, e), err
	}
	return p.primary()
}

func (p *parser) primary() (expr, error) {
	c := p.peek()
	start := p.at
	switch {
	case c == '(':
		p.at++
		e, err := p.expression()
		if err == nil && !p.eat(")") {
			err = p.unexpected("a closing parenthesis")
		}
		return e, err
	case c == '"' || c == '\'':
		s, err := p.str()
		return func(*row) any { return s }, err
	case c >= '0' && c <= '9' || c == '.':
		n, err := p.number()
		return func(*row) any { return n }, err
	case c == '`':
		name, err := p.field()
		return func(r *row) any { return r.get(name) }, err
	}
	name := p.identifier()
	if name == "" {
		return nil, p.unexpected("a field, a number, a string or a function")
	}
	if p.peek() == '(' {
		p.at++
		return p.deeper(func() (expr, error) { return p.call(start, name) })
	}
	switch strings.ToLower(name) {
	case "true", "false":
		return func(*row) any { return strings.EqualFold(name, "true") }, nil
	}
	return func(r *row) any { return r.get(name) }, nil
}

func (p *parser) number() (float64, error) {
	p.space()
	start := p.at
	for p.at < len(p.text) && strings.IndexByte("0123456789.", p.text[p.at]) >= 0 {
		p.at++
	}
	if rest := p.text[p.at:]; len(rest) > 1 && (rest[0] == 'e' || rest[0] == 'E') && strings.IndexByte("0123456789+-", rest[1]) >= 0 {
		for p.at += 2; p.at < len(p.text) && p.text[p.at] >= '0' && p.text[p.at] <= '9'; p.at++ {
		}
	}
	n, err := strconv.ParseFloat(p.text[start:p.at], 64)
	if err != nil {
		return 0, p.wrong(start, "%q is not a number", p.text[start:p.at])
	}
	return n, nil
}

// period takes a length of time: 5m, 1 hour.
func (p *parser) period() (time.Duration, error) {
	p.space()
	start := p.at
	n, err := p.number()
	if err != nil {
		return 0, err
	}
	unit := strings.ToLower(p.identifier())
	for _, u := range [...]struct {
		names string
		long  time.Duration
	}{
		{" ms msec millisecond milliseconds ", time.Millisecond}, {" s sec secs second seconds ", time.Second}, {" m min mins minute minutes ", time.Minute},
		{" h hr hrs hour hours ", time.Hour}, {" d day days ", 24 * time.Hour}, {" w week weeks ", 7 * 24 * time.Hour},
	} {
		if unit != "" && strings.Contains(u.names, " "+unit+" ") {
			if d := n * float64(u.long); d >= float64(time.Millisecond) && d <= float64(10*365*24*time.Hour) {
				return time.Duration(d), nil
			}
			return 0, p.wrong(start, "the period must be from 1 ms to 10 years")
		}
	}
	return 0, p.wrong(start, "a period is expected, like 5m: units are ms, s, m, h, d and w")
}
