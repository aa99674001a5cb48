package node

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"artesian/internal/compute/lang"
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
	InitTime time.Duration // what a template's initialisation may take; default 1 minute
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

	mu  sync.Mutex
	all map[faas.VersionID]*model
}

// model is the template of a version in its states: in the making, there, refused.
type model struct {
	why      string           // in words, why there is none
	template sandbox.Template // nil unless there is one
	running  *pool.Running    // its instance
	env      []string         // its environment
	mb       int
	next     sandbox.Cell // for the next copy; nil: none yet
	used     time.Time
	idle     *time.Timer
}

// NewTemplates has none yet. Close it.
func NewTemplates(memory stock.Memory, cfg TemplatesConfig) *Templates {
	cfg.Slow, cfg.Idle = cmp.Or(cfg.Slow, 50*time.Millisecond), cmp.Or(cfg.Idle, 10*time.Minute)
	cfg.Age, cfg.InitTime = cmp.Or(cfg.Age, time.Hour), cmp.Or(cfg.InitTime, time.Minute)
	cfg.Most, cfg.Copies = cmp.Or(cfg.Most, 16), cmp.Or(cfg.Copies, 1000)
	cfg.Logger = cmp.Or(cfg.Logger, slog.New(slog.DiscardHandler))
	t := &Templates{cfg: cfg, memory: memory, log: cfg.Logger, all: map[faas.VersionID]*model{}}
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
	for _, m := range t.take(func(k faas.VersionID) bool {
		return k.FunctionID == id.FunctionID && k.Version == id.Version && k.Revision != id.Revision
	}) {
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
	if t == nil {
		return nil, ""
	}
	t.mu.Lock()
	m := t.all[v.ID]
	if m == nil || m.template == nil {
		why := ""
		if m != nil {
			why = "no template: " + m.why + "; "
		}
		t.mu.Unlock()
		return nil, why
	}
	next := m.next
	m.next, m.used = nil, time.Now()
	t.mu.Unlock()
	began := time.Now()
	result, err := n.copy(ctx, v, job, m, next)
	if err == nil {
		result.note = fmt.Sprintf("template ready, copied in %s", millis(time.Since(began)))
		t.background(func(ctx context.Context) { n.keep(ctx, v, job, m) })
		return result, ""
	}
	if ctx.Err() == nil {
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

// nextCell makes a cell for a copy of m's template.
func (n *Node) nextCell(ctx context.Context, v *faas.Version, job job, m *model) (sandbox.Cell, error) {
	l, err := n.prepare(v, job, newID())
	if err != nil {
		return nil, err
	}
	s := l.spec
	s.Argv, s.Env, s.Dir, s.Channel, s.Copy = nil, nil, "", false, m.template
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
	next, err := n.nextCell(ctx, v, job, m)
	if err != nil {
		t.log.Debug("make the cell for a copy", "error", err)
		return
	}
	t.mu.Lock()
	if t.all[v.ID] == m && m.next == nil && m.template != nil {
		m.next, next = next, nil
	}
	t.mu.Unlock()
	if next != nil {
		_ = next.Close()
	}
}

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
		if t.all[id] == nil {
			t.all[id] = &model{why: why, used: time.Now()}
		}
		t.mu.Unlock()
	}
}

// observed is a session whose initialisation, if it is slow, has v have a template.
func (n *Node) observed(s lang.Session, v *faas.Version, job job) lang.Session {
	if n.Templates == nil || v.Held || v.PerTenant {
		return s
	}
	return &observed{Session: s, slow: func(took time.Duration) {
		if took >= n.Templates.cfg.Slow {
			n.begin(v, job)
		}
	}}
}

type observed struct {
	lang.Session
	slow func(time.Duration)
	once sync.Once
}

// Init implements lang.Session.
func (o *observed) Init(ctx context.Context) (lang.InitPhases, error) {
	p, err := o.Session.Init(ctx)
	if err == nil {
		o.once.Do(func() { o.slow(p.Init) })
	}
	return p, err
}

// begin makes a template of v, off the path, unless there is one, or can't be.
func (n *Node) begin(v *faas.Version, job job) {
	t := n.Templates
	m := &model{why: "in the making", mb: v.MemoryMB, used: time.Now()}
	t.mu.Lock()
	there := t.all[v.ID] != nil || t.life.Err() != nil
	if !there {
		t.all[v.ID] = m
	}
	oldest := t.excess()
	t.mu.Unlock()
	if oldest != nil {
		t.close(oldest)
	}
	if there {
		return
	}
	t.background(func(ctx context.Context) {
		if why := n.template(ctx, v, job, m); why != "" {
			n.refuse(v.ID, m, why)
			return
		}
		n.keep(ctx, v, job, m)
	})
}

// excess removes the model that was not used for longest, if there are too many.
func (t *Templates) excess() (oldest *model) {
	if len(t.all) <= t.cfg.Most {
		return nil
	}
	var id faas.VersionID
	for k, m := range t.all {
		if oldest == nil || m.used.Before(oldest.used) {
			id, oldest = k, m
		}
	}
	delete(t.all, id)
	return oldest
}

// template starts an instance, has it initialise and makes it m's template. The result is why not.
func (n *Node) template(ctx context.Context, v *faas.Version, job job, m *model) (why string) {
	maker, ok := n.Maker.(sandbox.Copier)
	if _, can := job.runtime.(lang.Twinned); !ok || !can || v.Fork == faas.Off {
		return "its runtime, its isolation level or its tag does not allow for one"
	}
	if !n.Templates.memory.Borrow(v.MemoryMB) {
		n.drop(v.ID, m) // there may be next time
		return "there is no memory to spare"
	}
	err := n.initialised(ctx, maker, v, job, m)
	if err == nil {
		return ""
	}
	n.Templates.memory.Return(v.MemoryMB)
	return strings.TrimSpace(err.Error())
}

func (n *Node) initialised(ctx context.Context, maker sandbox.Copier, v *faas.Version, job job, m *model) error {
	ctx, cancel := context.WithTimeout(ctx, n.Templates.cfg.InitTime)
	defer cancel()
	l, err := n.prepare(v, job, newID())
	if err != nil {
		return err
	}
	l.spec.Template = true
	sb, err := maker.Start(ctx, l.spec)
	if err != nil {
		return fmt.Errorf("start it: %w", err)
	}
	r, err := n.run(v, job, &made{launch: l, sandbox: sb})
	if err != nil {
		return err
	}
	if _, err = r.Session.Init(ctx); err != nil {
		err = fmt.Errorf("initialise it: %w", err)
	}
	var o sandbox.Template
	if err == nil {
		o, err = maker.Template(ctx, sb)
	}
	if err != nil {
		_ = r.Session.Close()
		_ = sb.Close()
		r.Output.Close()
		return err
	}
	t := n.Templates
	t.mu.Lock()
	m.template, m.running, m.env, m.used = o, r, l.spec.Env, time.Now()
	m.idle = time.AfterFunc(t.cfg.Idle, func() { n.expire(v.ID, m) })
	removed := t.all[v.ID] != m
	t.mu.Unlock()
	if removed {
		t.close(m)
	}
	return nil
}

// expire ends a template that is not used any more.
func (n *Node) expire(id faas.VersionID, m *model) {
	t := n.Templates
	t.mu.Lock()
	left := t.cfg.Idle - time.Since(m.used)
	if left > 0 {
		m.idle.Reset(left)
	}
	t.mu.Unlock()
	if left <= 0 {
		n.drop(id, m)
	}
}
