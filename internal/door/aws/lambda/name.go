package lambda

import (
	"strings"

	"artesian/internal/faas"
)

// word reports whether s consists of 1 to most letters, digits, hyphens and underscores.
func word(s string, most int) bool {
	for i := range len(s) {
		c := s[i]
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '-' && c != '_' {
			return false
		}
	}
	return s != "" && len(s) <= most
}

// qualifies reports whether s has the form of a qualifier.
func qualifies(s string) bool { return s == faas.Latest || word(s, 128) }

// parseName reads what callers may write for a function: a name, account:function:name, or an ARN, each with or without a
// qualifier (https://docs.aws.amazon.com/lambda/latest/api/API_GetFunction.html). A qualifier given apart must agree.
func parseName(scope faas.Scope, name, qualifier string) (faas.FunctionID, string, error) {
	id := faas.FunctionID{Scope: scope}
	rest := name
	if arn, ok := strings.CutPrefix(rest, "arn:"); ok {
		p := strings.SplitN(arn, ":", 5) // aws:lambda:region:account:function:…
		if len(p) != 5 || p[1] != "lambda" || !strings.HasPrefix(p[4], "function:") {
			return id, "", invalidName(name)
		}
		id.Region, id.Account, rest = p[2], p[3], strings.TrimPrefix(p[4], "function:")
	} else if account, after, ok := strings.Cut(rest, ":function:"); ok {
		id.Account, rest = account, after
	} else {
		rest = strings.TrimPrefix(rest, "function:")
	}
	inName, q, has := strings.Cut(rest, ":")
	id.Name = inName
	if !word(id.Name, 64) || !faas.ValidAccount(id.Account) || has && !qualifies(q) {
		return id, "", invalidName(name)
	}
	if has && qualifier != "" && q != qualifier {
		return id, "", faas.Errorf(faas.Invalid, "The derived qualifier from the function name does not match the specified qualifier.")
	}
	if has {
		qualifier = q
	}
	if id.Region != scope.Region {
		return id, "", faas.Errorf(faas.NotFound, "Functions from '%s' are not reachable in this region ('%s')", id.Region, scope.Region)
	}
	return id, qualifier, nil
}

func invalidName(name string) error {
	return &faas.Error{Kind: faas.Invalid, Code: "ValidationException",
		Message: "1 validation error detected: Value '" + name + "' at 'functionName' failed to satisfy constraint: Member must be a " +
			"function name (1 to 64 of a-z, A-Z, 0-9, - and _), account:function:name, or a function's ARN, each with an optional :qualifier"}
}

// invokedARN is the name under which the caller invoked: with a qualifier only when one was given.
func invokedARN(id faas.FunctionID, qualifier string) string {
	if qualifier == "" {
		return id.ARN()
	}
	return id.ARN() + ":" + qualifier
}
