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
	"strings"
	"sync"
	"testing"
	"time"

	"artesian/internal/engine"
	"artesian/internal/engine/kv"
	"artesian/internal/faas"
	"artesian/internal/observe/logs"
)

// calls are functions that remember what they were called with.
type calls struct {
	own map[string]string // log groups by ARN

	mu      sync.Mutex
	got     []message
	refuse  int    // so many calls are throttled first
	failure string // of the handler
}

var scope = faas.Scope{Account: "000000000000", Region: "us-east-1"}

func (c *calls) LogGroup(arn string) (logs.GroupID, error) {
	name, ok := c.own[arn]
	if !ok {
		return logs.GroupID{}, faas.Errorf(faas.NotFound, "no such function")
	}
	return logs.GroupID{Scope: scope, Name: name}, nil
}

func (c *calls) Call(_ context.Context, _ string, payload []byte) (string, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.refuse > 0 {
		c.refuse--
		return "", faas.Errorf(faas.Throttled, "busy")
	}
	var p struct{ AWSLogs struct{ Data []byte } }
	if err := json.Unmarshal(payload, &p); err != nil {
		return "", err
	}
	zip, err := gzip.NewReader(bytes.NewReader(p.AWSLogs.Data))
	if err != nil {
		return "", err
	}
	var m message
	if err := json.NewDecoder(zip).Decode(&m); err != nil {
		return "", err
	}
	c.got = append(c.got, m)
	return c.failure, nil
}

func (c *calls) messages() (all []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, m := range c.got {
		for _, e := range m.Events {
			all = append(all, m.Stream+":"+e.Message)
		}
	}
	return all
}

// said is the daemon's log.
type said struct {
	mu sync.Mutex
	b  strings.Builder
}

func (s *said) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(b)
}

func (s *said) has(part string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.Contains(s.b.String(), part)
}

func open(t *testing.T) *logs.Store {
	t.Helper()
	eng, err := engine.Open(t.Context(), engine.Config{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = eng.Close() })
	reg, err := kv.Open(t.Context(), eng)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(reg.Close)
	s, err := logs.Open(t.Context(), eng, reg, logs.Config{Interval: time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close(context.Background()) })
	return s
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !ok(); time.Sleep(5 * time.Millisecond) { // the condition is polled
		if time.Now().After(end) {
			t.Fatalf("never happened: %s", what)
		}
	}
}

