package app

import (
	"context"
	"errors"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"artesian/internal/account/identity"
	"artesian/internal/account/meter"
	"artesian/internal/account/price"
	"artesian/internal/compute/lang/host"
	"artesian/internal/door/gateway"
	"artesian/internal/door/gateway/admin"
	"artesian/internal/faas"
	"artesian/internal/observe/logs"
	"artesian/internal/observe/logs/pattern"
)

// adminAPI joins the rooms to the daemon's own API.
func (a *App) adminAPI() *gateway.API {
	return &gateway.API{
		Authorize: a.authorizeAdmin, PS: a.ps, Cost: a.cost, Doctor: a.doctor, Runtimes: a.listAll, AddRuntime: a.addRuntime, RemoveRuntime: a.removeRuntime,
		Tail: a.tail, URLs: a.urls, Receipt: a.receipt, Trace: a.trace, Logger: a.cfg.Logger,
	}
}

// authorizeAdmin passes an operation of the daemon's own API through the authorisation seam.
func (a *App) authorizeAdmin(ctx context.Context, op gateway.Operation) error {
	p, ok := identity.FromContext(ctx)
	if !ok {
		return faas.Errorf(faas.Unauthenticated, "The caller is not known.")
	}
	if err := identity.Allow(ctx, identity.Request{Principal: p, Action: op.Action, Resource: op.Resource}); err != nil {
		return err
	}
	owner, err := a.identity.User(a.cfg.Account, identity.Admin)
	if err != nil {
		return err
	}
	return ownerOnly(op, p, owner.ARN())
}

// ownerOnly refuses what changes the node itself to everybody but its owner: the administrator of the account that the
// daemon was started with, whose key is in the data directory. Whoever acts as a role, and so every function, is told
// nothing about the node either.
func ownerOnly(op gateway.Operation, p identity.Principal, owner string) error {
	if p.Role != "" && op.Resource == "*" {
		return faas.Errorf(faas.Denied, "User: %s is not authorized to perform: %s because it is about the node, not about an account", p.ARN, op.Action)
	}
	if op.Owner && p.ARN != owner {
		return faas.Errorf(faas.Denied, "User: %s is not authorized to perform: %s because it changes what this node runs, "+
			"which only its owner, %s, may", p.ARN, op.Action, owner)
	}
	return nil
}

func (a *App) ps(s faas.Scope) []admin.Instance {
	out := []admin.Instance{}
	for _, i := range a.pool.List() {
		if i.Version.Scope != s {
			continue
		}
		in := admin.Instance{Function: i.Version.Name, Version: i.Version.Version, Instance: i.ID, Runtime: i.Runtime, Served: i.Served,
			State: i.State, MemoryMB: i.MemoryMB, PeakMB: int(i.PeakMB), Calls: int64(i.Calls), Started: i.Started, Provisioned: i.Held}
		if !i.Idle.IsZero() {
			in.IdleSince = &i.Idle
		}
		out = append(out, in)
	}
	return out
}

func (a *App) doctor(ctx context.Context) (admin.Doctor, error) {
	runtimes, err := a.listRuntimes(ctx)
	if err != nil {
		return admin.Doctor{}, err
	}
	d := admin.Doctor{Version: a.cfg.Version, Endpoint: a.endpoint, Data: a.engine.Dir(), Isolation: string(a.maker.Level()),
		Runtimes: runtimes, Paths: places(a.engine.Dir()), Ahead: []admin.Ahead{}}
	for _, i := range a.stock.List() {
		d.Ahead = append(d.Ahead, admin.Ahead{Form: string(i.Form), Runtime: i.Runtime, Account: i.Account, Ready: i.Ready, Making: i.Making, MemoryMB: i.MemoryMB})
	}
	for _, g := range a.maker.Report() {
		d.Guarantees = append(d.Guarantees, admin.Guarantee(g))
	}
	return d, nil
}

// places are where things are, below the data directory; of the files, config.json may not be there.
func places(data string) []admin.Path {
	out := []admin.Path{{Name: "data", Path: data}}
	for _, p := range []admin.Path{
		{Name: "code", Path: "code"}, {Name: "sandbox", Path: "sandbox"}, {Name: "runtimes", Path: "runtimes"},
		{Name: "prices", Path: bookFile}, {Name: "config", Path: configFile}, {Name: "credentials", Path: admin.CredentialsFile},
		{Name: "metrics token", Path: admin.MetricsKeyFile},
	} {
		out = append(out, admin.Path{Name: p.Name, Path: filepath.Join(data, p.Path)})
	}
	return out
}

func (a *App) listRuntimes(ctx context.Context) ([]admin.Runtime, error) {
	found, err := a.runtimes.List(ctx)
	if err != nil {
		return nil, err
	}
	out := []admin.Runtime{}
	for _, r := range found {
		rt := admin.Runtime{Name: r.Name, Version: r.Version, Path: r.Path, Added: r.Source == "added", Note: gone(r.Path)}
		if len(r.Lacks) > 0 {
			rt.Note = "without " + strings.Join(r.Lacks, ", ")
		}
		out = append(out, rt)
	}
	return out, nil
}

