package invoke

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"sync/atomic"
	"time"

	"artesian/internal/compute/lang"
	"artesian/internal/compute/lang/lambda"
	"artesian/internal/compute/pool"
	"artesian/internal/compute/sandbox"
	"artesian/internal/faas"
)

// call is one invocation on its way.
type call struct {
	i      *Invoker
	v      *faas.Version
	inv    faas.Invocation
	out    faas.Sink
	places *atomic.Int64 // the count of executions that it is among
	usage  faas.Usage    // of the goroutine that holds the instance

	ctx         context.Context // of the run
	contentType string          // of a streamed answer
	begun       bool
	relay       *relay // of a caller who takes a stream
	tail        faas.Tail
	fail        *lang.Failure // what the function or the platform reported; nil is success
	lingers     bool          // extensions are at work on it behind the answer
}

func newCall(i *Invoker, v *faas.Version, inv faas.Invocation, out faas.Sink) *call {
	c := &call{i: i, v: v, inv: inv, out: out, usage: faas.Usage{
		RequestID: inv.ID, Account: v.ID.Account, Region: v.ID.Region, Function: v.ID.Name, Version: v.ID.Version, Runtime: v.Runtime, TraceID: rootOf(inv.Trace),
		Start: inv.Received, MemoryMB: v.MemoryMB, TmpMB: v.TmpMB, BytesIn: int64(len(inv.Payload)),
	}}
	if inv.Stream {
		c.relay = newRelay(out)
	}
	return c
}

// Write passes the answer on as it comes; it counts and begins it.
func (c *call) Write(p []byte) (int, error) {
	if err := c.begin(); err != nil {
		return 0, err
	}
	var n int
	var err error
	if c.relay != nil {
		n, err = c.relay.write(c.ctx, p)
	} else {
		n, err = c.out.Write(p)
	}
	c.usage.BytesOut += int64(n)
	return n, err
}

func (c *call) begin() error {
	if c.begun {
		return nil
	}
	c.begun = true
	h := faas.Head{ExecutedVersion: c.v.ID.Version, ContentType: c.contentType}
	if c.relay != nil {
		c.relay.begin(h)
		return nil
	}
	return c.out.Begin(h)
}

// streams is a lang.Call's Stream.
func (c *call) streams(contentType string) error {
	c.contentType = cmp.Or(contentType, "application/octet-stream") // as AWS Lambda has it
	return c.begin()
}

// run is the call while it holds an instance. Its error means that the call did not happen.
func (c *call) run(in *pool.Instance) error {
	now := c.i.cfg.Now
	start := now()
	c.usage.Queue, c.usage.Start = start.Sub(c.inv.Received), start
	c.usage.Cold, c.usage.Instance, c.usage.Thawed = in.Cold, in.ID, in.Thawed
	c.usage.Ahead, c.usage.Held = in.Cold == nil && in.Fresh(), in.Held()
	if !in.Rested.IsZero() {
		c.usage.Idle = start.Sub(in.Rested)
	}
	deadline := start.Add(c.v.Timeout)
	ctx := lang.NewUntil(deadline)
	defer ctx.Stop()
	c.ctx = ctx

	if in.Cold != nil {
		in.Output.Drain() // what the initialisation printed precedes the call
	}
	if in.Cold == nil || !c.inv.Tail {
		in.Output.Tail(c.inv.Tail)
	}
	if err := c.unrestored(in); err != nil {
		return err
	}
	if in.InitErr != nil && !in.Cold.Restored() {
		c.reportInit(in, start)
	}
	err := c.initialise(ctx, in)
	c.print(in, start, lambda.StartLines(c.v, c.inv.ID, c.inv.Tenant, start))
	if err == nil {
		lc := lang.Call{
			RequestID: c.inv.ID, FunctionARN: c.arn(), Deadline: deadline, Trace: c.inv.Trace, Tenant: c.inv.Tenant,
			Payload: c.inv.Payload, ClientContext: c.inv.ClientContext,
		}
		if c.inv.Stream {
			lc.Stream = c.streams
		}
		if c.fail, err = in.Invoke(ctx, lc, c); err == nil && c.fail != nil && c.fail.BrokenOff {
			c.breakOff()
		}
	}
	c.usage.Run = now().Sub(start)
	if err != nil {
		c.broke(ctx, in, err)
	} else if c.fail != nil {
		c.usage.Outcome = faas.OutcomeError
	} else {
		c.usage.Outcome = faas.OutcomeOK
	}
	if x, ok := in.Session.(lang.Extended); ok && err == nil && x.Working() {
		c.linger(in, x, start, deadline)
		return nil
	}
	c.settle(in, c.fail, lambda.EndLines)
	c.keepTail(in)
	return nil
}

