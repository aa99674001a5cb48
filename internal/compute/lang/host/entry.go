package host

import (
	"context"
	"fmt"
	"sync"
	"time"

	"artesian/internal/compute/lang/python"
)

// planTime bounds how long an interpreter may take to be made ready: compiling is all that takes time.
const planTime = 30 * time.Second

// entry is one interpreter that can serve. How a sandbox shows it is worked out when it first does.
type entry struct {
	minor  int
	source string
	facts  *facts

	mu      sync.Mutex
	planned *planning
}

// planning is one attempt; those who come meanwhile wait for it. The fields after done are valid once that is closed.
type planning struct {
	done        chan struct{}
	interpreter python.Interpreter
	err         error
}

func newEntry(f *facts, source string) *entry {
	return &entry{minor: f.Version[1], source: source, facts: f}
}

func (e *entry) info() Info {
	return Info{Name: fmt.Sprintf("python3.%d", e.minor), Version: version(e.facts), Path: e.facts.Executable, Source: e.source}
}

// plan returns how a sandbox shows the interpreter, and compiles our bootstrap for it. What went wrong is tried again when
// asked again.
func (e *entry) plan(ctx context.Context, g ground) (python.Interpreter, error) {
	e.mu.Lock()
	p := e.planned
	if p == nil {
		p = &planning{done: make(chan struct{})}
		e.planned = p
		go e.work(p, g)
	}
	e.mu.Unlock()
	select {
	case <-p.done:
		return p.interpreter, p.err
	case <-ctx.Done():
		return python.Interpreter{}, fmt.Errorf("plan %s: %w", e.facts.Executable, ctx.Err())
	}
}

func (e *entry) work(p *planning, g ground) {
	ctx, cancel := context.WithTimeout(context.Background(), planTime)
	defer cancel()
	if p.interpreter, p.err = pythonPlan(e.facts, g); p.err == nil {
		p.interpreter.Bootstrap, p.err = python.Compile(ctx, e.facts.Executable, g.bootstrap, e.facts.Tag)
	}
	if p.err != nil {
		e.mu.Lock()
		e.planned = nil
		e.mu.Unlock()
	}
	close(p.done)
}
