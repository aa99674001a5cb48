package node

import (
	"context"
	"errors"
	"fmt"
	"time"

	"artesian/internal/compute/lang"
	"artesian/internal/compute/lang/lambda"
	"artesian/internal/compute/pool/stock"
	"artesian/internal/compute/sandbox"
	"artesian/internal/faas"
)

// What a cell is made with before it is known whom it is for.
const (
	cellMB    = 64 // it becomes as large as the function's once that is known
	cellDials = 4  // for what runs beside three extensions at most; who has more starts without a cell
	forkMB    = 256
)

// Cell implements stock.Source.
func (n *Node) Cell(ctx context.Context, k stock.Kind, z sandbox.Zygote) (sandbox.Cell, error) {
	maker, ok := n.Maker.(sandbox.Ahead)
	if !ok {
		return nil, fmt.Errorf("isolation level %s makes no sandboxes ahead", n.Maker.Level())
	}
	spec := sandbox.Spec{ID: newID(), MemoryMB: cellMB, TmpMB: k.TmpMB, Pids: maxPids, Files: maxFiles, Dials: cellDials, Internet: k.Internet}
	spec.Listen = n.listen(spec.ID)
	if k.Runtime == "" {
		return maker.Prepare(ctx, spec)
	}
	runtime, err := n.Runtimes.Resolve(k.Runtime)
	if err != nil {
		return nil, err
	}
	if v, ok := runtime.(viewed); ok && k.Form == stock.Blank {
		spec.Mounts = v.View()
		return maker.Prepare(ctx, spec)
	}
	generic, ok := runtime.(lang.Generic)
	if !ok {
		return nil, fmt.Errorf("runtime %s does not start before its function is known", k.Runtime)
	}
	spec.MemoryMB, spec.Fork = forkMB, z
	if k.Form == stock.Stem {
		spec.MemoryMB = k.MemoryMB
	}
	generic.Generic(&spec, k.MemoryMB)
	return maker.Prepare(ctx, spec)
}

// viewed is a runtime that executes what the function brings, in a file system of which most is always the same.
type viewed interface{ View() []sandbox.Mount }

// Zygote implements stock.Source.
func (n *Node) Zygote(ctx context.Context, f stock.Family) (sandbox.Zygote, error) {
	runtime, err := n.Runtimes.Resolve(f.Runtime)
	if err != nil {
		return nil, err
	}
	maker, ok := n.Maker.(sandbox.Ahead)
	forked, ok2 := runtime.(lang.Forked)
	if !ok || !ok2 {
		return nil, fmt.Errorf("runtime %s has no zygote at level %s", f.Runtime, n.Maker.Level())
	}
	z := forked.Zygote()
	z.ID = newID()
	return maker.Zygote(ctx, z)
}

// listen are the addresses inside that a sandbox is made with, whatever runs in it.
func (n *Node) listen(id string) []string {
	return append(n.Listen[:len(n.Listen):len(n.Listen)], lambda.APIAddress(id))
}

// Expect has the stock hold what a call of v would be served from: somebody who deploys a function soon calls it.
func (n *Node) Expect(v *faas.Version) {
	if n.Stock == nil {
		return
	}
	runtime, err := n.Runtimes.Resolve(v.Runtime)
	if err != nil {
		return
	}
	internet, err := n.Internet(v)
	if err != nil {
		return
	}
	blank, best := kinds(v, runtime, internet)
	n.Stock.Expect(blank)
	if best != blank {
		n.Stock.Expect(best)
	}
}

// kinds are what v can be served from: a blank cell, and the best there may be.
func kinds(v *faas.Version, runtime lang.Runtime, internet bool) (blank, best stock.Kind) {
	blank = stock.Kind{Form: stock.Blank, TmpMB: v.TmpMB, Internet: internet}
	best = blank
	switch runtime.(type) {
	case viewed:
		blank.Runtime = v.Runtime
		best = blank
	case lang.Forked:
		best.Form, best.Runtime, best.Account = stock.Fork, v.Runtime, v.ID.Account
	case lang.Generic:
		best.Form, best.Runtime, best.MemoryMB = stock.Stem, v.Runtime, v.MemoryMB
	}
	return blank, best
}

// made is a sandbox of a launch, and how it came to be.
type made struct {
	*launch
	sandbox  sandbox.Sandbox
	restored bool      // it goes on from an image
	adopted  bool      // its main process ran before it was known whom for
	changed  *[]string // of a template's copy: the variables of the environment that are others than the template's
	way      string
	note     string
}

// make brings a sandbox up by the fastest way that is ready.
func (n *Node) make(ctx context.Context, v *faas.Version, job job) (*made, error) {
	m, unfit := n.restored(ctx, v, job)
	switch {
	case m != nil || ctx.Err() != nil:
		return m, ctx.Err()
	case unfit != "":
		return n.plain(ctx, v, job, nil, unfit+": ")
	case n.Stock == nil:
		return n.plain(ctx, v, job, nil, "")
	}
	blank, best := kinds(v, job.runtime, job.internet)
	why, makes := "", 0
	if best != blank {
		if why = n.unsuited(v, job); why != "" {
			best, why = blank, fmt.Sprintf("no %s: %s; ", best.Form, why)
		}
	}
	if best != blank {
		var m *made
		if m, makes, why = n.fromStock(ctx, v, job, best, nil, n.Stock.Take); m != nil || ctx.Err() != nil {
			return m, ctx.Err()
		}
		why = fmt.Sprintf("no %s ready%s%s; ", best, inTheMaking(makes), why)
	}
	zygote, take := n.second(best)
	m, makes, more := n.fromStock(ctx, v, job, blank, zygote, take)
	if m == nil && ctx.Err() == nil {
		why += fmt.Sprintf("no cell ready%s%s", inTheMaking(makes), more)
		return n.plain(ctx, v, job, zygote, why+": ")
	}
	if m != nil {
		m.note = why + m.note
	}
	return m, ctx.Err()
}

