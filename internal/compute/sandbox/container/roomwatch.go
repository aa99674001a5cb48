package container

import (
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

// How often images are looked at: as seldom as nobody can use up in between what is allowed to him, at so many bytes a second.
const (
	oftenest   = 2 * time.Millisecond
	closely    = 250 * time.Millisecond
	fastWriter = 4 << 30
	scarce     = 1 << 20 // growth of each below which the disk counts as full
	noteworthy = 1 << 20 // growth of one that shifts what others may have
)

// watch looks at all images until the end: closely while somebody writes who may not have all that he is to have at most,
// and else now and then, for others write to the disk too.
func (r *room) watch(end <-chan struct{}) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for next := (time.Time{}); ; {
		select {
		case <-end:
			return
		case <-r.wake:
		case <-timer.C:
			next = time.Time{}
			r.mu.Lock()
			err := r.look(nil)
			r.mu.Unlock()
			if err != nil {
				r.log.Warn("measure the disk of /tmp", "error", err)
			}
		}
		pause := r.pause()
		if pause == 0 { // there is nothing to look at
			timer.Stop()
			continue
		}
		if at := time.Now().Add(pause); next.IsZero() || at.Before(next) {
			next = at
		}
		timer.Reset(time.Until(next))
	}
}

// pause is how long nobody needs to look; zero is for ever.
func (r *room) pause() time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	least := int64(-1)
	for c := range r.claims {
		if left := c.allowed - c.used; c.allowed < c.full && c.bound && !c.shelf && !c.still.Load() && (least < 0 || left < least) {
			least = left
		}
	}
	r.resting.Store(least < 0)
	switch {
	case len(r.claims) == 0:
		return 0
	case least < 0:
		return calmly
	case r.growth < scarce: // whoever runs out gets no more
		return closely
	}
	return min(max(time.Duration(least)*time.Second/fastWriter, oftenest), closely)
}

// look measures the disk and, unless that has room for all that there could ever be, all images, and shares out anew where that is
// due: among the claims, and newcomer, which is to become one, if there is any. The caller holds mu.
func (r *room) look(newcomer *claim) error {
	plenty, err := r.glance(newcomer)
	if plenty || err != nil {
		return err
	}
	for c := range r.claims {
		if err := c.measure(); err != nil {
			return err
		}
	}
	// What is free is asked last: growth in between counts twice rather than not at all.
	spare, err := spareOf(r.dir)
	if err != nil {
		return err
	}
	r.spare, r.measured = spare, time.Now()
	r.sum()
	if !r.due() {
		return nil
	}
	return r.share(newcomer)
}

// glance reports whether the disk has room for all, had no image grown yet, and all may have it.
func (r *room) glance(newcomer *claim) (plenty bool, err error) {
	for c := range r.claims {
		if c.allowed < c.full {
			return false, nil
		}
		c.grown = 0
	}
	if r.spare, err = spareOf(r.dir); err != nil {
		return false, err
	}
	r.sum()
	most := r.most
	if newcomer != nil {
		most += newcomer.promise(newcomer.full)
	}
	if plenty = most <= r.spare; plenty {
		r.measured = time.Now()
	}
	return plenty, nil
}

// sum adds up what is promised. The caller holds mu.
func (r *room) sum() {
	r.promised, r.most = 0, 0
	for c := range r.claims {
		r.promised += c.promise(c.allowed)
		r.most += c.promise(c.full)
	}
}

// due reports whether somebody has used up some of what he may have, or could have all, or too much is promised. The caller holds mu.
func (r *room) due() bool {
	if r.tooMuch() {
		return true
	}
	for c := range r.claims {
		if c.bound && c.allowed < c.full && (r.most <= r.spare || c.shared < 0 || c.used > c.shared+noteworthy) {
			return true
		}
	}
	return false
}

// tooMuch reports whether too little is left for sandboxes to come. The caller holds mu.
func (r *room) tooMuch() bool { return r.promised > r.spare-r.spare/(2*keptBack) }

// share moves what images may take to where it is needed. The caller holds mu and has measured.
func (r *room) share(newcomer *claim) error {
	all := make([]*claim, 0, len(r.claims))
	stakes := make([]stake, 0, len(r.claims))
	for c := range r.claims {
		all, stakes = append(all, c), append(stakes, c.stake)
		c.shared = c.used
	}
	if newcomer != nil {
		stakes = append(stakes, newcomer.stake)
	}
	allowed, growth := allot(stakes, r.spare)
	r.growth = growth
	r.tell(growth < scarce && len(all) > 0)
	must := r.tooMuch()
	for i, c := range all { // first who gets less: what they have taken meanwhile is theirs
		if allowed[i] >= c.allowed || !must && !c.far(allowed[i]) {
			continue
		}
		if err := c.allow(allowed[i]); err != nil {
			return err
		}
		if err := c.measure(); err != nil {
			return err
		}
		c.allowed = max(c.allowed, c.used)
	}
	r.sum()
	for i, c := range all {
		more := c.promise(allowed[i]) - c.promise(c.allowed)
		if allowed[i] <= c.allowed || !c.far(allowed[i]) || r.promised+more > r.spare {
			continue
		}
		if err := c.allow(allowed[i]); err != nil {
			return err
		}
		r.promised += more
	}
	return nil
}

// far reports whether it is worth the while to allow so much from now on.
func (c *claim) far(to int64) bool {
	return to == c.full || max(to-c.allowed, c.allowed-to) > (c.allowed-c.used)/4
}

// allow sets what files may take; after an error that is as it was. The caller holds mu.
func (c *claim) allow(to int64) error {
	before := c.allowed
	c.allowed = to
	err := c.turn()
	if err != nil {
		c.allowed = before
	}
	return err
}

// tell logs that the disk is full, or is no longer.
func (r *room) tell(full bool) {
	switch {
	case full && !r.full:
		r.log.Warn("the disk is full: nothing that functions have in /tmp may grow", "dir", r.dir, "spare_bytes", r.spare)
	case !full && r.full:
		r.log.Info("the disk has room again for what functions have in /tmp", "dir", r.dir)
	}
	r.full = full
}

// measure asks how much of the disk the image takes, and its files. The caller holds mu.
func (c *claim) measure() error {
	if c.root < 0 {
		return nil
	}
	var st unix.Stat_t
	if err := unix.Fstat(int(c.image.Fd()), &st); err != nil {
		return fmt.Errorf("measure image of /tmp: %w", err)
	}
	var fs unix.Statfs_t
	if err := unix.Fstatfs(c.root, &fs); err != nil {
		return fmt.Errorf("measure /tmp: %w", err)
	}
	c.grown, c.used = st.Blocks*512, int64(fs.Blocks-fs.Bfree)*blockSize
	return nil
}
