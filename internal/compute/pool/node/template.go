package node

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"artesian/internal/compute/pool"
	"artesian/internal/compute/pool/stock"
	"artesian/internal/compute/sandbox"
	"artesian/internal/faas"
)

// TemplatesConfig bounds templates. The zero value of a field is its documented default.
type TemplatesConfig struct {
	Slow     time.Duration // a version has a template whose initialisation takes as long; default 50 ms
	Most     int           // templates together; default 16
	Copies   int           // a template is renewed after so many; default 1,000
	Age      time.Duration // or at this age; default 1 hour
	Idle     time.Duration // and goes when it was not used for so long; default 10 minutes
	InitTime time.Duration // what a template's initialisation may take, in which its CPU is not limited; default 10 seconds, as an instance's
	Logger   *slog.Logger
}

// Templates are initialised instances, one for each version that is slow to initialise, from which others are copied. They and the
// sandboxes for their next copies are made off the path of calls. All methods are safe for concurrent use.
type Templates struct {
	cfg    TemplatesConfig
	memory stock.Memory
	log    *slog.Logger
	life   context.Context
	end    context.CancelFunc
	work   sync.WaitGroup

	mu      sync.Mutex
	all     map[faas.VersionID]*model
	refused map[faas.VersionID]string // why a version has none, and is not tried again
}

// mostRefused bounds how many refusals are remembered.
const mostRefused = 4096

// aheadWeight is what a copy that is made ahead takes of what instances may have together, in MB: it is frozen.
const aheadWeight = 16

// model is the template of a version, in the making or there.
type model struct {
	template sandbox.Template // nil unless there is one
	running  *pool.Running    // its instance
	env      []string         // its environment
	mb       int
	next     sandbox.Cell // with the next copy; nil: none yet
	making   bool         // it is being made
	used     time.Time
	idle     *time.Timer
}

// NewTemplates has none yet. Close it.
func NewTemplates(memory stock.Memory, cfg TemplatesConfig) *Templates {
	cfg.Slow, cfg.Idle = cmp.Or(cfg.Slow, 50*time.Millisecond), cmp.Or(cfg.Idle, 10*time.Minute)
	cfg.Age, cfg.InitTime = cmp.Or(cfg.Age, time.Hour), cmp.Or(cfg.InitTime, 10*time.Second)
	cfg.Most, cfg.Copies = cmp.Or(cfg.Most, 16), cmp.Or(cfg.Copies, 1000)
	cfg.Logger = cmp.Or(cfg.Logger, slog.New(slog.DiscardHandler))
	t := &Templates{cfg: cfg, memory: memory, log: cfg.Logger, all: map[faas.VersionID]*model{}, refused: map[faas.VersionID]string{}}
	t.life, t.end = context.WithCancel(context.Background())
	return t
}

// Close ends all templates; their copies live on.
func (t *Templates) Close() {
	t.end()
	t.work.Wait()
	for _, m := range t.take(func(faas.VersionID) bool { return true }) {
		m.close(t.memory)
	}
}

