package cli

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"time"

	"artesian/internal/door/cli/project"
)

var (
	envPattern  = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_]+$`)
	namePattern = regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}$`)
	// runtimePattern has the languages that project.Detect says more about, too.
	runtimePattern = regexp.MustCompile(`^(python3\.[0-9]{1,2}|provided(\.al2|\.al2023)?|nodejs[0-9]{2}\.x|java[0-9]{1,2}(\.al2)?|(ruby|dotnet).*)$`)
)

// check refuses what no function can have, in the words of the command line.
// Limits: https://docs.aws.amazon.com/lambda/latest/api/API_CreateFunction.html, API_Environment.html
func (c *deployCmd) check() error {
	for _, name := range slices.Sorted(maps.Keys(c.Env)) {
		if !envPattern.MatchString(name) {
			return fmt.Errorf("--env %s=…: a name is a letter and one or more letters, digits and _ after it", name)
		}
	}
	timeout := time.Duration(c.Timeout)
	switch {
	case c.Memory != nil && (*c.Memory < 128 || *c.Memory > 10240):
		return fmt.Errorf("--memory %d: 128 to 10240 MB are allowed", *c.Memory)
	case timeout%time.Second != 0:
		return fmt.Errorf("--timeout %s: whole seconds only", timeout)
	case c.Timeout != 0 && timeout > 15*time.Minute:
		return fmt.Errorf("--timeout %s: 1s to 15m are allowed", timeout)
	case c.Runtime != "" && !runtimePattern.MatchString(c.Runtime):
		return fmt.Errorf("--runtime %q: there is no such runtime; for example python3.13, nodejs22.x or provided.al2023", c.Runtime)
	case c.Name != "" && !namePattern.MatchString(c.Name):
		return fmt.Errorf("--name %q: 1 to 64 letters, digits, - and _ are allowed", c.Name)
	}
	return nil
}

// look settles the function's name and finds out whether there is one of that name.
func (d *deployment) look() (err error) {
	if d.Name == "" {
		if d.Name, err = project.Name(d.Dir); err != nil {
			return err
		}
	}
	if d.Name == "" {
		return errors.New("the folder's name makes no function name; give one with --name")
	}
	var have functionConfig
	err = d.cl.lambda(d.s.ctx, http.MethodGet, functionPath(d.Name, "/configuration"), nil, nil, &have)
	switch {
	case err == nil:
		d.have = &have
	case isCode(err, "ResourceNotFoundException"):
		err = nil
	}
	return err
}

// detect finds out what the folder is. What is not said and the folder leaves open stays as the function has it.
func (d *deployment) detect() (err error) {
	handler := d.Handler
	var was project.Language // empty: none, or a program of its own
	if d.have != nil {
		was = project.LanguageOf(d.have.Runtime)
	}
	if handler == "" && was != "" && project.HasHandler(was, d.Dir, d.have.Handler) {
		handler = d.have.Handler
	}
	if d.Handler == "" && handler != "" {
		found, err := project.Detect(d.Dir, "", d.Runtime)
		d.kept = err != nil || found.Handler != handler
	}
	if d.p, err = project.Detect(d.Dir, handler, d.Runtime); err != nil || d.have == nil {
		return err
	}
	is := d.p.Language
	if is != project.Python && is != project.Node && is != project.Java {
		is = ""
	}
	if d.Handler == "" && is == "" {
		d.p.Handler = "bootstrap"
		if was == "" {
			d.p.Handler = d.have.Handler
		}
	}
	if d.Runtime == "" && is == was && (is == "" || d.p.Runtime == "" && d.allowed(d.have.Runtime)) {
		d.p.Runtime = d.have.Runtime
	}
	return nil
}

// allowed reports whether the folder allows a runtime of its language.
func (d *deployment) allowed(runtime string) bool {
	switch d.p.Language {
	case project.Node:
		return major(runtime) >= d.p.Oldest
	case project.Java:
		return javaMajor(runtime) >= d.p.Oldest
	}
	return true
}
