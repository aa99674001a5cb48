package invoke

import (
	"context"
	"sync"

	"artesian/internal/faas"
)

// relayed is how much of a streamed answer may wait for its caller. There are two such buffers a stream: one is filled
// while the other is sent.
const relayed = 256 << 10

// relay stands between a function that streams and its caller: the function waits while the caller reads slowly, but no
// longer than for its own time, and it is free as soon as the rest fits in here. A caller who has gone is no reason to
// stop it: what it writes is dropped, as on AWS Lambda.
type relay struct {
	out  faas.Sink
	done chan struct{} // closed when all has been passed on

	mu       sync.Mutex // guards what follows
	head     *faas.Head // to begin with
	buf      []byte
	complete bool
	err      error // the sink's own; nothing is passed on after it

	room, more chan struct{} // one signal each: buf was emptied; there is something to pass on
}

func newRelay(out faas.Sink) *relay {
	return &relay{out: out, done: make(chan struct{}), room: make(chan struct{}, 1), more: make(chan struct{}, 1)}
}

// begin lets the answer begin. It is called once, before all others.
func (r *relay) begin(h faas.Head) {
	r.head = &h
	signal(r.more)
	go r.run()
}

// write takes all of p over, or as much as had room before ctx ended.
func (r *relay) write(ctx context.Context, p []byte) (n int, err error) {
	for {
		r.mu.Lock()
		m := len(p) - n
		if r.err == nil {
			m = min(m, relayed-len(r.buf))
			r.buf = append(r.buf, p[n:n+m]...)
		}
		r.mu.Unlock()
		if m > 0 {
			signal(r.more)
		}
		if n += m; n == len(p) {
			return n, nil
		}
		select {
		case <-r.room:
		case <-ctx.Done():
			return n, ctx.Err()
		}
	}
}

// end waits until all has been passed on, and returns the sink's error.
func (r *relay) end() error {
	r.mu.Lock()
	r.complete = true
	r.mu.Unlock()
	signal(r.more)
	<-r.done
	return r.err
}

func (r *relay) run() {
	defer close(r.done)
	var spare []byte
	for range r.more {
		r.mu.Lock()
		head, part, complete, err := r.head, r.buf, r.complete, r.err
		r.head, r.buf = nil, spare[:0]
		r.mu.Unlock()
		spare = part
		signal(r.room)
		if err == nil && head != nil {
			err = r.out.Begin(*head)
		}
		if err == nil && len(part) > 0 {
			_, err = r.out.Write(part)
		}
		if err != nil {
			r.mu.Lock()
			r.err = err
			r.mu.Unlock()
			signal(r.room)
		}
		if complete {
			return
		}
	}
}

// signal makes sure that one is pending.
func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
