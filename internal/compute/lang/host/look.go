package host

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"artesian/internal/compute/lang/lambda"
)

// patience is how long all are waited for, so that the best answers. Who is slower is waited for by those who need it.
const patience = 2 * time.Second

// look is one search for interpreters. All are asked at once.
type look struct {
	cancel  context.CancelFunc
	begun   chan struct{} // closed when what follows, up to custom, is valid
	err     error         // nothing can run
	ground  ground
	custom  map[string]*lambda.Custom // by identifier
	settled chan struct{}             // closed when all have answered or patience is over
	done    chan struct{}             // closed when all have answered or had their time

	mu         sync.Mutex // guards what follows
	candidates []*candidate
	changed    chan struct{} // closed at the next change
}

// candidate is a file that may be an interpreter.
type candidate struct {
	language     *language
	path, source string
	answered     bool
	memory       memory
	entry        *entry // nil when it is of no use, or hasn't answered
}

// join returns the look for interpreters, begun.
func (c *Catalog) join(ctx context.Context) (*look, error) {
	c.mu.Lock()
	l := c.look
	if l == nil {
		ctx, cancel := context.WithCancel(c.behind.ctx)
		l = &look{cancel: cancel, begun: make(chan struct{}), settled: make(chan struct{}), done: make(chan struct{}), changed: make(chan struct{})}
		if !c.behind.start(func() { c.run(ctx, l) }) {
			cancel()
			c.mu.Unlock()
			return nil, fmt.Errorf("look for interpreters: %w", context.Canceled)
		}
		c.look = l
	}
	c.mu.Unlock()
	select {
	case <-l.begun:
		return l, l.err
	case <-ctx.Done():
		return nil, fmt.Errorf("look for interpreters: %w", ctx.Err())
	}
}

// drop has the next who joins begin anew, if l is what it would join.
func (c *Catalog) drop(l *look) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.look == l {
		c.look = nil
	}
}

// again has the next who joins begin anew. Who waits for the look before gets its answer.
func (c *Catalog) again() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.look = nil
}

// run is one look from its beginning to the last answer.
func (c *Catalog) run(ctx context.Context, l *look) {
	defer l.cancel()
	defer close(l.done)
	if l.err = c.begin(ctx, l); l.err != nil {
		c.drop(l)
		close(l.settled)
		close(l.begun)
		return
	}
	known := c.readMemory()
	asked := slices.Clone(l.candidates)
	close(l.begun)
	settle := sync.OnceFunc(func() {
		close(l.settled)
		l.mu.Lock()
		defer l.mu.Unlock()
		l.signal()
	})
	defer time.AfterFunc(patience, settle).Stop()
	var all sync.WaitGroup
	for _, k := range asked {
		all.Go(func() {
			m := known.recall(ctx, k.language, k.path)
			if m.late && ctx.Err() != nil {
				m.Reason = "" // it was not given its time: nothing is known of it
			}
			c.answer(l, k, m)
		})
	}
	all.Wait()
	if ctx.Err() == nil {
		c.writeMemory(remembered(asked))
	}
	settle()
}

// begin installs what sandboxes need and finds whom to ask: those added by hand first.
func (c *Catalog) begin(ctx context.Context, l *look) (err error) {
	added, err := c.readAdded()
	if err != nil {
		return err
	}
	if l.ground, err = c.install(ctx); err != nil {
		return err
	}
	mounts := customPlan(l.ground)
	l.custom = make(map[string]*lambda.Custom)
	for _, id := range providedAll {
		l.custom[id] = lambda.NewCustom(id, mounts)
	}
	for _, a := range added {
		if g := named(a.Language); g != nil {
			l.candidates = append(l.candidates, &candidate{language: g, path: a.Path, source: "added"})
		}
	}
	for _, g := range languages {
		for _, p := range g.candidates(c.cfg.Path, c.cfg.Home) {
			if !slices.ContainsFunc(l.candidates, func(k *candidate) bool { return k.path == p }) {
				l.candidates = append(l.candidates, &candidate{language: g, path: p, source: "found"})
			}
		}
	}
	return nil
}

// answer takes in what k said, and logs why it can't serve if so.
func (c *Catalog) answer(l *look, k *candidate, m memory) {
	if m.Facts == nil && m.Reason != "" {
		level := slog.LevelDebug
		if k.source == "added" || m.late {
			level = slog.LevelWarn
		}
		c.cfg.Logger.Log(context.Background(), level, "interpreter is of no use", "path", m.Path, "reason", m.Reason)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	k.answered, k.memory = true, m
	if m.Facts != nil {
		k.entry = newEntry(k.language, m.Facts, k.source)
	}
	l.signal()
}

func remembered(all []*candidate) (out []memory) {
	for _, k := range all {
		if !k.memory.late {
			out = append(out, k.memory)
		}
	}
	return out
}

// signal wakes who waits for a change. The caller holds the lock.
func (l *look) signal() {
	close(l.changed)
	l.changed = make(chan struct{})
}

// prepend adds an interpreter that serves before the others.
func (l *look) prepend(e *entry) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.candidates = slices.Insert(l.candidates, 0, &candidate{language: e.language, path: e.facts.Executable, source: e.source, answered: true, entry: e})
}

// ranked returns the interpreters of a language that have answered, newest first, those that haven't, and what is closed at
// the next change. Of one number those added by hand come first, then the newest version, then the order in which they
// were found.
func (l *look) ranked(g *language) (out []*entry, silent []*candidate, changed <-chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	seen := make(map[string]bool)
	for _, k := range l.candidates {
		switch {
		case k.language != g:
		case !k.answered:
			silent = append(silent, k)
		case k.entry != nil && !seen[k.entry.facts.Executable]:
			seen[k.entry.facts.Executable] = true
			out = append(out, k.entry)
		}
	}
	rank(out)
	return out, silent, l.changed
}

func rank(all []*entry) {
	slices.SortStableFunc(all, func(a, b *entry) int {
		return cmp.Or(cmp.Compare(b.number, a.number), cmp.Compare(a.source, b.source), slices.Compare(b.facts.Version, a.facts.Version))
	})
}

// choose returns what serves a number of a language, nil for nothing, and what it was chosen from. It waits for who has not answered: for
// all a moment, then for those that may serve it better than any other version that has.
func (l *look) choose(g *language, number int, nearest bool) (*entry, []*entry) {
	for {
		all, silent, changed := l.ranked(g)
		best := choose(all, number, nearest)
		patient := true
		select {
		case <-l.settled:
			patient = false
		default:
		}
		better := slices.ContainsFunc(silent, func(k *candidate) bool { return k.beats(best, number, nearest) })
		if len(silent) == 0 || !patient && !better {
			return best, all
		}
		<-changed // everything answers or is ended
	}
}

// beats reports whether k, which has not answered, may be of a version that is chosen before best's. The name of its file
// says which it is, python3.11, or it may be any.
func (k *candidate) beats(best *entry, number int, nearest bool) bool {
	if best == nil || best.number == number {
		return best == nil
	}
	n, ok := k.language.number(filepath.Base(k.path))
	if !ok {
		return true
	}
	both := []*entry{best, {number: n}}
	slices.SortStableFunc(both, func(a, b *entry) int { return cmp.Compare(b.number, a.number) })
	return n != best.number && choose(both, number, nearest) != best
}
