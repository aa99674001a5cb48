package logs_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"artesian/internal/faas"
	"artesian/internal/observe/logs"
)

// clock is a time that tests move.
type clock struct{ ns atomic.Int64 }

func newClock() *clock {
	c := &clock{}
	c.ns.Store(time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC).UnixNano())
	return c
}

func (c *clock) now() time.Time          { return time.Unix(0, c.ns.Load()) }
func (c *clock) advance(d time.Duration) { c.ns.Add(int64(d)) }

func (h *house) flush(t *testing.T, name string) {
	t.Helper()
	if err := h.Flush(t.Context(), group(name)); err != nil {
		t.Fatal(err)
	}
}

func TestRetention(t *testing.T) {
	c := newClock()
	h := open(t, t.TempDir(), logs.Config{Now: c.now})
	w, kept := h.writer(t, "g", "s"), h.writer(t, "kept", "s")
	for i := range 10 {
		w.Write(c.now(), fmt.Sprint(i))
		kept.Write(c.now(), fmt.Sprint(i))
		h.flush(t, "g")
		h.flush(t, "kept")
		c.advance(24 * time.Hour)
	}
	before, err := h.StoredBytes(t.Context(), group("g"))
	if err != nil {
		t.Fatal(err)
	}
	if err := h.SetRetention(t.Context(), group("g"), 3); err != nil {
		t.Fatal(err)
	}
	all := logs.Query{Limit: 100}
	if got := messages(h.all(t, "g", all)); got != "7 8 9" {
		t.Errorf("before the sweep: %s", got)
	}
	if err := h.Sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := messages(h.all(t, "g", all)); got != "7 8 9" {
		t.Error(got)
	}
	after, err := h.StoredBytes(t.Context(), group("g"))
	if err != nil || after > before/2 || after == 0 {
		t.Error(before, after, err)
	}
	if got := len(h.all(t, "kept", all)); got != 10 {
		t.Error(got)
	}
	c.advance(30 * 24 * time.Hour)
	if err := h.Sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
	if size, err := h.StoredBytes(t.Context(), group("g")); err != nil || size != 0 {
		t.Error(size, err)
	}
	w.Write(c.now(), "new")
	if got := messages(h.all(t, "g", all)); got != "new" {
		t.Error(got)
	}
}

func TestSizeLimitDropsTheOldestOfItsGroupOnly(t *testing.T) {
	const limit = 4 << 20
	h := open(t, t.TempDir(), logs.Config{GroupBytes: limit, TotalBytes: 64 << 20})
	quiet, loud := h.writer(t, "quiet", "s"), h.writer(t, "loud", "s")
	quiet.Write(time.Now(), "first")
	h.flush(t, "quiet")
	line := strings.Repeat("x", 1000)
	const n = 12_000
	for i := range n {
		loud.Write(time.Now(), fmt.Sprintf("%06d %s", i, line))
	}
	h.flush(t, "loud")
	size, err := h.StoredBytes(t.Context(), group("loud"))
	if err != nil || size > limit*9/8 || size < limit/2 {
		t.Errorf("%d bytes are stored; the limit is %d: %v", size, limit, err)
	}
	got := h.all(t, "loud", logs.Query{Limit: 1000})
	if len(got) == 0 || got[len(got)-1].Message[:6] != fmt.Sprintf("%06d", n-1) {
		t.Fatalf("the newest is missing among %d", len(got))
	}
	for i, e := range got[1:] {
		if e.Message[:6] <= got[i].Message[:6] {
			t.Fatal("out of order", e.Message[:6])
		}
	}
	if len(got) != n-atoi(got[0].Message[:6]) {
		t.Error("there is a hole")
	}
	if got := messages(h.all(t, "quiet", logs.Query{Limit: 10})); got != "first" {
		t.Error(got)
	}
	page, err := h.Get(t.Context(), group("loud"), logs.GetQuery{Stream: "s", Limit: 3})
	if err != nil || len(page.Events) != 3 || page.Events[2].ID != got[len(got)-1].ID {
		t.Error(page, err)
	}
	if streams, _, err := h.Streams(t.Context(), group("loud"), logs.StreamQuery{Limit: 3}); err != nil || len(streams) != 1 || streams[0].Name != "s" {
		t.Error(streams, err)
	}
}

func atoi(s string) (n int) {
	fmt.Sscanf(s, "%d", &n)
	return n
}

// A function that floods its log waits for the disk; one that does not never waits.
func TestFloodSlowsItselfOnly(t *testing.T) {
	h := open(t, t.TempDir(), logs.Config{GroupBytes: 4 << 20, TotalBytes: 64 << 20})
	ctx, stop := context.WithCancel(t.Context())
	var flood sync.WaitGroup
	var written atomic.Int64
	for i := range 3 {
		w := h.writer(t, fmt.Sprint("flood", i), "s")
		flood.Go(func() {
			line := strings.Repeat("x", 10_000)
			for ctx.Err() == nil {
				w.Write(time.Now(), line)
				written.Add(1)
			}
		})
	}
	calm := h.writer(t, "calm", "s")
	var slow []time.Duration
	for i := range 30 {
		began := time.Now()
		calm.Write(began, fmt.Sprint(i))
		slow = append(slow, time.Since(began))
		h.flush(t, "calm")
	}
	stop()
	flood.Wait()
	slices.Sort(slow)
	if most := slow[len(slow)*9/10]; most > 20*time.Millisecond { // a few may meet a busy machine
		t.Errorf("a calm writer waited %s", most)
	}
	if got := len(h.all(t, "calm", logs.Query{Limit: 100})); got != 30 {
		t.Error(got)
	}
	t.Logf("%d MB of flood", written.Load()/100)
}

