package logs

import (
	"context"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"artesian/internal/faas"
)

// bytesInUse counts what all groups have buffered. Past softLimit each group gets only what is left of smallBuffer.
type bytesInUse struct{ atomic.Int64 }

const (
	softLimit   = 64 << 20
	smallBuffer = 64 << 10
)

func (b *bytesInUse) limit(full int) int {
	if b.Load() > softLimit {
		return min(full, smallBuffer)
	}
	return full
}

// group is the buffer of one log group while somebody writes to it.
type group struct {
	id    GroupID
	store *Store

	// mu is never held while waiting, but for room.
	mu       sync.Mutex
	room     sync.Cond // told when the buffer has shrunk, when the disk fails and when the store closes
	pending  []record
	bytes    int    // of pending
	added    uint64 // records ever
	settled  uint64 // records ever written, or dropped
	waiters  []waiter
	refs     int  // writers, and puts under way
	dirty    bool // in the flusher's hands
	closed   bool
	failing  bool
	lost     map[string]int // events dropped by stream while the disk failed
	epoch    int            // grows when the group is deleted: what was buffered before is not for a group of that name made later
	prepared head           // the flusher's own
}

// waiter waits until so many records are settled.
type waiter struct {
	mark uint64
	told chan error
}

func (s *Store) hold(id GroupID) *group {
	s.mu.Lock()
	defer s.mu.Unlock()
	g := s.groups[id]
	if g == nil {
		g = &group{id: id, store: s, closed: s.closed, prepared: s.heads[id]}
		delete(s.heads, id)
		g.room.L = &g.mu
		s.groups[id] = g
	}
	g.mu.Lock()
	g.refs++
	g.mu.Unlock()
	return g
}

// drop gives a group back. Its buffer goes when nobody holds it and nothing is in it.
func (s *Store) drop(g *group) {
	s.mu.Lock()
	defer s.mu.Unlock()
	g.mu.Lock()
	defer g.mu.Unlock()
	g.refs--
	s.forget(g)
}

// Where so many unused groups end is remembered, of those that few streams were lately written to: who writes to one again, as each
// new instance of a function does, need not read it.
const (
	mostHeads = 512
	headParts = 64
)

// forget removes an unused group. s.mu and g.mu are held.
func (s *Store) forget(g *group) {
	if g.refs > 0 || g.dirty || len(g.pending) > 0 || s.groups[g.id] != g {
		return
	}
	delete(s.groups, g.id)
	if g.prepared.incarnation == "" || len(g.prepared.segment.parts) > headParts {
		return
	}
	if len(s.heads) >= mostHeads {
		for id := range s.heads { // whichever comes first
			delete(s.heads, id)
			break
		}
	}
	s.heads[g.id] = g.prepared
}

// Writer writes to one stream of one group. It is safe for concurrent use.
type Writer struct {
	g      *group
	stream string
	once   sync.Once
}

// Writer returns a writer for the platform's own output. Group and stream come into being with their first event. A
// stream name is 1 to 512 characters without : and *. Close the writer when it is no longer used.
func (s *Store) Writer(id GroupID, stream string) (*Writer, error) {
	if err := id.check(); err != nil {
		return nil, err
	}
	if err := checkStream(stream); err != nil {
		return nil, err
	}
	return &Writer{g: s.hold(id), stream: stream}, nil
}

func checkStream(name string) error {
	if n := utf8.RuneCountInString(name); n == 0 || n > 512 || strings.ContainsAny(name, ":*") || !utf8.ValidString(name) {
		return faas.Errorf(faas.Invalid, "the log stream name %q must be 1 to 512 characters without : and *", name)
	}
	return nil
}

// Write adds an event. It returns at once while the group's buffer has room, and waits for the disk when it has none, so
// that whoever floods a log slows down and nobody else does. A message of more than MaxEventBytes becomes several events.
// While the disk takes no writes, what finds no room is dropped and counted; the count is logged in its place when the
// disk is back. After the store's Close everything is dropped.
func (w *Writer) Write(at time.Time, message string) {
	const most = MaxEventBytes - EventOverhead
	for len(message) > most {
		cut := most
		for cut > most-utf8.UTFMax && !utf8.RuneStart(message[cut]) {
			cut--
		}
		w.g.write(record{w.stream, at.UnixMilli(), message[:cut]})
		message = message[cut:]
	}
	w.g.write(record{w.stream, at.UnixMilli(), message})
}

// Close ends the writer. It does not wait: what was written is still on its way to the disk.
func (w *Writer) Close() { w.once.Do(func() { w.g.store.drop(w.g) }) }

func (r *record) size() int { return len(r.message) + EventOverhead }

func (g *group) write(r record) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for !g.closed && !g.fits(r.size()) {
		if g.failing {
			if g.lost == nil {
				g.lost = map[string]int{}
			}
			g.lost[r.stream]++
			return
		}
		g.room.Wait()
	}
	if g.closed {
		return
	}
	g.add(r)
}

// fits reports whether the buffer has room. One event always fits into an empty one. mu is held.
func (g *group) fits(size int) bool {
	return g.bytes == 0 || g.bytes+size <= g.store.buffered.limit(g.store.cfg.Buffer)
}

// add puts a record into the buffer and calls the flusher. mu is held.
func (g *group) add(r record) {
	g.pending = append(g.pending, r)
	g.bytes += r.size()
	g.added++
	g.store.buffered.Add(int64(r.size()))
	if !g.dirty {
		g.dirty = true
		g.store.enqueue(g)
	}
	if g.bytes >= frameBytes {
		nudge(g.store.hurry)
	}
}

// release lets writers go that wait for room, for good.
func (g *group) release() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.closed = true
	g.room.Broadcast()
}

// wait returns a channel that tells when all that is buffered now is written, or cannot be. mu is held.
func (g *group) wait() chan error {
	told := make(chan error, 1)
	if g.settled == g.added {
		told <- nil
		return told
	}
	g.waiters = append(g.waiters, waiter{g.added, told})
	nudge(g.store.hurry)
	return told
}

func await(ctx context.Context, told chan error) error {
	select {
	case err := <-told:
		return err
	case <-ctx.Done():
		return &faas.Error{Kind: faas.Unavailable, Op: "write log", Message: "log events are still being written", Cause: ctx.Err()}
	}
}

// Flush returns when all that was written to a group before is durable, or with the reason why it is not.
func (s *Store) Flush(ctx context.Context, id GroupID) error {
	s.mu.Lock()
	g := s.groups[id]
	s.mu.Unlock()
	if g == nil {
		return nil
	}
	g.mu.Lock()
	told := g.wait()
	g.mu.Unlock()
	return await(ctx, told)
}

func (s *Store) flushAll(ctx context.Context) error {
	s.mu.Lock()
	var told []chan error
	for _, g := range s.groups {
		g.mu.Lock()
		told = append(told, g.wait())
		g.mu.Unlock()
	}
	s.mu.Unlock()
	var first error
	for _, c := range told {
		if err := await(ctx, c); err != nil && first == nil {
			first = err
		}
	}
	return first
}
