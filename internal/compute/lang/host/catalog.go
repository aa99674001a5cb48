// Package host finds the language interpreters of this machine and says how a sandbox shows them to a function.
package host

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"artesian/internal/compute/lang"
	"artesian/internal/compute/lang/durable"
	"artesian/internal/compute/lang/fetch"
	"artesian/internal/compute/lang/python"
	"artesian/internal/faas"
)

// Config says where to look. Nothing is read from the environment here.
type Config struct {
	Dir     string // ours, in the data directory: bootstraps, what was found, what was added by hand
	Path    string // a PATH
	Home    string // of the user whose installations count; empty is none
	Nearest bool   // an older version of a language may serve when neither the same nor a newer one is here
	Packs   Packs  // nil: there are none
	// Bytecode keeps what functions' Python is compiled to; nil: they compile it themselves.
	Bytecode *python.Bytecode
	Fetch    *fetch.Client // of exact versions; nil: none can be had
	Logger   *slog.Logger
}

// Packs finds what Lambda's runtimes carry beside a language.
type Packs interface {
	// Dir returns the folder of what version number of a language carries, empty when there is none or it is not here.
	Dir(language string, number int) string
}

// Info is one interpreter, for people.
type Info struct {
	Name    string   `json:"name"`    // the runtime identifier that it serves best: python3.11
	Version string   `json:"version"` // 3.11.7
	Path    string   `json:"path"`
	Source  string   `json:"source"`          // found, added, or built in: no interpreter is needed
	Lacks   []string `json:"lacks,omitempty"` // programs that functions find on Lambda and this machine doesn't have
}

// Catalog knows the interpreters here. They are looked for once, in the background or when first asked for, and what an
// interpreter says is remembered as long as its file doesn't change. One that hangs delays who needs it and nobody else.
// Its methods are safe for concurrent use.
type Catalog struct {
	cfg    Config
	adding sync.Mutex // serialises changes of the file of those added by hand; nothing else waits for it

	fetching  sync.Mutex // serialises installing and removing exact versions; taken before adding
	compiling sync.Mutex // serialises the compilation of packs; nothing else waits for it

	behind *background

	mu   sync.Mutex // guards what follows; nothing waits while holding it
	look *look      // nil before the first, and after one that went wrong
	met  map[meeting]bool
}

// ground is what we put into the data directory for sandboxes, and the system that they stand on.
type ground struct {
	dir   string   // where languages put what they need from us
	empty string   // folder that hides packages which happen to be installed on the host
	tools string   // folder
	lacks []string // tools that the host doesn't have
	load  *loader  // of the tools

	behind   *background
	bytecode *python.Bytecode
}

// New returns a catalog that hasn't looked yet.
func New(cfg Config) *Catalog {
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	return &Catalog{cfg: cfg, behind: newBackground(), met: make(map[meeting]bool)}
}

// Close breaks off what goes on in the background and returns when nothing does. Nothing is looked for afterwards.
func (c *Catalog) Close() { c.behind.close() }

// Discover looks for interpreters now, unless that was done, and returns when all have answered or had their time. Call it
// in the background once the daemon is up: when ctx ends, what nobody else waits for is broken off.
func (c *Catalog) Discover(ctx context.Context) error {
	l, err := c.join(ctx)
	if err != nil {
		return err
	}
	select {
	case <-l.done:
		return nil
	case <-ctx.Done():
		l.cancel()
		<-l.done
		c.drop(l)
		return fmt.Errorf("look for interpreters: %w", ctx.Err())
	}
}

// install writes what sandboxes need from us.
func (c *Catalog) install(ctx context.Context) (g ground, err error) {
	g.dir, g.behind, g.bytecode = c.cfg.Dir, c.behind, c.cfg.Bytecode
	if err = durable.MakeFolder(g.dir); err != nil {
		return g, err
	}
	g.empty = filepath.Join(c.cfg.Dir, "empty")
	if err = os.MkdirAll(g.empty, 0o755); err != nil {
		return g, fmt.Errorf("create folder: %w", err)
	}
	g.tools, g.lacks, g.load, err = installTools(ctx, c.cfg.Dir)
	return g, err
}

// List returns what is here, newest first. An interpreter that takes long to answer is left out until it has.
func (c *Catalog) List(ctx context.Context) ([]Info, error) {
	l, err := c.settled(ctx)
	if err != nil {
		return nil, err
	}
	var out []Info
	for _, g := range languages {
		all, _, _ := l.ranked(g)
		for _, e := range all {
			out = append(out, e.info())
		}
	}
	return append(out, Info{Name: provided, Source: "built in", Lacks: l.ground.lacks}), nil
}

