// Package sandbox is the seam between running a function and isolating it. Each isolation level is a package beside this
// one (container, process), and Conformance in sandboxtest is what all of them pass.
package sandbox

import (
	"context"
	"net"
	"os"
	"syscall"
	"time"
)

// Level names an isolation level.
type Level string

// The levels built so far.
const (
	Container Level = "container" // namespaces, seccomp, cgroups, own uid
	GVisor    Level = "gvisor"    // a kernel in user space, within what container gives
	Process   Level = "process"   // a plain child process: no isolation, refused unless asked for by name
)

// Known reports whether there is such a level.
func (l Level) Known() bool { return l == Container || l == GVisor || l == Process }

// Spec says what to run and within which bounds. A Maker refuses what it cannot honour; it ignores nothing.
type Spec struct {
	ID       string  // unique on this node, [a-z0-9-]{1,64}
	Owner    string  // sandboxes of one owner may share a uid, those of two never do: the function's ARN
	Mounts   []Mount // read-only view, in order; a file system with nothing else of the host in it
	Argv     []string
	Env      []string  // the whole environment
	Dir      string    // working directory inside
	MemoryMB int       // hard limit of all its processes together
	TmpMB    int       // size of /tmp, on disk; not charged as the function's memory
	CPU      float64   // cores while running; 0 is unlimited. Starts unlimited until SetCPU
	Pids     int       // most processes and threads at once
	Files    int       // most open files per process
	Channel  bool      // give the main process one end of a stream socket as file descriptor 3
	Listen   []string  // host:port TCP sockets to open inside its network namespace, served from outside
	Beside   []Program // run beside the main process, in the same sandbox, executed before it; at most MaxBeside
	Dials    int       // connections from outside to programs inside that may be open at once; at most MaxBeside
	Internet bool      // reach the internet, within the node's policy; a level without a network of its own reaches what the host does
	Template bool      // a Template will be made of it; a Maker that is a Copier only. Once one was made, it ends with the last of the copies
	Copy     Template  // the main process is a copy of this one's, of a Maker that is a Copier, instead of an execution of Argv; nil: Argv
	Fork     Zygote    // the main process is a child of this one, of a Maker that is Ahead, instead of an execution of Argv; nil: Argv
}

// Program is one that runs beside the main process: its working directory and limits are those of the main process, it has no
// channel, and its output is Beside's. It may end at any time, and run on when the main process has ended: the sandbox ends with the
// last of them, or by Close.
type Program struct {
	Argv []string
	Env  []string // the whole environment
}

// Mount shows a host file or directory inside, read-only.
type Mount struct {
	Source string // absolute path on the host
	Target string // absolute path inside
}

// Maker starts sandboxes of one level on this node.
type Maker interface {
	Level() Level
	// Start returns once the main process has been executed, or with the reason why not and nothing left behind.
	// The sandbox outlives ctx, which bounds the start only.
	Start(ctx context.Context, s Spec) (Sandbox, error)
	// Sweep removes what a killed daemon left: processes, cgroups, mounts, files. Call before the first Start.
	Sweep(ctx context.Context) error
	// Report says what this environment enforces and what it cannot, one line each, for start-up and `doctor`.
	Report() []Guarantee
	// Close kills what still runs and releases all that the maker holds.
	Close() error
}

// Internet names the guarantee that a sandbox reaches the internet if its Spec says so, and not otherwise.
const Internet = "internet"

// Guarantee is one property of isolation and how it is enforced here.
type Guarantee struct {
	Name     string `json:"name"`     // memory limit, cpu quota, network, …
	Enforced bool   `json:"enforced"` //
	How      string `json:"how"`      // the mechanism, or what is missing
}

// Reclaimer is a Sandbox whose memory can be pushed out of RAM while it is frozen. What is touched comes back; until then, a Thaw is
// followed by a slower start. It blocks for a time in proportion to the memory.
type Reclaimer interface {
	Reclaim() error
}

// Sandbox is one running isolated process tree. Its methods may be called from any goroutine. After Close, Done is
// closed, Exit and Usage return their last values, and every other method returns os.ErrClosed or nil.
type Sandbox interface {
	// Channel is our end of file descriptor 3 inside; nil unless asked for.
	Channel() *net.UnixConn
	// Output is the read end of the pipe that is both stdout and stderr of the main process. It ends when the last
	// process that holds it is gone.
	Output() *os.File
	// Beside is what belongs to the programs of Spec.Beside, and the way to those that listen inside.
	Beside() Beside
	// Listeners are in the order of Spec.Listen.
	Listeners() []net.Listener
	// SetCPU sets the quota in cores, with burst; 0 lifts it.
	SetCPU(cores float64) error
	// Freeze stops every process without their knowledge; Thaw lets them go on. Both are idempotent.
	Freeze() error
	Thaw() error
	// Signal sends a signal to the main process only.
	Signal(syscall.Signal) error
	// Usage reads the counters of the whole sandbox since its start.
	Usage() (Usage, error)
	// Done is closed once the main process, all its descendants and those of Spec.Beside are gone.
	Done() <-chan struct{}
	// Exit is valid after Done.
	Exit() Exit
	// Started splits the time that the start took.
	Started() Phases
	// Close kills all processes at once, also frozen ones, waits until they are gone and releases everything.
	Close() error
}

// Beside is a sandbox's other side.
type Beside struct {
	Output *os.File     // the read end of the pipe that is their stdout and stderr; nil without Spec.Beside
	Ended  <-chan Ended // one for each that has ended, in the order of their ends; it has room for all and is never closed
	// Main is closed once the main process has ended, and Exit is valid then; nil without Spec.Beside.
	Main <-chan struct{}
	// Dial opens a TCP connection to a loopback address inside; nil without Spec.Dials. A frozen program's kernel accepts, too.
	Dial func(ctx context.Context, address string) (net.Conn, error)
}

// Ended tells how one of Spec.Beside ended, by its place there.
type Ended struct {
	Program int
	Code    int            // exit status; -1 when a signal ended it
	Signal  syscall.Signal // 0 unless a signal ended it
}

// Usage are a sandbox's counters.
type Usage struct {
	CPU    time.Duration // user and system time of all its processes, ended ones too
	Memory int64         // bytes now
	Peak   int64         // bytes, high-water mark

	Sent, Received int64 // bytes of IP packets to and from the internet
}

// Exit is how the main process ended.
type Exit struct {
	Code   int            // exit status; -1 when a signal ended it
	Signal syscall.Signal // 0 unless a signal ended it
	OOM    bool           // the memory limit killed a process of this sandbox
	Closed bool           // we killed it
}

// Phases splits a start: Sandbox until everything is isolated, Exec until the main process's image is loaded.
type Phases struct {
	Sandbox time.Duration
	Exec    time.Duration
}
