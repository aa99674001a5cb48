// Package lang talks to the language runtime inside a sandbox. It is the seam between pool and invoke, who know neither
// interpreters nor protocols, and the packages beside it: framed (our bootstraps over an inherited socket), lambda (the
// public Runtime API and the forms of Lambda's logs and errors), host (which interpreters this machine has).
package lang

import (
	"context"
	"errors"
	"io"
	"time"

	"artesian/internal/compute/sandbox"
	"artesian/internal/faas"
)

// Runtime runs versions of functions written for one runtime identifier, such as python3.11.
type Runtime interface {
	// Served says what really runs, for people: "python 3.11.7 (/usr/bin/python3.11)".
	Served() string
	// Prepare adds to spec what this runtime needs to run v with its code unpacked at host directory code and its output
	// in log stream stream: mounts, arguments, environment, working directory, channel, listeners. What spec has already
	// stays: mounts and listeners go behind it, and a variable that spec.Env has already wins. It does no I/O but looks
	// at folders that are mounted.
	Prepare(spec *sandbox.Spec, v faas.Version, code, stream string)
	// Attach takes over the conversation with a started sandbox. It does not wait.
	Attach(sb sandbox.Sandbox, v faas.Version) Session
}

// Generic is a Runtime whose process can run before it is known which version it will serve.
type Generic interface {
	Runtime
	// Generic adds to spec what such a process needs, as Prepare does for a version: mounts, arguments, environment, working
	// directory, channel. memoryMB sizes what the process cannot change later. When the runtime is forked from a zygote,
	// spec.Argv stays empty.
	Generic(spec *sandbox.Spec, memoryMB int)
	// Unsuited says, for people, why v cannot be served by such a process, with its code and layers unpacked at host directories
	// code and layers; empty if it can.
	Unsuited(v *faas.Version, code, layers string) string
	// Adopt is Attach to such a process, in a sandbox that now is the one of spec, which Prepare has prepared: the session hands
	// the environment and the handler over before the initialisation.
	Adopt(sb sandbox.Sandbox, spec *sandbox.Spec, v faas.Version) Session
}

// Forked is a Generic whose processes are forked from a zygote.
type Forked interface {
	Generic
	// Zygote prepares the zygote: all of it but its ID.
	Zygote() sandbox.ZygoteSpec
}

// Twinned is a Runtime whose process can be copied between its initialisation and its first call, see sandbox.Template.
type Twinned interface {
	Runtime
	// Twin is Attach to a copy. Changed are the variables of its environment that are others than its template's; its Init is over
	// once the copy has taken them over and has made new what must not be the same in two processes.
	Twin(sb sandbox.Sandbox, changed []string) Session
}

// Imaged is a Runtime whose processes can be saved when they are initialised, and go on from an image of that.
type Imaged interface {
	Runtime
	// Savable has the process of spec, which Prepare has prepared for v, be one that can be saved.
	Savable(spec *sandbox.Spec, v *faas.Version)
	// Kept is Attach to such a process.
	Kept(sb sandbox.Sandbox, v faas.Version) Suspendable
	// Resume is Attach to a process that goes on. env is what is new in its environment; its Init is over once what the function wants
	// done after a restore is.
	Resume(sb sandbox.Sandbox, env []string) Session
}

// Suspendable is a Session whose process can get ready to be saved.
type Suspendable interface {
	Session
	// Suspend returns when what the function wants done before is done, and the process waits to be saved. The session is over then. Its
	// errors are those of Init, which it follows.
	Suspend(ctx context.Context) error
}

// Archived is a Runtime whose processes start sooner, and share memory, by an archive that one of them writes once.
type Archived interface {
	Runtime
	// Archive prepares spec, as Prepare does, for a process that runs nothing of a function's, writes the archive to its channel and
	// ends with status 0. False: there is one, or there can be none.
	Archive(spec *sandbox.Spec) bool
	// Keep takes over what such a process wrote, once it has ended well.
	Keep(archive io.Reader) error
}

