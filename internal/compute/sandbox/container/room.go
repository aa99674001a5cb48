package container

import (
	"fmt"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

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

// A new image's files may take this part of what is not promised to others, and so much at least.
const (
	firstShare = 8
	leastFirst = 16 << 20
)

// shelfClaim is what an image on the shelf is promised of the disk: nobody writes to it before it is a sandbox's.
const shelfClaim = 4 << 20

// What was measured is good for a while: all that images do meanwhile is within what they were promised, and the reserve bears what
// others write.
const (
	calmly = time.Second
	stale  = 2 * calmly
)

// room shares out the disk on which images lie. They are sparse: all of them together may be larger than the disk. What one may
// still grow by is promised to it, and all promises can be kept at any time; so no function fills the disk, however many there are.
// As long as all images can have their whole size, they may. Else what their files may take is bounded (tap), and moved by allot to
// where it is needed.
type room struct {
	dir string
	log *slog.Logger

	wake    chan struct{} // somebody may write who is to be watched
	resting atomic.Bool   // nobody is watched closely

	mu       sync.Mutex
	claims   map[*claim]struct{}
	promised int64     // to all
	most     int64     // what would be promised if all could have all
	spare    int64     // of the disk, beside the reserve, when measured
	measured time.Time // zero: never
	growth   int64     // by which each may grow, when last shared out
	full     bool      // it was said that the disk is
}

// claim is the room of one image.
type claim struct {
	stake
	room  *room
	still atomic.Bool // its processes are frozen
	tight atomic.Bool // its files may not take all that they are to have at most

	// Under room.mu:
	allowed int64 // to its files
	image   *os.File
	root    int // its top directory; -1 until there is one
	blocks  int64
	tap     tap
	shared  int64 // what its files took when the disk was last shared out; -1: that has not been yet
}

func newRoom(dir string, log *slog.Logger) *room {
	return &room{dir: dir, log: log, claims: map[*claim]struct{}{}, wake: make(chan struct{}, 1)}
}

// take claims room for an image. The error, if there is too little, is a *faas.Error of kind Unavailable.
func (r *room) take(s stake) (*claim, error) {
	c := &claim{stake: s, room: r, root: -1, shared: -1, allowed: s.full}
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.admit(c); err != nil {
		return nil, err
	}
	if len(r.claims) == 0 {
		r.poke()
	}
	r.claims[c] = struct{}{}
	return c, nil
}

// settle takes an image off the shelf, with the errors of take; after one it is as it was.
func (c *claim) settle() error {
	r := c.room
	r.mu.Lock()
	defer r.mu.Unlock()
	if !c.shelf {
		return nil
	}
	before := c.allowed
	r.promised -= c.promise(before)
	delete(r.claims, c) // it is counted as what it is to be
	c.shelf = false
	err := r.admit(c)
	if err == nil && c.allowed != before {
		if err = c.turn(); err != nil {
			r.promised -= c.promise(c.allowed)
		}
	}
	if err != nil {
		c.shelf, c.allowed = true, before
		r.promised += c.promise(before)
	}
	r.claims[c] = struct{}{}
	return err
}

// admit promises c what its files may take at first. The caller holds mu.
func (r *room) admit(c *claim) error {
	looked := false
	if time.Since(r.measured) > stale {
		if err := r.look(c); err != nil {
			return err
		}
		looked = true
	}
	for {
		first := c.first(r.spare - r.promised)
		if r.promised+c.promise(first) <= r.spare {
			c.allowed = first
			r.promised += c.promise(first)
			c.narrow()
			return nil
		}
		if looked {
			return &faas.Error{Kind: faas.Unavailable, Op: "start sandbox",
				Message: "the node's disk is full: it has no room for another /tmp of this size",
				Cause: fmt.Errorf("%d MB free in %s beside what is kept back; all /tmp together may still grow by %d: %w",
					r.spare>>20, r.dir, r.promised>>20, syscall.ENOSPC)}
		}
		if err := r.look(c); err != nil {
			return err
		}
		looked = true
	}
}

// first is what files of a new image may take.
func (c *claim) first(left int64) int64 {
	if !c.bound {
		return c.full
	}
	return min(c.allowed, c.full, max(left/firstShare, leastFirst))
}

// follow measures the claim by its image from now on, which is mounted. The image is closed with the claim; root is the caller's, who
// gives the claim before closing it.
func (c *claim) follow(image *os.File, root int, t tap) error {
	c.room.mu.Lock()
	defer c.room.mu.Unlock()
	c.image, c.root, c.tap = image, root, t
	if c.allowed < c.full {
		return c.turn()
	}
	return nil
}

// turn sets the tap to what is allowed. The caller holds mu.
func (c *claim) turn() error {
	if !c.bound || c.root < 0 {
		return nil
	}
	if c.blocks == 0 {
		var st unix.Statfs_t
		if err := unix.Fstatfs(c.root, &st); err != nil {
			return fmt.Errorf("measure /tmp: %w", err)
		}
		c.blocks = int64(st.Blocks)
	}
	c.narrow()
	return c.tap.set(c.blocks - c.allowed/blockSize)
}

// narrow notes whether all is allowed, and has somebody look who may run out. The caller holds mu.
func (c *claim) narrow() {
	c.tight.Store(c.allowed < c.full)
	c.stir()
}

// stir has the watcher look closely if it does not, and c is to be watched.
func (c *claim) stir() {
	if c.tight.Load() && c.room.resting.Load() {
		c.room.poke()
	}
}

// give ends the claim.
func (c *claim) give() {
	r := c.room
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, ok := r.claims[c]; ok {
		r.promised -= c.promise(c.allowed)
		delete(r.claims, c)
	}
	if c.image != nil {
		_ = c.image.Close()
		c.image, c.root = nil, -1
	}
}

// freeze notes that nobody can write to it, or somebody can again.
func (c *claim) freeze(still bool) {
	c.still.Store(still)
	if !still {
		c.stir()
	}
}

func (r *room) poke() {
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// spareOf is how much of the disk with dir images may take.
func spareOf(dir string) (int64, error) {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return 0, err
	}
	return int64(st.Bavail)*st.Bsize - reserveOf(int64(st.Blocks)*st.Bsize), nil
}
