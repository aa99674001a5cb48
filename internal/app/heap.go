package app

import (
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"sync/atomic"
	"time"
)

// heapLimit is the soft limit of the daemon's own memory, in bytes, unless GOMEMLIMIT says another: embedded JetStream's
// buffers would otherwise grow with the load.
const heapLimit = 512 << 20

// While calls come fast, the heap may grow by heapRoom bytes between two collections, which then come no closer than heapPause. What
// is live is small beside what calls use for a moment, so that the collector would run several times a second for little.
const (
	heapRoom  = 64 << 20
	heapPause = time.Second
	usualGC   = 100 // GOGC's default, in percent
)

// boundHeap sets the limits of the daemon's own memory, and adapts the collector to the load until the returned function is called. What
// the environment says about either stays.
func boundHeap() (release func()) {
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(heapLimit)
	}
	if os.Getenv("GOGC") != "" {
		return func() {}
	}
	var released atomic.Bool
	last, percent := time.Now(), usualGC // of the one goroutine that runs finalizers
	live := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	var adapt func(*[1]*byte)
	adapt = func(mark *[1]*byte) { // runs after each collection
		if released.Load() {
			debug.SetGCPercent(usualGC)
			return
		}
		now := time.Now()
		metrics.Read(live)
		if p := collectAt(live[0].Value.Uint64(), now.Sub(last), percent); p != percent {
			percent = p
			debug.SetGCPercent(p)
		}
		last = now
		runtime.SetFinalizer(mark, adapt)
	}
	runtime.SetFinalizer(new([1]*byte), adapt)
	return func() { released.Store(true) }
}

// collectAt is how far the heap may grow beyond what is live, in percent of it, after a collection that came so long after the one
// before, with the percentage at it.
func collectAt(live uint64, since time.Duration, percent int) int {
	if since >= heapPause && percent == usualGC || since >= 4*heapPause {
		return usualGC
	}
	return max(usualGC, int(min(heapRoom*100/max(live, 1), 1000)))
}
