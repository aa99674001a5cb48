package kv

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// garbage is a message that a later one has replaced, or a delete marker.
type garbage struct {
	key    Key
	seq    uint64
	marker bool
}

// sweeper removes garbage from the stream one message at a time, oldest first, each removal durable before the next. That
// order matters: a delete marker goes only after everything that it hides, so no crash brings a deleted entry back. For
// the same reason the stream has no limit of messages per subject, whose removals are not durable one by one.
type sweeper struct {
	stream jetstream.Stream
	mirror *mirror
	log    *slog.Logger
	mu     sync.Mutex
	queue  []garbage
	wake   chan struct{}
}

func newSweeper(st jetstream.Stream, m *mirror, log *slog.Logger) *sweeper {
	return &sweeper{stream: st, mirror: m, log: log, wake: make(chan struct{}, 1)}
}

func (w *sweeper) add(g garbage) {
	w.mu.Lock()
	w.queue = append(w.queue, g)
	w.mu.Unlock()
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

func (w *sweeper) head() (garbage, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.queue) == 0 {
		w.queue = nil
		return garbage{}, false
	}
	return w.queue[0], true
}

func (w *sweeper) pop() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.queue = w.queue[1:]
}

const maxBackoff = 10 * time.Second

// run removes what is queued until ctx ends. What it does not get to, the next start finds again.
func (w *sweeper) run(ctx context.Context) {
	backoff := time.Duration(0)
	for {
		g, ok := w.head()
		var pause <-chan time.Time
		if ok {
			err := w.remove(ctx, g)
			if err == nil {
				w.pop()
				backoff = 0
				continue
			}
			if backoff == 0 {
				w.log.Warn("registry garbage not removed", "sequence", g.seq, "error", err)
			}
			backoff = min(max(2*backoff, 100*time.Millisecond), maxBackoff)
			pause = time.After(backoff)
		}
		wake := w.wake
		if pause != nil {
			wake = nil
		}
		select {
		case <-ctx.Done():
			return
		case <-wake:
		case <-pause:
		}
	}
}

// sequenceNotFound is the server's code for a message that is not there (nats-server, errors.json), which the client lacks.
const sequenceNotFound = 10043

// remove takes one message out of the stream. One that is out already, which another store on the stream or an earlier
// try may have done, is looked for before that is believed: nothing younger of its key may go before it.
func (w *sweeper) remove(ctx context.Context, g garbage) error {
	err := w.stream.DeleteMsg(ctx, g.seq)
	var api *jetstream.APIError
	if errors.As(err, &api) && api.ErrorCode == sequenceNotFound {
		if _, gerr := w.stream.GetMsg(ctx, g.seq); errors.Is(gerr, jetstream.ErrMsgNotFound) {
			err = nil
		}
	}
	if err == nil && g.marker {
		w.mirror.swept(g.key, g.seq)
	}
	return err
}
