package registry

import (
	"context"
	"fmt"
	"time"

	"artesian/internal/faas"
)

// Provision says how many instances of what a qualifier names are kept ready.
type Provision struct {
	Count    int       `json:"count"`
	Modified time.Time `json:"modified"`
}

// Provision keeps n instances ready of a published version, or of what an alias names, out of total simultaneous executions of the
// scope. The rules and their words are AWS Lambda's
// (https://docs.aws.amazon.com/lambda/latest/dg/provisioned-concurrency.html).
func (r *Registry) Provision(ctx context.Context, id faas.FunctionID, qualifier string, n, total int) (Provision, error) {
	r.reserving.Lock()
	defer r.reserving.Unlock()
	p := Provision{Count: n, Modified: r.now()}
	_, err := r.Configure(ctx, id, func(rec *Record) error {
		if r.qualified(rec, id, qualifier) == nil {
			return notFound(id, qualifier)
		}
		if err := r.provisionable(rec, qualifier, n, total); err != nil {
			return err
		}
		rec.Provisions = replaced(rec.Provisions, qualifier, p)
		return nil
	})
	return p, err
}

// provisionable weighs a number against what a function and its scope have, and against the function's other numbers.
func (r *Registry) provisionable(rec *Record, qualifier string, n, total int) error {
	invalid := func(format string, args ...any) error {
		return &faas.Error{Kind: faas.Invalid, Op: "provision concurrency", Message: fmt.Sprintf(format, args...)}
	}
	id := rec.Version.ID.FunctionID
	sum := rec.Provisioned() - rec.Provisions[qualifier].Count + n
	least := min(minUnreserved, total)
	free := total - (r.Reserved(id.Scope) - reservation(rec))
	switch {
	case rec.Version.PerTenant:
		return invalid("Provisioned concurrency is not supported for functions with a tenancy configuration.")
	case rec.Reserved != nil && sum > *rec.Reserved:
		return invalid("Requested Provisioned Concurrency should not be greater than the reservedConcurrentExecution for function")
	case rec.Reserved == nil && sum > free:
		return invalid("Specified ConcurrentExecutions for function is greater than account's unreserved concurrency [%d].", free)
	case rec.Reserved == nil && free-sum < least:
		return invalid("Specified ConcurrentExecutions for function decreases account's UnreservedConcurrentExecution below its minimum value of [%d].", least)
	}
	if a, ok := rec.Aliases[qualifier]; ok {
		if a.Other != "" {
			return invalid("Alias with weights can not be used with Provisioned Concurrency")
		}
		return r.provisionedAlias(rec, a)
	}
	if r.goesOn(rec, qualifier) {
		return errGoesOn()
	}
	for name := range rec.Provisions {
		if a, ok := rec.Aliases[name]; ok && (a.Version == qualifier || a.Other == qualifier) {
			return &faas.Error{Kind: faas.Conflict, Op: "provision concurrency", Message: "Version is pointed by a Provisioned Concurrency alias"}
		}
	}
	return nil
}

// goesOn tells that a published version goes on from an image, which is not for what is kept ready
// (https://docs.aws.amazon.com/lambda/latest/dg/snapstart.html).
func (r *Registry) goesOn(rec *Record, number string) bool {
	v := r.published(rec, rec.Version.ID.FunctionID, number)
	return v != nil && v.Version.SnapStart
}

// errGoesOn is in words of our own: Lambda documents the refusal, not its text.
func errGoesOn() error {
	return faas.Errorf(faas.Invalid, "Provisioned Concurrency is not supported for functions enabled with SnapStart.")
}

// provisionedAlias refuses what an alias whose instances are kept ready can't name.
func (r *Registry) provisionedAlias(rec *Record, a faas.Alias) error {
	for _, v := range []string{a.Version, a.Other} {
		if v == faas.Latest {
			return faas.Errorf(faas.Invalid, "Provisioned Concurrency Configs cannot be applied to unpublished function versions.")
		}
		if r.goesOn(rec, v) {
			return errGoesOn()
		}
		if _, ok := rec.Provisions[v]; ok && v != "" {
			return &faas.Error{Kind: faas.Conflict, Op: "provision concurrency",
				Message: "Alias can't be used for Provisioned Concurrency configuration on an already Provisioned version"}
		}
	}
	return nil
}

