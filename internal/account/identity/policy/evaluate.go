package policy

import (
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Keys are the condition keys of a request, by lower-case name. A key that the platform knows but that the request does
// not have is there with no values; one that is not there at all is unknown.
type Keys map[string][]string

// meet reports whether all conditions hold, and whether all their keys and values are known. Values with policy
// variables count as unknown.
func (k Keys) meet(conditions []Condition) (met, known bool) {
	met, known = true, true
	for _, c := range conditions {
		have, ok := k[strings.ToLower(c.Key)]
		if !ok || slices.ContainsFunc(c.Values, func(v string) bool { return strings.Contains(v, "${") }) {
			known = false
			continue
		}
		met = met && c.holds(have)
	}
	return met, known
}

// holds tests the values that a request has for the condition's key.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-logic-multiple-context-keys-or-values.html
func (c Condition) holds(have []string) bool {
	if c.Operator == "Null" {
		return slices.ContainsFunc(c.Values, func(v string) bool { return strings.EqualFold(v, "true") == (len(have) == 0) })
	}
	positive, negated := denial(c.Operator)
	one := func(value string) bool {
		return slices.ContainsFunc(c.Values, func(want string) bool { return compare(positive, value, want) }) != negated
	}
	switch {
	case len(have) == 0:
		return c.IfExists || c.Quantifier == "ForAllValues" || negated && c.Quantifier == ""
	case c.Quantifier == "ForAllValues":
		return !slices.ContainsFunc(have, func(v string) bool { return !one(v) })
	}
	return slices.ContainsFunc(have, one)
}

// denial splits StringNotEquals into StringEquals and true, NotIpAddress into IpAddress and true.
func denial(operator string) (positive string, negated bool) {
	if before, after, ok := strings.Cut(operator, "Not"); ok {
		return before + after, true
	}
	return operator, false
}

// compare applies an operator that is not negated to one value of the request and one of the policy. What is not of the
// operator's type does not match.
func compare(operator, have, want string) bool {
	switch operator {
	case "StringEquals", "BinaryEquals":
		return have == want
	case "StringEqualsIgnoreCase":
		return strings.EqualFold(have, want)
	case "StringLike":
		return Match(want, have)
	case "ArnEquals", "ArnLike":
		return matchARN(want, have)
	case "Bool":
		return strings.EqualFold(have, want)
	case "IpAddress":
		return within(want, have)
	}
	if order, ok := strings.CutPrefix(operator, "Numeric"); ok {
		a, err1 := strconv.ParseFloat(have, 64)
		b, err2 := strconv.ParseFloat(want, 64)
		return err1 == nil && err2 == nil && ordered(order, a, b)
	}
	if order, ok := strings.CutPrefix(operator, "Date"); ok {
		a, ok1 := date(have)
		b, ok2 := date(want)
		return ok1 && ok2 && ordered(order, a, b)
	}
	return false
}

func ordered(order string, a, b float64) bool {
	switch order {
	case "Equals":
		return a == b
	case "LessThan":
		return a < b
	case "LessThanEquals":
		return a <= b
	case "GreaterThan":
		return a > b
	case "GreaterThanEquals":
		return a >= b
	}
	return false
}

// date reads ISO 8601 or seconds since 1970.
func date(s string) (float64, bool) {
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02T15:04Z07:00", time.DateOnly} {
		if t, err := time.Parse(layout, s); err == nil {
			return float64(t.UnixMilli()) / 1000, true
		}
	}
	f, err := strconv.ParseFloat(s, 64)
	return f, err == nil
}

// matchARN compares two ARNs part by part, so that a wildcard reaches no further than its part.
func matchARN(pattern, arn string) bool {
	p, a := strings.SplitN(pattern, ":", 6), strings.SplitN(arn, ":", 6)
	if len(p) != 6 || len(a) != 6 {
		return false
	}
	for i := range p {
		if !Match(p[i], a[i]) {
			return false
		}
	}
	return true
}

func within(network, address string) bool {
	a, err := netip.ParseAddr(address)
	if err != nil {
		return false
	}
	if p, err := netip.ParsePrefix(network); err == nil {
		return p.Contains(a)
	}
	n, err := netip.ParseAddr(network)
	return err == nil && n == a
}
