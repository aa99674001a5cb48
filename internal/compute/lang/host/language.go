package host

import (
	"cmp"
	"context"
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"artesian/internal/compute/lang"
)

// language is how the interpreters of one language are found, asked and shown.
type language struct {
	name        string   // as it is remembered
	title       string   // for people
	form        string   // of its identifiers: python3.%d
	component   int      // which part of a version is the number in an identifier
	identifiers []string // that Lambda's API knows, newest first
	file        *regexp.Regexp
	places      []string // folders beside the usual ones where its interpreters live, ~ standing for the user's home
	// ask has the file at path say what it is. check says why what it said is of no use.
	ask   func(ctx context.Context, path string) (*facts, error)
	check func(f *facts) error
	// plan says how a sandbox shows the described interpreter, once what it needs from us is there.
	plan func(ctx context.Context, f *facts, g ground) (served, error)
	// compile makes what is in a pack's folder start faster with the described interpreter; nil: nothing does.
	compile func(ctx context.Context, f *facts, pack string) error
}

// served makes the runtime that serves an identifier of its language. pack is the folder of what Lambda's runtimes carry beside
// it, empty when it is not here.
type served func(identifier, pack string) lang.Runtime

// languages are all that are served, in the order in which people see them.
var languages = [...]*language{&pythonLanguage, &nodeLanguage, &javaLanguage}

// facts is what an interpreter says about itself.
type facts struct {
	Version    []int  `json:"version"` // 3 11 7
	Executable string `json:"executable"`
	Prefix     string `json:"prefix,omitempty"`  // the folder that its installation fills
	CAFile     string `json:"ca_file,omitempty"` // where it looks for certificates

	// Python's alone
	Implementation string   `json:"implementation,omitempty"` // cpython
	Tag            string   `json:"tag,omitempty"`            // cpython-311
	Stdlib         string   `json:"stdlib,omitempty"`         // pure modules
	Dynload        []string `json:"dynload,omitempty"`        // folders of extension modules
	Packages       []string `json:"packages,omitempty"`       // site-packages below the prefix
}

func version(f *facts) string {
	parts := make([]string, len(f.Version))
	for i, n := range f.Version {
		parts[i] = strconv.Itoa(n)
	}
	return strings.Join(parts, ".")
}

// number returns 11 of python3.11, be it an identifier or a file's name.
func (g *language) number(name string) (n int, ok bool) {
	_, err := fmt.Sscanf(name, g.form, &n)
	return n, err == nil
}

// identifier returns python3.11 for 11, as Lambda spells it where Lambda knows it.
func (g *language) identifier(number int) string {
	for _, id := range g.identifiers {
		if n, _ := g.number(id); n == number {
			return id
		}
	}
	return fmt.Sprintf(g.form, number)
}

// probeTime bounds what one interpreter may take to describe itself.
const probeTime = 20 * time.Second

// probe asks the interpreter at path.
func (g *language) probe(ctx context.Context, path string) (*facts, error) {
	ctx, cancel := context.WithTimeout(ctx, probeTime)
	defer cancel()
	f, err := g.ask(ctx, path)
	if err != nil {
		return nil, err
	}
	if err := g.check(f); err != nil {
		return nil, fmt.Errorf("use %s: %w", path, err)
	}
	if f.Executable, err = filepath.EvalSymlinks(f.Executable); err != nil {
		return nil, fmt.Errorf("find the real place of %s: %w", path, err)
	}
	return f, nil
}

// likely returns the languages that the file at path may be an interpreter of: those whose interpreters have such a name,
// else all.
func likely(path string) []*language {
	fits := func(g *language) bool { return g.file.MatchString(filepath.Base(path)) }
	if i := slices.IndexFunc(languages[:], fits); i >= 0 {
		return languages[i : i+1]
	}
	return languages[:]
}

// named returns the language of that name; what was remembered without one is Python.
func named(name string) *language {
	for _, g := range languages {
		if g.name == cmp.Or(name, pythonLanguage.name) {
			return g
		}
	}
	return nil
}
