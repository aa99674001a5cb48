package pattern

import (
	"cmp"
	"regexp"
	"strings"
)

// operators in the order in which they are tried.
var operators = [...]string{"!=", ">=", "<=", "=", ">", "<"}

// operand is the right side of a comparison.
type operand struct {
	text    string
	quoted  bool
	number  float64
	numeric bool // only without quotes
	regex   *regexp.Regexp
}

// comparison is an operator and an operand.
type comparison struct {
	op string
	operand
}

// comparison takes an operator and what follows it.
func (p *parser) comparison() (comparison, error) {
	var c comparison
	for _, op := range operators {
		if p.eat(op) {
			c.op = op
			break
		}
	}
	if c.op == "" {
		return c, p.wrong("one of = != < <= > >= is expected")
	}
	p.space()
	start := p.at
	switch p.peek() {
	case '"':
		text, err := p.quoted()
		if err != nil {
			return c, err
		}
		c.text, c.quoted = text, true
	case '%':
		re, err := p.regex()
		if err != nil {
			return c, err
		}
		if p.regexes > maxRegexes {
			p.at = start
			return c, p.wrong("at most %d regular expressions are allowed", maxRegexes)
		}
		c.regex = re
	default:
		c.text = p.while(func(r rune) bool { return wordRune(r) || strings.ContainsRune("*.-+:/@#$", r) })
		if c.text == "" {
			return c, p.wrong("a value is expected; put it in double quotes if it has other characters than letters, digits and * . - + : / @ # $")
		}
		c.number, c.numeric = number(c.text)
	}
	if c.op != "=" && c.op != "!=" && !c.numeric {
		p.at = start
		return c, p.wrong("%s compares numbers only", c.op)
	}
	return c, nil
}

// holds compares a value's text.
func (c *comparison) holds(value string) bool {
	if c.op == "=" || c.op == "!=" {
		return c.equals(value) == (c.op == "=")
	}
	n, ok := number(value)
	if !ok {
		return false
	}
	order := cmp.Compare(n, c.number)
	switch c.op {
	case "<":
		return order < 0
	case "<=":
		return order <= 0
	case ">":
		return order > 0
	}
	return order >= 0
}

func (c *comparison) equals(value string) bool {
	if c.regex != nil {
		return c.regex.MatchString(value)
	}
	if n, ok := number(value); c.numeric && ok {
		return n == c.number
	}
	return wildcard(c.text, value)
}

// wildcard compares text with a pattern in which * stands for any characters.
func wildcard(pattern, text string) bool {
	parts := strings.Split(pattern, "*")
	if len(parts) == 1 {
		return pattern == text
	}
	rest, ok := strings.CutPrefix(text, parts[0])
	if !ok {
		return false
	}
	for _, part := range parts[1 : len(parts)-1] {
		_, after, ok := strings.Cut(rest, part)
		if !ok {
			return false
		}
		rest = after
	}
	return strings.HasSuffix(rest, parts[len(parts)-1])
}

// expression is a tree of conditions: a leaf, or all or any of others.
type expression[V any] struct {
	leaf func(V) bool
	any  bool
	of   []expression[V]
}

func (e *expression[V]) holds(v V) bool {
	if e.leaf != nil {
		return e.leaf(v)
	}
	for i := range e.of {
		if e.of[i].holds(v) == e.any {
			return e.any
		}
	}
	return !e.any
}

// maxNesting bounds parentheses.
const maxNesting = 50

// disjunction takes leaves joined by || and, closer, by &&, in parentheses where the pattern says so.
func disjunction[V any](p *parser, depth int, leaf func() (func(V) bool, error)) (expression[V], error) {
	or := expression[V]{any: true}
	for {
		and := expression[V]{}
		for {
			one, err := primary(p, depth, leaf)
			if err != nil {
				return or, err
			}
			if and.of = append(and.of, one); !p.eat("&&") {
				break
			}
		}
		if or.of = append(or.of, and); !p.eat("||") {
			return or, nil
		}
	}
}

func primary[V any](p *parser, depth int, leaf func() (func(V) bool, error)) (expression[V], error) {
	if !p.eat("(") {
		f, err := leaf()
		return expression[V]{leaf: f}, err
	}
	if depth >= maxNesting {
		return expression[V]{}, p.wrong("more than %d parentheses are nested", maxNesting)
	}
	e, err := disjunction(p, depth+1, leaf)
	if err == nil && !p.eat(")") {
		err = p.wrong("a closing parenthesis is expected")
	}
	return e, err
}
