package pool

import (
	"sync"

	"artesian/internal/faas"
)

// budget is the node's memory, handed out by configured size so that what runs at once can never exceed it. First come,
// first served: a large request at the head is not overtaken, so it can't starve.
type budget struct {
	mu      sync.Mutex
	total   int // MB; 0 is unlimited
	used    int
	leaving int // of used: on its way back, its instances are being stopped
	waiting []*claim
}

// claim is one request for memory. It is waiting until it is granted or withdrawn.
type claim struct {
	mb      int
	granted chan struct{}
	gone    chan struct{} // closed when withdrawn
}

// claim asks for mb. The claim may be granted already. A request beyond the whole budget is refused.
func (b *budget) claim(mb int) (*claim, error) {
	c := &claim{mb: mb, granted: make(chan struct{}), gone: make(chan struct{})}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.total > 0 && mb > b.total {
		return nil, faas.Errorf(faas.Throttled, "the function's %d MB do not fit into this node's %d MB for functions", mb, b.total)
	}
	b.waiting = append(b.waiting, c)
	b.grant()
	return c, nil
}

// withdraw takes a claim back, unless it has been granted.
func (b *budget) withdraw(c *claim) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for i, w := range b.waiting {
		if w == c {
			b.waiting = append(b.waiting[:i], b.waiting[i+1:]...)
			close(c.gone)
			b.grant() // the one behind may fit where this one did not
			return
		}
	}
}

// full is the answer to a claim that waited too long.
func (b *budget) full() error {
	return faas.Errorf(faas.Throttled, "the node's %d MB for functions are in use", b.total)
}

// leave announces that mb will be given back once an instance is stopped.
func (b *budget) leave(mb int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.leaving += mb
}

// left gives back what leave announced.
func (b *budget) left(mb int) {
	b.mu.Lock()
	b.leaving -= mb
	b.mu.Unlock()
	b.give(mb)
}

// give returns mb and wakes those who fit now.
func (b *budget) give(mb int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.used -= mb
	b.grant()
}

// borrow takes mb if nobody waits and they are free.
func (b *budget) borrow(mb int) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.waiting) > 0 || !b.fits(mb) {
		return false
	}
	b.used += mb
	return true
}

func (b *budget) fits(mb int) bool { return b.total == 0 || b.used+mb <= b.total }

func (b *budget) grant() {
	for len(b.waiting) > 0 && b.fits(b.waiting[0].mb) {
		c := b.waiting[0]
		b.waiting = b.waiting[1:]
		b.used += c.mb
		close(c.granted)
	}
}

// short is how much the waiting miss beyond what is free or on its way back, in MB.
func (b *budget) short() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.waiting) == 0 {
		return 0
	}
	need := b.used - b.leaving - b.total
	for _, c := range b.waiting {
		need += c.mb
	}
	return max(need, 0)
}
