// Package pattern reads and applies CloudWatch Logs' filter patterns: terms, space-delimited fields, JSON properties.
// The rules are https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/FilterAndPatternSyntax.html.
package pattern

import (
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"artesian/internal/faas"
)

// Pattern is a filter pattern. It is immutable.
type Pattern struct{ match matcher }

// matcher decides about a message. Into values, unless it is nil, goes what the pattern's selectors found.
type matcher interface {
	matches(message string, values map[string]string) bool
}

// Parse reads a pattern. Nothing, and a phrase of nothing, match everything. The error is of kind Invalid and says at
// which character the pattern is wrong.
func Parse(text string) (*Pattern, error) {
	p := &parser{text: text, budget: Budget}
	p.space()
	var m matcher
	var err error
	switch p.peek() {
	case '{':
		m, err = p.json()
	case '[':
		m, err = p.fields()
	default:
		m, err = p.terms()
	}
	if err != nil {
		return nil, err
	}
	if p.space(); p.at < len(p.text) {
		return nil, p.wrong("there is more after the end of the pattern")
	}
	return &Pattern{m}, nil
}

// Match reports whether a message matches.
func (p *Pattern) Match(message string) bool { return p.match.matches(message, nil) }

// Extract reports whether a message matches, and the values of the pattern's selectors, by $name or $.property.
func (p *Pattern) Extract(message string) (map[string]string, bool) {
	values := map[string]string{}
	ok := p.match.matches(message, values)
	return values, ok
}

// parser reads a pattern from left to right.
type parser struct {
	text    string
	at      int
	regexes int
	budget  int // of them
}

func (p *parser) wrong(format string, args ...any) error {
	at := utf8.RuneCountInString(p.text[:min(p.at, len(p.text))])
	args = append(args, at+1)
	return faas.Errorf(faas.Invalid, "Invalid filter pattern: "+format+" (character %d)", args...)
}

// peek is the next byte, 0 at the end.
func (p *parser) peek() byte {
	if p.at < len(p.text) {
		return p.text[p.at]
	}
	return 0
}

func (p *parser) space() {
	p.at += len(p.text[p.at:]) - len(strings.TrimLeft(p.text[p.at:], " \t\r\n"))
}

// eat takes a piece if it comes next, after white space.
func (p *parser) eat(piece string) bool {
	p.space()
	if strings.HasPrefix(p.text[p.at:], piece) {
		p.at += len(piece)
		return true
	}
	return false
}

// word takes a keyword in whatever case.
func (p *parser) word(keyword string) bool {
	p.space()
	rest := p.text[p.at:]
	if len(rest) < len(keyword) || !strings.EqualFold(rest[:len(keyword)], keyword) {
		return false
	}
	if r, _ := utf8.DecodeRuneInString(rest[len(keyword):]); wordRune(r) {
		return false
	}
	p.at += len(keyword)
	return true
}

// quoted takes a phrase in double quotes, in which a backslash stands before a quote or a backslash.
func (p *parser) quoted() (string, error) {
	start := p.at
	var b strings.Builder
	for p.at++; p.at < len(p.text); p.at++ {
		switch c := p.text[p.at]; {
		case c == '"':
			p.at++
			return b.String(), nil
		case c == '\\' && p.at+1 < len(p.text) && strings.IndexByte(`"\`, p.text[p.at+1]) >= 0:
			p.at++
			b.WriteByte(p.text[p.at])
		default:
			b.WriteByte(c)
		}
	}
	p.at = start
	return "", p.wrong("the quotation mark is never closed")
}

// while takes the runes that pass.
func (p *parser) while(pass func(rune) bool) string {
	start := p.at
	for p.at < len(p.text) {
		r, n := utf8.DecodeRuneInString(p.text[p.at:])
		if !pass(r) {
			break
		}
		p.at += n
	}
	return p.text[start:p.at]
}

func wordRune(r rune) bool { return r == '_' || unicode.IsLetter(r) || unicode.IsDigit(r) }

// number reads a number as patterns write it: decimal, perhaps with an exponent.
func number(s string) (float64, bool) {
	if strings.Trim(s, "0123456789+-.eE") != "" {
		return 0, false
	}
	f, err := strconv.ParseFloat(s, 64)
	return f, err == nil
}
