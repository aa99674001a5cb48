// Package policy reads IAM policy documents into a strict form. It decides nothing: a document is either a valid policy,
// or refused with the place that is wrong. The grammar is
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_grammar.html.
package policy

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"artesian/internal/faas"
)

// Kind is what a document is for, which decides the elements it may have.
type Kind uint8

// The kinds.
const (
	Identity Kind = iota // what a role may do: has resources, has no principals
	Trust                // who may take a role on: has principals, has no resources
)

// MaxText is the most characters of a document as written; quotas count without white space and are the owner's.
const MaxText = 131072

// Document is a valid policy.
type Document struct {
	Version    string // 2012-10-17 or 2008-10-17, which is what an absent Version means
	ID         string
	Statements []Statement // at least one
}

// Statement is one rule of a policy.
type Statement struct {
	Sid          string
	Allow        bool                // otherwise deny
	Principals   map[string][]string // AWS, Service, Federated or CanonicalUser to ids; trust policies only
	Actions      []string            // vendor:verb with wildcards, or *
	NotActions   bool                // Actions lists what the rule is not about
	Resources    []string            // ARNs with wildcards, or *; identity policies only
	NotResources bool                // Resources lists what the rule is not about
	Conditions   []Condition         // all must hold
}

// Condition is one test of a request.
type Condition struct {
	Operator   string // for example StringEquals
	Quantifier string // ForAllValues, ForAnyValue or empty
	IfExists   bool   // holds when the key is absent
	Key        string // for example aws:SourceIp
	Values     []string
}

// Parse reads a document. The error is a *faas.Error of kind Invalid with code MalformedPolicyDocument, whose message
// says which place is wrong.
func Parse(text string, kind Kind) (*Document, error) {
	if n := utf8.RuneCountInString(text); n > MaxText {
		return nil, malformed("", fmt.Sprintf("has %d characters, at most %d are allowed", n, MaxText))
	}
	if i := strings.IndexFunc(text, outside); i >= 0 {
		return nil, malformed("", fmt.Sprintf("has a character at byte %d that is not allowed: allowed are tab, line feed, carriage return and U+0020 to U+00FF", i))
	}
	root, err := parseJSON(text)
	if err != nil {
		return nil, err
	}
	if root.kind != '{' {
		return nil, malformed("", "must be a JSON object")
	}
	doc := &Document{Version: "2008-10-17"}
	var statements value
	for _, f := range root.fields {
		switch f.name {
		case "Version":
			doc.Version = f.value.text
			if f.value.kind != '"' || doc.Version != "2012-10-17" && doc.Version != "2008-10-17" {
				return nil, malformed("Version", `must be "2012-10-17" or "2008-10-17"`)
			}
		case "Id":
			if f.value.kind != '"' {
				return nil, malformed("Id", "must be a string")
			}
			doc.ID = f.value.text
		case "Statement":
			statements = f.value
		default:
			return nil, refuse("Unknown field %s", clip(f.name))
		}
	}
	doc.Statements, err = readStatements(statements, kind)
	if err != nil {
		return nil, err
	}
	return doc, nil
}

func outside(r rune) bool {
	return r > 0xFF || r < 0x20 && r != '\t' && r != '\n' && r != '\r' || r == utf8.RuneError
}

func readStatements(v value, kind Kind) ([]Statement, error) {
	items, at := v.items, func(i int) string { return index("Statement", i) }
	switch v.kind {
	case 0:
		return nil, refuse("Missing required field Statement")
	case '{':
		items, at = []value{v}, func(int) string { return "Statement" }
	case '[':
	default:
		return nil, malformed("Statement", "must be an object or a list of objects")
	}
	if len(items) == 0 {
		return nil, malformed("Statement", "must not be empty")
	}
	list := make([]Statement, 0, len(items))
	sids := map[string]bool{}
	for i, item := range items {
		s, err := readStatement(item, at(i), kind)
		if err != nil {
			return nil, err
		}
		if s.Sid != "" && sids[s.Sid] {
			return nil, refuse("Statement IDs (SID) in a single policy must be unique: %s has %s again", at(i), quote(s.Sid))
		}
		sids[s.Sid] = true
		list = append(list, s)
	}
	return list, nil
}

// Len counts a document as quotas do: its characters without white space.
func Len(text string) int {
	n := 0
	for _, r := range text {
		if r != ' ' && r != '\t' && r != '\n' && r != '\r' {
			n++
		}
	}
	return n
}

// refuse and malformed make the two sorts of refusal: by the meaning, and by the form at a place.
func refuse(format string, args ...any) error {
	return &faas.Error{Kind: faas.Invalid, Code: "MalformedPolicyDocument", Message: fmt.Sprintf(format, args...)}
}

func malformed(at, what string) error {
	if at == "" {
		at = "the document"
	}
	return refuse("Syntax errors in policy: %s: %s.", clip(at), what)
}

// quote shows a piece of the document in a message, bounded.
func quote(s string) string { return fmt.Sprintf("%q", clip(s)) }

func clip(s string) string {
	const most = 200
	if utf8.RuneCountInString(s) > most {
		s = string([]rune(s)[:most]) + "…"
	}
	return s
}
