package extension

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"artesian/internal/compute/lang"
	"artesian/internal/compute/lang/lambda"
	"artesian/internal/faas"
)

const (
	telemetryPath = "/2022-07-01/telemetry"
	logsPath      = "/2020-08-15/logs"
	maxSubscribe  = 64 << 10
	maxEarly      = 1 << 20 // bytes of records that wait for subscribers during the initialisation
)

// stream is all that is told of one sandbox. Subscribers that come during the initialisation get what was told before; when it
// ends without any, nothing is kept any more.
type stream struct {
	idle     atomic.Bool // nobody subscribed and nobody can
	changing sync.Mutex  // held while a feed takes another's place; before mu

	mu    sync.Mutex // guards what follows
	early []told
	size  int
	feeds []*feed
	life  context.Context
	cut   context.CancelFunc
	work  sync.WaitGroup
}

type told struct {
	kind   string
	record []byte
}

// tell streams a record of a kind.
func (s *stream) tell(kind string, at time.Time, name string, r any) {
	if s.idle.Load() {
		return
	}
	b := record(at, name, r)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.early != nil && s.size+len(b) <= maxEarly {
		s.early, s.size = append(s.early, told{kind, b}), s.size+len(b)
	}
	for _, f := range s.feeds {
		if f.sub.has(kind) {
			f.add(b)
		}
	}
}

// open begins a stream.
func (s *stream) open() {
	s.early = []told{}
	s.life, s.cut = context.WithCancel(context.Background())
}

// settle ends the time in which there may be subscribers.
func (s *stream) settle() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.early = nil
	s.idle.Store(len(s.feeds) == 0)
}