// Unprovision ends what Provision began. What is not there has ended already.
func (r *Registry) Unprovision(ctx context.Context, id faas.FunctionID, qualifier string) error {
	_, err := r.Configure(ctx, id, func(rec *Record) error {
		if r.qualified(rec, id, qualifier) == nil {
			return notFound(id, qualifier)
		}
		rec.Provisions = without(rec.Provisions, qualifier)
		return nil
	})
	return err
}

// Provisioned is how many instances of a function are kept ready together.
func (rec *Record) Provisioned() (n int) {
	for _, p := range rec.Provisions {
		n += p.Count
	}
	return n
}

// Share is how many of an alias's n instances are of its first and of its other version: by weight, at least one of each.
func Share(a faas.Alias, n int) map[string]int {
	if a.Other == "" {
		return map[string]int{a.Version: n}
	}
	other := min(max(int(a.Share*float64(n)+0.5), 1), max(n-1, 1))
	return map[string]int{a.Version: max(n-other, 1), a.Other: other}
}

// Ready is how many instances of each version of a function are to be kept ready: those that are asked for, and those that serve an
// alias until its new version's are there.
func (r *Registry) Ready(rec *Record) map[string]int {
	ready := make(map[string]int)
	add := func(shares map[string]int) {
		for v, n := range shares {
			ready[v] += n
		}
	}
	for qualifier, p := range rec.Provisions {
		a, ok := rec.Aliases[qualifier]
		if !ok {
			ready[qualifier] += p.Count
			continue
		}
		now := Share(a, p.Count)
		add(now)
		if before, ok := r.handovers.Load(handover{rec.Version.ID.FunctionID, qualifier}); ok {
			for v, n := range Share(before.(faas.Alias), p.Count) {
				ready[v] += max(n-now[v], 0)
			}
		}
	}
	return ready
}

// handover is an alias whose calls go on as before until its new version's instances are ready.
type handover struct {
	faas.FunctionID
	alias string
}

// handOver begins and ends hand-overs when a function's record takes the place of another; nil is none. It comes before the new record
// is seen.
func (r *Registry) handOver(id faas.FunctionID, old, now *Record) {
	if old == nil {
		return
	}
	for name := range old.Provisions {
		key := handover{id, name}
		before := old.Aliases[name]
		var after faas.Alias
		ok := false
		if now != nil && now.Provisions[name].Count > 0 {
			after, ok = now.Aliases[name]
		}
		if began, there := r.handovers.Load(key); there {
			before = began.(faas.Alias)
		}
		if ok && anew(before, after) {
			if _, there := r.handovers.LoadOrStore(key, before); !there {
				r.handing.Add(1)
			}
		} else {
			r.HandOver(id, name)
		}
	}
}

// anew tells that an alias names a version that it did not name before.
func anew(before, after faas.Alias) bool {
	named := func(v string) bool { return v == "" || v == before.Version || v == before.Other }
	return before.Version != "" && (!named(after.Version) || !named(after.Other))
}

// Handing are the aliases of a function whose calls still go as before.
func (r *Registry) Handing(rec *Record) []string {
	if r.handing.Load() == 0 {
		return nil
	}
	var names []string
	for name := range rec.Provisions {
		if _, ok := r.handovers.Load(handover{rec.Version.ID.FunctionID, name}); ok {
			names = append(names, name)
		}
	}
	return names
}

// HandOver lets an alias's calls go to its new version.
func (r *Registry) HandOver(id faas.FunctionID, alias string) {
	if _, was := r.handovers.LoadAndDelete(handover{id, alias}); was {
		r.handing.Add(-1)
	}
}

// serving is the version that serves a call of an alias, by chance where two share its calls.
func (r *Registry) serving(rec *Record, id faas.FunctionID, a faas.Alias, at float64) string {
	if r.handing.Load() > 0 {
		if before, ok := r.handovers.Load(handover{id, a.Name}); ok {
			b := before.(faas.Alias)
			if v := b.Pick(at); r.published(rec, id, v) != nil { // else deleted meanwhile
				return v
			}
		}
	}
	return a.Pick(at)
}
