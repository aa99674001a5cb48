package pool

import (
	"context"
	"sync"

	"artesian/internal/faas"
)

// budget is the node's memory, handed out by configured size so that what runs at once can never exceed it. First come,
// first served: a large request at the head is not overtaken, so it can't starve.
type budget struct {
	mu      sync.Mutex
	total   int // MB; 0 is unlimited
	used    int
	waiting []*claim
}

type claim struct {
	mb      int
	granted chan struct{}
}

// take waits until mb are free or ctx ends. reclaim is called without the lock whenever something is missing; it may give
// back idle memory. A request beyond the whole budget is refused at once.
func (b *budget) take(ctx context.Context, mb int, reclaim func(missing int)) error {
	b.mu.Lock()
	if b.total > 0 && mb > b.total {
		b.mu.Unlock()
		return faas.Errorf(faas.Throttled, "the function's %d MB do not fit into this node's %d MB for functions", mb, b.total)
	}
	if len(b.waiting) == 0 && b.fits(mb) {
		b.used += mb
		b.mu.Unlock()
		return nil
	}
	c := &claim{mb: mb, granted: make(chan struct{})}
	b.waiting = append(b.waiting, c)
	missing := b.missing()
	b.mu.Unlock()

	reclaim(missing)
	select {
	case <-c.granted:
		return nil
	case <-ctx.Done():
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for i, w := range b.waiting {
		if w == c {
			b.waiting = append(b.waiting[:i], b.waiting[i+1:]...)
			b.grant() // the one behind may fit where this one did not
			return faas.Errorf(faas.Throttled, "the node's %d MB for functions are in use", b.total)
		}
	}
	return nil // granted meanwhile
}

// give returns mb and wakes those who fit now.
func (b *budget) give(mb int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.used -= mb
	b.grant()
}

func (b *budget) fits(mb int) bool { return b.total == 0 || b.used+mb <= b.total }

// missing is what the waiting need beyond what is free. The caller holds the lock.
func (b *budget) missing() int {
	need := b.used - b.total
	for _, c := range b.waiting {
		need += c.mb
	}
	return max(need, 0)
}

func (b *budget) grant() {
	for len(b.waiting) > 0 && b.fits(b.waiting[0].mb) {
		c := b.waiting[0]
		b.waiting = b.waiting[1:]
		b.used += c.mb
		close(c.granted)
	}
}

// short is how much the waiting still miss; an instance that falls idle while it is positive is better stopped.
func (b *budget) short() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.waiting) == 0 {
		return 0
	}
	return b.missing()
}
