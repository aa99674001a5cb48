package host

import (
	"regexp"
	"slices"
	"strconv"
	"strings"

	"artesian/internal/faas"
)

// identifiers are the runtimes that Lambda's API knows, the deprecated ones included, newest of a language first.
// https://docs.aws.amazon.com/lambda/latest/dg/lambda-runtimes.html and botocore's model of the API.
var identifiers = [...]string{
	"python3.14", "python3.13", "python3.12", "python3.11", "python3.10", "python3.9", "python3.8", "python3.7", "python3.6",
	"provided.al2023", "provided.al2", "provided",
}

// others are the families of identifiers that Lambda knows and this platform doesn't run yet.
var others = regexp.MustCompile(`^(nodejs|java|ruby|dotnet|dotnetcore|go|python)[0-9]*(\.[0-9x]+)?(\.x|\.al2|-edge)?$`)

// parse returns the minor version that a Python identifier asks for.
func parse(runtime string) (minor int, err error) {
	if !slices.Contains(identifiers[:], runtime) {
		if others.MatchString(runtime) && !strings.HasPrefix(runtime, "python") {
			return 0, faas.Errorf(faas.Unsupported, "runtime %s is not served here; these are: %s", runtime, strings.Join(identifiers[:], ", "))
		}
		return 0, faas.Errorf(faas.Invalid, "Value %s at 'runtime' failed to satisfy constraint: Member must satisfy enum value set: [%s]",
			runtime, strings.Join(identifiers[:], ", "))
	}
	minor, err = strconv.Atoi(strings.TrimPrefix(runtime, "python3."))
	if err != nil {
		return 0, faas.Errorf(faas.Unsupported, "runtime %s is not served here", runtime)
	}
	return minor, nil
}
