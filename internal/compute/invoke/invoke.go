// Package invoke runs one invocation from start to end. Every trigger ends here: it finds the version, admits the call,
// borrows an instance, bounds its time, writes the log lines around it, meters it, and says how it ended.
package invoke

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"syscall"
	"time"

	"artesian/internal/compute/pool"
	"artesian/internal/faas"
)

// Versions knows what a qualifier of a function means, and what is reserved.
type Versions interface {
	// Resolve finds the version that serves a call; at, from 0 to less than 1, decides between those of an alias.
	Resolve(id faas.FunctionID, qualifier string, at float64) (*faas.Version, error)
	// Places are the simultaneous executions that a function may have.
	Places(id faas.FunctionID) faas.Places
	// Loops tells that a function may take part in loops of calls.
	Loops(id faas.FunctionID) bool
}

// Meter takes one usage record per invocation. It must not block on disk.
type Meter interface {
	Record(faas.Usage)
}

// Config of an Invoker.
type Config struct {
	Versions    Versions
	Pool        *pool.Pool
	Meter       Meter
	Concurrency int // simultaneous executions per account and region; default faas.DefaultConcurrency
	Now         func() time.Time
	Logger      *slog.Logger
	Awaken      func(*faas.Version) // told of calls of versions that are Inactive; nil: nobody is
}

// Invoker runs invocations. Safe for concurrent use.
type Invoker struct {
	cfg Config
}

// New returns an Invoker.
func New(cfg Config) *Invoker {
	if cfg.Concurrency == 0 {
		cfg.Concurrency = faas.DefaultConcurrency
	}
	return &Invoker{cfg: cfg}
}

// Concurrency returns the limit of simultaneous executions per account and region.
func (i *Invoker) Concurrency() int { return i.cfg.Concurrency }

// Invoke runs inv and streams its answer to out. A function that reports an error, times out or dies has been invoked:
// that is told by out.End, not by an error here. Errors are the platform's: NotFound, TooLarge, Throttled, Conflict (the
// function is not active), Unavailable, or ctx's error when the caller left before an instance was there. Once running,
// a call goes on to its end without its caller; its answer is out when the runtime has answered, while extensions may be at work on.
func (i *Invoker) Invoke(ctx context.Context, inv faas.Invocation, out faas.Sink) error {
	v, err := i.cfg.Versions.Resolve(inv.Function, inv.Qualifier, rand.Float64())
	if err != nil {
		return err
	}
	if err := i.check(v, inv); err != nil {
		return err
	}
	rounds := 0
	inv.Trace, rounds = follow(inv.Trace, v, inv.Received)
	c := newCall(i, v, inv, out)
	if c.places, err = i.enter(inv.Function, rounds); err != nil {
		c.usage.Outcome = faas.OutcomeThrottled
		i.cfg.Meter.Record(c.usage)
		return err
	}
	err = func() error {
		defer c.depart() // also when a call panics
		return i.cfg.Pool.WithTenant(ctx, v, inv.Tenant, c.run)
	}()
	if err != nil {
		return i.notRun(ctx, c, err)
	}
	if !c.lingers {
		i.cfg.Meter.Record(c.usage)
	}
	return c.end()
}

func (i *Invoker) check(v *faas.Version, inv faas.Invocation) error {
	if len(inv.Payload) > faas.MaxRequestBytes {
		return faas.Errorf(faas.TooLarge, "%d byte payload is too large for the RequestResponse invocation type (limit %d bytes)",
			len(inv.Payload), faas.MaxRequestBytes)
	}
	switch {
	case v.PerTenant && inv.Tenant == "":
		return faas.Errorf(faas.Invalid, "The invoked function is enabled with tenancy configuration. Add a valid tenant ID in your request and try again.")
	case !v.PerTenant && inv.Tenant != "":
		return faas.Errorf(faas.Invalid, "The invoked function is not enabled with tenancy configuration. Remove the tenant ID from your request and try again.")
	}
	if inv.Tail && v.Shared() {
		return faas.Errorf(faas.Invalid, "LogType: Tail is not possible for a function whose instances take several calls at once: their lines are mixed. The log has them.")
	}
	if v.State == faas.Active {
		return nil
	}
	if v.State == faas.Inactive && i.cfg.Awaken != nil {
		i.cfg.Awaken(v)
	}
	if (v.State == faas.Pending || v.State == faas.Inactive) && v.SnapStart && v.ID.Version != faas.Latest {
		return &faas.Error{Kind: faas.Conflict, Op: "invoke", Code: "SnapStartNotReadyException",
			Message: "Lambda is initializing your function. It will be ready to invoke once your function state becomes ACTIVE."}
	}
	if v.State == faas.Pending {
		return &faas.Error{Kind: faas.Conflict, Op: "invoke",
			Message: "The operation cannot be performed at this time. The function is currently in the following state: Pending"}
	}
	return &faas.Error{Kind: faas.Conflict, Op: "invoke", Message: "The function is in the state " + string(v.State) + ": " + v.StateReason}
}

// notRun records an invocation that never reached an instance, or whose answer could not be begun.
func (i *Invoker) notRun(ctx context.Context, c *call, err error) error {
	c.usage.Queue = max(i.cfg.Now().Sub(c.inv.Received), 0)
	switch kind := faas.KindOf(err); {
	case c.usage.Outcome == faas.OutcomeInit: // the function's own affair
	case errors.Is(err, ctx.Err()) && ctx.Err() != nil:
		c.usage.Outcome = faas.OutcomeCancelled
	case kind == faas.Throttled:
		c.usage.Outcome = faas.OutcomeThrottled
	default:
		c.usage.Outcome = faas.OutcomeUnavailable
		i.cfg.Logger.LogAttrs(ctx, slog.LevelError, "invocation could not run", slog.String("request_id", c.inv.ID),
			slog.String("function", c.v.ID.ARN()), slog.Any("error", err))
	}
	i.cfg.Meter.Record(c.usage)
	if faas.KindOf(err) == faas.Internal && ctx.Err() == nil {
		message := "The function could not be started on this node."
		if errors.Is(err, syscall.ENOSPC) {
			message = "The function could not be started on this node: its disk is full."
		}
		return &faas.Error{Kind: faas.Unavailable, Op: "invoke", Message: message, Cause: err}
	}
	return err
}
