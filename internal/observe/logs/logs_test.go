package logs_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"artesian/internal/engine"
	"artesian/internal/engine/kv"
	"artesian/internal/faas"
	"artesian/internal/observe/logs"
)

var scope = faas.Scope{Account: faas.DefaultAccount, Region: faas.DefaultRegion}

func group(name string) logs.GroupID { return logs.GroupID{Scope: scope, Name: name} }

// house is a store with what it stands on.
type house struct {
	*logs.Store
	eng *engine.Engine
	reg *kv.Store
}

func open(tb testing.TB, dir string, cfg logs.Config) *house {
	tb.Helper()
	ctx := context.Background()
	e, err := engine.Open(ctx, engine.Config{Dir: dir})
	if err != nil {
		tb.Fatal(err)
	}
	r, err := kv.Open(ctx, e)
	if err != nil {
		tb.Fatal(err)
	}
	s, err := logs.Open(ctx, e, r, cfg)
	if err != nil {
		tb.Fatal(err)
	}
	h := &house{s, e, r}
	tb.Cleanup(func() { h.close(tb) })
	return h
}

func (h *house) close(tb testing.TB) {
	tb.Helper()
	if err := h.Store.Close(context.Background()); err != nil {
		tb.Error(err)
	}
	h.reg.Close()
	h.eng.Close()
}

func (h *house) writer(tb testing.TB, name, stream string) *logs.Writer {
	tb.Helper()
	w, err := h.Writer(group(name), stream)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(w.Close)
	return w
}

// all reads a query to its end in pages.
func (h *house) all(tb testing.TB, name string, q logs.Query) []logs.Event {
	tb.Helper()
	var out []logs.Event
	for {
		page, err := h.Filter(context.Background(), group(name), q)
		if err != nil {
			tb.Fatal(err)
		}
		if len(page.Events) > q.Limit {
			tb.Fatalf("a page of %d events; the limit is %d", len(page.Events), q.Limit)
		}
		out = append(out, page.Events...)
		if q.Token = page.Token; q.Token == "" {
			return out
		}
	}
}

func messages(events []logs.Event) string {
	var b []string
	for _, e := range events {
		b = append(b, e.Message)
	}
	return strings.Join(b, " ")
}

func TestWrittenIsRead(t *testing.T) {
	dir := t.TempDir()
	h := open(t, dir, logs.Config{})
	a, b := h.writer(t, "/aws/lambda/hello", "a"), h.writer(t, "/aws/lambda/hello", "b")
	at := time.Now()
	for i := range 5 {
		a.Write(at.Add(time.Duration(2*i)*time.Millisecond), fmt.Sprint("a", i))
		b.Write(at.Add(time.Duration(2*i+1)*time.Millisecond), fmt.Sprint("b", i))
	}
	check := func() {
		t.Helper()
		for _, limit := range []int{100, 3, 1} {
			got := h.all(t, "/aws/lambda/hello", logs.Query{Limit: limit, Streams: []string{"a"}})
			if messages(got) != "a0 a1 a2 a3 a4" {
				t.Errorf("limit %d: %s", limit, messages(got))
			}
		}
		if got := messages(h.all(t, "/aws/lambda/hello", logs.Query{Limit: 100})); got != "a0 b0 a1 b1 a2 b2 a3 b3 a4 b4" {
			t.Error(got)
		}
		if got := messages(h.all(t, "/aws/lambda/hello", logs.Query{Limit: 100, From: at.UnixMilli() + 8})); got != "a4 b4" {
			t.Error(got)
		}
		if got := messages(h.all(t, "/aws/lambda/hello", logs.Query{Limit: 100, To: at.UnixMilli() + 1})); got != "a0 b0" {
			t.Error(got)
		}
		streams, more, err := h.Streams(t.Context(), group("/aws/lambda/hello"), logs.StreamQuery{Limit: 1})
		if err != nil || !more || len(streams) != 1 || streams[0].Name != "a" || streams[0].Last.UnixMilli() != at.UnixMilli()+8 {
			t.Error(streams, more, err)
		}
	}
	check()
	h.close(t)
	h = open(t, dir, logs.Config{})
	check()
	if _, err := h.Filter(t.Context(), group("nothing"), logs.Query{Limit: 1}); faas.KindOf(err) != faas.NotFound {
		t.Error(err)
	}
}

func TestTailIsLive(t *testing.T) {
	h := open(t, t.TempDir(), logs.Config{})
	ctx, cancel := context.WithCancel(t.Context())
	got := make(chan string, 100)
	ended := make(chan error)
	go func() {
		ended <- h.Tail(ctx, group("g"), logs.TailQuery{}, func(events []logs.Event) error {
			for _, e := range events {
				got <- e.Message
			}
			return nil
		})
	}()
	w := h.writer(t, "g", "s")
	for i := range 3 {
		began := time.Now()
		w.Write(time.Now(), fmt.Sprint(i))
		if m := <-got; m != fmt.Sprint(i) {
			t.Error(m)
		}
		t.Log(time.Since(began))
	}
	cancel()
	if err := <-ended; err != context.Canceled {
		t.Error(err)
	}
}

func TestGetPages(t *testing.T) {
	h := open(t, t.TempDir(), logs.Config{})
	w, other := h.writer(t, "g", "s"), h.writer(t, "g", "other")
	at := time.Now().Add(-time.Minute)
	for i := range 10 {
		w.Write(at.Add(time.Duration(i)*time.Second), fmt.Sprint(i))
		other.Write(at, "x")
		if err := h.Flush(t.Context(), group("g")); err != nil {
			t.Fatal(err)
		}
	}
	get := func(q logs.GetQuery) logs.StreamPage {
		t.Helper()
		q.Stream = "s"
		p, err := h.Get(t.Context(), group("g"), q)
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	p := get(logs.GetQuery{Limit: 4})
	if messages(p.Events) != "6 7 8 9" {
		t.Fatal(messages(p.Events))
	}
	if f := get(logs.GetQuery{Limit: 4, Token: p.Forward}); len(f.Events) != 0 || f.Forward != p.Forward {
		t.Errorf("%+v", f)
	}
	want := []string{"2 3 4 5", "0 1", ""}
	for _, w := range want {
		token := p.Backward
		p = get(logs.GetQuery{Limit: 4, Token: token})
		if messages(p.Events) != w || w == "" && p.Backward != token {
			t.Errorf("%+v, want %q", p, w)
		}
	}
	p = get(logs.GetQuery{Limit: 4, FromHead: true})
	for _, w := range []string{"0 1 2 3", "4 5 6 7", "8 9", ""} {
		if messages(p.Events) != w {
			t.Errorf("%+v, want %q", p, w)
		}
		p = get(logs.GetQuery{Limit: 4, Token: p.Forward})
	}
	if _, err := h.Get(t.Context(), group("g"), logs.GetQuery{Stream: "none", Limit: 1}); faas.KindOf(err) != faas.NotFound {
		t.Error(err)
	}
}
