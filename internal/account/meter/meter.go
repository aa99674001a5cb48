// Package meter is the usage ledger: what every invocation used, counted once.
//
// Record puts a usage record in a queue in memory. One writer packs what has gathered into one group of the journal
// "usage", so a crash loses at most the last Config.Every of records. State is a fold of that journal: sums by function,
// version and day, and an index of the newest receipts. Now and then the writer appends a snapshot of the sums; days that
// are over leave memory for the journal "usage-days". Only then is the usage journal trimmed, down to the receipts kept.
//
// Record never waits and nothing is lost silently: while the disk does not take records, the queue grows to
// Config.Queue; what comes then is added to sums in memory, one for each function, version and day, which are written
// when the disk is back. The money is right; only the single receipts are given up, and Sum.Receiptless counts them.
package meter

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"artesian/internal/account/price"
	"artesian/internal/engine"
	"artesian/internal/engine/journal"
	"artesian/internal/faas"
)

// The journals of a ledger.
const (
	usageLog = "usage"
	daysLog  = "usage-days"
)

// Config of a Ledger. Zero fields have the defaults named.
type Config struct {
	Every      time.Duration // how long records gather before they are written; 400 ms, at most 500 ms
	Queue      int           // records that may wait in memory, about 300 bytes each; 100,000
	Receipts   int           // newest invocations known by request id; 100,000 (up to twice that are)
	Checkpoint int           // records between snapshots; 50,000
	KeepDays   int           // days before today whose sums are kept; 400
	Now        func() time.Time
	Logger     *slog.Logger
}

