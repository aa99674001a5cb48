package netstack

import (
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// Limits of one sandbox and of all. What one takes beyond them is refused or has to wait; nothing is queued without bound.
const (
	maxFlows      = 512 // connections and UDP associations of one sandbox
	maxDials      = 64  // connections of one sandbox that are just being made; a SYN beyond them is lost and comes again
	certainFlows  = 8   // that a sandbox may have whatever the others hold
	wideFlows     = 16  // of one sandbox that have wide buffers
	maxHeld       = 256 << 20
	dialTime      = 30 * time.Second
	udpIdle       = 60 * time.Second
	packetsAtOnce = 8192
	packetRate    = 50_000 // a second, from one sandbox
	dialsAtOnce   = 4096
	dialRate      = 1000 // a second, of one sandbox
)

// width says how much a connection may buffer in each direction: in the stack, and on the way to the host's socket.
type width struct{ stack, copy int }

var (
	wide   = width{512 << 10, 64 << 10}
	narrow = width{32 << 10, 16 << 10}
	loose  = width{64 << 10, 0} // datagrams
)

func (w width) held() int { return 2 * (w.stack + w.copy) }

// holdings counts what flows of all sandboxes may come to hold: bytes, and a descriptor each.
type holdings struct {
	most int // flows, of all sandboxes

	mu    sync.Mutex
	flows int
	held  int
}

// mostFlows leaves this process half of the descriptors that it may open.
func mostFlows() int {
	var r unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &r); err != nil {
		return maxFlows
	}
	return int(min(r.Cur/2, 1<<20))
}

// share is what one sandbox's flows hold of it.
type share struct {
	of    *holdings
	flows int // guarded by of.mu
	wide  int
}

// take admits one more flow and says how wide it may be; false if it may not be.
func (s *share) take(stream bool) (width, bool) {
	s.of.mu.Lock()
	defer s.of.mu.Unlock()
	w := narrow
	if !stream {
		w = loose
	}
	if s.flows >= maxFlows || s.of.flows >= s.of.most || s.flows >= certainFlows && s.of.held+w.held() > maxHeld {
		return w, false
	}
	if stream && s.wide < wideFlows && s.of.held+wide.held() <= maxHeld/2 {
		w = wide
		s.wide++
	}
	s.flows++
	s.of.flows++
	s.of.held += w.held()
	return w, true
}

// give takes a flow's holding back.
func (s *share) give(w width) {
	s.of.mu.Lock()
	defer s.of.mu.Unlock()
	s.flows--
	s.of.flows--
	if w == wide {
		s.wide--
	}
	s.of.held -= w.held()
}

// bucket lets a rate pass, and a burst after a pause.
type bucket struct {
	rate, burst float64
	level       float64
	at          time.Time
}

// take takes one, or says how long to wait for it.
func (b *bucket) take(now time.Time) time.Duration {
	if b.at.IsZero() {
		b.level = b.burst
	} else {
		b.level = min(b.burst, b.level+now.Sub(b.at).Seconds()*b.rate)
	}
	b.at = now
	if b.level >= 1 {
		b.level--
		return 0
	}
	return time.Duration((1 - b.level) / b.rate * float64(time.Second))
}
