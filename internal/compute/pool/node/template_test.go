package node

import (
	"context"
	"log/slog"
	"strconv"
	"strings"
	"testing"
	"time"

	"artesian/internal/compute/lang"
	"artesian/internal/compute/pool"
	"artesian/internal/compute/sandbox"
	"artesian/internal/faas"
)

// kept is a template that is there.
type kept struct{ sandbox.Template }

func (kept) Close() error { return nil }

// ended is a sandbox that is.
type ended struct{ sandbox.Sandbox }

func (ended) Done() <-chan struct{} {
	c := make(chan struct{})
	close(c)
	return c
}
func (ended) Close() error { return nil }

// mute is a session that says nothing.
type mute struct{ lang.Session }

func (mute) Close() error { return nil }

// quiet is output of nobody's.
type quiet struct{ pool.Output }

func (quiet) Close() {}

// ready is a template that is there.
func ready() *model {
	return &model{used: time.Now(), template: kept{}, running: &pool.Running{Sandbox: ended{}, Session: mute{}, Output: quiet{}}}
}

// copier is a maker that copies, if it is asked to.
type copier struct{ sandbox.Copier }

func (copier) Level() sandbox.Level { return sandbox.Container }

// other is a runtime whose processes can't be copied.
type other struct{ lang.Runtime }

// TestRefusals: what is refused takes no template's place, is not tried again, and is forgotten with its revision.
func TestRefusals(t *testing.T) {
	n := &Node{Maker: copier{}, Log: slog.New(slog.DiscardHandler), Templates: NewTemplates(plenty{}, TemplatesConfig{Most: 2})}
	version := func(i int, revision string) *faas.Version {
		v := &faas.Version{Runtime: "nodejs20.x"}
		v.ID.Name, v.ID.Version, v.ID.Revision = "f"+strconv.Itoa(i), faas.Latest, revision
		return v
	}
	there := version(-1, "a")
	n.Templates.all[there.ID] = ready()
	for range 2 {
		for i := range 10 {
			n.begin(version(i, "a"), job{runtime: other{}})
			n.Templates.work.Wait()
		}
	}
	if len(n.Templates.refused) != 10 || n.Templates.all[there.ID] == nil || len(n.Templates.all) != 1 {
		t.Errorf("%d refused, %d there", len(n.Templates.refused), len(n.Templates.all))
	}
	for i := range 10 {
		if why := n.Templates.Refused(version(i, "a").ID); why != "templates are for functions in Python, and this is nodejs20.x" {
			t.Fatalf("%q", why)
		}
	}
	m, why := n.copied(context.Background(), version(3, "a"), job{})
	if m != nil || !strings.Contains(why, "no template: templates are for functions in Python") {
		t.Errorf("%v %q", m, why)
	}
	n.Templates.Retire(version(3, "b").ID)
	if why := n.Templates.Refused(version(3, "a").ID); why != "" || n.Templates.Refused(version(4, "a").ID) == "" {
		t.Errorf("after another revision: %q", why)
	}
	for i := range 5 { // as many as there may be, the last used ones
		n.Templates.mu.Lock()
		n.Templates.all[version(100+i, "a").ID] = ready()
		n.Templates.mu.Unlock()
	}
	n.Templates.Yield()
	n.Templates.work.Wait()
	if n.Templates.all[there.ID] != nil || len(n.Templates.all) != 5 {
		t.Errorf("memory is short: %d are left", len(n.Templates.all))
	}
}
