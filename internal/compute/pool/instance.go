package pool

import (
	"context"
	"errors"
	"io"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"artesian/internal/compute/lang"
	"artesian/internal/compute/sandbox"
	"artesian/internal/faas"
)

// Launcher makes instances ready for one version: it knows sandboxes, code and languages, the pool does not.
type Launcher interface {
	// Launch starts a sandbox for v and its session. The instance outlives ctx, which bounds the start only. The session
	// has not been initialised.
	Launch(ctx context.Context, v *faas.Version) (*Running, error)
}

// Running is a started sandbox with the conversation in it.
type Running struct {
	Sandbox sandbox.Sandbox
	Session lang.Session
	Output  Output
	Served  string // which interpreter really runs
	Stream  string // log stream of this instance
	Way     string // how it came to be: a faas.Way
	Note    string // in words: what was ready, or why nothing was, and how long that took

	// Ready is told how the start came out once it has; nil: nobody wants to know.
	Ready func(cold *faas.Cold, err error)
}

// MaxTail is how much of the log a caller may ask for, in bytes, as AWS Lambda returns it.
const MaxTail = 4 << 10

// Output is what the function prints, on its way to the log.
type Output interface {
	// Line appends a line of the platform's own, in order with what the function printed before.
	Line(at time.Time, line string)
	// Drain takes over what is already in the pipe, so that it precedes the next Line.
	Drain()
	// Tail starts and ends the collection of the last MaxTail bytes for one call. It is on from the start.
	Tail(on bool) []byte
	// Close ends the output once all that was printed is taken over.
	Close()
}

// Instance is one sandbox lent to one call at a time. Its exported methods are for the holder.
type Instance struct {
	ID      string
	Version *faas.Version
	*Running

	// Cold describes the start when this is the first call, and InitErr why its initialisation went wrong, if it did.
	Cold    *faas.Cold
	InitErr error
	// Rested is when a warm call's instance fell idle, zero when it came straight from another call; Thawed says that it was
	// frozen then.
	Rested time.Time
	Thawed bool

	group   *group
	host    *Instance              // of a seat: whose it is
	first   bool                   // of a seat: the host rested before
	taken   map[*Instance]struct{} // of a host that is lent: its seats; group.mu guards it
	sharing sharing                // of a host
	started time.Time
	since   time.Time // when what it stands for among the idle was last used; guarded by the group's lock
	held    bool      // one of those that are kept ready whatever the odds; guarded by the group's lock
	calls   atomic.Int64
	broken  bool   // set by the holder: not to be lent again
	linger  func() // set by the holder, with freed
	freed   func()
	last    sandbox.Usage

	mu       sync.Mutex // guards what follows, and Running against Relaunch; taken after group.mu
	frozen   bool
	pushed   bool // its memory was pushed out since it was frozen
	pushing  bool // it waits for its turn to be
	busy     bool
	idle     time.Time
	freezing *time.Timer
	armed    bool // freezing fires once more
}

// Fresh reports whether the instance has served no call yet, and Held whether it is one of those kept ready whatever the odds.
func (in *Instance) Fresh() bool { return in.calls.Load() == 0 }
func (in *Instance) Held() bool  { return in.held || in.host != nil && in.host.held }

// Discard keeps the instance from being lent again; it is stopped when the holder returns.
func (in *Instance) Discard() { in.broken = true }

// Linger keeps the instance when the holder returns: rest runs then, on a goroutine of its own, and when the instance is free for
// the next call, freed. Close of the pool waits for both.
func (in *Instance) Linger(rest, freed func()) { in.linger, in.freed = rest, freed }

// handBack releases the instance once its holder, and what lingers of its call, is done.
func (in *Instance) handBack() {
	if in.linger == nil {
		in.group.release(in)
		return
	}
	rest, freed := in.linger, in.freed
	in.linger, in.freed = nil, nil
	in.group.pool.work.Go(func() {
		defer freed()
		defer in.group.release(in)
		rest()
	})
}

// Invoke runs one call and counts it.
func (in *Instance) Invoke(ctx context.Context, c lang.Call, out io.Writer) (*lang.Failure, error) {
	if in.host != nil {
		in.host.calls.Add(1)
	} else {
		in.calls.Add(1)
	}
	return in.Session.Invoke(ctx, c, out)
}

// Meter returns CPU used since the last Meter, and the memory's high-water mark in bytes. When the counters cannot be read,
// it returns no CPU and the mark that was read last.
func (in *Instance) Meter() (cpu time.Duration, peak int64) {
	if in.host != nil {
		return in.meter()
	}
	u, err := in.Sandbox.Usage()
	if err != nil {
		u = in.last
	}
	cpu = u.CPU - in.last.CPU
	in.last = u
	return max(cpu, 0), u.Peak
}

