// Package stock keeps sandboxes ready before it is known whom they are for: cells by kind, and the zygotes that some are forked
// from. How many of which is Decide's; everything else here is the loop around it. What is missing is made off the path of
// calls, one or two at a time, when no start has the processors.
package stock

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"slices"
	"sync"
	"time"

	"artesian/internal/compute/sandbox"
)

// Source makes what a Stock keeps.
type Source interface {
	// Cell makes a cell of a kind; z is the zygote of a Fork, else nil.
	Cell(ctx context.Context, k Kind, z sandbox.Zygote) (sandbox.Cell, error)
	Zygote(ctx context.Context, f Family) (sandbox.Zygote, error)
}

// Memory is whose memory the stock borrows.
type Memory interface {
	Borrow(mb int) bool // false: there is none to spare
	Return(mb int)
}

// Config bounds a stock. The zero value of a field is its documented default.
type Config struct {
	Most     int           // cells together; default 256
	MemoryMB int           // of cells and zygotes together; default 512
	Parallel int           // cells in the making at once; default 1
	Keep     time.Duration // a kind nobody asks for is kept this long; default 1 hour
	Forks    int           // a zygote is renewed after so many; default 1,000
	Age      time.Duration // or at this age; default 1 hour
	Logger   *slog.Logger
}

// A start has the processors until a moment after it ended. While starts never cease, a cell is made now and then all the same.
const (
	quiet       = 10 * time.Millisecond
	patience    = 500 * time.Millisecond
	pressed     = 10 * time.Second // how long a lack of memory is remembered
	retryMemory = time.Second      // after there was none to borrow
)

// Stock keeps cells. All methods are safe for concurrent use, and those of a nil Stock find nothing.
type Stock struct {
	cfg    Config
	source Source
	memory Memory
	log    *slog.Logger

	wake chan struct{}
	life context.Context
	end  context.CancelFunc
	work sync.WaitGroup // the loop, and what is being made or closed

	mu       sync.Mutex
	kinds    map[Kind]*shelf
	families map[Family]*lineage
	starts   int       // under way
	last     time.Time // when one came or ended
	waiting  time.Time // since when something is missing; zero: nothing
	pressed  time.Time
	closed   bool
}

// shelf is what there is of one kind.
type shelf struct {
	Demand
	ready     []sandbox.Cell // the oldest first
	making    int
	failures  int // in a row
	notBefore time.Time
}

// New returns a stock that is empty until something is expected or asked for. Close it.
func New(source Source, memory Memory, cfg Config) *Stock {
	for _, d := range []struct {
		field *int
		value int
	}{{&cfg.Most, 256}, {&cfg.MemoryMB, 512}, {&cfg.Parallel, 1}, {&cfg.Forks, 1000}} {
		if *d.field == 0 {
			*d.field = d.value
		}
	}
	if cfg.Keep == 0 {
		cfg.Keep = time.Hour
	}
	if cfg.Age == 0 {
		cfg.Age = time.Hour
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	s := &Stock{cfg: cfg, source: source, memory: memory, log: cfg.Logger, wake: make(chan struct{}, 1),
		kinds: map[Kind]*shelf{}, families: map[Family]*lineage{}}
	s.life, s.end = context.WithCancel(context.Background())
	s.work.Go(s.run)
	return s
}

// Starting is told of a start under way, and its result of the start's end: nothing is made meanwhile.
func (s *Stock) Starting() (ended func()) {
	if s == nil {
		return func() {}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.starts++
	s.last = time.Now()
	return sync.OnceFunc(func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.starts--
		s.last = time.Now()
		s.poke()
	})
}

// Take returns a cell of a kind, which is the caller's now, or nil, and how many are in the making.
func (s *Stock) Take(k Kind) (c sandbox.Cell, making int) {
	if s == nil {
		return nil, 0
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	sh := s.shelf(k)
	sh.Demand = sh.Arrived(time.Now())
	return s.take(k, sh)
}

// Spare is Take for a kind that was not what the caller would have liked: more of it need not be made.
func (s *Stock) Spare(k Kind) (c sandbox.Cell, making int) {
	if s == nil {
		return nil, 0
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	sh := s.shelf(k)
	sh.Demand = sh.Expected(time.Now())
	return s.take(k, sh)
}

func (s *Stock) take(k Kind, sh *shelf) (c sandbox.Cell, making int) {
	s.poke()
	for len(sh.ready) > 0 {
		c, sh.ready = sh.ready[0], sh.ready[1:]
		s.memory.Return(weights[k.Form])
		select {
		case <-c.Done(): // it has just died
			s.discard(c)
		default:
			return c, sh.making
		}
	}
	return nil, sh.making
}

// Expect has the stock keep a cell of a kind, because somebody may soon ask for one.
func (s *Stock) Expect(k Kind) {
	if s == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	sh := s.shelf(k)
	sh.Demand = sh.Expected(time.Now())
	s.poke()
}

// Yield lets go of cells and zygotes because memory is short, and returns how many MB come back.
func (s *Stock) Yield() int {
	if s == nil {
		return 0
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pressed = time.Now().Add(pressed)
	mb := 0
	for k, sh := range s.kinds {
		mb += len(sh.ready) * weights[k.Form]
		s.drop(k, sh, len(sh.ready))
	}
	for _, l := range s.families {
		if l.zygote != nil {
			mb += zygoteWeight
		}
		s.retire(l)
	}
	s.poke()
	return mb
}

// Close lets go of everything and waits until it is gone.
func (s *Stock) Close() {
	if s == nil {
		return
	}
	s.end()
	s.mu.Lock()
	s.closed = true
	for k, sh := range s.kinds {
		s.drop(k, sh, len(sh.ready))
	}
	for _, l := range s.families {
		s.retire(l)
	}
	s.mu.Unlock()
	s.work.Wait()
}

// shelf returns a kind's. The caller holds mu.
func (s *Stock) shelf(k Kind) *shelf {
	sh := s.kinds[k]
	if sh == nil {
		sh = &shelf{}
		s.kinds[k] = sh
	}
	return sh
}

func (s *Stock) poke() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// run decides whenever something has changed or the time has come.
func (s *Stock) run() {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-s.life.Done():
			return
		case <-s.wake:
		case <-timer.C:
		}
		if again := s.settle(time.Now()); again.IsZero() {
			timer.Stop()
		} else {
			timer.Reset(time.Until(again))
		}
	}
}

// settle carries out a decision and returns when to decide anew.
func (s *Stock) settle(now time.Time) time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return time.Time{}
	}
	a := Decide(s.state(now), now)
	for k, n := range a.Drop {
		s.drop(k, s.kinds[k], n)
	}
	for _, k := range a.Make {
		s.make(k, now, &a)
	}
	s.keep(a.Families, now, &a)
	for k, sh := range s.kinds {
		if sh.want(now, s.cfg.Keep) == 0 && len(sh.ready) == 0 && sh.making == 0 {
			delete(s.kinds, k)
		}
	}
	return a.Again
}