// arn is the name under which the function was invoked.
func (c *call) arn() string {
	if c.inv.Qualifier == "" {
		return c.v.ID.FunctionID.ARN()
	}
	return c.v.ID.FunctionID.ARN() + ":" + c.inv.Qualifier
}

// unrestored is why a call can't run on an instance that went on from its image: what the function wants done then went wrong or took too
// long. One that ended over it is started without its image. The words are Lambda's
// (https://docs.aws.amazon.com/lambda/latest/api/API_Invoke.html).
func (c *call) unrestored(in *pool.Instance) error {
	if in.InitErr == nil || !in.Cold.Restored() {
		return nil
	}
	c.usage.Outcome = faas.OutcomeInit
	switch {
	case errors.Is(in.InitErr, context.DeadlineExceeded):
		return &faas.Error{Kind: faas.Unavailable, Op: "invoke", Code: "SnapStartTimeoutException", Message: "Lambda couldn't restore the snapshot within the timeout limit.", Cause: in.InitErr}
	case errors.As(in.InitErr, new(*lang.Failure)):
		return &faas.Error{Kind: faas.Invalid, Op: "invoke", Code: "SnapStartException",
			Message: "The afterRestore() runtime hook encountered an error. For more information, check the Amazon CloudWatch logs.", Cause: in.InitErr}
	}
	c.usage.Outcome = ""
	return nil
}

// initialise runs a second time what went wrong before the call, now within the call's own time, as Lambda does.
func (c *call) initialise(ctx context.Context, in *pool.Instance) error {
	if in.InitErr == nil {
		return nil
	}
	again := c.i.cfg.Now()
	if c.inv.Tail {
		c.tail.Log = in.Output.Tail(false) // it goes with the old sandbox
	}
	if in.Cold.Restored() {
		in.Cold.Way, in.Cold.Why = faas.WayStart, in.Cold.Why+"; it ended when it was restored, so it was started without its image"
	}
	_, err := in.Relaunch(ctx)
	if !c.inv.Tail {
		in.Output.Tail(false)
	}
	if err != nil {
		in.Output.Drain()
		at := c.i.cfg.Now()
		c.print(in, at, lambda.InitReportLines(c.v, lambda.PhaseInvoke, at.Sub(again), err, at))
	}
	return err
}

// broke ends a call that its instance could not carry through.
func (c *call) broke(ctx context.Context, in *pool.Instance, err error) {
	c.fail = c.ruin(ctx, in, err)
	c.breakOff()
}

