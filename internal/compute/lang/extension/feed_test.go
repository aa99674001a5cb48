package extension

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// to dials an address whatever is asked for.
func to(address string) dialer {
	return func(ctx context.Context, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "tcp", address)
	}
}

func quick(kind string) subscription {
	return subscription{kinds: []string{kind}, items: 3, bytes: 1 << 10, delay: 10 * time.Millisecond, url: "http://sandbox:1/", port: 1}
}

// TestFeed: batches keep the order and their bounds; one that was not taken is sent again.
func TestFeed(t *testing.T) {
	var calls atomic.Int64
	got := make(chan []map[string]any, 100)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if calls.Add(1) == 1 {
			w.WriteHeader(http.StatusInternalServerError)
			return
		}
		var batch []map[string]any
		if err := json.NewDecoder(r.Body).Decode(&batch); err != nil {
			t.Error(err)
		}
		got <- batch
	}))
	defer server.Close()
	f := newFeed("x", quick(kindFunction), to(server.Listener.Addr().String()), time.Now)
	for i := range 7 {
		f.add(record(time.Now(), kindFunction, i))
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { f.run(ctx); close(done) }()
	for next := 0; next < 7; {
		batch := <-got
		if len(batch) > 3 {
			t.Fatalf("a batch of %d", len(batch))
		}
		for _, r := range batch {
			if r["record"] != float64(next) {
				t.Fatalf("record %v instead of %d", r["record"], next)
			}
			next++
		}
	}
	cancel()
	<-done
}

// TestFeedDrops: a subscriber that does not take anything costs bounded memory, and is told what it missed.
func TestFeedDrops(t *testing.T) {
	nowhere := func(context.Context, string) (net.Conn, error) { return nil, errors.New("nobody there") }
	f := newFeed("x", quick(kindFunction), nowhere, time.Now)
	for range 1000 {
		f.add(record(time.Now(), kindFunction, strings.Repeat("x", 100)))
	}
	if len(f.queue) > held*3 || f.lost != 1000-len(f.queue) {
		t.Fatalf("%d wait, %d are lost", len(f.queue), f.lost)
	}
	batch := f.take()
	if len(batch) != 4 || !strings.Contains(string(batch[0]), `"platform.logsDropped"`) || !strings.Contains(string(batch[0]), `"droppedRecords":988`) {
		t.Errorf("%d records, the first %s", len(batch), batch[0])
	}
}

// TestFeedTCP: a record is a line.
func TestFeedTCP(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	sub := quick(kindFunction)
	sub.url = ""
	f := newFeed("x", sub, to(l.Addr().String()), time.Now)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { f.run(ctx); close(done) }()
	f.add(record(time.Now(), kindFunction, "one"))
	f.add(record(time.Now(), kindFunction, "two"))
	c, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	in := bufio.NewScanner(c)
	for _, want := range []string{"one", "two"} {
		if !in.Scan() || !strings.Contains(in.Text(), want) || !json.Valid(in.Bytes()) {
			t.Fatalf("%q, %v", in.Text(), in.Err())
		}
	}
	cancel()
	<-done
}

// TestSubscribeAgain: a subscriber's new feed ends the last one, and gets what was told before.
func TestSubscribeAgain(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close() // nobody answers there
	var s stream
	s.open()
	defer s.close()
	s.tell(kindFunction, time.Now(), kindFunction, "early")
	var last *feed
	for range 50 {
		f := newFeed("x", quick(kindFunction), to(l.Addr().String()), time.Now)
		s.subscribe(f)
		if last != nil {
			select {
			case <-last.ended:
			default:
				t.Fatal("the feed before goes on")
			}
		}
		last = f
	}
	other := newFeed("y", quick(kindFunction), to(l.Addr().String()), time.Now)
	s.subscribe(other)
	if len(s.feeds) != 2 || s.feeds[0] != last {
		t.Fatalf("%d feeds", len(s.feeds))
	}
	last.mu.Lock()
	defer last.mu.Unlock()
	if len(last.queue) == 0 && !last.sending {
		t.Error("the new feed did not get what was told before")
	}
}
