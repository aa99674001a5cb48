package host

import (
	"regexp"
	"slices"
	"strings"

	"artesian/internal/faas"
)

// provided begins the identifiers of runtimes that a function brings itself.
const provided = "provided"

// providedAll are those that Lambda's API knows. Each language has its own list, the deprecated ones included.
// https://docs.aws.amazon.com/lambda/latest/dg/lambda-runtimes.html and botocore's model of the API.
var providedAll = [...]string{"provided.al2023", "provided.al2", "provided"}

// others are the families of identifiers that Lambda knows, of which not every one is served here.
var others = regexp.MustCompile(`^(nodejs|java|ruby|dotnet|dotnetcore|go)[0-9]*(\.[0-9x]+)?(\.x|\.al2|-edge)?$`)

// known returns the language and number of an identifier, no language for one that a function brings itself. It refuses
// what is no identifier, in the words of Lambda's API, and what isn't served here.
func known(runtime string) (*language, int, error) {
	if slices.Contains(providedAll[:], runtime) {
		return nil, 0, nil
	}
	var all []string
	for _, g := range languages {
		if slices.Contains(g.identifiers, runtime) {
			n, _ := g.number(runtime)
			return g, n, nil
		}
		all = append(all, g.identifiers...)
	}
	list := strings.Join(append(all, providedAll[:]...), ", ")
	if others.MatchString(runtime) {
		return nil, 0, faas.Errorf(faas.Unsupported, "runtime %s is not served here; these are: %s", runtime, list)
	}
	return nil, 0, faas.Errorf(faas.Invalid, "Value %s at 'runtime' failed to satisfy constraint: Member must satisfy enum value set: [%s]", runtime, list)
}
