package lang

import (
	"context"
	"sync"
	"time"
)

// Until is a context that ends at a time, and for no other reason. Unlike one of the standard library it has no timer and no
// channel before somebody waits for it: a call's own time is over in the fewest of calls. Release it with Stop.
type Until struct {
	at time.Time

	mu    sync.Mutex // guards what follows
	done  chan struct{}
	over  bool // done is closed
	timer *time.Timer
}

// NewUntil returns a context that ends at a time.
func NewUntil(at time.Time) *Until { return &Until{at: at} }

// Deadline implements context.Context.
func (u *Until) Deadline() (time.Time, bool) { return u.at, true }

// Done implements context.Context.
func (u *Until) Done() <-chan struct{} {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.done == nil {
		u.done = make(chan struct{})
		if left := time.Until(u.at); left > 0 {
			u.timer = time.AfterFunc(left, u.end)
		} else {
			u.over = true
			close(u.done)
		}
	}
	return u.done
}

func (u *Until) end() {
	u.mu.Lock()
	defer u.mu.Unlock()
	if !u.over {
		u.over = true
		close(u.done)
	}
}

// Err implements context.Context.
func (u *Until) Err() error {
	if time.Now().Before(u.at) {
		return nil
	}
	return context.DeadlineExceeded
}

// Value implements context.Context.
func (u *Until) Value(any) any { return nil }

// AfterFunc is what context.AfterFunc, and contexts made of this one, use.
func (u *Until) AfterFunc(f func()) (stop func() bool) {
	return time.AfterFunc(time.Until(u.at), f).Stop
}

// Stop lets go of the timer. Who waits for Done then waits for ever.
func (u *Until) Stop() {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.timer != nil {
		u.timer.Stop()
	}
}