func TestDeletedGroupTakesWhatIsOnItsWay(t *testing.T) {
	h := open(t, t.TempDir(), logs.Config{Interval: time.Second})
	w := h.writer(t, "g", "s")
	w.Write(time.Now(), "stored")
	h.flush(t, "g")
	w.Write(time.Now(), "on its way")
	if err := h.DeleteGroup(t.Context(), group("g")); err != nil {
		t.Fatal(err)
	}
	h.flush(t, "g")
	if _, err := h.Group(group("g")); faas.KindOf(err) != faas.NotFound {
		t.Errorf("the group is back: %v", err)
	}
	w.Write(time.Now(), "new")
	if got := messages(h.all(t, "g", logs.Query{Limit: 10})); got != "new" {
		t.Error(got)
	}
}

func TestScopesAreApart(t *testing.T) {
	h := open(t, t.TempDir(), logs.Config{})
	other := faas.Scope{Account: "111111111111", Region: "eu-west-1"}
	for i, sc := range []faas.Scope{scope, other} {
		w, err := h.Writer(logs.GroupID{Scope: sc, Name: "g"}, "s")
		if err != nil {
			t.Fatal(err)
		}
		w.Write(time.Now(), fmt.Sprint(i))
		w.Close()
	}
	if err := h.Flush(t.Context(), logs.GroupID{Scope: other, Name: "g"}); err != nil {
		t.Fatal(err)
	}
	if got := messages(h.all(t, "g", logs.Query{Limit: 10})); got != "0" {
		t.Error(got)
	}
	page, err := h.Filter(t.Context(), logs.GroupID{Scope: other, Name: "g"}, logs.Query{Limit: 10})
	if err != nil || messages(page.Events) != "1" {
		t.Error(page, err)
	}
	if groups, more := h.Groups(other, func(string) bool { return true }, "", 10); len(groups) != 1 || more {
		t.Error(groups, more)
	}
}

func TestLargeMessagesAreSplitBetweenCharacters(t *testing.T) {
	h := open(t, t.TempDir(), logs.Config{})
	w := h.writer(t, "g", "s")
	text := strings.Repeat("é", logs.MaxEventBytes)
	w.Write(time.Now(), text)
	var joined strings.Builder
	for _, e := range h.all(t, "g", logs.Query{Limit: 10}) {
		if len(e.Message)+logs.EventOverhead > logs.MaxEventBytes || !strings.HasPrefix(e.Message, "é") {
			t.Errorf("an event of %d bytes", len(e.Message))
		}
		joined.WriteString(e.Message)
	}
	if joined.String() != text {
		t.Error("the parts are not the whole")
	}
}

// Once the store cannot write, writers lose events rather than time, and Close says so.
func TestWithoutADisk(t *testing.T) {
	h := open(t, t.TempDir(), logs.Config{})
	w := h.writer(t, "g", "s")
	w.Write(time.Now(), "stored")
	h.flush(t, "g")
	h.eng.Close()
	line := strings.Repeat("x", 100_000)
	for range 100 { // ten buffers full
		w.Write(time.Now(), line)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	if err := h.Store.Close(ctx); err == nil {
		t.Error("nothing is said about what is lost")
	}
}

func TestManyStreams(t *testing.T) {
	h := open(t, t.TempDir(), logs.Config{})
	const n = 3000
	for i := range n { // every instance of a function has a stream of its own
		w, err := h.Writer(group("g"), fmt.Sprintf("2026/11/23/[$LATEST]%032d", i))
		if err != nil {
			t.Fatal(err)
		}
		w.Write(time.Now(), strings.Repeat("x", 700))
		w.Close()
		if i%30 == 0 {
			h.flush(t, "g")
		}
	}
	q := logs.StreamQuery{Limit: 50}
	count := 0
	for {
		page, more, err := h.Streams(t.Context(), group("g"), q)
		if err != nil {
			t.Fatal(err)
		}
		for _, st := range page {
			if want := fmt.Sprintf("%032d", count); !strings.HasSuffix(st.Name, want) {
				t.Fatalf("%s, want %s", st.Name, want)
			}
			count++
		}
		if !more {
			break
		}
		q.After = &page[len(page)-1]
	}
	if count != n {
		t.Error(count)
	}
	for _, i := range []int{0, n / 2, n - 1} {
		page, err := h.Get(t.Context(), group("g"), logs.GetQuery{Stream: fmt.Sprintf("2026/11/23/[$LATEST]%032d", i), Limit: 10})
		if err != nil || len(page.Events) != 1 {
			t.Error(i, page, err)
		}
	}
}
