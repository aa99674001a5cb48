package policy

import (
	"regexp"
	"strings"
)

// principalForms are the ids that each kind of principal may have. An id's account need not exist here.
var principalForms = map[string]*regexp.Regexp{
	"AWS":           regexp.MustCompile(`^(\*|[0-9]{12}|arn:[a-z0-9-]+:(iam|sts)::[0-9]{12}:(root|(user|role|assumed-role|federated-user)/.+)|A(ID|RO)A[A-Z0-9]{13,})$`),
	"Service":       regexp.MustCompile(`^[a-zA-Z0-9-]+(\.[a-zA-Z0-9-]+)+$`),
	"Federated":     regexp.MustCompile(`^(arn:[a-z0-9-]+:iam::[0-9]{12}:(saml|oidc)-provider/.+|[a-zA-Z0-9-]+(\.[a-zA-Z0-9-]+)+)$`),
	"CanonicalUser": regexp.MustCompile(`^[0-9a-f]{64}$`),
}

// principals reads "*" or a map of lists; "*" is the same as {"AWS": "*"}.
func (r *statementReader) principals(v value, at string) error {
	if r.kind == Identity {
		return refuse("Policy document should not specify a principal: %s", at)
	}
	r.s.Principals = map[string][]string{}
	if v.kind == '"' && v.text == "*" {
		r.s.Principals["AWS"] = []string{"*"}
		return nil
	}
	if v.kind != '{' || len(v.fields) == 0 {
		return malformed(at, `must be "*" or an object of AWS, Service, Federated or CanonicalUser`)
	}
	for _, f := range v.fields {
		form := principalForms[f.name]
		if form == nil {
			return refuse("Invalid principal in policy: %s has the unknown kind %s", at, quote(f.name))
		}
		ids, err := f.value.strings(join(at, f.name))
		if err != nil {
			return err
		}
		for _, id := range ids {
			if !form.MatchString(id) {
				return refuse("Invalid principal in policy: %s:%s at %s", quote(strings.ToUpper(f.name)), quote(id), at)
			}
		}
		if len(ids) == 0 {
			return malformed(join(at, f.name), "must not be empty")
		}
		r.s.Principals[f.name] = ids
	}
	return nil
}
