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
}

// claim is the room of one image.
type claim struct {
	room  *room
	size  int64    // bytes it may grow to
	image *os.File // nil until there is one
}

// take claims size bytes of the disk with dir. The error, if there is too little, is a *faas.Error of kind Unavailable.
func (r *room) take(dir string, size int64) (*claim, error) {
	c := &claim{room: r, size: size}
	promised, err := r.add(c)
	// What is free is asked last: growth in between counts twice rather than not at all.
	var st unix.Statfs_t
	if err == nil {
		err = unix.Statfs(dir, &st)
	}
	if err == nil {
		free, reserve := int64(st.Bavail)*st.Bsize, reserveOf(int64(st.Blocks)*st.Bsize)
		if free-reserve >= promised {
			return c, nil
		}
		err = &faas.Error{Kind: faas.Unavailable, Op: "start sandbox",
			Message: "the node's disk is full: it has no room for another /tmp of this size",
			Cause: fmt.Errorf("%d MB free in %s, of which %d are kept back; all /tmp together may still grow by %d: %w",
				free>>20, dir, reserve>>20, promised>>20, syscall.ENOSPC)}
	}
	c.give()
	return nil, err
}

// add registers a claim and sums up by how much all images may still grow, this one included.
func (r *room) add(c *claim) (int64, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.claims == nil {
		r.claims = map[*claim]struct{}{}
	}
	r.claims[c] = struct{}{}
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
	delete(c.room.claims, c)
	if c.image != nil {
		_ = c.image.Close()
		c.image = nil
	}
}