// subscribe adds a feed in place of its subscriber's last one, which has ended when it returns: a subscriber that comes again and
// again costs no more than one.
func (s *stream) subscribe(f *feed) {
	s.changing.Lock()
	defer s.changing.Unlock()
	if last := s.remove(f.name); last != nil {
		last.cut()
		<-last.ended
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, t := range s.early {
		if f.sub.has(t.kind) {
			f.add(t.record)
		}
	}
	s.feeds = append(s.feeds, f)
	life, cut := context.WithCancel(s.life)
	f.cut = cut
	s.work.Go(func() {
		defer close(f.ended)
		defer cut()
		f.run(life)
	})
}

// remove takes a subscriber's feed out; nil when it has none.
func (s *stream) remove(name string) *feed {
	s.mu.Lock()
	defer s.mu.Unlock()
	i := slices.IndexFunc(s.feeds, func(f *feed) bool { return f.name == name })
	if i < 0 {
		return nil
	}
	last := s.feeds[i]
	s.feeds = slices.Delete(slices.Clone(s.feeds), i, i+1)
	return last
}

// flush sends what has gathered, and waits for that until ctx ends.
func (s *stream) flush(ctx context.Context) {
	s.mu.Lock()
	feeds := slices.Clone(s.feeds)
	s.mu.Unlock()
	for _, f := range feeds {
		f.flush()
	}
	for _, f := range feeds {
		f.drain(ctx)
	}
}

// close ends all feeds.
func (s *stream) close() {
	s.idle.Store(true)
	s.cut()
	s.work.Wait()
}

// Printed takes over what the runtime, or programs beside it, printed.
func (h *Host) Printed(beside bool, at time.Time, message string) {
	if h.stream.idle.Load() {
		return
	}
	kind := kindFunction
	if beside {
		kind = kindExtension
	}
	var r any = message
	if raw := bytes.TrimSpace([]byte(message)); h.version.Logging.Format == "JSON" && len(raw) > 0 && raw[0] == '{' && json.Valid(raw) {
		r = json.RawMessage(raw)
	}
	h.stream.tell(kind, at, kind, r)
}

// platform tells an event of the platform's own.
func (h *Host) platform(name string, r map[string]any) {
	h.stream.tell(kindPlatform, h.now(), "platform."+name, r)
}

// initStart tells of a new instance.
func (h *Host) initStart(served string) {
	h.platform("initStart", map[string]any{"initializationType": lambda.InitializationType(h.version), "phase": "init", "runtimeVersion": served,
		"functionName": h.version.ID.Name, "functionVersion": h.version.ID.Version, "instanceMaxMemory": h.version.MemoryMB << 20})
}

// initDone tells how the runtime's, or the whole initialisation came out.
func (h *Host) initDone(name string, err error, took time.Duration) {
	status, kind := lambda.Outcome(err)
	r := map[string]any{"initializationType": lambda.InitializationType(h.version), "phase": "init", "status": status}
	if kind != "" {
		r["errorType"] = kind
	}
	if name == "initReport" {
		r["metrics"] = map[string]any{"durationMs": milliseconds(took)}
	}
	h.platform(name, r)
}

// began and done tell of a call, as far as the runtime goes.
func (h *Host) began(c *lang.Call) {
	if h.stream.idle.Load() {
		return
	}
	h.platform("start", traced(c, map[string]any{"requestId": c.RequestID, "version": h.version.ID.Version}))
}

func (h *Host) done(c *lang.Call, f *lang.Failure, err error, took time.Duration, produced int64) {
	if h.stream.idle.Load() {
		return
	}
	status, kind := lambda.Status(f)
	if err != nil {
		status, kind = lambda.Outcome(err)
	}
	r := map[string]any{"requestId": c.RequestID, "status": status, "metrics": map[string]any{"durationMs": milliseconds(took), "producedBytes": produced}}
	if kind != "" {
		r["errorType"] = kind
	}
	h.platform("runtimeDone", traced(c, r))
}

func traced(c *lang.Call, r map[string]any) map[string]any {
	if c.Trace != "" {
		r["tracing"] = tracer{"X-Amzn-Trace-Id", c.Trace}
	}
	return r
}

// report tells what a call took. after is how long the extensions went on behind the runtime.
func (h *Host) report(u *faas.Usage, f *lang.Failure, init, after time.Duration) {
	if h.stream.idle.Load() {
		return
	}
	status, kind := lambda.Status(f)
	m := map[string]any{"durationMs": milliseconds(u.Run), "billedDurationMs": u.BilledMS, "memorySizeMB": u.MemoryMB, "maxMemoryUsedMB": u.PeakMB}
	if init > 0 {
		m["initDurationMs"] = milliseconds(init)
	}
	r := map[string]any{"requestId": u.RequestID, "status": status, "metrics": m}
	if kind != "" {
		r["errorType"] = kind
	}
	if after > 0 {
		at := h.now().Add(-after)
		r["spans"] = []map[string]any{{"name": "extensionOverhead", "start": at.UTC().Format("2006-01-02T15:04:05.000Z"), "durationMs": milliseconds(after)}}
	}
	h.platform("report", r)
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// subscribe serves one of the two APIs.
func (h *Host) subscribe(schemas []string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		m := h.find(w, r)
		if m == nil {
			return
		}
		body, err := io.ReadAll(io.LimitReader(r.Body, maxSubscribe+1))
		if err != nil || len(body) > maxSubscribe {
			refuse(w, http.StatusBadRequest, "ValidationError", "the request broke off or is too large")
			return
		}
		s, err := parseSubscription(body, schemas)
		if err != nil {
			refuse(w, http.StatusBadRequest, "ValidationError", err.Error())
			return
		}
		h.mu.Lock()
		closed, dial := h.closed || h.shutting, h.dial
		h.mu.Unlock()
		if closed || dial == nil {
			refuse(w, http.StatusForbidden, "Telemetry.SubscriptionClosed", "Subscription is possible during the initialisation only")
			return
		}
		f := newFeed(m.name, *s, dial, h.now)
		h.stream.subscribe(f)
		h.platform("telemetrySubscription", map[string]any{"name": m.name, "state": "Subscribed", "types": s.kinds})
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `"OK"`) // who hangs up has left
	}
}

type dialer = func(ctx context.Context, address string) (net.Conn, error)

// Reach says how what listens inside is reached. Call it before anything inside is answered.
func (h *Host) Reach(dial func(ctx context.Context, address string) (net.Conn, error)) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.dial = dial
}
