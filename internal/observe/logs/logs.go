// Package logs keeps what functions and platform print: groups of streams of events.
//
// All groups share one JetStream stream, with one subject for each group. A message is a batch of events of a group,
// whatever their streams (frame.go): writers fill a buffer in memory, and at most a fifth of a second later all that a
// group has gathered is one durable write. What a crash can lose is what was buffered; nothing is ever torn.
//
// Reading finds its place by binary search over running totals that every frame carries, so there is no index in memory,
// and a poll for the last seconds of a large group touches a few messages.
package logs

import (
	"context"
	"fmt"
	"log/slog"
	"runtime"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"artesian/internal/engine"
	"artesian/internal/engine/kv"
	"artesian/internal/faas"
)

// Limits of events, as CloudWatch Logs has them
// (https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_PutLogEvents.html).
const (
	MaxEventBytes  = 1 << 20 // of one message with EventOverhead
	EventOverhead  = 26      // bytes that each event counts beside its message
	MaxBatchBytes  = 1 << 20 // of all messages of a batch with EventOverhead for each
	MaxBatchEvents = 10_000
	MaxAhead       = 2 * time.Hour       // of an event's time before now
	MaxBehind      = 14 * 24 * time.Hour // of an event's time after now
)

const (
	streamName = "LOGS"
	frameBytes = 512 << 10 // of events, after which a frame is full
	minPayload = 4 << 20   // of the engine's messages: a frame, a batch on top, and its overhead
)

// Config of a Store. Zero fields have the defaults named.
type Config struct {
	Interval   time.Duration // how long events gather before they are written; 200 ms, at most 1 s
	Buffer     int           // bytes of events of one group that may wait for the disk; 1 MiB, at least 64 KiB
	GroupBytes int64         // of one group on disk, the oldest go first; 512 MiB
	TotalBytes int64         // of all groups on disk, the oldest of the largest go first; 4 GiB
	Sweep      time.Duration // between looks for what is older than its group's retention; 10 min
	Now        func() time.Time
	Logger     *slog.Logger
}

func (c *Config) defaults() error {
	if c.Interval == 0 {
		c.Interval = 200 * time.Millisecond
	}
	if c.Buffer == 0 {
		c.Buffer = 1 << 20
	}
	if c.GroupBytes == 0 {
		c.GroupBytes = 512 << 20
	}
	if c.TotalBytes == 0 {
		c.TotalBytes = 4 << 30
	}
	if c.Sweep == 0 {
		c.Sweep = 10 * time.Minute
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	switch {
	case c.Interval < 0 || c.Interval > time.Second:
		return faas.Errorf(faas.Invalid, "the logs' Interval is %s; at most 1s is allowed", c.Interval)
	case c.Buffer < 64<<10:
		return faas.Errorf(faas.Invalid, "the logs' Buffer is %d bytes; at least 64 KiB is needed", c.Buffer)
	case c.GroupBytes < 4<<20 || c.TotalBytes < c.GroupBytes:
		return faas.Errorf(faas.Invalid, "the logs' GroupBytes must be at least 4 MiB, and TotalBytes at least that")
	}
	return nil
}

// GroupID names a log group within its scope.
type GroupID struct {
	faas.Scope
	Name string // 1 to 512 of a-z A-Z 0-9 . - _ / #
}

// ARN returns the group's resource name, without the :* that IAM policies add.
func (g GroupID) ARN() string {
	return fmt.Sprintf("arn:aws:logs:%s:%s:log-group:%s", g.Region, g.Account, g.Name)
}

const groupChars = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_/#"

func (g GroupID) check() error {
	if g.Name == "" || len(g.Name) > 512 || strings.Trim(g.Name, groupChars) != "" {
		return faas.Errorf(faas.Invalid, "the log group name %q must be 1 to 512 of a-z, A-Z, 0-9 and . - _ / #", g.Name)
	}
	return nil
}

// Event is one entry of a log. Order and identity are those of its ID.
type Event struct {
	ID       string // sortable in the order of arrival, unique, never changes
	Stream   string
	Time     time.Time // when it happened, to the millisecond
	Ingested time.Time // when it arrived
	Message  string
}

// Store is the log of an installation. It is safe for concurrent use. There is one Store for an engine.
type Store struct {
	cfg    Config
	eng    *engine.Engine
	kv     *kv.Store
	stream jetstream.Stream
	book   *book

	wake     chan struct{} // to the flusher: there is something to write
	hurry    chan struct{} // to the flusher: somebody waits for it
	crowded  chan struct{} // to the reliever: the disk's part is nearly used up
	stop     context.CancelFunc
	running  sync.WaitGroup // flusher, reliever and sweeper
	usage    *usage
	buffered bytesInUse
	dirty    dirty
	patterns chan struct{} // one for each who may apply a pattern at once

	// mu guards what follows; a group's mu may be taken while holding it, never the other way round.
	mu     sync.Mutex
	groups map[GroupID]*group
	heads  map[GroupID]head // of groups that are not in it; what was made of them since is found out when one writes
	tails  map[GroupID]map[*tail]struct{}
	closed bool
}

// Open opens the logs, or makes them. Close the store before the engine.
func Open(ctx context.Context, eng *engine.Engine, registry *kv.Store, cfg Config) (*Store, error) {
	if err := cfg.defaults(); err != nil {
		return nil, err
	}
	if eng.MaxPayload() < minPayload {
		return nil, faas.Errorf(faas.Invalid, "the engine's MaxPayload is %d bytes; logs need %d", eng.MaxPayload(), minPayload)
	}
	st, err := eng.Stream(ctx, jetstream.StreamConfig{
		Name:        streamName,
		Subjects:    []string{"logs.>"},
		Storage:     jetstream.FileStorage,
		Retention:   jetstream.LimitsPolicy,
		Discard:     jetstream.DiscardOld,
		MaxBytes:    cfg.TotalBytes,
		MaxMsgSize:  int32(eng.MaxPayload()),
		AllowDirect: true,
	})
	if err != nil {
		return nil, fmt.Errorf("open logs: %w", err)
	}
	run, stop := context.WithCancel(context.Background())
	s := &Store{cfg: cfg, eng: eng, kv: registry, stream: st, book: newBook(registry), wake: make(chan struct{}, 1), hurry: make(chan struct{}, 1),
		crowded: make(chan struct{}, 1), usage: newUsage(), patterns: make(chan struct{}, max(1, runtime.GOMAXPROCS(0)/2)), stop: stop, groups: map[GroupID]*group{}, heads: map[GroupID]head{}, tails: map[GroupID]map[*tail]struct{}{}}
	s.running.Go(func() { s.flusher(run) })
	s.running.Go(func() { s.reliever(run) })
	s.running.Go(func() { s.sweeper(run) })
	nudge(s.crowded) // so that it is known how much there is
	return s, nil
}

// Close writes what is buffered and ends the store; what is written later is dropped. An error says what could not be
// written before ctx ended.
func (s *Store) Close(ctx context.Context) error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return nil
	}
	s.closed = true
	for _, g := range s.groups {
		g.release()
	}
	for _, set := range s.tails {
		for t := range set {
			t.nudge()
		}
	}
	s.mu.Unlock()
	err := s.flushAll(ctx)
	s.stop()
	s.running.Wait()
	s.book.close()
	return err
}

func nudge(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
