// Package host finds the language interpreters of this machine and says how a sandbox shows them to a function.
package host

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"

	"artesian/internal/compute/lang"
	"artesian/internal/compute/lang/lambda"
	"artesian/internal/compute/lang/python"
	"artesian/internal/faas"
)

// Config says where to look. Nothing is read from the environment here.
type Config struct {
	Dir     string // ours, in the data directory: bootstraps, what was found, what was added by hand
	Path    string // a PATH
	Home    string // of the user whose installations count; empty is none
	Nearest bool   // an older version of a language may serve when neither the same nor a newer one is here
	Logger  *slog.Logger
}

// Info is one interpreter, for people.
type Info struct {
	Name    string `json:"name"`    // the runtime identifier that it serves best: python3.11
	Version string `json:"version"` // 3.11.7
	Path    string `json:"path"`
	Source  string `json:"source"` // found, added, or built in: no interpreter is needed
}

// Catalog knows the interpreters here. They are looked for once, in the background or when first asked for, and what an
// interpreter says is remembered as long as its file doesn't change. Its methods are safe for concurrent use.
type Catalog struct {
	cfg Config

	mu     sync.Mutex // guards what follows; held while interpreters are asked
	ready  bool
	ground ground
	found  []*entry
	custom map[string]*lambda.Custom // by identifier
}

// ground is what we put into the data directory for sandboxes, and the system that they stand on.
type ground struct {
	bootstrap string  // folder
	empty     string  // folder that hides packages which happen to be installed on the host
	tools     string  // folder
	load      *loader // of the tools
}

// entry is one interpreter that can serve. How a sandbox shows it is worked out when it first does.
type entry struct {
	minor       int
	source      string
	facts       *facts
	interpreter *python.Interpreter
}

// New returns a catalog that hasn't looked yet.
func New(cfg Config) *Catalog {
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	return &Catalog{cfg: cfg}
}

// Discover looks for interpreters now, unless that was done. Call it in the background once the daemon is up.
func (c *Catalog) Discover(ctx context.Context) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.discover(ctx)
}

// discover is Discover with the lock held.
func (c *Catalog) discover(ctx context.Context) error {
	if c.ready {
		return nil
	}
	added, err := c.readAdded()
	if err != nil {
		return err
	}
	g, err := c.install()
	if err != nil {
		return err
	}
	known := c.readMemory()
	var paths []string
	for _, a := range added {
		paths = append(paths, a.Path)
	}
	for _, p := range candidates(c.cfg.Path, c.cfg.Home) {
		if !slices.Contains(paths, p) {
			paths = append(paths, p)
		}
	}
	answers := make([]memory, len(paths))
	var wg sync.WaitGroup
	for i, path := range paths {
		wg.Go(func() { answers[i] = known.recall(ctx, path) })
	}
	wg.Wait()
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("look for interpreters: %w", err)
	}
	c.found = nil
	for i, a := range answers {
		source := "found"
		if i < len(added) {
			source = "added"
		}
		c.admit(ctx, a, source)
	}
	c.writeMemory(answers)
	c.ground = g
	mounts := customPlan(g)
	c.custom = make(map[string]*lambda.Custom)
	for _, id := range identifiers {
		if strings.HasPrefix(id, provided) {
			c.custom[id] = lambda.NewCustom(id, mounts)
		}
	}
	c.ready = true
	return nil
}

// admit adds an interpreter that answered, or logs why it can't serve.
func (c *Catalog) admit(ctx context.Context, a memory, source string) {
	if a.Facts == nil {
		level := slog.LevelDebug
		if source == "added" {
			level = slog.LevelWarn
		}
		c.cfg.Logger.Log(ctx, level, "interpreter is of no use", "path", a.Path, "reason", a.Reason)
		return
	}
	if !slices.ContainsFunc(c.found, func(o *entry) bool { return o.facts.Executable == a.Facts.Executable }) {
		c.found = append(c.found, &entry{minor: a.Facts.Version[1], source: source, facts: a.Facts})
	}
}

