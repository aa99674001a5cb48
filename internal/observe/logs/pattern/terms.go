package pattern

import (
	"regexp"
	"strings"
	"unicode/utf8"
)

// terms matches text: all of the required ones are in it and none of the excluded. Optional ones count only where there
// are no others; then one of them is enough.
type terms struct{ required, optional, excluded []term }

// term is a phrase, or a regular expression.
type term struct {
	phrase string
	regex  *regexp.Regexp
}

func (p *parser) terms() (matcher, error) {
	var t terms
	for p.space(); p.at < len(p.text); p.space() {
		into := &t.required
		switch p.peek() {
		case '?':
			p.at++
			into = &t.optional
		case '-':
			p.at++
			into = &t.excluded
		}
		one, err := p.term()
		if err != nil {
			return nil, err
		}
		*into = append(*into, one)
	}
	return &t, nil
}

func (p *parser) term() (term, error) {
	switch p.peek() {
	case '"':
		phrase, err := p.quoted()
		return term{phrase: phrase}, err
	case '%':
		re, err := p.regex()
		return term{regex: re}, err
	}
	start := p.at
	text := p.while(wordRune)
	if next, _ := utf8.DecodeRuneInString(p.text[p.at:]); p.at < len(p.text) && !strings.ContainsRune(" \t\r\n", next) || text == "" {
		end := strings.IndexAny(p.text[start:], " \t\r\n")
		if end < 0 {
			end = len(p.text) - start
		}
		return term{}, p.wrong("Invalid character(s) in term '%s': put it in double quotes", p.text[start:start+end])
	}
	return term{phrase: text}, nil
}

func (t *terms) matches(message string, _ map[string]string) bool {
	for _, x := range t.excluded {
		if x.in(message) {
			return false
		}
	}
	for _, x := range t.required {
		if !x.in(message) {
			return false
		}
	}
	if len(t.required)+len(t.excluded) > 0 || len(t.optional) == 0 {
		return true
	}
	for _, x := range t.optional {
		if x.in(message) {
			return true
		}
	}
	return false
}

// in reports whether the message has the term: as whole words, and in this case.
func (t term) in(message string) bool {
	if t.regex != nil {
		return t.regex.MatchString(message)
	}
	if strings.TrimSpace(t.phrase) == "" {
		return true
	}
	first, _ := utf8.DecodeRuneInString(t.phrase)
	last, _ := utf8.DecodeLastRuneInString(t.phrase)
	for from := 0; ; {
		i := strings.Index(message[from:], t.phrase)
		if i < 0 {
			return false
		}
		i += from
		before, _ := utf8.DecodeLastRuneInString(message[:i])
		after, _ := utf8.DecodeRuneInString(message[i+len(t.phrase):])
		if !(wordRune(first) && i > 0 && wordRune(before)) && !(wordRune(last) && wordRune(after)) {
			return true
		}
		_, n := utf8.DecodeRuneInString(message[i:])
		from = i + n
	}
}
