// Package pool keeps the instances of every version: it lends one to each call, starts one when none is idle, freezes
// idle ones and lets them go. The policy is Decide; everything else here is the loop around it.
//
// Lock order: Pool.reclaiming, group.mu, then Instance.mu or budget.mu. No lock is held while a sandbox starts or ends.
package pool

import (
	"context"
	"errors"
	"log/slog"
	"sort"
	"sync"
	"sync/atomic"
	"time"

	"artesian/internal/faas"
)

// Config bounds a pool. The zero value of a field is its documented default.
type Config struct {
	KeepAlive  time.Duration // an idle instance lives this long, and none is made ahead; 0: as the function's habits have it
	MaxAge     time.Duration // an instance is not lent again once it is older; 0 is unlimited
	Grace      time.Duration // an idle instance runs on this long before it is frozen; default 10 ms
	MemoryMB   int           // of all instances together, by configured size; 0 is unlimited
	MaxWaiting int           // callers without an instance, per version; default 1,000
	Reclaim    bool          // the memory of frozen instances may be pushed out of RAM; their sandboxes are sandbox.Reclaimer then
	PlaceWait  time.Duration // a start waits this long for memory; default 10 s
	Yield      func()        // has whoever borrowed memory return it, because a start lacks some; may be nil
	Logger     *slog.Logger
}

// Pool lends instances. All methods are safe for concurrent use.
type Pool struct {
	cfg                    Config
	launcher               Launcher
	log                    *slog.Logger
	keeping                *Keeping
	memory                 budget
	groups                 sync.Map // groupKey → *group
	index                  index
	latest                 sync.Map     // faas.FunctionID → *group: the newest of a function's that was called, whose habit the next takes over
	pasts                  sync.Map     // faas.FunctionID → *Past: what is known from before the start of functions that were not called since
	ahead                  atomic.Int64 // starts under way that nobody waits for
	heldCalls, heldSpilled atomic.Int64 // calls that took what is kept ready, and that found none of it idle
	closing                atomic.Bool
	work                   sync.WaitGroup // starts and stops under way, and busy instances
	nextID                 atomic.Uint64
	life                   context.Context // ends when running calls are cut
	cut                    context.CancelFunc

	reclaiming sync.Mutex    // one at a time counts what is on its way back
	pushing    chan struct{} // of one place: one instance at a time has its memory pushed out
}

// groupKey names what shares instances: the calls of one version, or where it keeps its tenants apart, those of one tenant.
type groupKey struct {
	faas.VersionID
	tenant string
}

