package pattern

import (
	"regexp"
	"strings"
)

// maxRegexes is how many a pattern of fields or properties may have.
const maxRegexes = 2

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
	re, err := regexp.Compile(text)
	if err != nil {
		return nil, p.wrong("the regular expression is invalid: %s", strings.TrimPrefix(err.Error(), "error parsing regexp: "))
	}
	p.regexes++
	p.at = start + end + 2
	return re, nil
}