// ruin says what an invocation ended by, and lets go of an instance that can't be used again.
func (c *call) ruin(ctx context.Context, in *pool.Instance, err error) (fail *lang.Failure) {
	in.Discard() // those that share it go on
	var reported *lang.Failure
	var protocol *lang.ProtocolError
	var crashed *lang.Crashed
	switch {
	case ctx.Err() != nil:
		c.usage.Outcome = faas.OutcomeTimeout
		c.usage.Run = c.v.Timeout
		fail = lambda.TimeoutFailure(c.inv.ID, c.v.Timeout)
	case errors.As(err, &reported):
		c.usage.Outcome, fail = faas.OutcomeInit, lambda.OfRequest(c.inv.ID, reported)
	case errors.Is(err, lang.ErrExited):
		exit := exitOf(in)
		c.usage.Outcome = faas.OutcomeExit
		if exit.OOM {
			c.usage.Outcome = faas.OutcomeMemory
		}
		fail = lambda.ExitFailure(c.inv.ID, exit)
	case errors.As(err, &crashed):
		c.usage.Outcome, fail = faas.OutcomeExit, lambda.CrashFailure(c.inv.ID, crashed)
	case errors.As(err, &protocol):
		c.usage.Outcome = faas.OutcomeExit
		fail = lambda.ProtocolFailure(c.inv.ID, protocol)
	default:
		c.usage.Outcome = faas.OutcomeUnavailable
		fail = lambda.PlatformFailure(c.inv.ID)
		c.i.cfg.Logger.LogAttrs(ctx, slog.LevelError, "invocation broke", slog.String("request_id", c.inv.ID),
			slog.String("function", c.v.ID.ARN()), slog.Any("error", err))
	}
	in.Output.Drain()
	at := c.i.cfg.Now()
	c.print(in, at, lambda.FailureLines(c.v, c.inv.ID, fail, at))
	return fail
}

// breakOff tells the failure in the answer's place, or behind what has gone out of it.
func (c *call) breakOff() {
	if c.begun {
		c.tail.Broken = c.fail.Document
		return
	}
	_, _ = c.Write(c.fail.Document) // the sink's own error shows at End
}

// exitOf waits for the end of a sandbox whose runtime has gone; if something in it lives on, it is ended.
func exitOf(in *pool.Instance) sandbox.Exit {
	select {
	case <-in.Sandbox.Done():
	case <-time.After(time.Second):
		_ = in.Sandbox.Close()
	}
	return in.Sandbox.Exit()
}

// reportInit logs an initialisation that went wrong before this call.
func (c *call) reportInit(in *pool.Instance, at time.Time) {
	c.print(in, at, lambda.InitReportLines(c.v, lambda.PhaseInit, initDuration(in.Cold), in.InitErr, at))
}

func (c *call) print(in *pool.Instance, at time.Time, lines []string) {
	for _, line := range lines {
		in.Output.Line(at, line)
	}
}

func initDuration(cold *faas.Cold) time.Duration {
	if cold == nil {
		return 0
	}
	return cold.Runtime + cold.Init
}

// closing writes a call's last lines.
type closing func(v *faas.Version, u *faas.Usage, tenant string, f *lang.Failure, at time.Time) []string

// settle meters the call, which failed by fail or not at all, and writes its last lines, before the instance is lent again.
func (c *call) settle(in *pool.Instance, fail *lang.Failure, last closing) {
	in.Output.Drain()
	cpu, peak := in.Meter()
	c.usage.CPU, c.usage.PeakMB = cpu, int((peak+1<<20-1)>>20)
	c.usage.BilledMS = lambda.BilledMS(&c.usage)
	at := c.i.cfg.Now()
	c.usage.Settle = max(at.Sub(c.usage.Start.Add(c.usage.Run)), 0)
	c.print(in, at, last(c.v, &c.usage, c.inv.Tenant, fail, at))
	if x, ok := in.Session.(lang.Extended); ok {
		x.Report(&c.usage, fail, initDuration(c.usage.Cold))
	}
}

// keepTail ends the log that goes out with the answer.
func (c *call) keepTail(in *pool.Instance) {
	if c.inv.Tail {
		c.tail.Log = append(c.tail.Log, in.Output.Tail(false)...)
		c.tail.Log = c.tail.Log[max(0, len(c.tail.Log)-pool.MaxTail):]
	}
}

// end completes the answer, once the instance is free for the next call or lingers.
func (c *call) end() error {
	if c.fail != nil {
		c.tail.FunctionError, c.tail.Failure = "Unhandled", c.fail.Document
	}
	if err := c.begin(); err != nil { // of an empty answer
		return err
	}
	if c.relay != nil {
		if err := c.relay.end(); err != nil {
			return err
		}
	}
	return c.out.End(c.tail)
}
