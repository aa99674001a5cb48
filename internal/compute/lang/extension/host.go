// Package extension serves Lambda's Extensions API inside a sandbox and makes a session of the runtime wait for its
// extensions: the initialisation is over, and a call done, when all of them say so.
// https://docs.aws.amazon.com/lambda/latest/dg/runtimes-extensions-api.html
package extension

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"artesian/internal/compute/lang"
	"artesian/internal/compute/lang/lambda"
	"artesian/internal/compute/sandbox"
	"artesian/internal/faas"
)

// MaxExtensions is how many extensions may register in one sandbox, external and internal together, as on Lambda.
const MaxExtensions = 10

// The types of errors by which extensions end an instance.
const (
	ErrorCrash  = "Extension.Crash"
	ErrorInit   = "Extension.InitError"
	ErrorExit   = "Extension.ExitError"
	ErrorLaunch = "Extension.LaunchError"
)

// The events that extensions may ask for.
const (
	eventInvoke   = "INVOKE"
	eventShutdown = "SHUTDOWN"
)

// Host is the extensions' side of one sandbox. Its methods may be called from any goroutine.
type Host struct {
	version  *faas.Version
	external []string // names, in the order of Spec.Beside
	line     func(at time.Time, line string)
	now      func() time.Time
	stream   stream

	mu       sync.Mutex // guards what follows, members' fields too
	members  []*member
	open     func() // lets the runtime begin; nil once it may
	closed   bool   // registration is over
	shutting bool
	dial     dialer // into the sandbox
	fault    *lang.Crashed
	changed  chan struct{} // closed at the next change of what is above
	failed   chan struct{} // closed with fault set
}

// member is a registered extension.
type member struct {
	name, id string
	external bool
	events   []string
	asking   *poll   // its open request for an event
	queue    []event // that it has not asked for yet
	ready    bool    // it has asked before: it is initialised
	busy     bool    // it has an event that it has not followed by another request
	ended    bool
}

// poll is an open request for an event: it receives one, or is closed in favour of a newer request.
type poll struct{ event chan event }

// NewHost returns the host of a sandbox of v in which programs of these names run beside the runtime. line takes the
// platform's own lines.
func NewHost(v *faas.Version, external []string, line func(at time.Time, line string), now func() time.Time) *Host {
	h := &Host{version: v, external: external, line: line, now: now, changed: make(chan struct{}), failed: make(chan struct{})}
	h.stream.open()
	return h
}

// signal wakes who waits for a change. The caller holds the lock.
func (h *Host) signal() {
	close(h.changed)
	h.changed = make(chan struct{})
}

// fail ends the instance; the first reason counts. The caller holds the lock.
func (h *Host) fail(kind, reason string) {
	if h.fault == nil && !h.shutting {
		h.fault = &lang.Crashed{Type: kind, Reason: reason}
		close(h.failed)
	}
	h.signal()
}

// Fail ends the instance from outside.
func (h *Host) Fail(kind, reason string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.fail(kind, reason)
}

// failure returns why the instance is of no more use; nil when it is.
func (h *Host) failure() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.fault == nil {
		return nil
	}
	return h.fault
}

// follow notes the ends of programs until the sandbox's.
func (h *Host) follow(sb sandbox.Sandbox) {
	ended := sb.Beside().Ended
	for range h.external {
		select {
		case e := <-ended:
			h.left(e)
		case <-sb.Done():
			return
		}
	}
}

func (h *Host) left(e sandbox.Ended) {
	h.mu.Lock()
	defer h.mu.Unlock()
	name := h.external[e.Program]
	for _, m := range h.members {
		if m.external && m.name == name {
			m.ended, m.busy = true, false
		}
	}
	h.fail(ErrorCrash, exitText(e))
}

// exitText says how a program ended, in Lambda's words.
func exitText(e sandbox.Ended) string {
	switch {
	case e.Signal != 0:
		return "signal: " + e.Signal.String()
	case e.Code == 0:
		return "exit code 0"
	}
	return fmt.Sprintf("exit status %d", e.Code)
}

// await waits until ready reports true, with the lock held, or the instance is of no more use.
func (h *Host) await(ctx context.Context, done <-chan struct{}, ready func() bool) error {
	for {
		h.mu.Lock()
		changed, fault, ok := h.changed, h.fault, ready()
		h.mu.Unlock()
		switch {
		case fault != nil:
			return fault
		case ok:
			return nil
		}
		select {
		case <-changed:
		case <-done:
			return lang.ErrExited
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// Gate says that the runtime's process does nothing before open is called, once.
func (h *Host) Gate(open func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.open = open
}

// admitted waits until every program has registered, and lets the runtime begin then: what functions do when they are loaded may need
// what extensions serve.
func (h *Host) admitted(ctx context.Context, gone <-chan struct{}) error {
	if err := h.await(ctx, gone, h.registered); err != nil {
		return err
	}
	h.mu.Lock()
	open := h.open
	h.open = nil
	h.mu.Unlock()
	if open != nil {
		open()
	}
	return nil
}

// registered reports whether every program has. The caller holds the lock.
func (h *Host) registered() bool {
	for _, name := range h.external {
		if !slices.ContainsFunc(h.members, func(m *member) bool { return m.external && m.name == name }) {
			return false
		}
	}
	return true
}

// initialised reports whether every extension has asked for its first event. The caller holds the lock.
func (h *Host) initialised() bool {
	return !slices.ContainsFunc(h.members, func(m *member) bool { return !m.ready })
}

// finished reports whether no extension is at work. The caller holds the lock.
func (h *Host) finished() bool {
	return !slices.ContainsFunc(h.members, func(m *member) bool { return m.busy })
}

// working reports whether an extension is at work, or the instance is of no more use.
func (h *Host) working() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.fault != nil || !h.finished()
}

// closeRegistration ends the initialisation and tells of those that take part.
func (h *Host) closeRegistration() {
	h.mu.Lock()
	h.closed = true
	members := slices.Clone(h.members)
	h.mu.Unlock()
	at := h.now()
	for _, m := range members {
		h.platform("extension", map[string]any{"name": m.name, "state": "Ready", "events": m.events})
		for _, line := range lambda.ExtensionLines(h.version, m.name, "Ready", m.events, at) {
			h.line(at, line)
		}
	}
	h.stream.settle()
}

// tell gives an event to those who asked for its kind, and reports whether there are any.
func (h *Host) tell(e event) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	any := false
	for _, m := range h.members {
		if m.ended || !slices.Contains(m.events, e.Type) {
			continue
		}
		any, m.busy = true, true
		if m.asking != nil {
			m.asking.event <- e // has room for one
			m.asking = nil
		} else {
			m.queue = append(m.queue, e)
		}
	}
	return any
}

// census counts the living extensions.
func (h *Host) census() (external, internal int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, m := range h.members {
		switch {
		case m.ended:
		case m.external:
			external++
		default:
			internal++
		}
	}
	return external, internal
}

// awaitShutdown waits until every extension that was told of the end has ended or asked for another event.
func (h *Host) awaitShutdown(ctx context.Context, done <-chan struct{}) {
	for {
		h.mu.Lock()
		changed := h.changed
		over := !slices.ContainsFunc(h.members, func(m *member) bool { return m.busy && slices.Contains(m.events, eventShutdown) })
		h.mu.Unlock()
		if over {
			return
		}
		select {
		case <-changed:
		case <-done:
			return
		case <-ctx.Done():
			return
		}
	}
}

// shut makes ends of extensions what is expected.
func (h *Host) shut() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.shutting = true
}
