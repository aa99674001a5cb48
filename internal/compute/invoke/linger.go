package invoke

import (
	"context"
	"time"

	"artesian/internal/compute/lang"
	"artesian/internal/compute/lang/lambda"
	"artesian/internal/compute/pool"
)

// linger lets the answer go out while extensions are at work on the call. The instance stays the call's until they are done or its
// time is up, and counts as an execution until it is free; metering and the report follow then. What they do to the call changes
// nothing of its answer.
func (c *call) linger(in *pool.Instance, x lang.Extended, start, deadline time.Time) {
	c.lingers = true
	in.Output.Drain()
	at := c.i.cfg.Now()
	c.print(in, at, lambda.DoneLines(c.v, &c.usage, c.inv.Tenant, c.fail, at))
	c.keepTail(in)
	fail := c.fail
	in.Linger(func() {
		ctx, cancel := context.WithDeadline(context.Background(), deadline)
		defer cancel()
		err := x.Rest(ctx)
		c.usage.Run = c.i.cfg.Now().Sub(start)
		if err != nil {
			fail = c.ruin(ctx, in, err)
		}
		c.settle(in, fail, lambda.ReportLines)
		c.i.cfg.Meter.Record(c.usage)
	}, c.leave)
}

// leave ends the count of an execution.
func (c *call) leave() { c.places.Add(-1) }

// depart ends the count of an execution, unless it lingers.
func (c *call) depart() {
	if !c.lingers {
		c.leave()
	}
}
