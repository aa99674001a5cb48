package wire

import (
	"errors"
	"fmt"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

// jsonReader reads JSON (RFC 8259) token by token from a whole body, without copying what need not be copied.
type jsonReader struct {
	data []byte
	pos  int
}

var errEOF = errors.New("unexpected end of the body")

func (r *jsonReader) fail(what string) error {
	if r.pos >= len(r.data) {
		return errEOF
	}
	c, _ := utf8.DecodeRune(r.data[r.pos:])
	return fmt.Errorf("unexpected character %q at offset %d, expected %s", c, r.pos, what)
}

// peek skips white space and returns the next byte without taking it; 0 at the end.
func (r *jsonReader) peek() byte {
	for r.pos < len(r.data) {
		switch c := r.data[r.pos]; c {
		case ' ', '\t', '\r', '\n':
			r.pos++
		default:
			return c
		}
	}
	return 0
}

// take skips white space and takes c, or reports false and takes nothing else.
func (r *jsonReader) take(c byte) bool {
	if r.peek() != c || r.pos >= len(r.data) {
		return false
	}
	r.pos++
	return true
}

func (r *jsonReader) literal(word string) error {
	if len(r.data)-r.pos < len(word) || string(r.data[r.pos:r.pos+len(word)]) != word {
		return r.fail(word)
	}
	r.pos += len(word)
	return nil
}

// null takes a null if it is next.
func (r *jsonReader) null() (bool, error) {
	if r.peek() != 'n' {
		return false, nil
	}
	return true, r.literal("null")
}

// raw takes a string and returns what is between the quotes, and whether it holds escapes.
func (r *jsonReader) raw() (b []byte, escaped bool, err error) {
	if !r.take('"') {
		return nil, false, r.fail("a string")
	}
	start := r.pos
	for r.pos < len(r.data) {
		switch c := r.data[r.pos]; {
		case c == '"':
			r.pos++
			return r.data[start : r.pos-1], escaped, nil
		case c == '\\':
			escaped = true
			r.pos += 2
		case c < ' ':
			return nil, false, r.fail("no control character in a string")
		default:
			r.pos++
		}
	}
	r.pos = len(r.data)
	return nil, false, errEOF
}

// str takes a string. Bytes that are not UTF-8 and unpaired surrogates become U+FFFD.
func (r *jsonReader) str() (string, error) {
	at := r.pos
	b, escaped, err := r.raw()
	if err != nil {
		return "", err
	}
	if !escaped {
		if utf8.Valid(b) {
			return string(b), nil
		}
		return string([]rune(string(b))), nil
	}
	out, ok := unescape(b)
	if !ok {
		r.pos = at
		return "", r.fail("a string with valid escapes")
	}
	return string(out), nil
}

func unescape(b []byte) ([]byte, bool) {
	out := make([]byte, 0, len(b))
	for i := 0; i < len(b); {
		if b[i] != '\\' {
			c, n := utf8.DecodeRune(b[i:])
			out = utf8.AppendRune(out, c)
			i += n
			continue
		}
		if i+1 >= len(b) {
			return nil, false
		}
		if b[i+1] == 'u' {
			c, n := unescapeUnicode(b[i:])
			if n == 0 {
				return nil, false
			}
			out = utf8.AppendRune(out, c)
			i += n
			continue
		}
		c, ok := simpleEscape(b[i+1])
		if !ok {
			return nil, false
		}
		out = append(out, c)
		i += 2
	}
	return out, true
}

func simpleEscape(c byte) (byte, bool) {
	switch c {
	case '"', '\\', '/':
		return c, true
	case 'b':
		return '\b', true
	case 'f':
		return '\f', true
	case 'n':
		return '\n', true
	case 'r':
		return '\r', true
	case 't':
		return '\t', true
	}
	return 0, false
}

// unescapeUnicode reads \uXXXX, or two of them that form a surrogate pair; n is 0 when it is neither.
func unescapeUnicode(b []byte) (c rune, n int) {
	first, ok := hex4(b)
	if !ok {
		return 0, 0
	}
	if !utf16.IsSurrogate(first) {
		return first, 6
	}
	if second, ok := hex4(b[6:]); ok {
		if pair := utf16.DecodeRune(first, second); pair != utf8.RuneError {
			return pair, 12
		}
	}
	return utf8.RuneError, 6
}

func hex4(b []byte) (rune, bool) {
	if len(b) < 6 || b[0] != '\\' || b[1] != 'u' {
		return 0, false
	}
	var n rune
	for _, c := range b[2:6] {
		switch {
		case c >= '0' && c <= '9':
			n = n<<4 | rune(c-'0')
		case c >= 'a' && c <= 'f':
			n = n<<4 | rune(c-'a'+10)
		case c >= 'A' && c <= 'F':
			n = n<<4 | rune(c-'A'+10)
		default:
			return 0, false
		}
	}
	return n, true
}

// num takes a number and returns its text.
func (r *jsonReader) num() (string, error) {
	r.peek()
	start := r.pos
	digits := func() bool {
		at := r.pos
		for r.pos < len(r.data) && r.data[r.pos] >= '0' && r.data[r.pos] <= '9' {
			r.pos++
		}
		return r.pos > at
	}
	is := func(set string) bool {
		for i := range len(set) {
			if r.pos < len(r.data) && r.data[r.pos] == set[i] {
				r.pos++
				return true
			}
		}
		return false
	}
	is("-")
	if !is("0") && !digits() {
		return "", r.fail("a number")
	}
	if is(".") && !digits() {
		return "", r.fail("a digit")
	}
	if is("eE") {
		is("+-")
		if !digits() {
			return "", r.fail("a digit")
		}
	}
	return string(r.data[start:r.pos]), nil
}

func (r *jsonReader) boolean() (bool, error) {
	if r.peek() == 't' {
		return true, r.literal("true")
	}
	return false, r.literal("false")
}

// end reports what follows the value.
func (r *jsonReader) end() error {
	if r.peek(); r.pos < len(r.data) {
		return r.fail("the end of the body")
	}
	return nil
}

// integral returns a number's value when it is a whole one that fits 64 bits, however written (1e3, 2.0).
func integral(s string) (int64, bool) {
	if n, err := strconv.ParseInt(s, 10, 64); err == nil {
		return n, true
	}
	f, err := strconv.ParseFloat(s, 64)
	if err != nil || f != float64(int64(f)) || f < -(1<<53) || f > 1<<53 {
		return 0, false
	}
	return int64(f), true
}