// plan works out how a sandbox shows the interpreter, and compiles our bootstrap for it.
func (e *entry) plan(ctx context.Context, g ground) error {
	if e.interpreter != nil {
		return nil
	}
	in, err := pythonPlan(e.facts, g)
	if err != nil {
		return err
	}
	if in.Bootstrap, err = python.Compile(ctx, e.facts.Executable, g.bootstrap, e.facts.Tag); err != nil {
		return err
	}
	e.interpreter = &in
	return nil
}

// install writes what sandboxes need from us.
func (c *Catalog) install() (g ground, err error) {
	if g.bootstrap, err = python.Install(c.cfg.Dir); err != nil {
		return g, err
	}
	g.empty = filepath.Join(c.cfg.Dir, "empty")
	if err = os.MkdirAll(g.empty, 0o755); err != nil {
		return g, fmt.Errorf("create folder: %w", err)
	}
	g.tools, g.load, err = installTools(c.cfg.Dir)
	return g, err
}

// List returns what is here, newest first.
func (c *Catalog) List(ctx context.Context) ([]Info, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.discover(ctx); err != nil {
		return nil, err
	}
	out := make([]Info, 0, len(c.found))
	for _, e := range c.ranked() {
		out = append(out, e.info())
	}
	return append(out, Info{Name: provided, Source: "built in"}), nil
}

func (e *entry) info() Info {
	return Info{Name: fmt.Sprintf("python3.%d", e.minor), Version: version(e.facts), Path: e.facts.Executable, Source: e.source}
}

// ranked returns the interpreters, newest first; of one minor version those added by hand come first, then the newest
// patch, then the order in which they were found.
func (c *Catalog) ranked() []*entry {
	out := slices.Clone(c.found)
	slices.SortStableFunc(out, func(a, b *entry) int {
		return cmp.Or(cmp.Compare(b.minor, a.minor), cmp.Compare(a.source, b.source), cmp.Compare(b.facts.Version[2], a.facts.Version[2]))
	})
	return out
}

// Resolve returns what serves a runtime identifier: the same version of its language, else the next newer one, else, if
// the configuration allows it, the next older one. Otherwise the error, of kind Invalid, says what is here.
func (c *Catalog) Resolve(runtime string) (lang.Runtime, error) {
	if err := known(runtime); err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.discover(context.Background()); err != nil {
		return nil, err
	}
	if own := c.custom[runtime]; own != nil {
		return own, nil
	}
	minor, err := strconv.Atoi(strings.TrimPrefix(runtime, "python3."))
	if err != nil {
		return nil, fmt.Errorf("read runtime %s: %w", runtime, err)
	}
	all := c.ranked()
	e := choose(all, minor, c.cfg.Nearest)
	if e == nil {
		return nil, missing(runtime, all)
	}
	if err := e.plan(context.Background(), c.ground); err != nil {
		return nil, err
	}
	return python.New(runtime, *e.interpreter), nil
}

// choose picks from entries ranked newest first.
func choose(ranked []*entry, minor int, nearest bool) *entry {
	var best *entry
	for _, e := range ranked {
		switch {
		case e.minor < minor && (best != nil || !nearest):
			return best
		case e.minor < minor:
			return e
		case best == nil || e.minor < best.minor:
			best = e
		}
	}
	return best
}

func missing(runtime string, all []*entry) error {
	var here []string
	for _, e := range all {
		here = append(here, fmt.Sprintf("%s (%s)", version(e.facts), e.facts.Executable))
	}
	have := "no usable Python is"
	if len(here) > 0 {
		have = "here are " + strings.Join(here, ", ") + "; none of them is"
	}
	return faas.Errorf(faas.Invalid, "runtime %s needs that version of Python or a newer one, and %s on this machine. "+
		"Install one and name it with: artesian runtime add PATH%s", runtime, have, nearestHint(all))
}

func nearestHint(all []*entry) string {
	if len(all) == 0 {
		return ""
	}
	return "; or let an older version serve with: artesian up --runtimes=nearest"
}