// New returns a pool that starts instances by launcher.
func New(launcher Launcher, cfg Config) *Pool {
	if cfg.Grace == 0 {
		cfg.Grace = 10 * time.Millisecond
	}
	if cfg.MaxWaiting == 0 {
		cfg.MaxWaiting = 1000
	}
	if cfg.PlaceWait == 0 {
		cfg.PlaceWait = 10 * time.Second
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	p := &Pool{cfg: cfg, launcher: launcher, log: cfg.Logger, keeping: NewKeeping(Learned()), memory: budget{total: cfg.MemoryMB},
		pushing: make(chan struct{}, 1)}
	p.life, p.cut = context.WithCancel(context.Background())
	return p
}

// With lends an instance of v to fn for as long as fn runs, and what fn has linger. Without an idle one, a start begins at once and the caller
// waits for whichever comes first. It returns fn's error, ctx's error when ctx ended before an instance was there,
// Throttled when too many wait or the node is full, or the reason why the start went wrong.
func (p *Pool) With(ctx context.Context, v *faas.Version, fn func(*Instance) error) error {
	return p.WithTenant(ctx, v, "", fn)
}

// WithTenant is With for one tenant of v: an instance that served one never serves another. Empty is no tenant.
func (p *Pool) WithTenant(ctx context.Context, v *faas.Version, tenant string, fn func(*Instance) error) error {
	in, err := p.acquire(ctx, v, tenant)
	if err != nil {
		return err
	}
	defer in.handBack()
	if in.host != nil {
		in.charge()
	}
	return fn(in)
}

func (p *Pool) acquire(ctx context.Context, v *faas.Version, tenant string) (*Instance, error) {
	for {
		in, w, err := p.group(v, tenant).claim()
		if errors.Is(err, errGone) {
			continue
		}
		if err != nil {
			return nil, err
		}
		if w != nil {
			return w.wait(ctx)
		}
		if err := in.wake(); err == nil {
			return in, nil
		}
		in.Discard() // its sandbox just ended; the next one may be alive
		in.group.release(in)
	}
}

func (p *Pool) group(v *faas.Version, tenant string) *group {
	key := groupKey{v.ID, tenant}
	if g, ok := p.groups.Load(key); ok {
		return g.(*group)
	}
	g := &group{pool: p, key: key, version: v}
	g.habit = g.inherit()
	g = p.place(g)
	if tenant == "" {
		p.latest.Store(v.ID.FunctionID, g)
		p.pasts.Delete(v.ID.FunctionID)
	}
	return g
}

// inherit returns what is known of a new group's function: from its last version, or from before the start. Of a tenant nothing is
// remembered: they are without number.
func (g *group) inherit() *Habit {
	p, id := g.pool, g.key.FunctionID
	if g.key.tenant != "" {
		return nil
	}
	h := new(Habit)
	if v, ok := p.latest.Load(id); ok {
		last := v.(*group)
		last.mu.Lock()
		*h = *last.habit
		last.mu.Unlock()
	} else if v, ok := p.pasts.Load(id); ok {
		if past := g.resume(v.(*Past)); past != nil {
			h = past
		}
	}
	return h
}

// Retire lets the instances of a version go that has been replaced: idle ones now, busy ones after their call. Callers
// that wait for it are still served.
func (p *Pool) Retire(id faas.VersionID) {
	for _, g := range p.of(id.FunctionID) {
		if g.key.VersionID == id {
			g.drain()
		}
	}
}

// RetireFunction retires the $LATEST of a function, except the revision given; without one the function is gone, and all
// its versions are retired.
func (p *Pool) RetireFunction(id faas.FunctionID, keep string) {
	if keep == "" {
		p.latest.Delete(id)
		p.Forget(id)
	}
	for _, g := range p.keep(id, keep) {
		if v := g.key.VersionID; keep == "" || v.Version == faas.Latest && v.Revision != keep {
			g.drain()
		}
	}
}

// RetireVersion retires all revisions of one version.
func (p *Pool) RetireVersion(id faas.FunctionID, version string) {
	for _, g := range p.of(id) {
		if g.key.Version == version {
			g.drain()
		}
	}
}

// Packages returns the names of the content that instances run from, those on their way included.
func (p *Pool) Packages() map[string]bool {
	used := make(map[string]bool)
	p.groups.Range(func(_, v any) bool {
		for _, sha := range v.(*group).version.Needs() {
			used[sha] = true
		}
		return true
	})
	return used
}

// afterCut is how long what was cut may take to be gone.
const afterCut = time.Second

// Close refuses new calls, waits for the running ones until ctx ends, cuts the rest, and stops every instance. Its error
// says that something would not end.
func (p *Pool) Close(ctx context.Context) error {
	p.closing.Store(true)
	p.groups.Range(func(_, g any) bool { g.(*group).drain(); return true })
	done := make(chan struct{})
	go func() { p.work.Wait(); close(done) }()
	select {
	case <-done:
		p.cut()
		return nil
	case <-ctx.Done():
	}
	p.cut() // before kill: what is launched meanwhile looks at it
	p.groups.Range(func(_, g any) bool { g.(*group).kill(); return true })
	select {
	case <-done:
		return nil
	case <-time.After(afterCut):
		return errors.New("stop instances: some have not ended")
	}
}

// Borrow takes mb of what the instances may have together, for what is made ahead of them; false if there is not so much to spare.
func (p *Pool) Borrow(mb int) bool { return p.memory.borrow(mb) }

// Take is Borrow that waits until ctx ends, and stops idle instances where memory is short, as a start does. Calls that lack memory stand behind
// it. Its error is ErrNoMemory when there was none in time.
func (p *Pool) Take(ctx context.Context, mb int) error {
	c, err := p.memory.claim(mb)
	if err != nil {
		return err
	}
	p.reclaim(mb)
	select {
	case <-c.granted:
	case <-ctx.Done():
		p.memory.withdraw(c)
	case <-p.life.Done():
		p.memory.withdraw(c)
	}
	select {
	case <-c.granted: // or withdrawn too late
		return nil
	default:
		return ErrNoMemory
	}
}

// Return gives back what was borrowed or taken.
func (p *Pool) Return(mb int) { p.memory.give(mb) }

// watch takes an instance whose sandbox ended by itself out of the idle ones.
func (p *Pool) watch(in *Instance, r *Running) {
	go func() {
		<-r.Sandbox.Done()
		if in.runs(r) {
			in.group.remove(in)
		}
	}()
}

// Info describes one instance for people.
type Info struct {
	ID       string
	Version  faas.VersionID
	Runtime  string
	Served   string
	State    string // starting is not listed; busy, idle or frozen
	Held     bool   // kept ready whatever the odds
	MemoryMB int
	PeakMB   int64
	Calls    int
	Started  time.Time
	Idle     time.Time // zero when busy
}

// List returns the instances there are, by function and age.
func (p *Pool) List() []Info {
	var out []Info
	p.groups.Range(func(_, v any) bool {
		for in, idle := range v.(*group).members() {
			out = append(out, in.info(idle))
		}
		return true
	})
	sort.Slice(out, func(i, j int) bool {
		if out[i].Version.Name != out[j].Version.Name {
			return out[i].Version.Name < out[j].Version.Name
		}
		return out[i].Started.Before(out[j].Started)
	})
	return out
}
