package node

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"artesian/internal/compute/lang"
	"artesian/internal/compute/sandbox"
	"artesian/internal/faas"
)

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
	m := &model{mb: v.MemoryMB, used: time.Now()}
	t.mu.Lock()
	there := t.all[v.ID] != nil || t.refused[v.ID] != "" || t.life.Err() != nil || len(t.all)-t.ready() >= mostMaking
	if !there {
		t.all[v.ID] = m
	}
	t.mu.Unlock()
	if there {
		return
	}
	t.background(func(ctx context.Context) {
		if why := n.template(ctx, v, job, m); why != "" {
			n.refuse(v.ID, m, why)
		} else if m.template != nil {
			n.keep(ctx, v, job, m)
		}
	})
}

// mostMaking bounds how many templates are made at a time. Who finds as many comes back at the next initialisation.
const mostMaking = 4

// ready counts the templates that are there.
func (t *Templates) ready() (n int) {
	for _, m := range t.all {
		if m.template != nil {
			n++
		}
	}
	return n
}

// oldest removes the template that was not used for longest; nil without any. One that is in the making takes nobody's place.
func (t *Templates) oldest() (m *model) {
	var id faas.VersionID
	for k, o := range t.all {
		if o.template != nil && (m == nil || o.used.Before(m.used)) {
			id, m = k, o
		}
	}
	delete(t.all, id)
	return m
}

// template starts an instance, has it initialise and makes it m's template. The result is why not, and never will be.
func (n *Node) template(ctx context.Context, v *faas.Version, job job, m *model) (why string) {
	maker, ok := n.Maker.(sandbox.Copier)
	if why := unlike(v, job); why != "" || !ok {
		return cmp.Or(why, fmt.Sprintf("isolation level %s copies no process", n.Maker.Level()))
	}
	if !n.Templates.memory.Borrow(v.MemoryMB) {
		n.drop(v.ID, m) // there may be next time
		return ""
	}
	err := n.initialised(ctx, maker, v, job, m)
	if err == nil {
		return ""
	}
	n.Templates.memory.Return(v.MemoryMB)
	if transient(err) || ctx.Err() != nil {
		n.drop(v.ID, m)
		return ""
	}
	return strings.TrimSpace(err.Error())
}

// unlike says what of a version, whatever its code does, keeps it from having a template.
func unlike(v *faas.Version, job job) string {
	if _, can := job.runtime.(lang.Twinned); !can {
		return fmt.Sprintf("templates are for functions in Python, and this is %s", v.Runtime)
	}
	if v.Fork == faas.Off {
		return "its tag " + faas.ForkTag + " is " + v.Fork
	}
	return ""
}

func (n *Node) initialised(ctx context.Context, maker sandbox.Copier, v *faas.Version, job job, m *model) error {
	ctx, cancel := context.WithTimeout(ctx, n.Templates.cfg.InitTime)
	defer cancel()
	l, err := n.prepare(v, job, newID())
	if err != nil {
		return err
	}
	if len(l.spec.Beside) > 0 {
		return errors.New("it has extensions")
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
	var excess *model
	t.mu.Lock()
	if t.ready() >= t.cfg.Most {
		excess = t.oldest()
	}
	m.template, m.running, m.env, m.used = o, r, l.spec.Env, time.Now()
	m.idle = time.AfterFunc(t.cfg.Idle, func() { n.expire(v.ID, m) })
	removed := t.all[v.ID] != m
	t.mu.Unlock()
	if excess != nil {
		t.close(excess)
	}
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