// Retire ends the templates of what a change has made obsolete: of version id in all revisions but that of id.
func (t *Templates) Retire(id faas.VersionID) {
	if t == nil {
		return
	}
	obsolete := func(k faas.VersionID) bool {
		return k.FunctionID == id.FunctionID && k.Version == id.Version && k.Revision != id.Revision
	}
	for _, m := range t.take(obsolete) {
		t.close(m)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	maps.DeleteFunc(t.refused, func(k faas.VersionID, _ string) bool { return obsolete(k) })
}

// Refused is why a version has no template and gets none, in words; empty if there is nothing to say.
func (t *Templates) Refused(id faas.VersionID) string {
	if t == nil {
		return ""
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.refused[id]
}

// Yield lets go of the template that was not used for longest, because memory is short.
func (t *Templates) Yield() {
	if t == nil {
		return
	}
	t.mu.Lock()
	m := t.oldest()
	t.mu.Unlock()
	if m != nil {
		t.close(m)
	}
}

// take removes models. Those that are in the making find out.
func (t *Templates) take(which func(faas.VersionID) bool) (taken []*model) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for id, m := range t.all {
		if which(id) {
			delete(t.all, id)
			taken = append(taken, m)
		}
	}
	return taken
}

// close ends what a model has, without waiting for it.
func (t *Templates) close(m *model) {
	t.background(func(context.Context) { m.close(t.memory) })
}

// background does something that Close waits for; after that, at once.
func (t *Templates) background(f func(context.Context)) {
	t.mu.Lock()
	over := t.life.Err() != nil
	if !over {
		t.work.Add(1)
	}
	t.mu.Unlock()
	if over {
		f(t.life)
		return
	}
	go func() {
		defer t.work.Done()
		f(t.life)
	}()
}

func (m *model) close(memory stock.Memory) {
	if m.idle != nil {
		m.idle.Stop()
	}
	if m.next != nil {
		_ = m.next.Close()
		memory.Return(aheadWeight)
	}
	if m.template == nil {
		return
	}
	_ = m.template.Close()
	memory.Return(m.mb)
	go func() { // as long as there are copies, something of it is
		<-m.running.Sandbox.Done()
		_ = m.running.Session.Close()
		_ = m.running.Sandbox.Close()
		m.running.Output.Close()
	}()
}

// copied makes an instance of v a copy of v's template. Without one nothing comes back but why, if there is anything to say.
func (n *Node) copied(ctx context.Context, v *faas.Version, job job) (*made, string) {
	t := n.Templates
	if t == nil || v.Held || v.PerTenant {
		return nil, ""
	}
	t.mu.Lock()
	m, why := t.all[v.ID], t.refused[v.ID]
	if m == nil || m.template == nil {
		t.mu.Unlock()
		switch {
		case m != nil:
			why = "in the making"
		case why == "":
			return nil, ""
		}
		return nil, "no template: " + why + "; "
	}
	next := m.next
	m.next, m.used = nil, time.Now()
	t.mu.Unlock()
	if next != nil {
		t.memory.Return(aheadWeight) // it is the instance's now, which has memory of its own
		select {
		case <-next.Done(): // as it may, when memory is short
			_ = next.Close()
			next = nil
		default:
		}
	}
	began := time.Now()
	result, err := n.copy(ctx, v, job, m, next)
	if err == nil {
		result.note = fmt.Sprintf("template ready, copied in %s", millis(time.Since(began)))
		t.background(func(ctx context.Context) { n.keep(ctx, v, job, m) })
		return result, ""
	}
	switch {
	case ctx.Err() != nil || transient(err):
	case errors.Is(err, sandbox.ErrUnfit): // what its mounts show, or the node's policy, has changed
		n.drop(v.ID, m)
	default:
		n.refuse(v.ID, m, "its copy: "+err.Error())
	}
	return nil, "no template: its copy: " + err.Error() + "; "
}

// copy has a copy of m's template run, in a cell that was made for it or in one that is made now.
func (n *Node) copy(ctx context.Context, v *faas.Version, job job, m *model, next sandbox.Cell) (*made, error) {
	var err error
	if next == nil {
		if next, err = n.nextCell(ctx, v, job, m); err != nil {
			return nil, err
		}
	}
	l, err := n.prepare(v, job, next.ID())
	var sb sandbox.Sandbox
	if err == nil {
		l.spec.Copy = m.template
		sb, err = next.Become(ctx, l.spec)
	}
	if err != nil {
		return nil, errors.Join(err, next.Close())
	}
	return &made{launch: l, sandbox: sb, changed: changed(m.env, l.spec.Env), way: faas.WayTemplate}, nil
}

// nextCell makes a cell with a copy of m's template, which stands still in it.
func (n *Node) nextCell(ctx context.Context, v *faas.Version, job job, m *model) (sandbox.Cell, error) {
	l, err := n.prepare(v, job, newID())
	if err != nil {
		return nil, err
	}
	s := l.spec
	s.Argv, s.Env, s.Dir, s.Copy = nil, nil, "", m.template
	return n.Maker.(sandbox.Copier).Prepare(ctx, s)
}

// changed are the variables of now that are not as they were.
func changed(before, now []string) *[]string {
	list := []string{}
	for _, variable := range now {
		if !slices.Contains(before, variable) {
			list = append(list, variable)
		}
	}
	return &list
}

// keep makes the cell for the next copy, and renews a template that is old.
func (n *Node) keep(ctx context.Context, v *faas.Version, job job, m *model) {
	t := n.Templates
	if m.template.Copies() >= t.cfg.Copies || time.Since(m.template.Started()) > t.cfg.Age {
		if n.drop(v.ID, m) {
			n.begin(v, job)
		}
		return
	}
	t.mu.Lock()
	if m.making || m.next != nil {
		t.mu.Unlock()
		return
	}
	m.making = true
	t.mu.Unlock()
	defer func() {
		t.mu.Lock()
		m.making = false
		t.mu.Unlock()
	}()
	if !t.memory.Borrow(aheadWeight) {
		return // the next copy is made when it is wanted
	}
	next, err := n.nextCell(ctx, v, job, m)
	if err == nil {
		t.mu.Lock()
		if t.all[v.ID] == m && m.template != nil {
			m.next, next = next, nil
		}
		t.mu.Unlock()
		if next == nil {
			return
		}
		_ = next.Close()
	}
	t.memory.Return(aheadWeight)
	switch {
	case err == nil || ctx.Err() != nil:
	case transient(err):
		t.log.Debug("make a copy ahead", "error", err)
	default:
		n.refuse(v.ID, m, "its copy: "+err.Error())
	}
}

// transient reports whether an error is of the node's, and not of the version's.
func transient(err error) bool { return faas.KindOf(err) == faas.Unavailable }

// drop removes a model, unless somebody else has.
func (n *Node) drop(id faas.VersionID, m *model) bool {
	t := n.Templates
	t.mu.Lock()
	mine := t.all[id] == m
	if mine {
		delete(t.all, id)
	}
	t.mu.Unlock()
	if mine {
		t.close(m)
	}
	return mine
}

// refuse keeps a version from having a template, with the reason.
func (n *Node) refuse(id faas.VersionID, m *model, why string) {
	t := n.Templates
	if n.drop(id, m) {
		t.log.Info("no template", "function", id.ARN(), "reason", why)
		t.mu.Lock()
		if len(t.refused) >= mostRefused {
			clear(t.refused)
		}
		t.refused[id] = why
		t.mu.Unlock()
	}
}