// Relaunch replaces a sandbox whose initialisation went wrong by a new one, within the holder's own time, and
// initialises it.
func (in *Instance) Relaunch(ctx context.Context) (lang.InitPhases, error) {
	in.stop()
	p := in.group.pool
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(p.life, cancel)()
	r, err := p.launcher.Launch(ctx, in.again())
	if err != nil {
		in.broken = true
		return lang.InitPhases{}, err
	}
	in.mu.Lock()
	in.Running, in.InitErr, in.last = r, nil, sandbox.Usage{}
	in.mu.Unlock()
	p.watch(in, r)
	if p.life.Err() != nil { // kill may have met the old sandbox
		_ = r.Sandbox.Close()
		return lang.InitPhases{}, lang.ErrExited
	}
	if err := in.Run(); err != nil {
		in.broken = true
		return lang.InitPhases{}, err
	}
	return r.Session.Init(ctx)
}

// again is the version as it is started again: what could not go on from its image does without.
func (in *Instance) again() *faas.Version {
	if in.Way != faas.WaySnapshot {
		return in.Version
	}
	v := *in.Version
	v.SnapStart = false
	return &v
}

// kill ends the sandbox under its holder.
func (in *Instance) kill() {
	in.mu.Lock()
	r := in.Running
	in.mu.Unlock()
	_ = r.Sandbox.Close()
}

// Run lifts or sets the CPU quota to what the version's memory buys.
func (in *Instance) Run() error {
	return in.Sandbox.SetCPU(float64(in.Version.MemoryMB) / faas.MemoryMBPerCPU)
}

// stop ends the sandbox and takes over the rest of its output.
func (in *Instance) stop() {
	in.mu.Lock()
	if in.freezing != nil {
		in.freezing.Stop()
	}
	in.busy = true // a timer that fires now leaves it alone
	in.mu.Unlock()
	_ = in.Session.Close()
	_ = in.Sandbox.Close()
	in.Output.Close()
}

// rest marks the instance idle; after grace without a call it is frozen. The timer of an earlier rest may still run: it finds
// out then how long this one has lasted, so that calls that follow each other closely set none.
func (in *Instance) rest(now time.Time, grace time.Duration) {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.busy, in.idle = false, now
	if !in.armed {
		in.arm(grace)
	}
}

// arm lets freeze run after a time. The caller holds the lock.
func (in *Instance) arm(after time.Duration) {
	in.armed = true
	if in.freezing == nil {
		in.freezing = time.AfterFunc(after, in.freeze)
	} else {
		in.freezing.Reset(after)
	}
}

func (in *Instance) freeze() {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.armed = false
	if in.busy || in.frozen {
		return
	}
	if left := in.group.pool.cfg.Grace - time.Since(in.idle); left > 0 {
		in.arm(left)
		return
	}
	in.frozen = in.Sandbox.Freeze() == nil
}

// resident reports whether the instance is frozen and has its memory at hand.
func (in *Instance) resident() bool {
	in.mu.Lock()
	defer in.mu.Unlock()
	return in.frozen && !in.busy && !in.pushed && !in.pushing
}

// push has the memory of a frozen instance pushed out soon.
func (in *Instance) push() {
	in.mu.Lock()
	in.pushing = true
	in.mu.Unlock()
	in.group.pool.work.Add(1)
	go in.reclaim()
}

// reclaim pushes the memory of a frozen instance out of RAM, one instance's at a time: it takes a processor. A call may come meanwhile: it finds
// less of it.
func (in *Instance) reclaim() {
	p := in.group.pool
	defer p.work.Done()
	p.pushing <- struct{}{}
	defer func() { <-p.pushing }()
	in.mu.Lock()
	r, ok := in.Sandbox.(sandbox.Reclaimer)
	if ok = ok && in.pushing && in.frozen && !in.busy && !p.closing.Load(); ok {
		in.pushed = true
	}
	in.pushing = false
	in.mu.Unlock()
	if !ok {
		return
	}
	if err := r.Reclaim(); err != nil && !errors.Is(err, os.ErrClosed) {
		p.log.Warn("the memory of an idle instance could not be pushed out", "instance", in.ID, "error", err)
	}
}

// wake makes a resting instance ready for a call.
func (in *Instance) wake() error {
	h := in
	if in.host != nil {
		h = in.host
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.busy = true
	if in.host == nil || in.first {
		in.Rested, in.Thawed = h.idle, h.frozen
	}
	if !h.frozen {
		return nil
	}
	h.frozen, h.pushed, h.pushing = false, false, false
	return h.Sandbox.Thaw()
}

// runs reports whether r has not been replaced.
func (in *Instance) runs(r *Running) bool {
	in.mu.Lock()
	defer in.mu.Unlock()
	return in.Running == r
}

// info describes the instance.
func (in *Instance) info(idle bool) Info {
	in.mu.Lock()
	r, since, frozen, pushed := in.Running, in.idle, in.frozen, in.pushed
	in.mu.Unlock()
	i := Info{ID: in.ID, Version: in.Version.ID, Runtime: in.Version.Runtime, Served: r.Served, State: "busy",
		MemoryMB: in.Version.MemoryMB, Calls: int(in.calls.Load()), Started: in.started, Held: in.Version.Held}
	if idle {
		i.Idle, i.State = since, "idle"
		if frozen {
			i.State = "frozen"
		}
		if pushed {
			i.State = "reclaimed"
		}
	}
	if u, err := r.Sandbox.Usage(); err == nil {
		i.PeakMB = (u.Peak + 1<<20 - 1) >> 20
	}
	return i
}
