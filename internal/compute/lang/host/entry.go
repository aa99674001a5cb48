package host

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// planTime bounds how long an interpreter may take to be made ready: compiling is all that takes time.
const planTime = 30 * time.Second

// entry is one interpreter that can serve. How a sandbox shows it is worked out when it first does.
type entry struct {
	language *language
	number   int // of its version, within its language's identifiers
	source   string
	facts    *facts

	mu      sync.Mutex
	planned *planning
}

// planning is one attempt; those who come meanwhile wait for it. The fields after done are valid once that is closed.
type planning struct {
	done   chan struct{}
	served served
	err    error
}

func newEntry(g *language, f *facts, source string) *entry {
	return &entry{language: g, number: f.Version[g.component], source: source, facts: f}
}

func (e *entry) info() Info {
	return Info{Name: e.language.identifier(e.number), Version: version(e.facts), Path: e.facts.Executable, Source: e.source}
}

// plan returns what the interpreter serves by, once it is ready to. What went wrong is tried again when asked again.
func (e *entry) plan(ctx context.Context, g ground) (served, error) {
	e.mu.Lock()
	p := e.planned
	if p == nil {
		p = &planning{done: make(chan struct{})}
		if !g.behind.start(func() { e.work(p, g) }) {
			e.mu.Unlock()
			return nil, fmt.Errorf("plan %s: %w", e.facts.Executable, context.Canceled)
		}
		e.planned = p
	}
	e.mu.Unlock()
	select {
	case <-p.done:
		return p.served, p.err
	case <-ctx.Done():
		return nil, fmt.Errorf("plan %s: %w", e.facts.Executable, ctx.Err())
	}
}

func (e *entry) work(p *planning, g ground) {
	ctx, cancel := context.WithTimeout(g.behind.ctx, planTime)
	defer cancel()
	if p.served, p.err = e.language.plan(ctx, e.facts, g); p.err != nil {
		e.mu.Lock()
		e.planned = nil
		e.mu.Unlock()
	}
	close(p.done)
}
