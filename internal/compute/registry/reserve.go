package registry

import (
	"context"
	"fmt"

	"artesian/internal/faas"
)

// minUnreserved is how many of an account's simultaneous executions are never reserved for single functions
// (https://docs.aws.amazon.com/lambda/latest/dg/configuration-concurrency.html).
const minUnreserved = 100

// Reserve keeps n of the total simultaneous executions of the scope for a function, which has no others; nil gives them back.
// What is left for all other functions must be at least 100, or the total where that is less.
func (r *Registry) Reserve(ctx context.Context, id faas.FunctionID, n *int, total int) error {
	r.reserving.Lock()
	defer r.reserving.Unlock()
	_, err := r.Configure(ctx, id, func(rec *Record) error {
		least := min(minUnreserved, total)
		others := r.Reserved(id.Scope) - reservation(rec)
		if n != nil && total-others-*n < least {
			return &faas.Error{Kind: faas.Invalid, Op: "reserve concurrency", Message: fmt.Sprintf(
				"Specified ReservedConcurrentExecutions for function decreases account's UnreservedConcurrentExecution below its minimum value of [%d].", least)}
		}
		if sum := rec.Provisioned(); n != nil && *n < sum {
			return &faas.Error{Kind: faas.Invalid, Op: "reserve concurrency", Message: fmt.Sprintf(
				"ReservedConcurrentExecutions %d should not be lower than function's total provisioned concurrency [%d].", *n, sum)}
		}
		rec.Reserved = n
		if n == nil && total-others-reservation(rec) < least { // what is kept ready counts for itself now
			return &faas.Error{Kind: faas.Invalid, Op: "reserve concurrency", Message: fmt.Sprintf(
				"The function's provisioned concurrency would decrease account's UnreservedConcurrentExecution below its minimum value of [%d].", least)}
		}
		return nil
	})
	return err
}

// Reserved is how many simultaneous executions of a scope are reserved for single functions, those that instances are kept ready for included.
func (r *Registry) Reserved(scope faas.Scope) int { return int(r.scope(scope).reserved.Load()) }

// Reservation is how many simultaneous executions are a function's own, if it has such a number.
func (r *Registry) Reservation(id faas.FunctionID) (n int, ok bool) {
	if v, found := r.functions.Load(id); found {
		if own := v.(*Record).Reserved; own != nil {
			return *own, true
		}
	}
	return 0, false
}

// Loops tells that a function may take part in loops of calls.
func (r *Registry) Loops(id faas.FunctionID) bool {
	v, ok := r.functions.Load(id)
	return ok && v.(*Record).Loops
}

// Places are the executions that a function may have at once.
func (r *Registry) Places(id faas.FunctionID) faas.Places {
	var scope *standing
	if v, ok := r.functions.Load(id); ok {
		rec := v.(*Record)
		if rec.Reserved != nil {
			return faas.Places{Own: true, Limit: *rec.Reserved, Running: rec.running}
		}
		scope = rec.scope
		if len(rec.Provisions) > 0 {
			return faas.Places{Limit: int(scope.reserved.Load()), Running: &scope.running, Ready: rec.Provisioned(), Kept: rec.running}
		}
	} else {
		scope = r.scope(id.Scope)
	}
	return faas.Places{Limit: int(scope.reserved.Load()), Running: &scope.running}
}

func (r *Registry) scope(scope faas.Scope) *standing {
	v, ok := r.scopes.Load(scope)
	if !ok {
		v, _ = r.scopes.LoadOrStore(scope, new(standing))
	}
	return v.(*standing)
}

func reservation(rec *Record) int {
	switch {
	case rec == nil:
		return 0
	case rec.Reserved == nil:
		return rec.Provisioned()
	}
	return *rec.Reserved
}

// count keeps the scope's sum when a function's record takes the place of another; nil is none.
func (r *Registry) count(id faas.FunctionID, now *Record) {
	var before *Record
	if v, ok := r.functions.Load(id); ok {
		before = v.(*Record)
	}
	if d := reservation(now) - reservation(before); d != 0 {
		r.scope(id.Scope).reserved.Add(int64(d))
	}
}
