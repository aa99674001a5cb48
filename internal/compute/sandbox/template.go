package sandbox

import (
	"context"
	"time"
)

// Copier is a Maker that can copy a main process which has initialised its function into other sandboxes of that function.
type Copier interface {
	Ahead
	// Copies says what this machine lacks for it; nil: nothing.
	Copies() error
	// Template takes over b, which was started with Spec.Template, has a channel, and nothing in it but a main process that waits for
	// the next frame there. That process never runs on. The error says in words what keeps it from being copied; then b is as it was,
	// and still the caller's.
	Template(ctx context.Context, b Sandbox) (Template, error)
}

// Template is a main process that stands still and is copied. It has run its function's code, so nothing in it is trusted. A copy's
// memory is its template's, shared until written to; everything else of its sandbox is its own, see Spec.Copy. The copy runs on from the
// read in which its template stands, on a channel of its own. There it is told the frame T, without a payload; it answers N with the
// process id, in four bytes, of a child that it has forked by its language's own means, so that whatever renews itself at a fork has done
// so, and ends. That child is the main process.
type Template interface {
	Copies() int
	Started() time.Time
	// Done is closed once it cannot be copied any more.
	Done() <-chan struct{}
	// Close ends it; its copies live on.
	Close() error
}
