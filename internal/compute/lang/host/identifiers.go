package host

import (
	"regexp"
	"slices"
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
var others = regexp.MustCompile(`^(nodejs|java|ruby|dotnet|dotnetcore|go)[0-9]*(\.[0-9x]+)?(\.x|\.al2|-edge)?$`)

// provided begins the identifiers of runtimes that a function brings itself.
const provided = "provided"

// known refuses what is no identifier, in the words of Lambda's API, and what isn't served here.
func known(runtime string) error {
	switch {
	case slices.Contains(identifiers[:], runtime):
		return nil
	case others.MatchString(runtime):
		return faas.Errorf(faas.Unsupported, "runtime %s is not served here; these are: %s", runtime, strings.Join(identifiers[:], ", "))
	}
	return faas.Errorf(faas.Invalid, "Value %s at 'runtime' failed to satisfy constraint: Member must satisfy enum value set: [%s]",
		runtime, strings.Join(identifiers[:], ", "))
}
