package container

import (
	"errors"
	"net"
	"os"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"artesian/internal/compute/sandbox"
	"artesian/internal/compute/sandbox/netstack"
)

// instance is one running container. It implements sandbox.Sandbox.
type instance struct {
	maker *Maker
	id    string
	owner string       // of the host ids
	spec  sandbox.Spec // a cell's changes once, under mu
	began time.Time
	hosts bool // see Maker.Host

	// Made by start, released by Close; not changed in between.
	answers   chan report // to a cell's second program; closed at the end of all. nil of what was started at once
	uid       int
	group     bounds // written under mu, too
	tmp       *disk
	plain     string
	within    *original // whose copy it is, or is to be
	control   *conn
	stub      *conn // to a main process that waits for its program, or waited
	output    *os.File
	aside     *os.File
	dials     *dials
	ended     chan sandbox.Ended
	exited    chan struct{} // closed when the main process has ended; nil with none beside
	channel   *net.UnixConn
	far       string // how /proc names the channel's other end; of what may become a template only
	listeners []net.Listener
	names     *netstack.Names
	uplink    *netstack.Uplink
	main      int // pidfd; -1 as long as there is none
	phases    sandbox.Phases
	watched   bool
	oom       *os.File

	done chan struct{}

	mu      sync.RWMutex // held to use the group or main, and to release them
	first   *os.File     // pidfd of the first process
	closed  bool
	killed  bool
	aborted bool
	told    bool          // exit is, before the end of all
	taken   bool          // a cell is becoming a sandbox, or has become one
	before  time.Duration // CPU time that a cell took before
	exit    sandbox.Exit
	usage   sandbox.Usage
}

// Channel implements sandbox.Sandbox.
func (i *instance) Channel() *net.UnixConn { return i.channel }

// Output implements sandbox.Sandbox.
func (i *instance) Output() *os.File { return i.output }

// Listeners implements sandbox.Sandbox.
func (i *instance) Listeners() []net.Listener { return i.listeners }

// Started implements sandbox.Sandbox.
func (i *instance) Started() sandbox.Phases { return i.phases }

// Done implements sandbox.Sandbox.
func (i *instance) Done() <-chan struct{} { return i.done }

// Exit implements sandbox.Sandbox.
func (i *instance) Exit() sandbox.Exit {
	i.mu.RLock()
	defer i.mu.RUnlock()
	return i.exit
}

// SetCPU implements sandbox.Sandbox.
func (i *instance) SetCPU(cores float64) error {
	return i.use(func() error { return i.group.SetCPU(cores) })
}

// Freeze implements sandbox.Sandbox.
func (i *instance) Freeze() error {
	return i.use(func() error {
		err := i.group.Freeze()
		i.tmp.freeze(err == nil)
		return err
	})
}

// Thaw implements sandbox.Sandbox.
func (i *instance) Thaw() error {
	return i.use(func() error {
		i.tmp.freeze(false)
		return i.group.Thaw()
	})
}

// Signal implements sandbox.Sandbox.
func (i *instance) Signal(s syscall.Signal) error {
	return i.use(func() error {
		err := unix.PidfdSendSignal(i.main, s, nil, 0)
		if errors.Is(err, unix.ESRCH) {
			return os.ErrProcessDone
		}
		return err
	})
}

// use calls f while nothing is released.
func (i *instance) use(f func() error) error {
	i.mu.RLock()
	defer i.mu.RUnlock()
	if i.closed {
		return os.ErrClosed
	}
	return f()
}

// Usage implements sandbox.Sandbox.
func (i *instance) Usage() (sandbox.Usage, error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.closed {
		return i.usage, nil
	}
	return i.readUsage()
}

func (i *instance) readUsage() (sandbox.Usage, error) {
	c, err := i.group.Counters()
	if err != nil {
		return i.usage, err
	}
	i.usage = sandbox.Usage{CPU: max(c.CPU-i.before, 0), Memory: c.Memory, Peak: max(c.Peak, c.Memory, i.usage.Peak)}
	if i.uplink != nil {
		i.usage.Sent, i.usage.Received = i.uplink.Counters()
	}
	return i.usage, nil
}
