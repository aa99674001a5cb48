package gvisor

import (
	"context"
	"fmt"
	"os"
	"time"

	"artesian/internal/compute/sandbox/gvisor/wire"
)

// pauseWait bounds how long a kernel may take to stop what runs in it.
const pauseWait = 5 * time.Second

// Freeze implements sandbox.Sandbox. The kernel stops what it runs. It is not frozen itself: a freezer interrupts its wait for
// seccomp's notifications, and the second time it takes the process that they come from for dead.
func (i *instance) Freeze() error {
	i.freezing.Lock()
	defer i.freezing.Unlock()
	if i.paused || i.over() {
		return i.closedError()
	}
	ctx, cancel := context.WithTimeout(context.Background(), pauseWait)
	defer cancel()
	if err := i.ask(ctx, wire.Order{Kind: wire.Pause}); err != nil && !i.over() {
		return fmt.Errorf("pause: %w", err)
	}
	i.paused = true
	return nil
}

// Thaw implements sandbox.Sandbox. Orders are carried out one after the other, so nobody has to wait for this one.
func (i *instance) Thaw() error {
	i.freezing.Lock()
	defer i.freezing.Unlock()
	if !i.paused || i.over() {
		return i.closedError()
	}
	i.paused = false
	if err := i.order(wire.Order{Kind: wire.Resume}); err != nil && !i.over() {
		return fmt.Errorf("resume: %w", err)
	}
	return nil
}

// closedError is os.ErrClosed after Close.
func (i *instance) closedError() error {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.closed {
		return os.ErrClosed
	}
	return nil
}

// over reports whether there is nothing left to ask.
func (i *instance) over() bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.closed || i.exited
}
