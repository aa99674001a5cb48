package registry

import (
	"context"
	"time"

	"artesian/internal/faas"
)

// Async says what becomes of a function's asynchronous events under one qualifier.
type Async struct {
	Retries   *int           `json:"retries,omitempty"` // nil is the default
	MaxAge    *time.Duration `json:"max_age,omitempty"` // nil is the default
	OnSuccess string         `json:"on_success,omitempty"`
	OnFailure string         `json:"on_failure,omitempty"`
	Modified  time.Time      `json:"modified"`
}

// SetAsync changes the configuration of a qualifier (of the function itself: empty). mutate gets the one in force, or nil, which
// it must not change, and returns the one to be, or nil for none.
func (r *Registry) SetAsync(ctx context.Context, id faas.FunctionID, qualifier string, mutate func(*Async) (*Async, error)) error {
	_, err := r.Configure(ctx, id, func(rec *Record) error {
		if r.qualified(rec, id, qualifier) == nil {
			return notFound(id, qualifier)
		}
		var before *Async
		if a, ok := rec.Async[qualifier]; ok {
			before = &a
		}
		now, err := mutate(before)
		if err != nil {
			return err
		}
		if now == nil {
			rec.Async = without(rec.Async, qualifier)
			return nil
		}
		now.Modified = r.now()
		rec.Async = replaced(rec.Async, qualifier, *now)
		return nil
	})
	return err
}
