package extension

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"sync"
	"time"
)

// held is how much waits for one subscriber, in batches of its own size, before records are dropped; tries is how often a batch is
// sent, with growing pauses.
const (
	held       = 4
	tries      = 4
	firstPause = 50 * time.Millisecond
	maxAnswer  = 64 << 10
)

// feed is one subscriber's stream: records gather up to its bounds and go out as one batch after another.
type feed struct {
	name   string
	sub    subscription
	dial   func(ctx context.Context, address string) (net.Conn, error)
	now    func() time.Time
	client *http.Client
	conn   net.Conn // to a TCP destination
	cut    context.CancelFunc
	ended  chan struct{} // closed when run has returned

	mu      sync.Mutex // guards what follows
	queue   [][]byte
	size    int
	lost    int // records that were dropped and not told of
	lostB   int
	hurry   bool          // nothing more gathers
	changed chan struct{} // has room for one
	sending bool          // a batch is on its way
	sent    chan struct{} // closed when it has arrived or was given up
}

func newFeed(name string, sub subscription, dial func(context.Context, string) (net.Conn, error), now func() time.Time) *feed {
	f := &feed{name: name, sub: sub, dial: dial, now: now, changed: make(chan struct{}, 1), sent: make(chan struct{}),
		ended: make(chan struct{})}
	f.client = &http.Client{
		Transport: &http.Transport{
			DialContext:  func(ctx context.Context, _, _ string) (net.Conn, error) { return dial(ctx, f.address()) },
			MaxIdleConns: 1, MaxConnsPerHost: 1, DisableCompression: true,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return f
}

func (f *feed) address() string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(f.sub.port)) }

// add appends a record, or drops it when the subscriber has not kept up.
func (f *feed) add(record []byte) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.size+len(record) > held*f.sub.bytes || len(f.queue) >= held*f.sub.items {
		f.lost, f.lostB = f.lost+1, f.lostB+len(record)
		return
	}
	f.queue, f.size = append(f.queue, record), f.size+len(record)
	f.wake()
}

// flush makes what has gathered go out at once, from now on.
func (f *feed) flush() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.hurry = true
	f.wake()
}

// wake tells run to look. The caller holds the lock.
func (f *feed) wake() {
	select {
	case f.changed <- struct{}{}:
	default:
	}
}

// run sends until ctx ends.
func (f *feed) run(ctx context.Context) {
	defer func() {
		f.client.CloseIdleConnections()
		f.hangUp()
	}()
	for {
		batch := f.gather(ctx)
		if batch == nil {
			return
		}
		f.arrived(batch, f.send(ctx, batch))
	}
}

// arrived notes what became of a batch.
func (f *feed) arrived(batch [][]byte, ok bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !ok {
		for _, r := range batch {
			f.lost, f.lostB = f.lost+1, f.lostB+len(r)
		}
	}
	f.sending = false
	close(f.sent)
	f.sent = make(chan struct{})
}

// drain waits until all that has gathered has been sent; flush makes that soon.
func (f *feed) drain(ctx context.Context) {
	for {
		f.mu.Lock()
		sent, over := f.sent, len(f.queue) == 0 && !f.sending
		f.mu.Unlock()
		if over {
			return
		}
		select {
		case <-sent:
		case <-ctx.Done():
			return
		}
	}
}

// gather waits for a batch: for the first record, and then for as long as the subscriber lets it wait, or until it is full. It
// returns nil when ctx ends.
func (f *feed) gather(ctx context.Context) [][]byte {
	var late <-chan time.Time
	for {
		f.mu.Lock()
		full := len(f.queue) >= f.sub.items || f.size >= f.sub.bytes || f.hurry && len(f.queue) > 0
		some := len(f.queue) > 0
		f.mu.Unlock()
		if full {
			return f.take()
		}
		if some && late == nil {
			t := time.NewTimer(f.sub.delay)
			defer t.Stop()
			late = t.C
		}
		select {
		case <-f.changed:
		case <-late:
			return f.take()
		case <-ctx.Done():
			return nil
		}
	}
}

// take removes one batch from the queue, with word of what was dropped before it.
func (f *feed) take() [][]byte {
	f.mu.Lock()
	defer f.mu.Unlock()
	var batch [][]byte
	if f.lost > 0 {
		batch = append(batch, record(f.now(), "platform.logsDropped", map[string]any{
			"reason": "Consumer seems to have fallen behind as it has not acknowledged receipt of logs.", "droppedRecords": f.lost, "droppedBytes": f.lostB}))
		f.lost, f.lostB = 0, 0
	}
	n, size := 0, 0
	for n < len(f.queue) && n < f.sub.items && (n == 0 || size+len(f.queue[n]) <= f.sub.bytes) {
		size += len(f.queue[n])
		n++
	}
	batch = append(batch, f.queue[:n]...)
	f.queue, f.size, f.sending = f.queue[n:], f.size-size, true
	return batch
}

// send delivers one batch and reports whether the subscriber took it.
func (f *feed) send(ctx context.Context, batch [][]byte) bool {
	pause := firstPause
	for try := 1; ; try++ {
		var err error
		if f.sub.url == "" {
			err = f.write(ctx, batch)
		} else {
			err = f.post(ctx, batch)
		}
		if err == nil {
			return true
		}
		if try == tries {
			return false
		}
		t := time.NewTimer(pause)
		select {
		case <-t.C:
		case <-ctx.Done():
			t.Stop()
			return false
		}
		pause *= 2
	}
}

func (f *feed) post(ctx context.Context, batch [][]byte) error {
	body := append(append([]byte{'['}, bytes.Join(batch, []byte{','})...), ']')
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, f.sub.url, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := f.client.Do(req)
	if err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, io.LimitReader(resp.Body, maxAnswer))
	_ = resp.Body.Close() // one that goes on is hung up on
	if resp.StatusCode/100 != 2 {
		err = fmt.Errorf("the subscriber answers %s", resp.Status)
	}
	return err
}

// write sends a batch to a TCP destination, a record a line.
func (f *feed) write(ctx context.Context, batch [][]byte) (err error) {
	if f.conn == nil {
		if f.conn, err = f.dial(ctx, f.address()); err != nil {
			f.conn = nil
			return err
		}
	}
	conn := f.conn // hangUp may come before the function below
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	_, err = conn.Write(append(bytes.Join(batch, []byte{'\n'}), '\n'))
	if stop(); err != nil {
		f.hangUp()
	}
	return err
}

func (f *feed) hangUp() {
	if f.conn != nil {
		_ = f.conn.Close()
		f.conn = nil
	}
}

// record is one event of the schema.
func record(at time.Time, kind string, r any) []byte {
	b, err := json.Marshal(struct {
		Time   string `json:"time"`
		Type   string `json:"type"`
		Record any    `json:"record"`
	}{at.UTC().Format("2006-01-02T15:04:05.000Z"), kind, r})
	if err != nil {
		panic(err) // texts, numbers and JSON that was parsed
	}
	return b
}
