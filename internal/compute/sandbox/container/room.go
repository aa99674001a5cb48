package container

import (
	"fmt"
	"os"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"

	"artesian/internal/faas"
)

// Bytes of the disk that no /tmp ever gets, for the platform's own data: a twentieth within these bounds.
const (
	leastReserve = 1 << 30
	mostReserve  = 2 << 30
	reserveShare = 20
)

func reserveOf(total int64) int64 {
	return min(max(total/reserveShare, leastReserve), mostReserve)
}

// room shares out the disk on which images lie. They are sparse: what one may still grow by counts as taken, so that no
// function fills the disk, however many there are.
type room struct {
	mu     sync.Mutex
	claims map[*claim]struct{}
	sizes  int64 // of all claims
}

// claim is the room of one image.
type claim struct {
	room  *room
	size  int64    // bytes it may grow to
	image *os.File // nil until there is one
}

// take claims size bytes of the disk with dir. The error, if there is too little, is a *faas.Error of kind Unavailable.
func (r *room) take(dir string, size int64) (*claim, error) {
	c := &claim{room: r}
	if err := c.raise(dir, size); err != nil {
		c.give()
		return nil, err
	}
	return c, nil
}

// raise makes a claim one of size bytes, with the errors of take; after one it is as it was.
func (c *claim) raise(dir string, size int64) error {
	before, all := c.room.set(c, size)
	spare, err := spareOf(dir)
	if err == nil && spare >= all { // even if no image had grown yet
		return nil
	}
	var promised int64
	if err == nil {
		promised, err = c.room.measure()
	}
	// What is free is asked last: growth in between counts twice rather than not at all.
	if err == nil {
		spare, err = spareOf(dir)
	}
	if err == nil && spare < promised {
		err = &faas.Error{Kind: faas.Unavailable, Op: "start sandbox",
			Message: "the node's disk is full: it has no room for another /tmp of this size",
			Cause: fmt.Errorf("%d MB free in %s beside what is kept back; all /tmp together may still grow by %d: %w",
				spare>>20, dir, promised>>20, syscall.ENOSPC)}
	}
	if err != nil {
		c.room.set(c, before)
	}
	return err
}

// spareOf is how much of the disk with dir images may take.
func spareOf(dir string) (int64, error) {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return 0, err
	}
	return int64(st.Bavail)*st.Bsize - reserveOf(int64(st.Blocks)*st.Bsize), nil
}

// set registers a claim of a size. What it was before comes back, and the size of all.
func (r *room) set(c *claim, size int64) (before, all int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.claims == nil {
		r.claims = map[*claim]struct{}{}
	}
	r.claims[c] = struct{}{}
	before, c.size = c.size, size
	r.sizes += size - before
	return before, r.sizes
}

// measure sums up by how much all images may still grow.
func (r *room) measure() (int64, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	var promised int64
	for c := range r.claims {
		grown := int64(0)
		if c.image != nil {
			var st unix.Stat_t
			if err := unix.Fstat(int(c.image.Fd()), &st); err != nil {
				return 0, fmt.Errorf("measure image of /tmp: %w", err)
			}
			grown = st.Blocks * 512
		}
		promised += max(0, c.size-grown)
	}
	return promised, nil
}

// follow measures the claim by its image from now on. The image is closed with the claim.
func (c *claim) follow(image *os.File) {
	c.room.mu.Lock()
	defer c.room.mu.Unlock()
	c.image = image
}

// give ends the claim.
func (c *claim) give() {
	c.room.mu.Lock()
	defer c.room.mu.Unlock()
	if _, ok := c.room.claims[c]; ok {
		c.room.sizes -= c.size
		delete(c.room.claims, c)
	}
	if c.image != nil {
		_ = c.image.Close()
		c.image = nil
	}
}
