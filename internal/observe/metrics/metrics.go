// Package metrics counts what calls and cold starts do since the daemon started, and writes it in Prometheus' text format
// (https://prometheus.io/docs/instrumenting/exposition_formats/). No series is of a function or of a caller: there are as many
// as runtimes and ways to start.
package metrics

import (
	"cmp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"artesian/internal/faas"
)

// outcomes are the values of that label; what is not among them is "other".
var outcomes = [...]faas.Outcome{faas.OutcomeOK, faas.OutcomeError, faas.OutcomeTimeout, faas.OutcomeMemory, faas.OutcomeExit, faas.OutcomeInit,
	faas.OutcomeThrottled, faas.OutcomeCancelled, faas.OutcomeUnavailable}

// phases of a cold start, and the whole of it.
var phases = [...]string{"place", "sandbox", "runtime", "init", "all"}

// maxStarts bounds the pairs of runtime and way that are told apart; further ones are counted as others.
const maxStarts = 256

// Calls counts invocations. It is safe for concurrent use, and Record takes no lock on a warm call.
type Calls struct {
	outcomes [len(outcomes) + 1]atomic.Int64
	queue    histogram
	handler  histogram
	platform histogram

	mu     sync.Mutex
	starts map[start]*cold
}

// start says what kind of a cold start it was.
type start struct{ runtime, way string }

type cold struct{ phases [len(phases)]histogram }

// New returns an empty count.
func New() *Calls { return &Calls{starts: map[start]*cold{}} }

// Record counts one invocation.
func (c *Calls) Record(u *faas.Usage) {
	i := slices.Index(outcomes[:], u.Outcome)
	if i < 0 {
		i = len(outcomes)
	}
	c.outcomes[i].Add(1)
	c.queue.observe(u.Queue)
	if u.Instance == "" {
		return // it did not run
	}
	c.handler.observe(u.Run)
	c.platform.observe(u.Settle)
	if u.Cold != nil {
		c.cold(start{cmp.Or(u.Runtime, "image"), cmp.Or(u.Cold.Way, faas.WayStart)}).observe(u.Cold)
	}
}

// cold returns the counts of one kind of start.
func (c *Calls) cold(s start) *cold {
	c.mu.Lock()
	defer c.mu.Unlock()
	if have, ok := c.starts[s]; ok {
		return have
	}
	if len(c.starts) >= maxStarts {
		s = start{"other", "other"}
		if have, ok := c.starts[s]; ok {
			return have
		}
	}
	made := new(cold)
	c.starts[s] = made
	return made
}

func (c *cold) observe(p *faas.Cold) {
	all := time.Duration(0)
	for i, d := range [...]time.Duration{p.Place, p.Sandbox, p.Runtime, p.Init} {
		c.phases[i].observe(d)
		all += d
	}
	c.phases[len(phases)-1].observe(all)
}

// sorted returns the kinds of starts that were counted, in order.
func (c *Calls) sorted() ([]start, []*cold) {
	c.mu.Lock()
	defer c.mu.Unlock()
	keys := make([]start, 0, len(c.starts))
	for k := range c.starts {
		keys = append(keys, k)
	}
	slices.SortFunc(keys, func(a, b start) int {
		return cmp.Or(strings.Compare(a.runtime, b.runtime), strings.Compare(a.way, b.way))
	})
	values := make([]*cold, len(keys))
	for i, k := range keys {
		values[i] = c.starts[k]
	}
	return keys, values
}

// bounds are the upper ends of a histogram's buckets.
var bounds = [...]time.Duration{100 * time.Microsecond, 250 * time.Microsecond, 500 * time.Microsecond, time.Millisecond, 2500 * time.Microsecond,
	5 * time.Millisecond, 10 * time.Millisecond, 25 * time.Millisecond, 50 * time.Millisecond, 100 * time.Millisecond, 250 * time.Millisecond,
	500 * time.Millisecond, time.Second, 2500 * time.Millisecond, 5 * time.Second, 10 * time.Second, time.Minute}

// histogram counts durations by how long they are.
type histogram struct {
	buckets [len(bounds) + 1]atomic.Int64
	sum     atomic.Int64 // nanoseconds
}

func (h *histogram) observe(d time.Duration) {
	i := 0
	for i < len(bounds) && d > bounds[i] {
		i++
	}
	h.buckets[i].Add(1)
	h.sum.Add(int64(d))
}