func (c *Config) defaults() error {
	for _, f := range []struct {
		name  string
		value *int
		def   int
	}{{"Queue", &c.Queue, 100_000}, {"Receipts", &c.Receipts, 100_000}, {"Checkpoint", &c.Checkpoint, 50_000}, {"KeepDays", &c.KeepDays, 400}} {
		if *f.value == 0 {
			*f.value = f.def
		}
		if *f.value < 0 {
			return faas.Errorf(faas.Invalid, "the meter's %s must not be negative", f.name)
		}
	}
	if c.Every == 0 {
		c.Every = 400 * time.Millisecond
	}
	if c.Every < 0 || c.Every > 500*time.Millisecond {
		return faas.Errorf(faas.Invalid, "the meter's Every is %s; at most 500ms is allowed", c.Every)
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return nil
}

// Ledger is the open ledger of an installation. It is safe for concurrent use. There is one Ledger for an engine.
type Ledger struct {
	cfg        Config
	open       func(ctx context.Context, name string) (log, error)
	usage      log
	groupBytes int

	wake   chan struct{} // there is something to write
	ending chan struct{} // closed by Close: write what there is and end
	done   chan struct{} // closed when the writer has ended

	// The writer's own, after Open.
	last   journal.Seq // newest group of the usage journal that state has
	looked time.Time   // when it last looked for days to close

	// mu guards what follows. It is never held while waiting for anything.
	mu       sync.Mutex
	days     log // changed by the writer only
	queue    []faas.Usage
	inflight []faas.Usage // taken by the writer, not yet known to be durable
	overflow sums         // not durable either; nil when empty
	spilling bool         // some of overflow is what the queue had no room for
	spilled  []spill      // taken from overflow by the writer, not yet known to be durable
	index    index
	state    state
	waiters  []chan error // of Flush: told when all that was recorded before is durable, or could not be written
	failing  bool
	ended    bool
}

// log is a journal.
type log interface {
	Append(ctx context.Context, expect journal.Seq, recs ...journal.Record) (journal.Seq, error)
	Replay(ctx context.Context, from journal.Seq, fn func(journal.Seq, journal.Record) error) error
	TrimBefore(ctx context.Context, seq journal.Seq) error
	Last() journal.Seq
}

// Open opens the ledger, or makes it, and returns once its state is in memory. Unavailable: it cannot be read now. A
// damaged ledger, or one of a newer format, is refused and left alone.
func Open(ctx context.Context, eng *engine.Engine, cfg Config) (*Ledger, error) {
	return start(ctx, cfg, min(groupBytes, eng.MaxPayload()/2), func(ctx context.Context, name string) (log, error) {
		return journal.Open(ctx, eng, name, journal.Limits{})
	})
}

// start opens a ledger on the logs that open returns, with groups of about so many bytes.
func start(ctx context.Context, cfg Config, groupBytes int, open func(context.Context, string) (log, error)) (*Ledger, error) {
	if err := cfg.defaults(); err != nil {
		return nil, err
	}
	l := &Ledger{cfg: cfg, open: open, groupBytes: groupBytes, index: newIndex(cfg.Receipts), state: newState(),
		wake: make(chan struct{}, 1), ending: make(chan struct{}), done: make(chan struct{})}
	var err error
	if l.usage, err = open(ctx, usageLog); err != nil {
		return nil, fmt.Errorf("open usage ledger: %w", err)
	}
	if l.days, err = open(ctx, daysLog); err != nil {
		return nil, fmt.Errorf("open usage ledger: %w", err)
	}
	l.last = l.usage.Last()
	if err := l.replay(ctx, 1); err != nil {
		return nil, fmt.Errorf("read usage ledger: %w", err)
	}
	go l.run()
	return l, nil
}

// Record takes one usage record. It never waits for anything but a short lock. A request id that was recorded before,
// among the newest Config.Receipts, is not counted again. After Close a record is dropped, with a word in the log.
func (l *Ledger) Record(u faas.Usage) {
	if u.RequestID == "" { // nothing can repeat it
		u.RequestID = faas.NewUUID()
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ended {
		l.cfg.Logger.Error("usage recorded after the ledger was closed", "request_id", u.RequestID)
		return
	}
	if !l.index.claim(u.RequestID) {
		return
	}
	if len(l.queue)+len(l.inflight) >= l.cfg.Queue {
		l.spill(&u)
	} else {
		l.queue = append(l.queue, u)
	}
	if n := len(l.queue); n == 1 || n == hurryRecords || l.overflow != nil {
		l.nudge()
	}
}

// Held takes memory-time of provisioned instances, in MB × milliseconds: it belongs to no call, and leaves no receipt. Like Record it
// never waits; after Close it is dropped, with a word in the log.
func (l *Ledger) Held(k Key, mbMS int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ended {
		l.cfg.Logger.Error("memory-time recorded after the ledger was closed", "function", k.Function)
		return
	}
	if l.overflow == nil {
		l.overflow = sums{}
	}
	l.overflow.add(k, &Sum{Used: price.Quantity{HeldMBs: mbMS}})
	l.nudge()
}

// spill adds to sums what the queue has no room for. mu is held.
func (l *Ledger) spill(u *faas.Usage) {
	if l.overflow == nil {
		l.overflow = sums{}
	}
	if !l.spilling {
		l.spilling = true
		l.cfg.Logger.Warn("usage records come faster than the disk takes them; they are summed up without receipts")
	}
	s := sumOf(u)
	s.Receiptless = 1
	l.overflow.add(keyOf(u), &s)
}

func (l *Ledger) nudge() {
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// Flush returns when everything recorded before is durable, or with the reason why it is not.
func (l *Ledger) Flush(ctx context.Context) error {
	l.mu.Lock()
	if len(l.queue)+len(l.inflight)+len(l.spilled) == 0 && l.overflow == nil {
		l.mu.Unlock()
		return nil
	}
	told := make(chan error, 1)
	l.waiters = append(l.waiters, told)
	l.nudge()
	l.mu.Unlock()
	select {
	case err := <-told:
		return err
	case <-ctx.Done():
		return &faas.Error{Kind: faas.Unavailable, Op: "flush usage ledger", Message: "usage records are still being written", Cause: ctx.Err()}
	case <-l.done:
		select {
		case err := <-told:
			return err
		default:
			return faas.Errorf(faas.Unavailable, "the usage ledger is closed")
		}
	}
}

// Close writes what was recorded and ends the ledger. When it cannot be written before ctx ends, Close says how many
// records are lost.
func (l *Ledger) Close(ctx context.Context) error {
	l.mu.Lock()
	if l.ended {
		l.mu.Unlock()
		<-l.done
		return nil
	}
	l.ended = true
	close(l.ending)
	l.mu.Unlock()
	select {
	case <-l.done:
	case <-ctx.Done():
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if n := len(l.queue) + len(l.inflight) + len(l.overflow) + len(l.spilled); n > 0 {
		return faas.Errorf(faas.Unavailable, "%d usage records or sums could not be written", n)
	}
	return nil
}
