package wire

import (
	"fmt"
	"regexp"
	"sync"
)

// patterns holds the compiled patterns of a Spec, each compiled when it is first needed.
type patterns struct{ byText sync.Map }

// get returns the compiled pattern, or nil for one that Go's regular expressions cannot take.
func (p *patterns) get(text string) *regexp.Regexp {
	if v, ok := p.byText.Load(text); ok {
		return v.(*regexp.Regexp)
	}
	re, _ := CompilePattern(text)
	v, _ := p.byText.LoadOrStore(text, re)
	return v.(*regexp.Regexp)
}

// unicodeEscape finds Java's escapes; the models also write \u10000 and \u10FFFF for what Java cannot say in four digits.
var unicodeEscape = regexp.MustCompile(`\\u(10FFFF|10000|[0-9A-Fa-f]{4})`)

// CompilePattern compiles a model's pattern so that it must match a value as a whole. It returns an error for a pattern that uses
// what Go's linear-time matcher leaves out (look-around).
func CompilePattern(text string) (*regexp.Regexp, error) {
	re, err := regexp.Compile(`^(?:` + unicodeEscape.ReplaceAllString(text, `\x{$1}`) + `)$`)
	if err != nil {
		return nil, fmt.Errorf("compile pattern %q: %w", text, err)
	}
	return re, nil
}
