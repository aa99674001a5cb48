package wire

import (
	"fmt"
	"hash/maphash"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
)

// patterns holds the compiled patterns of a Spec, each compiled when it is first needed.
type patterns struct{ byText sync.Map }

// get returns the compiled pattern.
func (p *patterns) get(text string) *pattern {
	if v, ok := p.byText.Load(text); ok {
		return v.(*pattern)
	}
	re, _ := CompilePattern(text)
	v, _ := p.byText.LoadOrStore(text, &pattern{re: re, seed: maphash.MakeSeed()})
	return v.(*pattern)
}

// pattern knows some of the values that it has matched: most are names that come again and again, and matching takes longer than
// all else that is done with one.
type pattern struct {
	re    *regexp.Regexp // nil for one that Go's regular expressions cannot take: everything matches
	seed  maphash.Seed
	known [64]atomic.Pointer[string]
}

const maxKnown = 256 // bytes of a value that is remembered

func (p *pattern) matches(s string) bool {
	if p.re == nil {
		return true
	}
	if len(s) > maxKnown {
		return p.re.MatchString(s)
	}
	at := &p.known[maphash.String(p.seed, s)%uint64(len(p.known))]
	if v := at.Load(); v != nil && *v == s {
		return true
	}
	if !p.re.MatchString(s) {
		return false
	}
	kept := strings.Clone(s) // not the request that it is a part of
	at.Store(&kept)
	return true
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
