package lambda

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"artesian/internal/compute/lang"
	"artesian/internal/compute/lang/inside"
	"artesian/internal/compute/sandbox"
)

// Session is a lang.Session with a runtime that speaks the Runtime API, served on a listener inside its sandbox. It is a
// small state machine: the runtime asks for an event, gets one, answers it once, asks again.
type Session struct {
	sb     sandbox.Sandbox
	server *http.Server
	begun  time.Time
	closed chan struct{}
	once   sync.Once

	most int // events that the runtime may have at once

	mu        sync.Mutex
	asking    []*poll              // the runtime's open requests for events, oldest first
	asked     bool                 // it has asked before: it is initialised
	handed    map[string]*exchange // events handed out, by request id: those without an answer, and the last that has one
	last      *exchange            // handed out last
	changed   chan struct{}
	initErr   *lang.Failure
	reporting bool      // a report of an initialisation's failure is being read
	restores  bool      // the runtime may ask whether it has been restored
	awoke     time.Time // when it did
	over      error     // why no further call is possible
}

// poll is one open request for an event.
type poll struct {
	event chan *exchange // receives one, or is closed in favour of a newer request
}

// exchange is one event and its answer.
type exchange struct {
	call lang.Call
	done chan struct{} // closed with the answer complete; the fields after it are valid then

	mu      sync.Mutex
	out     io.Writer // nil once nobody waits for an answer any more
	state   exchangeState
	begun   bool  // out has been told of a stream or has got a part of the answer
	failed  error // out's own
	failure *lang.Failure
	wary    bool // the answer was turned down: the runtime may end over it

	moves atomic.Int64 // odd while out takes a part of the answer
}

type exchangeState uint8

const (
	running exchangeState = iota
	answering
	answered
)

// NewSession serves the Runtime API on l, which is inside sb, until Close.
func NewSession(sb sandbox.Sandbox, l net.Listener) *Session { return NewShared(sb, l, 1) }

// NewShared is NewSession for a runtime that may have up to most events at once: it asks for the next while it is at work on
// others. Calls that go on at once each have the session to themselves but for the end of the runtime, which is the end of all.
func NewShared(sb sandbox.Sandbox, l net.Listener, most int) *Session {
	s := &Session{sb: sb, most: max(most, 1), begun: time.Now(), closed: make(chan struct{}), changed: make(chan struct{}), handed: map[string]*exchange{}}
	mux, connections := s.routes(), maxConnections+2*(s.most-1)
	if n, ok := sb.(Neighbourly); ok {
		h, more := n.Neighbours()
		mux.Handle("/", h)
		connections += more
	}
	s.server = &http.Server{Handler: mux, MaxHeaderBytes: maxHeader, ReadHeaderTimeout: headerTime}
	go func() { _ = inside.Serve(s.server, l, connections) }()
	return s
}

// Close implements lang.Session.
func (s *Session) Close() error {
	s.once.Do(func() { close(s.closed) })
	s.end(os.ErrClosed)
	return s.server.Close()
}

// end makes all that waits return err.
func (s *Session) end(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.over == nil {
		s.over = err
	}
	s.signal()
}

// signal wakes who waits for a change of state. The caller holds the lock.
func (s *Session) signal() {
	close(s.changed)
	s.changed = make(chan struct{})
}

// Init implements lang.Session. A custom runtime and the function in it can't be told apart, so all of the time is Init.
func (s *Session) Init(ctx context.Context) (lang.InitPhases, error) {
	_, err := s.await(ctx, func() bool { return s.asked })
	return s.Phases(), err
}