// state is what Decide sees. The caller holds mu.
func (s *Stock) state(now time.Time) State {
	st := State{Most: s.cfg.Most, MemoryMB: s.cfg.MemoryMB, Parallel: s.cfg.Parallel, Keep: s.cfg.Keep, Pressed: s.pressed}
	missing := false
	for k, sh := range s.kinds {
		l := s.families[k.family()]
		st.Kinds = append(st.Kinds, Standing{Kind: k, Demand: sh.Demand, Ready: len(sh.ready), Making: sh.making, NotBefore: sh.notBefore,
			Zygote: k.Form == Fork && l != nil && l.zygote != nil})
		missing = missing || len(sh.ready)+sh.making < sh.want(now, s.cfg.Keep)
	}
	if !missing {
		s.waiting = time.Time{}
	} else if s.waiting.IsZero() {
		s.waiting = now
	}
	if st.Quiet = s.last.Add(quiet); s.starts > 0 {
		st.Quiet = now.Add(quiet)
	}
	if at := s.waiting.Add(patience); at.Before(st.Quiet) {
		st.Quiet = at
	}
	return st
}

// make begins to make a cell. The caller holds mu.
func (s *Stock) make(k Kind, now time.Time, a *Action) {
	sh := s.kinds[k]
	if !s.memory.Borrow(weights[k.Form]) {
		sh.notBefore = now.Add(retryMemory)
		a.again(sh.notBefore)
		return
	}
	var z sandbox.Zygote
	if k.Form == Fork {
		z = s.families[k.family()].zygote
	}
	sh.making++
	s.work.Go(func() {
		c, err := s.source.Cell(s.life, k, z)
		s.mu.Lock()
		defer s.mu.Unlock()
		defer s.poke()
		sh.making--
		s.waiting = time.Now() // who calls has waited for this one
		if err == nil && !s.closed {
			sh.failures = 0
			sh.ready = append(sh.ready, c)
			s.mind(k, sh, c)
			return
		}
		s.memory.Return(weights[k.Form])
		switch {
		case err == nil:
			s.discard(c)
		case s.life.Err() == nil && !errors.Is(err, os.ErrClosed):
			sh.failures++
			sh.notBefore = time.Now().Add(backoff(sh.failures))
			s.log.Warn("make sandbox ahead", "form", string(k.Form), "runtime", k.Runtime, "error", err)
		}
	})
}

// mind takes a cell away that dies on its shelf.
func (s *Stock) mind(k Kind, sh *shelf, c sandbox.Cell) {
	go func() {
		<-c.Done()
		s.mu.Lock()
		defer s.mu.Unlock()
		if i := slices.Index(sh.ready, c); i >= 0 {
			sh.ready = slices.Delete(sh.ready, i, i+1)
			sh.failures++
			sh.notBefore = time.Now().Add(backoff(sh.failures))
			s.memory.Return(weights[k.Form])
			s.discard(c)
			s.poke()
		}
	}()
}

// drop lets go of the n oldest cells of a kind. The caller holds mu.
func (s *Stock) drop(k Kind, sh *shelf, n int) {
	for _, c := range sh.ready[:n] {
		s.memory.Return(weights[k.Form])
		s.discard(c)
	}
	sh.ready = slices.Delete(sh.ready, 0, n)
}

// discard closes a cell or zygote in the background.
func (s *Stock) discard(c interface{ Close() error }) {
	s.work.Go(func() {
		if err := c.Close(); err != nil {
			s.log.Warn("close what was made ahead", "error", err)
		}
	})
}

// backoff is how long after the n-th failure in a row the next may be tried.
func backoff(n int) time.Duration {
	return min(time.Second<<min(n-1, 6), time.Minute)
}
