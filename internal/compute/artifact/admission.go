package artifact

import (
	"context"
	"fmt"
	"sync/atomic"

	"artesian/internal/faas"
)

const (
	maxPuts    = 4  // uploads that are judged and stored at once
	maxWaiting = 16 // uploads that wait for that; each holds its package in memory
	maxUnpacks = 8  // packages that are inflated at once: uploads, and as many again for calls
)

// admission lets a few uploads in at once and a few more wait.
type admission struct {
	slots   chan struct{}
	waiting atomic.Int64
}

func newAdmission() *admission { return &admission{slots: make(chan struct{}, maxPuts)} }

// enter waits for a slot, which the caller gives back by leave. Throttled: too many wait already.
func (a *admission) enter(ctx context.Context) error {
	select {
	case a.slots <- struct{}{}:
		return nil
	default:
	}
	defer a.waiting.Add(-1)
	if a.waiting.Add(1) > maxWaiting {
		return &faas.Error{Kind: faas.Throttled, Op: "store package", Message: "too many packages are being uploaded at once; try again in a moment"}
	}
	select {
	case a.slots <- struct{}{}:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("wait to store package: %w", ctx.Err())
	}
}

func (a *admission) leave() { <-a.slots }