// Compiled is a Runtime that starts functions sooner by their package in a compiled form, which is made of it once.
type Compiled interface {
	Runtime
	// Compile prepares spec, as Prepare does, for a process that executes nothing of v's package, which is unpacked at host directory
	// code, writes the compiled form to its channel and ends with status 0. False: there is one, or there can be none.
	Compile(spec *sandbox.Spec, v *faas.Version, code string) bool
	// KeepCompiled takes over what such a process wrote, once it has ended well.
	KeepCompiled(v *faas.Version, compiled io.Reader) error
}

// Session is the conversation with the runtime inside one sandbox. One call at a time, unless it was attached for a version whose
// calls share instances: then as many as that says, from any goroutines. Close from any goroutine.
type Session interface {
	// Init waits until the runtime asks for its first event. It returns *Failure when the function's own code failed,
	// ErrExited when the process ended, ctx's error when ctx ended first (the session goes on and Init may be called
	// again), or a *ProtocolError.
	Init(ctx context.Context) (InitPhases, error)
	// Invoke hands over one event and copies the answer to out as it comes. A nil *Failure and nil error is success.
	// On failure the error document has been written to out, unless part of an answer was there before: then the Failure
	// is BrokenOff. Errors: ErrExited, a *ProtocolError, ctx's error (after which the session is unusable), or out's own
	// error. Answer sizes are bounded by c.Limit: beyond that the Failure has type Function.ResponseSizeTooLarge.
	Invoke(ctx context.Context, c Call, out io.Writer) (*Failure, error)
	Close() error
}

// Call is one event for the runtime.
type Call struct {
	RequestID     string
	FunctionARN   string    // as invoked, qualifier included when the caller gave one
	Deadline      time.Time // the function's own, for its remaining time
	Trace         string
	Tenant        string // empty when the function does not keep tenants apart
	Payload       []byte
	ClientContext []byte // JSON; nil when none
	Identity      []byte // JSON of the Cognito identity; nil when none

	// Stream is nil for a caller who takes whole answers. Otherwise it is told the content type, which may be empty, once
	// the runtime begins to stream its answer: before the first byte, and as soon as the runtime says so. A runtime that
	// answers without streaming never makes it called.
	Stream func(contentType string) error
}

// Limit returns how many bytes an answer may have. One that is not streamed never has more than a whole one may.
func (c *Call) Limit(streamed bool) int {
	if streamed && c.Stream != nil {
		return faas.MaxStreamBytes
	}
	return faas.MaxResponseBytes
}

// InitPhases splits an initialisation.
type InitPhases struct {
	Runtime time.Duration // exec until the bootstrap speaks
	Init    time.Duration // the function's own module-level code
}

// Failure is an error that the function or its runtime reported about itself.
type Failure struct {
	Type     string // Runtime.ImportModuleError, Runtime.HandlerNotFound, an exception's name, …
	Document []byte // JSON: errorMessage, errorType, stackTrace, requestId as the runtime wrote them

	BrokenOff bool // part of an answer had been passed on before, so the document was not
}

func (f *Failure) Error() string { return "function error " + f.Type }

// ErrExited means that the main process ended; the sandbox's Exit says how.
var ErrExited = errors.New("runtime exited")

// Extended is a Session with extensions, which may be at work on a call when the runtime has answered it.
type Extended interface {
	Session
	// Working reports whether they are, or have failed. Call it once an Invoke has returned without an error.
	Working() bool
	// Rest waits until they are done. Its error means that the instance is of no more use: ErrExited, a *Crashed, or ctx's.
	Rest(ctx context.Context) error
	// Report tells what a call took, once that is known. init is that of a first call.
	Report(u *faas.Usage, f *Failure, init time.Duration)
}

// Crashed means that what runs beside the runtime failed, and the instance with it.
type Crashed struct {
	Type   string // Extension.Crash, …
	Reason string
}

func (e *Crashed) Error() string { return e.Type + ": " + e.Reason }

// ProtocolError means that the other side broke the protocol; the instance is of no more use.
type ProtocolError struct{ Reason string }

func (e *ProtocolError) Error() string { return "runtime protocol: " + e.Reason }
