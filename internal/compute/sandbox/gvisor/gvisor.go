// Package gvisor is the isolation level `gvisor`: a function's system calls are answered by a kernel of its own (gVisor's
// sentry, which is a part of this program), and that kernel is the only program in a sandbox of the level container.
//
// See DESIGN.md beside this file.
package gvisor

import (
	"context"
	"debug/elf"
	"errors"
	"fmt"
	"log/slog"
	"os"

	"artesian/internal/compute/sandbox"
	"artesian/internal/compute/sandbox/gvisor/runsc"
	"artesian/internal/compute/sandbox/gvisor/wire"
	"artesian/internal/faas"
)

// Outer makes the sandboxes that kernels run in.
type Outer interface {
	// Host is Start of a sandbox whose main process is a kernel of its own.
	Host(ctx context.Context, s sandbox.Spec) (sandbox.Sandbox, error)
	// OneUser reports whether sandboxes have one user id only.
	OneUser() bool
	Sweep(ctx context.Context) error
	Report() []sandbox.Guarantee
	Close() error
}

// What a kernel needs beside what its programs do.
const (
	kernelMemoryMB = 64
	kernelThreads  = 192
	threadsOfOne   = 3 // threads of the host's for each thread inside
)

// Maker starts sandboxes. It implements sandbox.Maker.
type Maker struct {
	outer Outer
	self  string // the program that a kernel is
	log   *slog.Logger
}

// New takes over outer. The error names what is missing.
func New(outer Outer, self string, log *slog.Logger) (*Maker, error) {
	for _, missing := range []error{static(), limited(outer.Report())} {
		if missing != nil {
			return nil, fmt.Errorf("isolation level gvisor: %w", missing)
		}
	}
	return &Maker{outer: outer, self: self, log: log}, nil
}

// static refuses a program that needs a loader: the runtime executes itself where there is none.
func static() error {
	f, err := elf.Open("/proc/self/exe")
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	for _, p := range f.Progs {
		if p.Type == elf.PT_INTERP {
			return errors.New("this program was built with cgo; build it with CGO_ENABLED=0 (make build does)")
		}
	}
	return nil
}

// limited refuses where no control group bounds memory: what programs in a kernel of their own use is one shared file to who
// looks at processes, so it cannot be watched either.
func limited(around []sandbox.Guarantee) error {
	for _, g := range around {
		if g.Name == "memory limit" && !g.Enforced {
			return fmt.Errorf("it needs a control group (docs/isolation.md says how an ordinary user gets one): %s", g.How)
		}
	}
	return nil
}

// Level implements sandbox.Maker.
func (m *Maker) Level() sandbox.Level { return sandbox.GVisor }

// Sweep implements sandbox.Maker.
func (m *Maker) Sweep(ctx context.Context) error { return m.outer.Sweep(ctx) }

// Close implements sandbox.Maker.
func (m *Maker) Close() error { return m.outer.Close() }

// Start implements sandbox.Maker.
func (m *Maker) Start(ctx context.Context, s sandbox.Spec) (sandbox.Sandbox, error) {
	if err := s.Check(); err != nil {
		return nil, err
	}
	if s.Copy != nil || s.Template {
		return nil, faas.Errorf(faas.Invalid, "sandbox: template: this level copies no process")
	}
	if s.Fork != nil {
		return nil, faas.Errorf(faas.Invalid, "sandbox: fork: this level forks from no zygote")
	}
	return m.launch(ctx, s, wire.Order{Kind: wire.Run, Program: m.program(s, m.outer.OneUser())})
}

// launch starts a sandbox whose program begins, or goes on from an image.
func (m *Maker) launch(ctx context.Context, s sandbox.Spec, o wire.Order, image ...*os.File) (sandbox.Sandbox, error) {
	i, err := m.begin(ctx, s)
	if err != nil {
		return nil, err
	}
	i.kept = o.Program.TmpMB > 0 && len(o.Program.Beside) == 0
	if err := i.run(ctx, o, image...); err != nil {
		return nil, errors.Join(fmt.Errorf("start sandbox %s: %w", s.ID, err), i.Close())
	}
	return i, nil
}

// around is the Spec of the sandbox that the kernel runs in.
func (m *Maker) around(s sandbox.Spec) sandbox.Spec {
	s.Argv, s.Env, s.Dir = runsc.Argv(m.self), []string{"PATH=/"}, "/"
	s.MemoryMB += kernelMemoryMB
	s.Pids = kernelThreads + threadsOfOne*s.Pids
	s.Channel, s.Beside = true, nil
	return s
}

// program is what the kernel runs; with ownTmp, /tmp is in that kernel's memory.
func (m *Maker) program(s sandbox.Spec, ownTmp bool) *wire.Program {
	p := &wire.Program{Argv: s.Argv, Env: s.Env, Dir: s.Dir, Files: s.Files, Pids: s.Pids, Memory: s.MemoryMB, Channel: s.Channel}
	for _, b := range s.Beside {
		p.Beside = append(p.Beside, wire.Aside{Argv: b.Argv, Env: b.Env})
	}
	if ownTmp {
		p.TmpMB = s.TmpMB
	}
	return p
}

// Report implements sandbox.Maker.
func (m *Maker) Report() []sandbox.Guarantee {
	var all []sandbox.Guarantee
	for _, g := range m.outer.Report() {
		switch g.Name {
		case "system calls":
			g = sandbox.Guarantee{Name: g.Name, Enforced: true, How: "answered by gVisor's kernel in user space; that kernel's own by its seccomp filter"}
		case "freezing":
			continue
		case "process limit":
			g.How = "RLIMIT_NPROC inside; threads of the kernel: " + g.How
		case "memory limit", "memory watch":
			g.How += fmt.Sprintf("; the kernel's own %d MB beside the function's", kernelMemoryMB)
		}
		all = append(all, g)
	}
	all = append(all, sandbox.Guarantee{Name: "freezing", Enforced: true, How: "the kernel stops what it runs; it is not frozen itself"})
	return append(all, sandbox.Guarantee{Name: "kernel", Enforced: true, How: "gVisor, platform systrap; sockets are the host's, of the sandbox's network namespace"})
}
