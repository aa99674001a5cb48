package registry

import (
	"context"
	"encoding/json"
	"slices"

	"artesian/internal/faas"
)

// Policy says who may use a function under one qualifier.
type Policy struct {
	Revision   string      `json:"revision"`
	Statements []Statement `json:"statements"`
}

// Statement is one statement of a policy, in the policy language.
type Statement struct {
	ID       string          `json:"id"`
	Document json.RawMessage `json:"document"`
}

// Permit changes the policy of a qualifier (of the function itself: empty) by mutate, which works on a copy and may leave it
// without statements: then there is no policy. revision, when not empty, must be the policy's, or where there is none that of
// the alias or version.
func (r *Registry) Permit(ctx context.Context, id faas.FunctionID, qualifier, revision string, mutate func(*Policy) error) error {
	_, err := r.Configure(ctx, id, func(rec *Record) error {
		at := r.qualified(rec, id, qualifier)
		if at == nil {
			return notFound(id, qualifier)
		}
		p := rec.Policies[qualifier]
		current := p.Revision
		if current == "" {
			current = at.Version.ID.Revision
			if a, ok := rec.Aliases[qualifier]; ok {
				current = a.Revision
			}
		}
		if revision != "" && revision != current {
			return &faas.Error{Kind: faas.Precondition, Op: "change policy", Message: StaleRevision}
		}
		p.Statements = slices.Clone(p.Statements)
		if err := mutate(&p); err != nil {
			return err
		}
		if len(p.Statements) == 0 {
			rec.Policies = without(rec.Policies, qualifier)
			return nil
		}
		p.Revision = faas.NewUUID()
		rec.Policies = replaced(rec.Policies, qualifier, p)
		return nil
	})
	return err
}
