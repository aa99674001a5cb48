package lambda

import (
	"regexp"
	"strings"

	"artesian/internal/faas"
)

var (
	namePattern      = regexp.MustCompile(`^[a-zA-Z0-9-_]{1,64}$`)
	qualifierPattern = regexp.MustCompile(`^(\$LATEST|[a-zA-Z0-9-_]{1,128})$`)
)

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
	if !namePattern.MatchString(id.Name) || !faas.ValidAccount(id.Account) || has && !qualifierPattern.MatchString(q) {
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