// await waits until ready reports true, with the lock held, and returns the runtime's open request then.
func (s *Session) await(ctx context.Context, ready func() bool) (*poll, error) {
	for {
		s.mu.Lock()
		changed := s.changed
		var p *poll
		if len(s.asking) > 0 {
			p = s.asking[0]
		}
		switch {
		case s.initErr != nil:
			s.mu.Unlock()
			return nil, s.initErr
		case s.over != nil:
			err := s.over
			s.mu.Unlock()
			return nil, err
		case ready():
			s.mu.Unlock()
			return p, nil
		}
		s.mu.Unlock()
		select {
		case <-changed:
		case <-s.sb.Done():
			return nil, s.exited()
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// exited prefers what the runtime said before it ended to the bare fact.
func (s *Session) exited() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.initErr != nil {
		return s.initErr
	}
	return lang.ErrExited
}

// Invoke implements lang.Session.
func (s *Session) Invoke(ctx context.Context, c lang.Call, out io.Writer) (*lang.Failure, error) {
	x := &exchange{call: c, out: out, done: make(chan struct{})}
	if err := s.hand(ctx, x); err != nil {
		return nil, err
	}
	select {
	case <-x.done:
	case <-s.sb.Done():
		if !x.answeredSoon(ctx) {
			x.abandon()
			return nil, lang.ErrExited
		}
	case <-s.closed:
		x.abandon()
		return nil, os.ErrClosed
	case <-ctx.Done():
		x.abandon()
		if s.most == 1 {
			s.end(ctx.Err())
		}
		return nil, ctx.Err()
	}
	s.answered(x)
	if x.wary {
		s.settle(ctx)
	}
	switch {
	case x.failure == nil:
	case x.begun:
		x.failure.BrokenOff = true
	case x.failed == nil:
		_, x.failed = out.Write(x.failure.Document)
	}
	return x.failure, x.failed
}

// hand gives x to the runtime as soon as it asks for an event.
func (s *Session) hand(ctx context.Context, x *exchange) error {
	for {
		p, err := s.await(ctx, func() bool { return len(s.asking) > 0 })
		if err != nil {
			return err
		}
		s.mu.Lock()
		if !s.forget(p) {
			s.mu.Unlock()
			continue // it hung up, or another call was faster
		}
		if s.last != nil && s.last.complete() {
			delete(s.handed, s.last.call.RequestID)
		}
		s.handed[x.call.RequestID], s.last = x, x
		s.mu.Unlock()
		p.event <- x // has room for one
		return nil
	}
}

// forget takes an open request out, and reports whether it was there. The caller holds the lock.
func (s *Session) forget(p *poll) bool {
	i := slices.Index(s.asking, p)
	if i >= 0 {
		s.asking = slices.Delete(s.asking, i, i+1)
	}
	return i >= 0
}

// answered lets go of an event that has its answer; the last one's is remembered, to tell a second answer from a stranger's.
func (s *Session) answered(x *exchange) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if x != s.last {
		delete(s.handed, x.call.RequestID)
	}
}

// open is how many events are without an answer. The caller holds the lock.
func (s *Session) open() (n int) {
	for id, x := range s.handed {
		switch {
		case !x.complete():
			n++
		case x != s.last: // answered when nobody waited for it any more
			delete(s.handed, id)
		}
	}
	return n
}

// settle waits a moment for a runtime whose answer was turned down to ask again or to end.
func (s *Session) settle(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	_, _ = s.await(ctx, func() bool { return len(s.asking) > 0 }) // either way the answer is what it is
}

// lastWords is how long each part of an answer may take to be read after the process that sent it has ended.
const lastWords = 50 * time.Millisecond

// answeredSoon waits for what an ended process has sent, as long as parts of it arrive or are being passed on.
func (x *exchange) answeredSoon(ctx context.Context) bool {
	t := time.NewTicker(lastWords)
	defer t.Stop()
	for moves := int64(-1); ; {
		select {
		case <-x.done:
			return true
		case <-ctx.Done():
			return false
		case <-t.C:
			now := x.moves.Load()
			if now == moves && now%2 == 0 {
				return false
			}
			moves = now
		}
	}
}

var errAbandoned = errors.New("nobody waits for this answer")

// abandon cuts the answer off from the caller's writer.
func (x *exchange) abandon() {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.out = nil
}

// begin claims the exchange for one answer; false when there has been one.
func (x *exchange) begin() bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.state != running {
		return false
	}
	x.state = answering
	return true
}

// Write passes a part of the answer on. Its error means that nobody waits for the answer any more.
func (x *exchange) Write(p []byte) (int, error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.out == nil {
		return 0, errAbandoned
	}
	if x.failed == nil && len(p) > 0 {
		x.begun = true
		x.moves.Add(1)
		_, x.failed = x.out.Write(p)
		x.moves.Add(1)
	}
	return len(p), nil
}

// stream tells a caller who takes streams that one begins. Its error means that nobody waits for the answer any more.
func (x *exchange) stream(contentType string) error {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.out == nil {
		return errAbandoned
	}
	if x.call.Stream != nil {
		x.begun = true
		x.failed = x.call.Stream(contentType)
	}
	return nil
}

// finish completes the answer; f is nil when it is a success.
func (x *exchange) finish(f *lang.Failure, wary bool) {
	x.mu.Lock()
	x.state, x.failure, x.wary = answered, f, wary
	x.mu.Unlock()
	close(x.done)
}

// reported is the failure that a runtime reports, by the type it names or, without one, the type in its document.
func reported(kind string, body []byte) *lang.Failure {
	if kind == "" {
		var d document
		if err := json.Unmarshal(body, &d); err == nil {
			kind = d.Type
		}
	}
	if kind == "" || len(kind) > maxType {
		kind = ErrorUnknown
	}
	return &lang.Failure{Type: kind, Document: body}
}
