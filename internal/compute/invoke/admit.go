package invoke

import (
	"sync"
	"sync/atomic"

	"artesian/internal/compute/lang/lambda"
	"artesian/internal/faas"
)

// admit counts an execution of a function against its own reservation, or else against what all others of its scope share, or
// says that it is one too many.
func (i *Invoker) admit(id faas.FunctionID) (leave func(), err error) {
	if own, ok := i.cfg.Versions.Reservation(id); ok {
		return take(&i.reserved, id, own, lambda.ReasonReserved)
	}
	shared := i.cfg.Concurrency - i.cfg.Versions.Reserved(id.Scope)
	return take(&i.scopes, id.Scope, shared, lambda.ReasonShared)
}

// take counts one of limit places under a key.
func take(counts *sync.Map, key any, limit int, reason string) (leave func(), err error) {
	v, ok := counts.Load(key)
	if !ok {
		v, _ = counts.LoadOrStore(key, new(atomic.Int64))
	}
	n := v.(*atomic.Int64)
	if n.Add(1) > int64(limit) {
		n.Add(-1)
		return nil, &faas.Error{Kind: faas.Throttled, Op: "invoke", Reason: reason, Message: "Rate Exceeded."}
	}
	return func() { n.Add(-1) }, nil
}
