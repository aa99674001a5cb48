package pattern

import (
	"bytes"
	"encoding/json"
	"io"
	"strconv"
	"strings"
)

// properties matches messages that are JSON.
type properties struct {
	when      expression[any]
	selectors []selector
}

// selector is a way from the root of a document: $.a.b[0].
type selector struct {
	text  string
	steps []step
}

// step goes to a property, an element, or any element.
type step struct {
	name  string
	index int // −1: a property; −2: any element
}

const (
	property   = -1
	anyElement = -2
)

func (p *parser) json() (matcher, error) {
	p.at++
	j := &properties{}
	var err error
	j.when, err = disjunction(p, 0, func() (func(any) bool, error) { return p.condition(j) })
	if err != nil {
		return nil, err
	}
	if !p.eat("}") {
		return nil, p.wrong("&&, || or } is expected")
	}
	return j, nil
}

// condition takes a selector and what it is asked for.
func (p *parser) condition(j *properties) (func(any) bool, error) {
	s, err := p.selector()
	if err != nil {
		return nil, err
	}
	j.selectors = append(j.selectors, s)
	is := func(want any) func(any) bool {
		return func(doc any) bool { return s.find(doc, func(v any) bool { return v == want }) }
	}
	switch {
	case p.word("NOT"):
		if !p.word("EXISTS") {
			return nil, p.wrong("EXISTS is expected after NOT")
		}
		return func(doc any) bool { return !s.find(doc, func(any) bool { return true }) }, nil
	case p.word("IS"):
		switch {
		case p.word("NULL"):
			return is(nil), nil
		case p.word("TRUE"):
			return is(true), nil
		case p.word("FALSE"):
			return is(false), nil
		}
		return nil, p.wrong("NULL, TRUE or FALSE is expected after IS")
	}
	c, err := p.comparison()
	if err != nil {
		return nil, err
	}
	return func(doc any) bool {
		return s.find(doc, func(v any) bool {
			text, ok := scalar(v)
			return ok && c.holds(text)
		})
	}, nil
}

func (p *parser) selector() (selector, error) {
	p.space()
	start := p.at
	if p.peek() != '$' {
		return selector{}, p.wrong("a property is expected, like $.name")
	}
	var s selector
	for p.at++; ; {
		switch {
		case p.peek() == '.' && strings.HasPrefix(p.text[p.at:], ".["):
			p.at++
		case p.peek() == '.':
			p.at++
			name := p.while(func(r rune) bool { return wordRune(r) || r == '-' || r == '@' || r == '$' })
			if name == "" {
				return s, p.wrong("the name of a property is expected")
			}
			s.steps = append(s.steps, step{name, property})
		case p.peek() == '[':
			one, err := p.bracket()
			if err != nil {
				return s, err
			}
			s.steps = append(s.steps, one)
		case len(s.steps) == 0:
			return s, p.wrong("a property is expected, like $.name")
		default:
			s.text = p.text[start:p.at]
			return s, nil
		}
	}
}

// bracket takes [0], [*] or ["name"].
func (p *parser) bracket() (step, error) {
	p.at++
	p.space()
	one := step{index: property}
	switch c := p.peek(); {
	case c == '*':
		p.at++
		one.index = anyElement
	case c == '"':
		name, err := p.quoted()
		if err != nil {
			return one, err
		}
		one.name = name
	case c == '\'':
		end := strings.IndexByte(p.text[p.at+1:], '\'')
		if end < 0 {
			return one, p.wrong("the quotation mark is never closed")
		}
		one.name = p.text[p.at+1 : p.at+1+end]
		p.at += end + 2
	default:
		n, err := strconv.Atoi(p.while(func(r rune) bool { return r >= '0' && r <= '9' }))
		if err != nil {
			return one, p.wrong("an index, * or a name in quotation marks is expected")
		}
		one.index = n
	}
	if !p.eat("]") {
		return one, p.wrong("] is expected")
	}
	return one, nil
}

// find reports whether something at the selector's place passes.
func (s *selector) find(doc any, pass func(any) bool) bool { return find(doc, s.steps, pass) }

func find(at any, steps []step, pass func(any) bool) bool {
	if len(steps) == 0 {
		return pass(at)
	}
	switch one := steps[0]; one.index {
	case property:
		object, _ := at.(map[string]any)
		v, ok := object[one.name]
		return ok && find(v, steps[1:], pass)
	case anyElement:
		list, _ := at.([]any)
		for _, v := range list {
			if find(v, steps[1:], pass) {
				return true
			}
		}
		return false
	default:
		list, _ := at.([]any)
		return one.index < len(list) && find(list[one.index], steps[1:], pass)
	}
}

// scalar is the text of a string, number or boolean.
func scalar(v any) (string, bool) {
	switch v := v.(type) {
	case string:
		return v, true
	case json.Number:
		return v.String(), true
	case bool:
		return strconv.FormatBool(v), true
	}
	return "", false
}

// Decode reads a message that is one JSON object or list. Numbers are json.Number.
func Decode(message string) (any, bool) {
	text := strings.TrimSpace(message)
	if text == "" || text[0] != '{' && text[0] != '[' {
		return nil, false
	}
	dec := json.NewDecoder(strings.NewReader(text))
	dec.UseNumber()
	var doc any
	if dec.Decode(&doc) != nil {
		return nil, false
	}
	_, err := dec.Token()
	return doc, err == io.EOF
}

func (j *properties) matches(message string, values map[string]string) bool {
	doc, ok := Decode(message)
	if !ok || !j.when.holds(doc) {
		return false
	}
	if values != nil {
		for _, s := range j.selectors {
			s.find(doc, func(v any) bool {
				if text, ok := scalar(v); ok {
					values[s.text] = text
				} else if b, err := json.Marshal(v); err == nil {
					values[s.text] = string(bytes.TrimSpace(b))
				}
				return true
			})
		}
	}
	return true
}
