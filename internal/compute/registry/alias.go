package registry

import (
	"context"
	"maps"
	"slices"
	"strings"

	"artesian/internal/faas"
)

// Alias returns an alias of a function.
func (r *Registry) Alias(id faas.FunctionID, name string) (faas.Alias, error) {
	rec, err := r.Get(id, "")
	if err != nil {
		return faas.Alias{}, err
	}
	a, ok := rec.Aliases[name]
	if !ok {
		return a, &faas.Error{Kind: faas.NotFound, Op: "find alias", Message: "Cannot find alias arn: " + id.ARN() + ":" + name}
	}
	return a, nil
}

// Aliases returns the aliases of a function by name.
func (r *Registry) Aliases(id faas.FunctionID) ([]faas.Alias, error) {
	rec, err := r.Get(id, "")
	if err != nil {
		return nil, err
	}
	return slices.SortedFunc(maps.Values(rec.Aliases), func(a, b faas.Alias) int { return strings.Compare(a.Name, b.Name) }), nil
}

// CreateAlias makes an alias of versions that are there.
func (r *Registry) CreateAlias(ctx context.Context, id faas.FunctionID, a faas.Alias) (faas.Alias, error) {
	a.Revision = faas.NewUUID()
	_, err := r.Configure(ctx, id, func(rec *Record) error {
		if _, ok := rec.Aliases[a.Name]; ok {
			return &faas.Error{Kind: faas.Conflict, Op: "create alias", Message: "Alias already exists: " + id.ARN() + ":" + a.Name}
		}
		return r.setAlias(rec, id, a)
	})
	return a, err
}

// UpdateAlias changes an alias by mutate, which works on a copy. revision, when not empty, must be the alias's current one.
func (r *Registry) UpdateAlias(ctx context.Context, id faas.FunctionID, name, revision string, mutate func(*faas.Alias) error) (faas.Alias, error) {
	var a faas.Alias
	_, err := r.Configure(ctx, id, func(rec *Record) error {
		var ok bool
		if a, ok = rec.Aliases[name]; !ok {
			return &faas.Error{Kind: faas.NotFound, Op: "update alias", Message: "Alias not found: " + id.ARN() + ":" + name}
		}
		if revision != "" && revision != a.Revision {
			return &faas.Error{Kind: faas.Precondition, Op: "update alias", Message: StaleRevision}
		}
		if err := mutate(&a); err != nil {
			return err
		}
		a.Revision = faas.NewUUID()
		return r.setAlias(rec, id, a)
	})
	return a, err
}

// setAlias puts an alias into rec, which is about to be written, if its versions are there. A version that is being deleted is
// noted in the same record, so one write decides between the alias and the deletion.
func (r *Registry) setAlias(rec *Record, id faas.FunctionID, a faas.Alias) error {
	for _, v := range []string{a.Version, a.Other} {
		if v != "" && v != faas.Latest && r.published(rec, id, v) == nil {
			return notFound(id, v)
		}
	}
	if _, ok := rec.Provisions[a.Name]; ok {
		if err := r.provisionedAlias(rec, a); err != nil {
			return err
		}
	}
	rec.Aliases = replaced(rec.Aliases, a.Name, a)
	return nil
}

// DeleteAlias removes an alias with all that belongs to it. One that is not there is gone already.
func (r *Registry) DeleteAlias(ctx context.Context, id faas.FunctionID, name string) error {
	rec, err := r.Get(id, "")
	if err != nil {
		return err
	}
	if _, ok := rec.Aliases[name]; !ok {
		return nil
	}
	_, err = r.Configure(ctx, id, func(rec *Record) error {
		rec.Aliases = without(rec.Aliases, name)
		rec.forget(name)
		return nil
	})
	return err
}

// forget removes what belongs to a qualifier that is going.
func (rec *Record) forget(qualifier string) {
	rec.Policies = without(rec.Policies, qualifier)
	rec.Async = without(rec.Async, qualifier)
	rec.URLs = without(rec.URLs, qualifier)
	rec.Provisions = without(rec.Provisions, qualifier)
}

// replaced is a copy of m with one more, or another, value.
func replaced[V any](m map[string]V, key string, value V) map[string]V {
	out := make(map[string]V, len(m)+1)
	maps.Copy(out, m)
	out[key] = value
	return out
}

// without is a copy of m that lacks one key; m itself where it lacks it already.
func without[V any](m map[string]V, key string) map[string]V {
	if _, ok := m[key]; !ok {
		return m
	}
	out := maps.Clone(m)
	delete(out, key)
	return out
}

// Resolve finds what serves one call of a qualifier. at decides between the versions of an alias: a random number, at least 0
// and less than 1. The result is shared and read-only.
func (r *Registry) Resolve(id faas.FunctionID, qualifier string, at float64) (*faas.Version, error) {
	v, ok := r.functions.Load(id)
	if !ok {
		return nil, notFound(id, qualifier)
	}
	rec := v.(*Record)
	if a, ok := rec.Aliases[qualifier]; ok {
		qualifier = r.serving(rec, id, a, at)
	}
	if rec = r.qualified(rec, id, qualifier); rec == nil {
		return nil, notFound(id, qualifier)
	}
	return &rec.Version, nil
}

// qualified finds the record of a qualifier of a function whose own record is rec; of an alias, its first version's. nil when
// there is none.
func (r *Registry) qualified(rec *Record, id faas.FunctionID, qualifier string) *Record {
	if a, ok := rec.Aliases[qualifier]; ok {
		qualifier = a.Version
	}
	if qualifier == "" || qualifier == faas.Latest {
		return rec
	}
	return r.published(rec, id, qualifier)
}
