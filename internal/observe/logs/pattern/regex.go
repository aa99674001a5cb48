package pattern

import (
	"errors"
	"regexp"
	"regexp/syntax"
	"strings"
)

// maxRegexes is how many a pattern of fields or properties may have.
const maxRegexes = 2

// Budget bounds the regular expressions of a pattern or query together, by what they take to match one character with
// repetitions written out: a message has up to 256 KB, and a match cannot be broken off.
const Budget = 500

// Compile is regexp.Compile for those who may take only so much of this machine. It takes from the budget, and fails where
// there is too little.
func Compile(text string, budget *int) (*regexp.Regexp, error) {
	tree, err := syntax.Parse(text, syntax.Perl)
	if err != nil {
		return nil, err
	}
	program, err := syntax.Compile(tree.Simplify())
	if err != nil {
		return nil, err
	}
	if *budget -= len(program.Inst); *budget < 0 {
		return nil, errors.New("too much for one query; a repetition like {1000} counts as if it were written out")
	}
	return regexp.Compile(text)
}

// regex takes %…%. What it may be made of is less than elsewhere: no groups, only ASCII.
func (p *parser) regex() (*regexp.Regexp, error) {
	start := p.at
	end := strings.IndexByte(p.text[start+1:], '%')
	if end < 0 {
		return nil, p.wrong("the regular expression has no %% at its end")
	}
	text := p.text[start+1 : start+1+end]
	if text == "" {
		return nil, p.wrong("the regular expression is empty")
	}
	for i, r := range text {
		if !(r < 0x80 && wordRune(r)) && !strings.ContainsRune(`:_#=@/;,- '^$?[]{}|\*+.`, r) {
			p.at = start + 1 + i
			return nil, p.wrong("%q is not supported in a regular expression", r)
		}
	}
	re, err := Compile(text, &p.budget)
	if err != nil {
		return nil, p.wrong("the regular expression is invalid: %s", strings.TrimPrefix(err.Error(), "error parsing regexp: "))
	}
	p.regexes++
	p.at = start + end + 2
	return re, nil
}
