package pattern

import (
	"strconv"
	"strings"
)

// fields matches text that is divided by spaces; what stands in quotation marks or brackets is one field.
type fields struct {
	before, after []field // of the ellipsis; without one, all are before
	ellipsis      bool
}

// field is a place with a name and perhaps a condition.
type field struct {
	name string
	when *expression[string]
}

func (p *parser) fields() (matcher, error) {
	p.at++
	f := &fields{}
	for p.space(); !p.eat("]"); {
		if p.eat("...") || p.eat("…") {
			if f.ellipsis {
				return nil, p.wrong("there is a second ellipsis")
			}
			f.ellipsis = true
		} else {
			one, err := p.field(len(f.before) + len(f.after))
			if err != nil {
				return nil, err
			}
			if f.ellipsis {
				f.after = append(f.after, one)
			} else {
				f.before = append(f.before, one)
			}
		}
		if p.space(); p.peek() != ']' && !p.eat(",") {
			return nil, p.wrong("a comma or ] is expected")
		}
	}
	return f, nil
}

// field takes a name, or conditions on one name.
func (p *parser) field(index int) (field, error) {
	var f field
	start := p.at
	p.space()
	if p.peek() != '(' {
		name := p.while(wordRune)
		if p.space(); p.peek() == ',' || p.peek() == ']' {
			if f.name = name; name == "" {
				f.name = strconv.Itoa(index + 1)
			}
			return f, nil
		}
		p.at = start
	}
	e, err := disjunction(p, 0, func() (func(string) bool, error) {
		p.space()
		at := p.at
		name := p.while(wordRune)
		switch {
		case name == "":
			return nil, p.wrong("the name of a field is expected")
		case f.name != "" && f.name != name:
			p.at = at
			return nil, p.wrong("this is about %s, the conditions before it about %s: put a comma between fields", name, f.name)
		}
		f.name = name
		c, err := p.comparison()
		return c.holds, err
	})
	f.when = &e
	return f, err
}

func (f *fields) matches(message string, values map[string]string) bool {
	have := split(message)
	need := len(f.before) + len(f.after)
	if len(have) < need {
		return false
	}
	if !f.ellipsis && len(have) > need {
		// The last field takes the rest, unless it asks for something.
		if need > 0 && f.before[need-1].when != nil {
			return false
		}
		if need > 0 {
			have = append(have[:need-1:need-1], strings.Join(have[need-1:], " "))
		}
	}
	for i, one := range f.before {
		if one.when != nil && !one.when.holds(have[i]) {
			return false
		}
	}
	tail := have[len(have)-len(f.after):]
	for i, one := range f.after {
		if one.when != nil && !one.when.holds(tail[i]) {
			return false
		}
	}
	if values != nil {
		for i, one := range f.before {
			values["$"+one.name] = have[i]
		}
		for i, one := range f.after {
			values["$"+one.name] = tail[i]
		}
		if need == 0 {
			for i, v := range have {
				values["$"+strconv.Itoa(i+1)] = v
			}
		}
	}
	return true
}

// split divides a message into fields.
func split(message string) []string {
	var out []string
	for rest := strings.TrimSpace(message); rest != ""; rest = strings.TrimLeft(rest, " \t\r\n") {
		var end byte
		switch rest[0] {
		case '"':
			end = '"'
		case '[':
			end = ']'
		}
		if end != 0 {
			if i := strings.IndexByte(rest[1:], end); i >= 0 {
				out = append(out, rest[1:1+i])
				rest = rest[i+2:]
				continue
			}
		}
		i := strings.IndexAny(rest, " \t\r\n")
		if i < 0 {
			i = len(rest)
		}
		out = append(out, rest[:i])
		rest = rest[i:]
	}
	return out
}
