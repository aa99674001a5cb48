package insights

import (
	"fmt"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"

	"artesian/internal/observe/logs/pattern"
)

// SyntaxError says what is wrong with a query, and where: offsets are in characters from its beginning.
type SyntaxError struct {
	Start, End int
	Message    string
}

func (e *SyntaxError) Error() string {
	return fmt.Sprintf("%s (at character %d)", e.Message, e.Start+1)
}

// parser reads a query from left to right.
type parser struct {
	text  string
	at    int
	depth int // of nested expressions

	budget int // of regular expressions
	// collect gathers the aggregates of a stats command; elsewhere, and within one of them, there may be none.
	collect *[]aggregate
}

// wrong is an error about the text between start and where the parser is, at least a character.
func (p *parser) wrong(start int, format string, args ...any) error {
	from := utf8.RuneCountInString(p.text[:start])
	to := utf8.RuneCountInString(p.text[:max(start, p.at)])
	return &SyntaxError{from, max(to, from+1), fmt.Sprintf(format, args...)}
}

// space skips white space and comments, which go from # to the end of the line.
func (p *parser) space() {
	for p.at < len(p.text) {
		switch c := p.text[p.at]; {
		case c == ' ' || c == '\t' || c == '\n' || c == '\r':
			p.at++
		case c == '#':
			if i := strings.IndexByte(p.text[p.at:], '\n'); i >= 0 {
				p.at += i
			} else {
				p.at = len(p.text)
			}
		default:
			return
		}
	}
}

func (p *parser) end() bool {
	p.space()
	return p.at == len(p.text)
}

func (p *parser) peek() byte {
	if p.end() {
		return 0
	}
	return p.text[p.at]
}

func (p *parser) eat(symbol string) bool {
	p.space()
	if !strings.HasPrefix(p.text[p.at:], symbol) {
		return false
	}
	p.at += len(symbol)
	return true
}

// word takes a keyword in whatever case.
func (p *parser) word(keyword string) bool {
	p.space()
	start := p.at
	if w := p.identifier(); strings.EqualFold(w, keyword) {
		return true
	}
	p.at = start
	return false
}

func nameRune(r rune) bool { return r == '_' || r == '@' || unicode.IsLetter(r) || unicode.IsDigit(r) }

// identifier takes a name of letters, digits, _ @ and dots between them; nothing if none comes.
func (p *parser) identifier() string {
	p.space()
	start := p.at
	for p.at < len(p.text) {
		r, n := utf8.DecodeRuneInString(p.text[p.at:])
		next, _ := utf8.DecodeRuneInString(p.text[p.at+n:])
		if !(nameRune(r) && (p.at > start || !unicode.IsDigit(r)) || r == '.' && p.at > start && nameRune(next)) {
			break
		}
		p.at += n
	}
	return p.text[start:p.at]
}

// field takes the name of a field, in backticks where it has other characters.
func (p *parser) field() (string, error) {
	p.space()
	start := p.at
	if p.eat("`") {
		i := strings.IndexByte(p.text[p.at:], '`')
		if i < 1 {
			return "", p.wrong(start, "the backtick of a field's name is never closed")
		}
		name := p.text[p.at : p.at+i]
		p.at += i + 1
		return name, nil
	}
	if name := p.identifier(); name != "" {
		return name, nil
	}
	return "", p.unexpected("the name of a field")
}

// unexpected says what comes instead of what is expected.
func (p *parser) unexpected(expected string) error {
	if p.end() {
		return p.wrong(p.at, "%s is expected, but the query ends", expected)
	}
	start := p.at
	r, n := utf8.DecodeRuneInString(p.text[p.at:])
	found := string(r)
	if p.at += n; nameRune(r) {
		for p.at < len(p.text) {
			r, n := utf8.DecodeRuneInString(p.text[p.at:])
			if !nameRune(r) {
				break
			}
			p.at += n
		}
		found = p.text[start:p.at]
	}
	return p.wrong(start, "unexpected %q: %s is expected", found, expected)
}

// str takes a string in double or single quotes; a backslash stands before a quotation mark or a backslash.
func (p *parser) str() (string, error) {
	p.space()
	start := p.at
	quote := p.text[p.at]
	var b strings.Builder
	for p.at++; p.at < len(p.text); p.at++ {
		c := p.text[p.at]
		if c == quote {
			p.at++
			return b.String(), nil
		}
		if c == '\\' && p.at+1 < len(p.text) && (p.text[p.at+1] == quote || p.text[p.at+1] == '\\') {
			p.at++
			c = p.text[p.at]
		}
		b.WriteByte(c)
	}
	return "", p.wrong(start, "the quotation mark is never closed")
}

// regex takes /…/, in which a backslash stands before a slash.
func (p *parser) regex() (*regexp.Regexp, error) {
	p.space()
	start := p.at
	for p.at++; p.at < len(p.text) && p.text[p.at] != '/'; p.at++ {
		if p.text[p.at] == '\\' {
			p.at++
		}
	}
	if p.at >= len(p.text) {
		p.at = len(p.text)
		return nil, p.wrong(start, "the regular expression has no / at its end")
	}
	text := strings.ReplaceAll(p.text[start+1:p.at], `\/`, `/`)
	p.at++
	re, err := pattern.Compile(text, &p.budget)
	if err != nil {
		return nil, p.wrong(start, "the regular expression is invalid: %s", strings.TrimPrefix(err.Error(), "error parsing regexp: "))
	}
	return re, nil
}
