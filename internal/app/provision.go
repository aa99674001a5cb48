package app

import (
	"cmp"
	"context"
	"errors"
	"sync"
	"time"

	"artesian/internal/compute/pool"
	"artesian/internal/compute/registry"
	"artesian/internal/door/aws/lambda"
	"artesian/internal/faas"
	"artesian/internal/observe/metrics"
)

// handOverTime is how long calls of an alias go to its old version at most while its new one's instances are made.
const handOverTime = 30 * time.Second

// provisioner remembers of which functions the instances that are kept ready may not be as they are to be.
type provisioner struct {
	mu    sync.Mutex
	noted map[faas.FunctionID]bool
	wake  chan struct{}

	// of its loop alone
	holds   map[faas.FunctionID]map[string]*faas.Version // by version: what the pool was told to keep ready
	handing map[faas.FunctionID]map[string]time.Time     // by alias: until when its calls go as before
	kept    map[faas.VersionID]kept                      // what is there, not billed yet
	ledger  keptLedger
}

// note takes in that a function has changed, or its instances have. It does not block.
func (p *provisioner) note(id faas.FunctionID) {
	p.mu.Lock()
	if p.noted == nil {
		p.noted, p.wake = make(map[faas.FunctionID]bool), make(chan struct{}, 1)
	}
	p.noted[id] = true
	wake := p.wake
	p.mu.Unlock()
	select {
	case wake <- struct{}{}:
	default: // it is awake, or not running yet
	}
}

func (p *provisioner) take() map[faas.FunctionID]bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	noted := p.noted
	p.noted = make(map[faas.FunctionID]bool)
	return noted
}

// provision keeps as many instances ready as the functions' records say, those of before the start too.
func (a *App) provision(context.Context) error {
	p := &a.held
	p.note(faas.FunctionID{}) // wakes it, and makes the channel
	p.kept = make(map[faas.VersionID]kept)
	if p.ledger == nil {
		p.ledger = a.ledger
	}
	p.holds, p.handing = make(map[faas.FunctionID]map[string]*faas.Version), make(map[faas.FunctionID]map[string]time.Time)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		bills := time.NewTicker(billKept)
		defer bills.Stop()
		defer func() { a.bill(time.Now()) }()
		var again <-chan time.Time
		for {
			select {
			case <-p.wake:
			case <-again:
			case <-bills.C:
				a.bill(time.Now())
			case <-ctx.Done():
				return
			}
			for id := range p.take() {
				a.provide(id)
			}
			again = a.overdue()
		}
	}()
	a.onStop(func(context.Context) error { cancel(); <-done; return nil })
	return nil
}

// overdue notes the functions that have an alias whose time for handing over is over, and returns when to look next.
func (a *App) overdue() <-chan time.Time {
	var next time.Time
	for id, aliases := range a.held.handing {
		for _, until := range aliases {
			if left := time.Until(until); left <= 0 {
				a.held.note(id)
			} else if next.IsZero() || until.Before(next) {
				next = until
			}
		}
	}
	if next.IsZero() {
		return nil
	}
	return time.After(time.Until(next))
}

// provide tells the pool what to keep ready of a function's versions, and lets aliases go over to versions whose instances are there.
func (a *App) provide(id faas.FunctionID) {
	p := &a.held
	defer a.account(id)
	rec, err := a.functions.Get(id, "")
	if err != nil {
		delete(p.holds, id) // its instances have been retired
		delete(p.handing, id)
		return
	}
	a.handOver(id, rec)
	want := a.functions.Ready(rec)
	if len(want) == 0 && p.holds[id] == nil {
		return
	}
	holds := make(map[string]*faas.Version)
	for number, n := range want {
		if v, err := a.functions.Get(id, number); err == nil {
			holds[number] = &v.Version
			a.pool.Hold(&v.Version, n, func() { p.note(id) })
		}
	}
	for number, v := range p.holds[id] {
		if holds[number] == nil {
			a.pool.Hold(v, 0, nil)
		}
	}
	if p.holds[id] = holds; len(holds) == 0 {
		delete(p.holds, id)
	}
}

// handOver ends the hand-overs of a function's aliases that are done, or have lasted too long.
func (a *App) handOver(id faas.FunctionID, rec *registry.Record) {
	before := a.held.handing[id]
	delete(a.held.handing, id)
	for _, alias := range a.functions.Handing(rec) {
		until, ok := before[alias]
		if !ok {
			until = time.Now().Add(handOverTime)
		}
		if time.Now().Before(until) && !a.provisioned(rec, alias).Ready {
			if a.held.handing[id] == nil {
				a.held.handing[id] = make(map[string]time.Time)
			}
			a.held.handing[id][alias] = until
			continue
		}
		a.functions.HandOver(id, alias)
	}
}

// provisioned says how far the instances are that are kept ready under a qualifier.
func (a *App) provisioned(rec *registry.Record, qualifier string) (out lambda.Provisioned) {
	id := rec.Version.ID.FunctionID
	alias, ok := rec.Aliases[qualifier]
	if !ok {
		alias = faas.Alias{Version: qualifier}
	}
	out.Ready = true
	for number, n := range registry.Share(alias, rec.Provisions[qualifier].Count) {
		v, err := a.functions.Get(id, number)
		if err != nil {
			continue
		}
		held := a.pool.Holds(v.Version.ID)
		out.Available += min(held.There, n)
		out.Ready = out.Ready && held.There >= n
		if held.Err != nil {
			out.Failure = failure(held.Err)
		}
	}
	return out
}

// failure is why an instance that is to be kept ready is not there.
func failure(err error) string {
	var init *pool.InitError
	switch {
	case errors.As(err, &init):
		return "FUNCTION_ERROR_INIT_FAILURE"
	case errors.Is(err, pool.ErrNoMemory):
		return "Not enough memory: " + pool.ErrNoMemory.Error() + "."
	}
	return cmp.Or(faas.Message(err), "The instances could not be started on this node.")
}

// provisionedGauges tell of all that is kept ready, and of the calls that took it.
func (a *App) provisionedGauges() []metrics.Gauge {
	t := a.pool.HeldTotals()
	const help = "Instances that are kept ready: asked for (wanted), there, and busy of these."
	instances := func(state string, n int) metrics.Gauge {
		return metrics.Gauge{Name: "artesian_provisioned_instances", Help: help, Labels: []string{"state", state}, Value: float64(n)}
	}
	return []metrics.Gauge{
		instances("wanted", t.Want), instances("there", t.There), instances("busy", t.Busy),
		{Name: "artesian_provisioned_invocations_total", Help: "Calls that took an instance that is kept ready.", Value: float64(t.Calls), Counts: true},
		{Name: "artesian_provisioned_spillover_total", Help: "Calls of versions with instances that are kept ready that found none of these idle.",
			Value: float64(t.Spilled), Counts: true},
	}
}
