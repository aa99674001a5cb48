package wire

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/iotest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws/protocol/eventstream"
	"github.com/google/go-cmp/cmp"

	"artesian/internal/faas"
)

// The types of a service with one operation that streams.
type (
	watchInput  struct{ Name *string }
	watchOutput struct{ Version *string }
	watchEvent  struct {
		Chunk *chunkEvent
		Text  *textEvent
		Done  *doneEvent
	}
	chunkEvent struct {
		At      *time.Time
		Big     *int64
		Count   *int32
		Last    *bool
		Payload []byte
		Raw     []byte
	}
	textEvent struct{ Text *string }
	doneEvent struct{ Code *string }
)

// watch is that service's table.
var watch = Spec{
	Name: "watch", Protocol: RestJSON, Content: "application/json",
	Shapes: []Shape{
		0: {},
		1: {Kind: Structure, Members: []Member{{Name: "Name", Shape: 8, Loc: QueryParam}}},
		2: {Kind: Structure, Members: []Member{{Name: "Version", Wire: "X-Version", Shape: 8, Loc: Header}}},
		3: {Kind: Structure, Union: true, Members: []Member{{Name: "Chunk", Shape: 4}, {Name: "Text", Shape: 5}, {Name: "Done", Shape: 6}}},
		4: {Kind: Structure, Members: []Member{{Name: "At", Shape: 12, Loc: Header}, {Name: "Big", Shape: 10, Loc: Header}, {Name: "Count", Shape: 9, Loc: Header},
			{Name: "Last", Wire: "last", Shape: 11, Loc: Header}, {Name: "Payload", Shape: 7, Loc: Payload}, {Name: "Raw", Shape: 7, Loc: Header}}},
		5: {Kind: Structure, Members: []Member{{Name: "Text", Shape: 8, Loc: Payload}}},
		6: {Kind: Structure, Members: []Member{{Name: "Code", Shape: 8}}},
		7: {Kind: Blob}, 8: {Kind: String}, 9: {Kind: Integer}, 10: {Kind: Long}, 11: {Kind: Boolean}, 12: {Kind: Timestamp},
		13: {Kind: Structure, Members: []Member{{Name: "message", Shape: 8}}},
	},
	Ops:    []Op{{Name: "Watch", Method: "GET", URI: "/watch", Input: 1, Output: 2, Events: 3}},
	Errors: []ErrorShape{{Code: "BusyException", Status: 429, Shape: 13}},
	Kinds:  [12]Code{faas.Internal: {"ServiceException", 500}, faas.Throttled: {"BusyException", 429}, faas.Denied: {"AccessDenied", 403}},
}

type watcher = Stream[watchOutput, watchEvent]

func serveWatch(t testing.TB, f func(context.Context, *watchInput, watcher) error) *httptest.Server {
	s := New(&watch, []Method{BindStream(f)}, Options{Authorize: func(context.Context, Call) error { return nil }, EventTime: 200 * time.Millisecond})
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { s.Serve(w, r, nil) }))
	t.Cleanup(srv.Close)
	return srv
}

// seen is a message as AWS's decoder sees it.
type seen struct {
	Headers map[string]any
	Payload string
}

// decode reads all messages with AWS's decoder.
func decodeAll(t testing.TB, r io.Reader) (all []seen) {
	t.Helper()
	d := eventstream.NewDecoder()
	for {
		m, err := d.Decode(r, nil)
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			t.Fatalf("message %d: %v", len(all), err)
		}
		s := seen{map[string]any{}, string(m.Payload)}
		for _, h := range m.Headers {
			s.Headers[h.Name] = h.Value.Get()
		}
		all = append(all, s)
	}
}

func TestEventStream(t *testing.T) {
	at := time.UnixMilli(1700000000123).UTC()
	text := "grüße"
	big, count, last := int64(1)<<40, int32(-7), true
	srv := serveWatch(t, func(_ context.Context, in *watchInput, to watcher) error {
		if err := to.Begin(&watchOutput{Version: in.Name}); err != nil {
			return err
		}
		for _, e := range []*watchEvent{
			{Chunk: &chunkEvent{Payload: []byte{0, 0xff}}},
			{Chunk: &chunkEvent{At: &at, Big: &big, Count: &count, Last: &last, Raw: []byte{1}}},
			{Text: &textEvent{&text}},
			{Text: &textEvent{}},
			{Done: &doneEvent{&text}},
		} {
			if err := to.Send(e); err != nil {
				return err
			}
		}
		return nil
	})
	resp, err := http.Get(srv.URL + "/watch?Name=v1")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if h := resp.Header; resp.StatusCode != 200 || h.Get("Content-Type") != eventStream || h.Get("X-Version") != "v1" || h.Get("x-amzn-RequestId") == "" {
		t.Errorf("%s %v", resp.Status, h)
	}
	head := func(event, content string, more ...any) map[string]any {
		h := map[string]any{":message-type": "event", ":event-type": event, ":content-type": content}
		for i := 0; i < len(more); i += 2 {
			h[more[i].(string)] = more[i+1]
		}
		return h
	}
	const bytesType = "application/octet-stream"
	if diff := cmp.Diff([]seen{
		{head("Chunk", bytesType), "\x00\xff"},
		{head("Chunk", bytesType, "At", at, "Big", big, "Count", count, "last", true, "Raw", []byte{1}), ""},
		{head("Text", "text/plain"), text},
		{head("Text", "application/json"), ""},
		{head("Done", "application/json"), `{"Code":"grüße"}`},
	}, decodeAll(t, iotest.OneByteReader(resp.Body))); diff != "" {
		t.Error(diff)
	}
}

