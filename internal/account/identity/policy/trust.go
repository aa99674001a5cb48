package policy

import (
	"slices"
	"strings"
)

// Trusts reports whether a trust policy lets a service, for example lambda.amazonaws.com, take the role on. A statement
// with conditions counts as met when it allows, since they concern the request to come; one that denies counts without.
func (d *Document) Trusts(service string) bool {
	allowed := false
	for _, s := range d.Statements {
		if !slices.ContainsFunc(s.Principals["Service"], func(p string) bool { return p == service }) ||
			!slices.ContainsFunc(s.Actions, func(a string) bool { return Match(strings.ToLower(a), "sts:assumerole") }) {
			continue
		}
		if s.Allow {
			allowed = true
		} else if len(s.Conditions) == 0 {
			return false
		}
	}
	return allowed
}

// Match reports whether text has the form of pattern, in which * stands for any characters and ? for one.
func Match(pattern, text string) bool {
	star, from := -1, 0 // the last *, and where in text what follows it was tried
	p, t := 0, 0
	for t < len(text) {
		switch {
		case p < len(pattern) && pattern[p] == '*':
			star, from = p, t
			p++
		case p < len(pattern) && (pattern[p] == '?' || pattern[p] == text[t]):
			p++
			t++
		case star >= 0:
			from++
			p, t = star+1, from
		default:
			return false
		}
	}
	return strings.Trim(pattern[p:], "*") == ""
}
