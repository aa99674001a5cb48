package invoke

import (
	"sync/atomic"

	"artesian/internal/compute/lang/lambda"
	"artesian/internal/faas"
)

// admit counts an execution of a function against its own reservation, or else against what instances are kept ready for, and beyond
// that against what all others of its scope share, or says that it is one too many. The count that it returns has to be lowered by one again.
func (i *Invoker) admit(id faas.FunctionID) (*atomic.Int64, error) {
	p := i.cfg.Versions.Places(id)
	if p.Ready > 0 {
		if p.Kept.Add(1) <= int64(p.Ready) {
			return p.Kept, nil
		}
		p.Kept.Add(-1)
	}
	limit, reason := i.cfg.Concurrency-p.Limit, lambda.ReasonShared
	if p.Own {
		limit, reason = p.Limit, lambda.ReasonReserved
	}
	if p.Running.Add(1) > int64(limit) {
		p.Running.Add(-1)
		return nil, &faas.Error{Kind: faas.Throttled, Op: "invoke", Reason: reason, Message: "Rate Exceeded."}
	}
	return p.Running, nil
}
