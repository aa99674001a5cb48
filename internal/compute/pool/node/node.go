// Package node starts instances on this machine: it brings a version's code, a runtime and a sandbox together. It knows
// them by their seams only.
package node

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"artesian/internal/compute/lang"
	"artesian/internal/compute/lang/extension"
	"artesian/internal/compute/lang/lambda"
	"artesian/internal/compute/pool"
	"artesian/internal/compute/pool/stock"
	"artesian/internal/compute/sandbox"
	"artesian/internal/faas"
)

// Limits of every sandbox, beside what its version configures. AWS Lambda documents 1,024 of each.
const (
	maxPids  = 1024
	maxFiles = 1024
)

// Code finds the unpacked code of a package by its hash.
type Code interface {
	Dir(ctx context.Context, sha256 string) (string, error)
	// Layers finds what layers make together; nothing without layers.
	Layers(ctx context.Context, layers []faas.Layer) (string, error)
}

// Runtimes finds what serves a runtime identifier here.
type Runtimes interface {
	Resolve(runtime string) (lang.Runtime, error)
}

// Log takes what one instance prints. Write may block: that slows this function only.
type Log interface {
	Write(at time.Time, message string)
	Close()
}

// Node is a pool.Launcher.
type Node struct {
	Maker     sandbox.Maker
	Code      Code
	Runtimes  Runtimes
	OpenLog   func(v *faas.Version, stream string) (Log, error)
	Env       func(v *faas.Version) []string // what the platform adds to a function's environment
	Internet  func(v *faas.Version) (bool, error)
	Listen    []string // host:port sockets on which the platform is reached from inside
	Serve     func(sandbox.Sandbox, *faas.Version)
	Now       func() time.Time
	Stock     *stock.Stock // of sandboxes made ahead; nil: none
	Templates *Templates   // of versions that are slow to initialise; nil: none
	Log       *slog.Logger
	Own       string                // our data directory: folders in it that sandboxes see are named by their content
	Launched  func(v *faas.Version) // told of each instance that has been started; nil: nobody is
	Images    Images                // of versions that go on from one; nil: none
	Keeper    sandbox.Keeper        // makes and restores them

	mu    sync.Mutex
	suits map[suit]string // why a runtime that was started ahead does not do, by revision
}

// job is what a launch needs to know of its version, whatever it becomes.
type job struct {
	runtime      lang.Runtime
	code, layers string
	internet     bool
}

// launch is one instance in the making.
type launch struct {
	spec       sandbox.Spec
	stream     string
	at         time.Time
	extensions aside
}

// Launch implements pool.Launcher.
func (n *Node) Launch(ctx context.Context, v *faas.Version) (*pool.Running, error) {
	defer n.Stock.Starting()()
	job, err := n.look(ctx, v)
	if err != nil {
		return nil, err
	}
	m, why := n.copied(ctx, v, job)
	if m == nil {
		if m, err = n.make(ctx, v, job); err != nil {
			return nil, err
		}
		m.note = why + m.note
	}
	if n.Launched != nil {
		n.Launched(v)
	}
	return n.run(v, job, m)
}

// look finds what v is made of.
func (n *Node) look(ctx context.Context, v *faas.Version) (j job, err error) {
	if j.runtime, err = n.Runtimes.Resolve(v.Runtime); err != nil {
		return j, err
	}
	if j.code, err = n.Code.Dir(ctx, v.Code.SHA256); err != nil {
		return j, fmt.Errorf("unpack code: %w", err)
	}
	if j.layers, err = n.Code.Layers(ctx, v.Layers); err != nil {
		return j, fmt.Errorf("unpack layers: %w", err)
	}
	j.internet, err = n.Internet(v)
	return j, err
}

// prepare plans the sandbox of that id.
func (n *Node) prepare(v *faas.Version, j job, id string) (*launch, error) {
	l := &launch{at: n.Now().UTC()}
	l.stream = l.at.Format("2006/01/02") + "/[" + v.ID.Version + "]" + id
	l.spec = sandbox.Spec{
		ID:       id,
		Owner:    v.ID.FunctionID.ARN(),
		MemoryMB: v.MemoryMB,
		TmpMB:    v.TmpMB,
		Pids:     maxPids,
		Files:    maxFiles,
		CPU:      float64(v.MemoryMB) / faas.MemoryMBPerCPU,
		Listen:   n.Listen[:len(n.Listen):len(n.Listen)],
		Internet: j.internet,
		Env:      n.Env(v),
	}
	if j.layers != "" {
		l.spec.Mounts = append(l.spec.Mounts, sandbox.Mount{Source: j.layers, Target: lambda.LayerDir})
	}
	j.runtime.Prepare(&l.spec, *v, j.code, l.stream)
	lambda.Wrap(&l.spec, *v)
	var err error
	l.extensions, err = beside(&l.spec, j.layers)
	return l, err
}

// run takes over the conversation with a sandbox and what it prints.
func (n *Node) run(v *faas.Version, j job, m *made) (*pool.Running, error) {
	n.Serve(m.sandbox, v)
	log, err := n.OpenLog(v, m.stream)
	if err != nil {
		_ = m.sandbox.Close()
		return nil, fmt.Errorf("open log: %w", err)
	}
	var out *printed
	host := extension.NewHost(v, m.extensions.names, func(at time.Time, line string) { out.Line(at, line) }, n.Now)
	out, err = newOutput(m.sandbox, v, n.Now, log, host.Printed)
	if err != nil {
		_ = m.sandbox.Close()
		log.Close()
		return nil, fmt.Errorf("take over output: %w", err)
	}
	starts := lambda.InitStartLines
	if m.restored {
		starts = lambda.RestoreStartLines
	}
	for _, line := range starts(v, j.runtime.Served(), m.at) {
		out.Line(m.at, line)
	}
	out.Tail(true) // the first call's log begins with what the initialisation prints
	sb := m.extensions.open(m.sandbox, host, !m.adopted && !m.restored && m.changed == nil)
	var session lang.Session
	switch {
	case m.changed != nil:
		session = j.runtime.(lang.Twinned).Twin(sb, *m.changed)
	case m.restored:
		session = j.runtime.(lang.Imaged).Resume(sb, awake(m.spec.Env))
	case m.adopted:
		session = j.runtime.(lang.Generic).Adopt(sb, &m.spec, *v)
	default:
		session = j.runtime.Attach(sb, *v)
	}
	if m.changed == nil && !m.spec.Template {
		session = n.observed(session, v, j)
	}
	session = extension.Extend(session, host, m.sandbox, j.runtime.Served())
	r := &pool.Running{Sandbox: oursOf(m.sandbox), Session: session, Output: out, Served: j.runtime.Served(), Stream: m.stream, Way: m.way, Note: m.note}
	if m.restored {
		r.Ready = n.reportRestore(v, out)
	}
	return r, nil
}

func newID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // crypto/rand.Read never returns an error
	return hex.EncodeToString(b[:])
}
