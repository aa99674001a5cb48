package lambda

import (
	"fmt"
	"hash/fnv"
	"slices"
	"strconv"
	"sync"

	"artesian/internal/compute/lang"
	"artesian/internal/compute/sandbox"
	"artesian/internal/faas"
)

// Custom is a lang.Runtime for functions that bring their own: a program named bootstrap that speaks the Runtime API.
type Custom struct {
	id      string
	mounts  []sandbox.Mount
	entries sync.Map // bundle → entry; what was found out about its bootstrap
}

// NewCustom returns the runtime for identifier id, such as provided.al2023. mounts is the file system that a bootstrap
// finds besides its own code. It has a /usr/bin/false.
func NewCustom(id string, mounts []sandbox.Mount) *Custom { return &Custom{id: id, mounts: mounts} }

// View are the mounts that every sandbox of this runtime has.
func (c *Custom) View() []sandbox.Mount { return c.mounts }

// Served implements lang.Runtime.
func (c *Custom) Served() string { return c.id + " (the function's own bootstrap)" }

// Prepare implements lang.Runtime. The Runtime API gets the last of the listeners. A bootstrap that can't be executed is
// looked at once per package and not executed: the session reports why.
func (c *Custom) Prepare(spec *sandbox.Spec, v faas.Version, code, stream string) {
	spec.Mounts = append(spec.Mounts, c.mounts...)
	spec.Mounts = append(spec.Mounts, sandbox.Mount{Source: code, Target: TaskRoot})
	api := ListenAPI(spec)
	spec.Argv = []string{"/usr/bin/false"}
	if e := c.entry(bundleOf(v), spec.Mounts); e.problem == "" {
		spec.Argv = []string{e.path}
	}
	own := []string{"AWS_LAMBDA_RUNTIME_API=" + api}
	if v.Shared() {
		own = append(own, MaxConcurrency+"="+strconv.Itoa(v.Seats()))
	}
	spec.Env = Env(spec.Env, v, stream, own...)
	spec.Dir = TaskRoot
}

// ListenAPI gives spec a further listener, for the Runtime API, unless it has that, and returns its address inside.
func ListenAPI(spec *sandbox.Spec) string {
	api := apiAddress(spec.ID)
	if !slices.Contains(spec.Listen, api) {
		spec.Listen = append(spec.Listen, api)
	}
	return api
}

// apiAddress is where sandbox id finds the Runtime API. All of 127.0.0.0/8 is the loopback device; an address of each
// sandbox's own keeps apart those that share a network namespace with the host, at level process.
func apiAddress(id string) string {
	h := fnv.New32a()
	_, _ = h.Write([]byte(id)) // a hash takes everything
	n := h.Sum32()
	return fmt.Sprintf("127.%d.%d.%d:9001", 1+n%254, n>>8&0xff, 1+(n>>16&0xff)%254)
}

// bundle is all content in which a bootstrap may be: a package and layers, by their names.
type bundle struct{ code, layers string }

func bundleOf(v faas.Version) bundle { return bundle{v.Code.SHA256, faas.Merged(v.Layers)} }

func (c *Custom) entry(b bundle, mounts []sandbox.Mount) entry {
	if e, ok := c.entries.Load(b); ok && b.code != "" {
		return e.(entry)
	}
	e := findEntry(view(mounts))
	c.entries.Store(b, e)
	return e
}

// MaxConcurrency is the variable that tells a runtime how many events it may have at once.
// https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html
const MaxConcurrency = "AWS_LAMBDA_MAX_CONCURRENCY"

// Attach implements lang.Runtime.
func (c *Custom) Attach(sb sandbox.Sandbox, v faas.Version) lang.Session {
	listeners := sb.Listeners()
	s := NewShared(sb, listeners[len(listeners)-1], v.Seats())
	if e, ok := c.entries.Load(bundleOf(v)); ok && e.(entry).problem != "" {
		s.Refuse(ErrorEntrypoint, e.(entry).problem)
	}
	return s
}

// Attach returns the session of a sandbox whose listener for the Runtime API was the last to be added.
func Attach(sb sandbox.Sandbox) *Session {
	listeners := sb.Listeners()
	return NewSession(sb, listeners[len(listeners)-1])
}

// Refuse has the initialisation fail for a reason that was known before the start.
func (s *Session) Refuse(kind, reason string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.initErr = failure(kind, reason)
}