// Asked is a file that may be an interpreter and has not answered yet.
type Asked struct {
	Language string // as runtime identifiers begin: python
	Path     string
}

// settled returns the look for interpreters once all have answered or had a moment to.
func (c *Catalog) settled(ctx context.Context) (*look, error) {
	l, err := c.join(ctx)
	if err != nil {
		return nil, err
	}
	select {
	case <-l.settled:
		return l, nil
	case <-ctx.Done():
		return nil, fmt.Errorf("look for interpreters: %w", ctx.Err())
	}
}

// Asking returns who takes long to answer. Called before List, it misses nobody whom List leaves out.
func (c *Catalog) Asking(ctx context.Context) ([]Asked, error) {
	l, err := c.settled(ctx)
	if err != nil {
		return nil, err
	}
	var out []Asked
	for _, g := range languages {
		_, silent, _ := l.ranked(g)
		for _, k := range silent {
			out = append(out, Asked{g.name, k.path})
		}
	}
	return out, nil
}

// Resolve returns what serves a runtime identifier: the same version of its language, else the next newer one, else, if
// the configuration allows it, the next older one. Otherwise the error, of kind Invalid, says what is here. It waits for
// interpreters that may be the one, half a minute for each step at most.
func (c *Catalog) Resolve(runtime string) (lang.Runtime, error) {
	g, number, err := known(runtime)
	if err != nil {
		return nil, err
	}
	ctx := context.Background()
	l, err := c.join(ctx)
	if err != nil {
		return nil, err
	}
	if own := l.custom[runtime]; own != nil {
		return own, nil
	}
	e, all := l.choose(g, number, c.cfg.Nearest)
	if e == nil {
		return nil, missing(g, runtime, all)
	}
	serve, err := e.plan(ctx, l.ground)
	if err != nil {
		return nil, err
	}
	pack := c.pack(e)
	c.meet(e, pack)
	return serve(runtime, pack), nil
}

// pack returns the folder of what Lambda's runtimes carry beside the version of an interpreter, empty when there is none.
func (c *Catalog) pack(e *entry) string {
	if c.cfg.Packs == nil {
		return ""
	}
	return c.cfg.Packs.Dir(e.language.name, e.number)
}

// Carrier returns the language and the version of it that serve a runtime identifier, by which its pack is found; no
// language for a runtime that a function brings itself. Errors are those of Resolve.
func (c *Catalog) Carrier(runtime string) (language string, number int, err error) {
	e, err := c.serves(runtime)
	if err != nil || e == nil {
		return "", 0, err
	}
	return e.language.name, e.number, nil
}

// serves returns the interpreter that serves a runtime identifier, nil for one that a function brings itself.
func (c *Catalog) serves(runtime string) (*entry, error) {
	g, number, err := known(runtime)
	if err != nil || g == nil {
		return nil, err
	}
	l, err := c.join(context.Background())
	if err != nil {
		return nil, err
	}
	e, all := l.choose(g, number, c.cfg.Nearest)
	if e == nil {
		return nil, missing(g, runtime, all)
	}
	return e, nil
}

// choose picks from entries ranked newest first.
func choose(ranked []*entry, number int, nearest bool) *entry {
	var best *entry
	for _, e := range ranked {
		switch {
		case e.number < number && (best != nil || !nearest):
			return best
		case e.number < number:
			return e
		case best == nil || e.number < best.number:
			best = e
		}
	}
	return best
}

func missing(g *language, runtime string, all []*entry) error {
	var here []string
	for _, e := range all {
		here = append(here, fmt.Sprintf("%s (%s)", version(e.facts), e.facts.Executable))
	}
	have := "there is none"
	if len(here) > 0 {
		have = "there is only " + strings.Join(here, ", ")
	}
	add := "Install one and name it with: artesian runtime add PATH"
	if number, ok := strings.CutPrefix(strings.TrimSuffix(runtime, ".x"), "nodejs"); ok {
		add = "Have one installed with: artesian runtime add node@" + number
	}
	return faas.Errorf(faas.Invalid, "runtime %s needs that version of %s or a newer one, and %s on this machine. %s%s",
		runtime, g.title, have, add, nearestHint(all))
}

func nearestHint(all []*entry) string {
	if len(all) == 0 {
		return ""
	}
	return "; or let an older version serve with: artesian up --runtimes=nearest"
}
