// Package subscribe hands log events on to functions, in the form in which CloudWatch Logs does
// (https://docs.aws.amazon.com/lambda/latest/dg/services-cloudwatchlogs.html).
//
// Each subscription follows its group's log with one call under way at a time, so that a slow function falls behind and
// costs no memory. Where it stands is not kept: what is logged while the daemon is down, or was not handed on when it
// stopped, is not delivered.
package subscribe

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"artesian/internal/faas"
	"artesian/internal/observe/logs"
	"artesian/internal/observe/logs/pattern"
)

// Bounds of a delivery.
const (
	batchBytes  = 1 << 20 // of messages in one call, before compression
	firstPause  = 100 * time.Millisecond
	longPause   = 10 * time.Second
	maxAttempts = 12 // about a minute and a half
)

// Destinations are the functions that may be called.
type Destinations interface {
	// LogGroup returns where a function writes its own log. NotFound: there is no such function.
	LogGroup(arn string) (logs.GroupID, error)
	// Call runs a function and returns how its handler failed, if it did. Errors are the platform's.
	Call(ctx context.Context, arn string, payload []byte) (failure string, err error)
}

// Log is what is followed.
type Log interface {
	WatchSubscriptions(fn func(logs.GroupID, []logs.Subscription)) (stop func())
	Tail(ctx context.Context, id logs.GroupID, q logs.TailQuery, fn func([]logs.Event) error) error
}

// Deliverer runs all subscriptions.
type Deliverer struct {
	log    Log
	to     Destinations
	logger *slog.Logger
	stop   func()
	life   context.Context
	cut    context.CancelFunc
	work   sync.WaitGroup

	mu     sync.Mutex
	groups map[logs.GroupID]map[string]*follower // by name of the subscription
}

type follower struct {
	sub logs.Subscription
	end context.CancelFunc
}

// Start begins to deliver. Close the deliverer before the log and the destinations.
func Start(log Log, to Destinations, logger *slog.Logger) *Deliverer {
	d := &Deliverer{log: log, to: to, logger: logger, groups: map[logs.GroupID]map[string]*follower{}}
	d.life, d.cut = context.WithCancel(context.Background())
	d.stop = log.WatchSubscriptions(d.change)
	return d
}

// Close ends all deliveries. It waits for the calls that run until ctx ends.
func (d *Deliverer) Close(ctx context.Context) {
	d.stop()
	d.cut()
	done := make(chan struct{})
	go func() { d.work.Wait(); close(done) }()
	select {
	case <-done:
	case <-ctx.Done():
	}
}

// change begins and ends followers of a group as its subscriptions say.
func (d *Deliverer) change(id logs.GroupID, subs []logs.Subscription) {
	d.mu.Lock()
	defer d.mu.Unlock()
	have := d.groups[id]
	for name, f := range have {
		if !slices.Contains(subs, f.sub) {
			f.end()
			delete(have, name)
		}
	}
	for _, sub := range subs {
		if have[sub.Name] != nil || d.life.Err() != nil {
			continue
		}
		if have == nil {
			have = map[string]*follower{}
		}
		ctx, end := context.WithCancel(d.life)
		have[sub.Name] = &follower{sub, end}
		d.work.Go(func() { d.follow(ctx, id, sub) })
	}
	if d.groups[id] = have; len(have) == 0 {
		delete(d.groups, id)
	}
}

// follow hands events on until ctx ends.
func (d *Deliverer) follow(ctx context.Context, id logs.GroupID, sub logs.Subscription) {
	filter, err := pattern.Parse(sub.Pattern)
	if err != nil {
		d.logger.Error("subscription's pattern not readable", "group", id.Name, "subscription", sub.Name, "error", err)
		return
	}
	since := time.Time{}
	for pause := firstPause; ctx.Err() == nil; pause = min(2*pause, longPause) {
		err := d.log.Tail(ctx, id, logs.TailQuery{Since: since, Match: filter.Match}, func(events []logs.Event) error {
			pause = firstPause
			for _, batch := range batches(events) {
				d.deliver(ctx, id, sub, batch)
			}
			return ctx.Err()
		})
		if ctx.Err() != nil || faas.KindOf(err) == faas.Unavailable && d.life.Err() != nil {
			return
		}
		d.logger.Warn("log not followed for a subscription", "group", id.Name, "subscription", sub.Name, "error", err)
		wait(ctx, pause)
	}
}