// gone notes that an interpreter, if a runtime has one, has vanished since it was found.
func gone(path string) string {
	if _, err := os.Stat(path); path != "" && errors.Is(err, fs.ErrNotExist) {
		return "its file is gone"
	}
	return ""
}

func (a *App) addRuntime(ctx context.Context, path string) (admin.Runtime, error) {
	if !strings.ContainsRune(path, filepath.Separator) {
		if host.IsExact(path) {
			r, err := a.runtimes.AddExact(ctx, path)
			return admin.Runtime{Name: r.Name, Version: r.Version, Path: r.Path, Added: true}, err
		}
		return a.addPack(ctx, path)
	}
	real, err := trustedProgram(path, a.engine.Dir())
	if err != nil {
		return admin.Runtime{}, err
	}
	r, err := a.runtimes.Add(ctx, real)
	return admin.Runtime{Name: r.Name, Version: r.Version, Path: r.Path, Added: true}, err
}

func (a *App) removeRuntime(ctx context.Context, path string) error {
	if !strings.ContainsRune(path, filepath.Separator) {
		if host.IsExact(path) {
			return a.runtimes.RemoveExact(ctx, path)
		}
		m, err := a.packs.Named(path)
		if err != nil {
			return err
		}
		return a.packs.Remove(m)
	}
	return a.runtimes.Remove(ctx, path)
}

// tail pushes log events as they arrive, until the client leaves or the daemon stops.
func (a *App) tail(r *http.Request, s faas.Scope, group string, since time.Time, emit func(admin.LogLine) error) error {
	filter, err := pattern.Parse(r.URL.Query().Get("filter"))
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	defer context.AfterFunc(a.closing, cancel)()
	return a.logs.Tail(ctx, logs.GroupID{Scope: s, Name: group}, logs.TailQuery{Since: since, Match: filter.Match}, func(events []logs.Event) error {
		for _, e := range events {
			if err := emit(admin.LogLine{Time: e.Time, Stream: e.Stream, Message: e.Message}); err != nil {
				return err
			}
		}
		return nil
	})
}

// cost sums a scope's usage of the last days by function and day, with what it costs here and at AWS's prices.
func (a *App) cost(ctx context.Context, s faas.Scope, days int) (admin.Cost, error) {
	today := meter.DayOf(time.Now())
	rows, err := a.ledger.Sums(ctx, meter.Filter{Account: s.Account, Region: s.Region, From: today - meter.Day(days) + 1})
	if err != nil {
		return admin.Cost{}, err
	}
	out := admin.Cost{Currency: a.ours.Currency, Days: days, Rows: []admin.CostRow{}}
	var total meter.Sum
	for _, r := range rows {
		row := a.costRow(&r.Sum)
		row.Function, row.Day = r.Function, r.Day.String()
		out.Rows = append(out.Rows, row)
		total.Add(&r.Sum)
	}
	out.Total = a.costRow(&total)
	return out, nil
}

func (a *App) costRow(s *meter.Sum) admin.CostRow {
	return admin.CostRow{
		Calls: s.Calls(), Cold: s.Cold, Errors: s.Errors(), GBSeconds: s.Used.GBSeconds(), Provisioned: s.Used.HeldGBSeconds(), CPUSeconds: s.Used.CPU.Seconds(),
		Ours: a.ours.Cost(s.Used, price.Options{}).Total.String(), AWS: a.aws.Cost(s.Used, price.Options{}).Total.String(),
	}
}

func (a *App) receipt(ctx context.Context, s faas.Scope, id string) (admin.Receipt, error) {
	u, err := a.ledger.Receipt(ctx, id)
	if err != nil {
		return admin.Receipt{}, err
	}
	if u.Account != s.Account || u.Region != s.Region {
		return admin.Receipt{}, faas.Errorf(faas.NotFound, "there is no receipt of the request %s in %s", id, s.Region)
	}
	return a.priced(&u), nil
}

// trace returns the receipts of a scope that belong to one trace.
func (a *App) trace(ctx context.Context, s faas.Scope, id string) ([]admin.Receipt, error) {
	found, err := a.ledger.Trace(ctx, s, id)
	if err != nil {
		return nil, err
	}
	out := make([]admin.Receipt, 0, len(found))
	for i := range found {
		out = append(out, a.priced(&found[i]))
	}
	return out, nil
}

// priced is a receipt with what the call costs here and at AWS's prices.
func (a *App) priced(u *faas.Usage) admin.Receipt {
	return admin.Receipt{Usage: *u, Currency: a.ours.Currency, Ours: a.ours.Invocation(u).Total.String(), AWS: a.aws.Invocation(u).Total.String()}
}
