package policy

import (
	"regexp"
	"slices"
	"strings"
)

// readStatement reads one statement that stands at the place at.
func readStatement(v value, at string, kind Kind) (Statement, error) {
	if v.kind != '{' {
		return Statement{}, malformed(at, "must be an object")
	}
	r := statementReader{at: at, kind: kind}
	for _, f := range v.fields {
		if err := r.field(f); err != nil {
			return Statement{}, err
		}
	}
	return r.s, r.complete()
}

// statementReader gathers the elements of a statement.
type statementReader struct {
	at   string
	kind Kind
	s    Statement
	have []string // elements that were there
}

func (r *statementReader) field(f field) (err error) {
	at := join(r.at, f.name)
	r.have = append(r.have, f.name)
	switch f.name {
	case "Sid":
		return r.sid(f.value, at)
	case "Effect":
		r.s.Allow = f.value.text == "Allow"
		if f.value.kind != '"' || !r.s.Allow && f.value.text != "Deny" {
			return malformed(at, "must be Allow or Deny")
		}
		return nil
	case "Principal":
		return r.principals(f.value, at)
	case "NotPrincipal":
		if r.kind == Trust {
			return refuse("Has prohibited field NotPrincipal at %s", r.at)
		}
		return refuse("Policy document should not specify a principal: %s", at)
	case "Action", "NotAction":
		r.s.NotActions = f.name == "NotAction"
		r.s.Actions, err = f.value.strings(at)
		if err != nil {
			return err
		}
		return r.actions(at, f.value.kind == '[')
	case "Resource", "NotResource":
		r.s.NotResources = f.name == "NotResource"
		r.s.Resources, err = f.value.strings(at)
		if err != nil {
			return err
		}
		return r.resources(f.name, at)
	case "Condition":
		r.s.Conditions, err = readConditions(f.value, at)
		return err
	}
	return refuse("Unknown field %s at %s", clip(f.name), r.at)
}

// complete checks that what must be there is, once.
func (r *statementReader) complete() error {
	has := func(name string) bool { return slices.Contains(r.have, name) }
	switch {
	case !has("Effect"):
		return refuse("Missing required field Effect at %s", r.at)
	case has("Action") && has("NotAction"):
		return malformed(r.at, "has both Action and NotAction")
	case len(r.s.Actions) == 0:
		return refuse("Policy statement must contain actions: %s.", r.at)
	case has("Resource") && has("NotResource"):
		return malformed(r.at, "has both Resource and NotResource")
	case r.kind == Identity && len(r.s.Resources) == 0:
		return refuse("Policy statement must contain resources: %s.", r.at)
	case r.kind == Trust && len(r.s.Principals) == 0:
		return refuse("Missing required field Principal at %s", r.at)
	}
	return nil
}

var sidPattern = regexp.MustCompile(`^[0-9A-Za-z]*$`)

func (r *statementReader) sid(v value, at string) error {
	if v.kind != '"' || !sidPattern.MatchString(v.text) {
		return refuse("Statement IDs (SID) must be alpha-numeric. Check that your input satisfies the regular expression [0-9A-Za-z]*: %s", at)
	}
	r.s.Sid = v.text
	return nil
}

var vendorPattern = regexp.MustCompile(`^[a-zA-Z0-9.-]+$`)

func (r *statementReader) actions(at string, list bool) error {
	if r.kind == Trust && r.s.NotActions {
		return refuse("AssumeRole policy may only specify STS AssumeRole actions: %s", at)
	}
	for i, action := range r.s.Actions {
		here := at
		if list {
			here = index(at, i)
		}
		if action == "*" && r.kind == Identity {
			continue
		}
		vendor, verb, ok := strings.Cut(action, ":")
		switch {
		case r.kind == Trust && !strings.EqualFold(vendor, "sts"):
			return refuse("AssumeRole policy may only specify STS AssumeRole actions: %s is %s", here, quote(action))
		case !ok:
			return refuse("Actions/Conditions must be prefaced by a vendor, e.g., iam, sdb, ec2, etc.: %s is %s", here, quote(action))
		case strings.Contains(verb, ":"):
			return refuse("Actions/Condition can contain only one colon: %s is %s", here, quote(action))
		case !vendorPattern.MatchString(vendor):
			return refuse("Vendor %s is not valid: %s", quote(vendor), here)
		case verb == "" || strings.ContainsAny(verb, " \t\r\n"):
			return malformed(here, "names no action")
		}
	}
	return nil
}

var resourcePattern = regexp.MustCompile(`^arn:(\*|[a-z0-9-]+):[a-zA-Z0-9-]+:.+`)

func (r *statementReader) resources(name, at string) error {
	if r.kind == Trust {
		return refuse("Has prohibited field %s at %s", name, r.at)
	}
	for _, res := range r.s.Resources {
		if res != "*" && !resourcePattern.MatchString(res) {
			return refuse("Resource %s must be in ARN format or \"*\": %s.", clip(res), at)
		}
	}
	return nil
}
