package policy

import (
	"slices"
	"strings"
)

// Caller is who wants to take a role on.
type Caller struct {
	Account string
	ARN     string // of the user, or of the session: arn:aws:sts::…:assumed-role/NAME/SESSION
	ID      string // AIDA…, or AROA…:SESSION
	Role    string // ARN of the role whose session it is; empty for a user
}

// AllowsAssume reports whether a trust policy lets a caller take the role on, in a request with the condition keys of
// keys. A statement whose condition has a key that this platform does not know counts against the caller: it is not met
// where it allows, and is where it denies.
func (d *Document) AllowsAssume(c Caller, keys Keys) bool {
	allowed := false
	for _, s := range d.Statements {
		if !slices.ContainsFunc(s.Principals["AWS"], c.is) || !slices.ContainsFunc(s.Actions, assumes) {
			continue
		}
		switch met, known := keys.meet(s.Conditions); {
		case !s.Allow && (met || !known):
			return false
		case s.Allow && met && known:
			allowed = true
		}
	}
	return allowed
}

func assumes(action string) bool { return Match(strings.ToLower(action), "sts:assumerole") }

// is reports whether the caller is, or belongs to, what a policy names under AWS. An account stands for all of its
// users and roles.
func (c Caller) is(principal string) bool {
	switch {
	case principal == "*", principal == c.Account, principal == c.ARN, c.Role != "" && principal == c.Role:
		return true
	case strings.HasPrefix(principal, "arn:"):
		return principal == "arn:aws:iam::"+c.Account+":root"
	}
	id, _, _ := strings.Cut(c.ID, ":")
	return principal == id
}