func wait(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

// batches divides events by stream, in order, and by size.
func batches(events []logs.Event) [][]logs.Event {
	var out [][]logs.Event
	open := map[string]int{} // batch of a stream that has room
	sizes := map[string]int{}
	for _, e := range events {
		i, ok := open[e.Stream]
		if !ok || sizes[e.Stream]+len(e.Message) > batchBytes {
			i = len(out)
			out = append(out, nil)
			open[e.Stream], sizes[e.Stream] = i, 0
		}
		out[i] = append(out[i], e)
		sizes[e.Stream] += len(e.Message)
	}
	return out
}

// deliver calls the destination with a batch, again where the platform has no room, and says in the daemon's log what was
// not delivered. A function is not called with its own output: that would never end.
func (d *Deliverer) deliver(ctx context.Context, id logs.GroupID, sub logs.Subscription, batch []logs.Event) {
	drop := func(why string, err error) {
		if ctx.Err() == nil {
			d.logger.Warn("log events not delivered", "group", id.Name, "subscription", sub.Name, "events", len(batch), "reason", why, "error", err)
		}
	}
	payload, err := Payload(id, sub.Name, batch)
	if err != nil {
		drop("they cannot be encoded", err)
		return
	}
	for attempt, pause := 1, firstPause; ; attempt, pause = attempt+1, min(2*pause, longPause) {
		if own, err := d.to.LogGroup(sub.Destination); err != nil || own == id {
			drop("the destination is gone, or logs into this group itself", err)
			return
		}
		failure, err := d.to.Call(ctx, sub.Destination, payload)
		switch kind := faas.KindOf(err); {
		case err == nil && failure != "":
			drop("the function failed: "+failure, nil)
			return
		case err == nil:
			return
		case attempt == maxAttempts || ctx.Err() != nil || kind != faas.Throttled && kind != faas.Unavailable && kind != faas.Conflict:
			drop("the function could not be called", err)
			return
		}
		wait(ctx, pause)
	}
}

// message is what a function finds in awslogs.data, once decoded.
type message struct {
	MessageType   string   `json:"messageType"`
	Owner         string   `json:"owner"`
	Group         string   `json:"logGroup"`
	Stream        string   `json:"logStream"`
	Subscriptions []string `json:"subscriptionFilters"`
	Events        []event  `json:"logEvents"`
}

type event struct {
	ID        string `json:"id"`
	Timestamp int64  `json:"timestamp"`
	Message   string `json:"message"`
}

// Payload encodes events of one stream.
func Payload(id logs.GroupID, subscription string, batch []logs.Event) ([]byte, error) {
	m := message{MessageType: "DATA_MESSAGE", Owner: id.Account, Group: id.Name, Stream: batch[0].Stream, Subscriptions: []string{subscription}}
	for _, e := range batch {
		m.Events = append(m.Events, event{e.ID, e.Time.UnixMilli(), e.Message})
	}
	var data bytes.Buffer
	zip := gzip.NewWriter(&data)
	if err := json.NewEncoder(zip).Encode(m); err != nil {
		return nil, fmt.Errorf("encode log events: %w", err)
	}
	if err := zip.Close(); err != nil {
		return nil, fmt.Errorf("compress log events: %w", err)
	}
	return json.Marshal(map[string]any{"awslogs": map[string]string{"data": base64.StdEncoding.EncodeToString(data.Bytes())}})
}

// Loops reports whether what a destination logs would come back to a group, through the subscriptions that there are.
func Loops(group logs.GroupID, destination string, to Destinations, subscriptions func(logs.GroupID) []logs.Subscription) bool {
	seen := map[string]bool{}
	todo := []string{destination}
	for len(todo) > 0 {
		arn := todo[0]
		if todo = todo[1:]; seen[arn] {
			continue
		}
		seen[arn] = true
		own, err := to.LogGroup(arn)
		if err != nil {
			continue
		}
		if own == group {
			return true
		}
		for _, sub := range subscriptions(own) {
			todo = append(todo, sub.Destination)
		}
	}
	return false
}