// TestStreamErrors: before the beginning an error is an answer as any other, behind it the last message.
func TestStreamErrors(t *testing.T) {
	for _, c := range []struct {
		name   string
		begin  bool
		err    error
		status int
		want   seen
	}{
		{"before", false, faas.Errorf(faas.Throttled, "too many"), 429, seen{}},
		{"nothing", false, nil, 500, seen{}},
		{"modelled", true, faas.Errorf(faas.Throttled, "too many"), 200,
			seen{map[string]any{":message-type": "exception", ":exception-type": "BusyException", ":content-type": "application/json"}, `{"message":"too many"}`}},
		{"other", true, faas.Errorf(faas.Denied, "no"), 200, seen{map[string]any{":message-type": "error", ":error-code": "AccessDenied", ":error-message": "no"}, ""}},
		{"internal", true, errors.New("secret"), 200, seen{map[string]any{":message-type": "error", ":error-code": "ServiceException",
			":error-message": "The service met an internal error. Its log has the reason under the request id."}, ""}},
	} {
		srv := serveWatch(t, func(_ context.Context, _ *watchInput, to watcher) error {
			if c.begin {
				if err := to.Begin(&watchOutput{}); err != nil {
					return err
				}
			}
			return c.err
		})
		resp, err := http.Get(srv.URL + "/watch")
		if err != nil {
			t.Fatal(err)
		}
		if resp.StatusCode != c.status {
			t.Errorf("%s: %s", c.name, resp.Status)
		}
		if c.begin {
			if diff := cmp.Diff([]seen{c.want}, decodeAll(t, resp.Body)); diff != "" {
				t.Errorf("%s: %s", c.name, diff)
			}
		} else if resp.Header.Get("Content-Type") != "application/json" {
			t.Errorf("%s: %v", c.name, resp.Header)
		}
		_ = resp.Body.Close()
	}
}

// TestEventsAtOnce: an event is with the client before the operation goes on.
func TestEventsAtOnce(t *testing.T) {
	next := make(chan struct{})
	srv := serveWatch(t, func(_ context.Context, _ *watchInput, to watcher) error {
		if err := to.Begin(&watchOutput{}); err != nil {
			return err
		}
		for range 3 {
			<-next
			if err := to.Send(&watchEvent{Chunk: &chunkEvent{Payload: []byte("x")}}); err != nil {
				return err
			}
		}
		return nil
	})
	resp, err := http.Get(srv.URL + "/watch")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	d := eventstream.NewDecoder()
	for range 3 {
		next <- struct{}{}
		if m, err := d.Decode(resp.Body, nil); err != nil || string(m.Payload) != "x" {
			t.Fatalf("%q %v", m.Payload, err)
		}
	}
}

// TestSilentClient: who takes no event within the time is given up, and the operation told.
func TestSilentClient(t *testing.T) {
	told := make(chan error, 1)
	srv := serveWatch(t, func(_ context.Context, _ *watchInput, to watcher) error {
		err := to.Begin(&watchOutput{})
		for err == nil {
			err = to.Send(&watchEvent{Chunk: &chunkEvent{Payload: make([]byte, 1<<20)}})
		}
		told <- err
		return err
	})
	resp, err := http.Get(srv.URL + "/watch")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	select {
	case <-told:
	case <-time.After(20 * time.Second):
		t.Fatal("the operation waits for ever")
	}
}

// FuzzMessage: AWS's decoder reads every message as it was meant.
func FuzzMessage(f *testing.F) {
	f.Add("name", "value", []byte("payload"), int64(5), true)
	f.Add(":event-type", "", []byte{}, int64(-1), false)
	f.Fuzz(func(t *testing.T, name, text string, payload []byte, n int64, yes bool) {
		if len(name) == 0 || len(name) > 250 || len(text) > maxHeaderValue {
			t.Skip()
		}
		at := time.UnixMilli(n % 1e14).UTC()
		m := message{headers: []header{{name, text}, {name + "b", []byte(text)}, {name + "n", n}, {name + "i", int32(n)}, {name + "y", yes}, {name + "t", at}}, payload: payload}
		got := decodeAll(t, bytes.NewReader(m.append([]byte("kept"))[4:]))
		want := []seen{{map[string]any{name: text, name + "b": []byte(text), name + "n": n, name + "i": int32(n), name + "y": yes, name + "t": at}, string(payload)}}
		if len(got) != 1 || got[0].Payload != want[0].Payload || !cmp.Equal(got[0].Headers, want[0].Headers, cmp.Comparer(func(a, b []byte) bool { return bytes.Equal(a, b) })) {
			t.Error(cmp.Diff(want, got))
		}
	})
}