// second is how a blank cell is used where the best there may be was not ready: the zygote to fork into it, if there is one, and how
// to take it. With more of what it lacks a fork would not come for it, so none is made for that, unless there are no forks to hope for.
func (n *Node) second(best stock.Kind) (z sandbox.Zygote, take func(stock.Kind) (sandbox.Cell, int)) {
	if best.Form != stock.Fork {
		return nil, n.Stock.Take
	}
	family := stock.Family{Account: best.Account, Runtime: best.Runtime}
	if z = n.Stock.Zygote(family); z == nil && n.Stock.Failing(family) {
		return nil, n.Stock.Take
	}
	return z, n.Stock.Spare
}

// unsuited is the runtime's Unsuited, which looks into folders, once for each revision.
func (n *Node) unsuited(v *faas.Version, job job) string {
	key := suit{v.ID, v.Fork, job.runtime.Served(), job.code, job.layers}
	n.mu.Lock()
	why, known := n.suits[key]
	n.mu.Unlock()
	if known {
		return why
	}
	why = job.runtime.(lang.Generic).Unsuited(v, job.code, job.layers)
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.suits == nil || len(n.suits) >= mostSuits {
		n.suits = map[suit]string{}
	}
	n.suits[key] = why
	return why
}

// suit is what an answer of Unsuited is about.
type suit struct {
	id                         faas.VersionID
	fork, served, code, layers string
}

// mostSuits bounds how many answers are remembered.
const mostSuits = 4096

func inTheMaking(n int) string {
	if n == 0 {
		return ""
	}
	return fmt.Sprintf(" (%d in the making)", n)
}

// tries is how many cells a launch takes before it does without.
const tries = 3

// fromStock makes a cell of a kind the sandbox. Without one nothing comes back but how many are in the making, and why the
// last did not do.
func (n *Node) fromStock(ctx context.Context, v *faas.Version, job job, k stock.Kind, z sandbox.Zygote, take func(stock.Kind) (sandbox.Cell, int)) (*made, int, string) {
	why := ""
	for range tries {
		c, making := take(k)
		if c == nil || ctx.Err() != nil {
			return nil, making, why
		}
		began := time.Now()
		l, err := n.prepare(v, job, c.ID())
		var sb sandbox.Sandbox
		if err == nil {
			l.spec.Fork = z
			sb, err = c.Become(ctx, l.spec)
		}
		if err == nil {
			return &made{launch: l, sandbox: sb, adopted: k.Form != stock.Blank || z != nil, way: wayOf(k.Form, z), note: noteOf(k, z, time.Since(began))}, 0, ""
		}
		why = ", one did not do: " + err.Error()
		go func() { _ = c.Close() }() // it may be unfit only
		if !errors.Is(err, sandbox.ErrUnfit) {
			n.Log.Debug("make a cell a sandbox", "kind", k.String(), "error", err)
		}
	}
	return nil, 0, why
}

func wayOf(f stock.Form, z sandbox.Zygote) string {
	switch {
	case f != stock.Blank:
		return faas.WayStem
	case z != nil:
		return faas.WayFork
	}
	return faas.WayCell
}

func noteOf(k stock.Kind, z sandbox.Zygote, took time.Duration) string {
	switch {
	case k.Form == stock.Fork:
		return fmt.Sprintf("child of zygote %s ready, assigned in %s", k.Runtime, millis(took))
	case k.Form == stock.Stem:
		return fmt.Sprintf("stem %s ready, assigned in %s", k.Runtime, millis(took))
	case z != nil:
		return fmt.Sprintf("cell and zygote ready, forked in %s", millis(took))
	}
	return "cell ready, executed in " + millis(took)
}

func millis(d time.Duration) string {
	return fmt.Sprintf("%.1f ms", float64(d.Microseconds())/1000)
}

// plain starts a sandbox with nothing that was made ahead but the zygote, if there is one.
func (n *Node) plain(ctx context.Context, v *faas.Version, job job, z sandbox.Zygote, why string) (*made, error) {
	for {
		began := time.Now()
		l, err := n.prepare(v, job, newID())
		if err != nil {
			return nil, err
		}
		l.spec.Fork = z
		sb, err := n.Maker.Start(ctx, l.spec)
		switch {
		case err == nil && z != nil:
			return &made{launch: l, sandbox: sb, adopted: true, way: faas.WayFork, note: why + "zygote ready, made one and forked in " + millis(time.Since(began))}, nil
		case err == nil && why == "":
			return &made{launch: l, sandbox: sb, way: faas.WayStart}, nil
		case err == nil:
			return &made{launch: l, sandbox: sb, way: faas.WayStart, note: why + "made one in " + millis(time.Since(began))}, nil
		case z == nil || ctx.Err() != nil:
			return nil, fmt.Errorf("start sandbox: %w", err)
		}
		n.Log.Debug("fork from a zygote", "error", err)
		z = nil
	}
}
