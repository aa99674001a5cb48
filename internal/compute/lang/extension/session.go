package extension

import (
	"context"
	"errors"
	"io"
	"sync"
	"syscall"
	"time"

	"artesian/internal/compute/lang"
	"artesian/internal/compute/sandbox"
	"artesian/internal/faas"
)

// How long a sandbox with extensions has to end by itself, as on Lambda, and what the runtime gets of it.
const (
	shutdownTime         = 2 * time.Second // with external ones
	internalShutdownTime = 500 * time.Millisecond
	runtimeTime          = 300 * time.Millisecond
	flushTime            = time.Second // for telemetry that has gathered, before
)

// Session is a lang.Extended: the extensions of a sandbox beside its runtime.
type Session struct {
	lang.Session
	host *Host
	sb   sandbox.Sandbox
	gone <-chan struct{} // closed when the runtime's process has ended
	once sync.Once

	// Of the last call:
	with     bool          // there are extensions
	told     bool          // some of them were told of it
	answered time.Time     // when the runtime was done
	after    time.Duration // how long the extensions were at work behind it

	mu     sync.Mutex
	reason string // why the instance ends, when it is not for lack of work
}

// Extend makes the extensions that h hosts in sb part of the runtime's session. Close tells them that the end has come, and gives
// them the time that Lambda gives.
func Extend(s lang.Session, h *Host, sb sandbox.Sandbox, served string) *Session {
	h.initStart(served)
	go h.follow(sb)
	gone := sb.Beside().Main
	if gone == nil {
		gone = sb.Done()
	}
	return &Session{Session: s, host: h, sb: sb, gone: gone}
}

// exitTime is how long the runtime's session has to notice that its process has ended: what it started may hold its channel open.
const exitTime = time.Second

// ending returns a context that ends when an extension fails, too, or the runtime has ended.
func (s *Session) ending(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	go func() {
		select {
		case <-s.host.failed:
			cancel()
		case <-s.gone:
			select {
			case <-time.After(exitTime):
				cancel()
			case <-ctx.Done():
			}
		case <-ctx.Done():
		}
	}()
	return ctx, cancel
}

// why prefers what extensions did to what the runtime's session saw of it; not to the end of the runtime, which ends them all.
func (s *Session) why(ctx context.Context, err error) error {
	if err == nil && s.host.failure() == nil {
		return nil
	}
	if errors.Is(err, context.Canceled) && ctx.Err() == nil && s.host.failure() == nil {
		err = lang.ErrExited
	}
	var own *lang.Failure
	if !errors.Is(err, lang.ErrExited) && !errors.As(err, &own) {
		if fault := s.host.failure(); fault != nil {
			err = fault
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case err == nil:
	case ctx.Err() != nil:
		s.reason = "timeout"
	default:
		s.reason = "failure"
	}
	return err
}

// Init implements lang.Session.
func (s *Session) Init(ctx context.Context) (lang.InitPhases, error) {
	bound, cancel := s.ending(ctx)
	defer cancel()
	arrived := time.Now()
	var phases lang.InitPhases
	err := s.host.admitted(ctx, s.gone)
	phases.Init = time.Since(arrived)
	if err == nil {
		var own lang.InitPhases
		own, err = s.Session.Init(bound)
		s.host.initDone("initRuntimeDone", err, 0)
		phases.Runtime, phases.Init = own.Runtime, phases.Init+own.Init
	}
	if err == nil {
		begun := time.Now()
		err = s.host.await(ctx, s.gone, s.host.initialised)
		phases.Init += time.Since(begun)
	}
	if err = s.why(ctx, err); err == nil {
		s.host.closeRegistration()
	}
	s.host.initDone("initReport", err, phases.Runtime+phases.Init)
	return phases, err
}

// Invoke implements lang.Session. It does not wait for the extensions, but ends with one that fails before the answer.
func (s *Session) Invoke(ctx context.Context, c lang.Call, out io.Writer) (*lang.Failure, error) {
	if s.host.version.Shared() { // extensions are not told of calls that go on at once, as on Lambda
		f, err := s.Session.Invoke(ctx, c, out)
		return f, s.why(ctx, err)
	}
	if external, internal := s.host.census(); external+internal == 0 && len(s.host.external) == 0 {
		s.with, s.told = false, false
		f, err := s.Session.Invoke(ctx, c, out)
		return f, s.why(ctx, err)
	}
	s.with = true
	if err := s.host.failure(); err != nil {
		return nil, s.why(ctx, err)
	}
	bound, cancel := s.ending(ctx)
	defer cancel()
	s.host.began(&c)
	s.told = s.host.tell(invocation(&c))
	begun, counted := time.Now(), &counter{out: out}
	f, err := s.Session.Invoke(bound, c, counted)
	s.answered = time.Now()
	if err != nil {
		err = s.why(ctx, err)
	}
	s.host.done(&c, f, err, s.answered.Sub(begun), counted.n)
	return f, err
}

// Working implements lang.Extended.
func (s *Session) Working() bool {
	if s.told { // never where calls share the instance
		s.after = time.Since(s.answered)
	}
	return s.with && s.host.working()
}

// Rest implements lang.Extended.
func (s *Session) Rest(ctx context.Context) error {
	err := s.host.await(ctx, s.gone, s.host.finished)
	s.after = time.Since(s.answered)
	return s.why(ctx, err)
}

// counter counts what is written.
type counter struct {
	out io.Writer
	n   int64
}

func (c *counter) Write(p []byte) (int, error) {
	n, err := c.out.Write(p)
	c.n += int64(n)
	return n, err
}

// Report implements lang.Extended.
func (s *Session) Report(u *faas.Usage, f *lang.Failure, init time.Duration) {
	if s.host.version.Shared() {
		s.host.report(u, f, init, 0)
		return
	}
	s.host.report(u, f, init, s.after)
	s.after = 0
}

// Close implements lang.Session.
func (s *Session) Close() error {
	s.once.Do(s.shutdown)
	s.host.stream.close()
	return s.Session.Close()
}

// shutdown tells the extensions, then the runtime, that the end has come, and waits for them within bounds.
func (s *Session) shutdown() {
	s.host.shut()
	external, internal := s.host.census()
	if external+internal == 0 {
		return
	}
	select {
	case <-s.sb.Done():
		return
	default:
	}
	_ = s.sb.Thaw() // what is frozen hears nothing; an error shows as silence
	limit := internalShutdownTime
	if external > 0 {
		limit = shutdownTime
	}
	s.mu.Lock()
	reason := s.reason
	s.mu.Unlock()
	switch {
	case reason != "":
	case s.exited():
		reason = "failure"
	default:
		reason = "spindown"
	}
	deadline := time.Now().Add(limit)
	ctx, cancel := context.WithDeadline(context.Background(), deadline)
	defer cancel()
	last, enough := context.WithTimeout(ctx, flushTime)
	s.host.stream.flush(last)
	enough()
	if s.host.tell(event{Type: eventShutdown, Deadline: deadline.UnixMilli(), Reason: reason}) {
		s.host.awaitShutdown(ctx, s.sb.Done())
	}
	if s.exited() || s.sb.Signal(syscall.SIGTERM) != nil {
		return
	}
	if external > 0 {
		ctx, cancel = context.WithTimeout(ctx, runtimeTime)
		defer cancel()
	}
	select {
	case <-s.gone:
	case <-ctx.Done():
	}
}

// exited reports whether the runtime's process has ended.
func (s *Session) exited() bool {
	select {
	case <-s.gone:
		return true
	default:
		return false
	}
}
