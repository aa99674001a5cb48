package sandbox

import (
	"context"
	"errors"
	"net"
	"time"
)

// Ahead is a Maker that can make a sandbox before it is known whom it is for.
type Ahead interface {
	Maker
	// Prepare makes what does not depend on whom the sandbox is for. Of s it needs ID, TmpMB, Pids, Files, Listen, Dials,
	// Channel and Internet, and of Mounts what is known; MemoryMB bounds the cell until it becomes a sandbox. With Argv, or Fork,
	// the main process runs when it returns, as isolated as in any sandbox; then Env and Dir are that process's. Owner is not looked at: a cell has
	// a user of its own, which no sandbox has besides.
	Prepare(ctx context.Context, s Spec) (Cell, error)
	// Zygote starts a process that main processes are forked from.
	Zygote(ctx context.Context, z ZygoteSpec) (Zygote, error)
}

// Cell is a sandbox without an owner. Its methods may be called from any goroutine.
type Cell interface {
	ID() string
	// Become makes the cell a sandbox for s, which is what Start would be given, and of which what Prepare was given is a part:
	// the mounts that are missing are added, the limits set, and s.Argv is executed, or s.Fork forked, unless a main process
	// runs. It returns ErrUnfit, and the cell is as it was, where s differs from what the cell was made with. After any other
	// error the cell is closed.
	Become(ctx context.Context, s Spec) (Sandbox, error)
	// Done is closed once nothing is left of the cell, or of the sandbox that it became.
	Done() <-chan struct{}
	// Close ends a cell that has not become a sandbox.
	Close() error
}

// ErrUnfit means that a cell cannot become the sandbox that was asked for.
var ErrUnfit = errors.New("the cell was made for another kind of sandbox")

// ZygoteSpec says what a zygote is: a process with one thread that runs nothing but what the platform trusts, is asked over its
// channel to fork, and whose children enter a sandbox before they run anything of a function's.
type ZygoteSpec struct {
	ID     string  // unique on this node
	Mounts []Mount // all that it sees
	Argv   []string
	Env    []string // the whole environment
	Dir    string
}

// Zygote is a process that main processes are forked from. Its channel speaks the protocol that DESIGN.md of the level
// describes.
type Zygote interface {
	// Ready waits until it can fork; its error says what keeps it from that.
	Ready(ctx context.Context) error
	// Channel is our end of a stream socket that its program has as file descriptor 3.
	Channel() *net.UnixConn
	Forks() int
	Started() time.Time
	Done() <-chan struct{}
	// Close ends it; its children live on.
	Close() error
}