func TestDelivery(t *testing.T) {
	s, to, log := open(t), &calls{own: map[string]string{"f": "/f", "self": "g"}, refuse: 2}, &said{}
	id := logs.GroupID{Scope: scope, Name: "g"}
	if err := s.CreateGroup(t.Context(), id, nil); err != nil {
		t.Fatal(err)
	}
	d := Start(s, to, slog.New(slog.NewTextHandler(log, nil)))
	defer d.Close(t.Context())
	subscribe := func(name, pattern, destination string) {
		t.Helper()
		if err := s.Subscribe(t.Context(), id, logs.Subscription{Name: name, Pattern: pattern, Destination: destination}); err != nil {
			t.Fatal(err)
		}
	}
	a, err := s.Writer(id, "a")
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	b, err := s.Writer(id, "b")
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	a.Write(time.Now(), "ERROR before")
	if err := s.Flush(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	subscribe("errors", "ERROR", "f")
	n := 0
	eventually(t, "the first delivery", func() bool { // from when on the log is followed cannot be seen
		n++
		a.Write(time.Now(), fmt.Sprintf("ERROR %d", n))
		return len(to.messages()) > 0
	})
	a.Write(time.Now(), "INFO nothing")
	b.Write(time.Now(), "ERROR last")
	eventually(t, "the last delivery", func() bool { return slices.Contains(to.messages(), "b:ERROR last") })
	got := to.messages()
	if slices.Contains(got, "a:ERROR before") || slices.Contains(got, "a:INFO nothing") || !slices.Contains(got, fmt.Sprintf("a:ERROR %d", n)) {
		t.Errorf("%q", got)
	}
	to.mu.Lock()
	m := to.got[0]
	to.failure = "Unhandled"
	to.mu.Unlock()
	if m.MessageType != "DATA_MESSAGE" || m.Owner != "000000000000" || m.Group != "g" || m.Stream != "a" || !slices.Equal(m.Subscriptions, []string{"errors"}) ||
		m.Events[0].ID == "" || time.Since(time.UnixMilli(m.Events[0].Timestamp)) > time.Minute {
		t.Errorf("%+v", m)
	}

	b.Write(time.Now(), "ERROR again")
	eventually(t, "a failure is told", func() bool { return log.has("the function failed: Unhandled") })
	subscribe("errors", "ERROR", "self") // a function never gets its own log
	calls := len(to.messages())
	eventually(t, "a loop is told", func() bool {
		b.Write(time.Now(), "ERROR own")
		return log.has("logs into this group itself")
	})
	if err := s.Unsubscribe(t.Context(), id, "errors"); err != nil {
		t.Fatal(err)
	}
	eventually(t, "nobody follows", func() bool { d.mu.Lock(); defer d.mu.Unlock(); return len(d.groups) == 0 })
	if len(to.messages()) != calls {
		t.Error("a function was called with its own log")
	}
	if faas.KindOf(s.Unsubscribe(t.Context(), id, "errors")) != faas.NotFound {
		t.Error("a subscription was removed twice")
	}
	for i, want := range []faas.Kind{0, 0, faas.LimitExceeded} {
		if err := s.Subscribe(t.Context(), id, logs.Subscription{Name: fmt.Sprint(i)}); err != nil && faas.KindOf(err) != want || err == nil && want != 0 {
			t.Errorf("%d: %v", i, err)
		}
	}
}

func TestBatches(t *testing.T) {
	big := strings.Repeat("x", batchBytes/2)
	var in []logs.Event
	for i, s := range []string{"a", "b", "a", "a", "b"} {
		in = append(in, logs.Event{ID: fmt.Sprint(i), Stream: s, Message: big})
	}
	var got []string
	for _, batch := range batches(in) {
		ids := ""
		for _, e := range batch {
			ids += e.ID
		}
		got = append(got, ids)
	}
	if strings.Join(got, " ") != "02 14 3" {
		t.Error(got)
	}
}

func TestLoops(t *testing.T) {
	to := &calls{own: map[string]string{"f": "/f", "g": "/g", "h": "/h"}}
	subs := map[string][]logs.Subscription{"/f": {{Destination: "g"}}, "/g": {{Destination: "h"}, {Destination: "g2"}}, "/h": {{Destination: "f"}}}
	of := func(id logs.GroupID) []logs.Subscription { return subs[id.Name] }
	for group, want := range map[string]bool{"/f": true, "/h": true, "app": false} {
		if got := Loops(logs.GroupID{Scope: scope, Name: group}, "f", to, of); got != want {
			t.Errorf("%s: %v", group, got)
		}
	}
}

func TestPayloadIsAWSs(t *testing.T) {
	b, err := Payload(logs.GroupID{Scope: scope, Name: "g"}, "s", []logs.Event{{ID: "1", Stream: "x", Time: time.UnixMilli(5), Message: "a<b"}})
	if err != nil {
		t.Fatal(err)
	}
	var p struct {
		AWSLogs struct {
			Data string `json:"data"`
		} `json:"awslogs"`
	}
	if err := json.Unmarshal(b, &p); err != nil {
		t.Fatal(err)
	}
	raw, err := base64.StdEncoding.DecodeString(p.AWSLogs.Data)
	if err != nil {
		t.Fatal(err)
	}
	zip, err := gzip.NewReader(bytes.NewReader(raw))
	if err != nil {
		t.Fatal(err)
	}
	var doc map[string]any
	if err := json.NewDecoder(zip).Decode(&doc); err != nil {
		t.Fatal(err)
	}
	want := "map[logEvents:[map[id:1 message:a<b timestamp:5]] logGroup:g logStream:x messageType:DATA_MESSAGE owner:000000000000 subscriptionFilters:[s]]"
	if fmt.Sprint(doc) != want {
		t.Errorf("%v\nwant %s", doc, want)
	}
}
