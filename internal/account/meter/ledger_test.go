package meter

import (
	"context"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"artesian/internal/engine/journal"
	"artesian/internal/faas"
)

// wanted is what the sums of usage must be.
func wanted(all []faas.Usage) sums {
	out := sums{}
	for i := range all {
		out.addUsage(&all[i])
	}
	return out
}

func (b *bench) compare(t *rapid.T, want sums) {
	rows, err := b.Sums(context.Background(), Filter{Versions: true})
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range rows {
		s := r.Sum
		s.Receiptless = 0
		if w, ok := want[r.Key]; !ok || *w != s {
			t.Fatalf("%+v: %+v, want %+v", r.Key, s, w)
		}
	}
	if len(rows) != len(want) {
		t.Fatalf("%d rows, want %d", len(rows), len(want))
	}
}

// TestLedgerModel records while journals fail, days pass and the ledger restarts: the sums are always those of a list in
// memory, each request counted once.
func TestLedgerModel(t *testing.T) {
	e, runs := newEngine(t), 0
	rapid.Check(t, func(r *rapid.T) {
		runs++
		b := prepare(e, fmt.Sprint("-", runs), Config{Every: time.Millisecond, Checkpoint: rapid.IntRange(1, 40).Draw(r, "checkpoint"), Queue: 30})
		b.start(r)
		defer func() {
			b.usage.set(nil, nil)
			b.Close(context.Background())
		}()
		var all []faas.Usage
		day := b.cfg.Now()
		fails := func(r *rapid.T) {
			rnd := rand.New(rand.NewPCG(rapid.Uint64().Draw(r, "seed"), 0))
			var mu sync.Mutex
			f := func() fault {
				mu.Lock()
				defer mu.Unlock()
				return fault(rnd.IntN(3))
			}
			b.usage.set(f, nil)
			b.days.set(f, nil)
		}
		r.Repeat(map[string]func(*rapid.T){
			"record": func(r *rapid.T) {
				for range rapid.IntRange(1, 20).Draw(r, "count") {
					u := b.use(len(all), rapid.SampledFrom([]string{"f", "g"}).Draw(r, "function"))
					all = append(all, u)
					b.Record(u)
				}
			},
			"repeat": func(r *rapid.T) {
				if len(all) == 0 {
					return
				}
				u := all[rapid.IntRange(max(0, len(all)-50), len(all)-1).Draw(r, "which")]
				if _, err := b.Receipt(context.Background(), u.RequestID); err == nil { // one that was given up is forgotten with a restart
					b.Record(u)
				}
			},
			"flush": func(r *rapid.T) {
				b.usage.set(nil, nil)
				if err := b.Flush(context.Background()); err != nil && faas.KindOf(err) != faas.Unavailable {
					r.Fatal(err)
				}
			},
			"day passes": func(r *rapid.T) {
				b.now.Add(int64(rapid.SampledFrom([]time.Duration{time.Hour, 26 * time.Hour}).Draw(r, "how long")))
			},
			"fail": fails,
			"restart": func(r *rapid.T) {
				b.usage.set(nil, nil)
				b.days.set(nil, nil)
				b.restart(r)
			},
			"": func(r *rapid.T) { b.compare(r, wanted(all)) },
		})
		b.restart(r)
		b.compare(r, wanted(all))
		rows, err := b.Sums(context.Background(), Filter{From: DayOf(day), To: DayOf(day)})
		if err != nil {
			r.Fatal(err)
		}
		for _, row := range rows {
			if row.Day != DayOf(day) {
				r.Fatal("another day", row.Day)
			}
		}
	})
}

// TestSlowDisk floods the ledger while the disk takes nothing: Record stays quick, memory is bounded, and every call is in
// the sums, before and after the disk is back.
func TestSlowDisk(t *testing.T) {
	b := newBench(t, Config{Queue: 100, Every: time.Millisecond})
	stuck := make(chan struct{})
	b.usage.set(nil, stuck)
	const n = 1000
	for i := range n {
		b.Record(b.use(i, "f"))
	}
	count := func() (calls, receiptless int64) {
		t.Helper()
		rows, err := b.Sums(t.Context(), Filter{})
		if err != nil || len(rows) != 1 {
			t.Fatal(rows, err)
		}
		return rows[0].Calls(), rows[0].Receiptless
	}
	if calls, less := count(); calls != n || less != n-100 {
		t.Error(calls, less)
	}
	if _, err := b.Receipt(t.Context(), b.use(n-1, "f").RequestID); faas.KindOf(err) != faas.NotFound {
		t.Error(err)
	}
	close(stuck)
	if err := b.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	b.restart(t)
	if calls, less := count(); calls != n || less != n-100 {
		t.Error("after a restart:", calls, less)
	}
	if u, err := b.Receipt(t.Context(), b.use(0, "f").RequestID); err != nil || u != b.use(0, "f") {
		t.Error(u, err)
	}
}

// TestLostAcknowledgements appends everything without hearing of it: nothing is counted, or written, twice.
func TestLostAcknowledgements(t *testing.T) {
	b := newBench(t, Config{Queue: 100, Every: time.Millisecond})
	stuck := make(chan struct{})
	b.usage.set(func() fault { return lostAck }, stuck)
	const n = 150
	var all []faas.Usage
	for i := range n {
		all = append(all, b.use(i, "f"))
		b.Record(all[i])
	}
	close(stuck)
	for deadline := time.Now().Add(30 * time.Second); b.Flush(t.Context()) != nil; {
		if time.Now().After(deadline) {
			t.Fatal("nothing gets through")
		}
	}
	check := func() {
		t.Helper()
		rows, err := b.Sums(t.Context(), Filter{})
		if err != nil || len(rows) != 1 || rows[0].Calls() != n || rows[0].Receiptless != n-100 {
			t.Fatal(rows, err)
		}
	}
	check()
	b.restart(t)
	check()
	records := 0
	err := b.usage.Replay(t.Context(), 1, func(_ journal.Seq, r journal.Record) error {
		if r.Kind == kindUsage {
			records++
		}
		return nil
	})
	if err != nil || records != 100 {
		t.Errorf("%d records were written: %v", records, err)
	}
}

// TestTrimming checks that the journal does not grow with what is summed up.
func TestTrimming(t *testing.T) {
	b := newBench(t, Config{Every: time.Millisecond, Checkpoint: 50, Receipts: 20})
	for i := range 1000 {
		b.Record(b.use(i, "f"))
		if i%10 == 9 {
			if err := b.Flush(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
	}
	b.restart(t)
	records := 0
	err := b.usage.Replay(t.Context(), 1, func(_ journal.Seq, r journal.Record) error {
		if r.Kind == kindUsage {
			records++
		}
		return nil
	})
	if err != nil || records > 150 {
		t.Errorf("%d records of 1,000 are left: %v", records, err)
	}
	rows, err := b.Sums(t.Context(), Filter{})
	if err != nil || len(rows) != 1 || rows[0].Calls() != 1000 {
		t.Error(rows, err)
	}
	if _, err := b.Receipt(t.Context(), b.use(995, "f").RequestID); err != nil {
		t.Error(err)
	}
	if _, err := b.Receipt(t.Context(), b.use(5, "f").RequestID); faas.KindOf(err) != faas.NotFound {
		t.Error(err)
	}
}

// TestDaysLeaveMemory lets a month pass: only days that can still change are in memory, and all are found.
func TestDaysLeaveMemory(t *testing.T) {
	b := newBench(t, Config{Every: time.Millisecond, KeepDays: 20})
	for i := range 30 {
		b.Record(b.use(i, "f"))
		if err := b.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
		b.now.Add(int64(24 * time.Hour))
	}
	b.Record(b.use(30, "f"))
	b.restart(t)
	b.mu.Lock()
	open := len(b.state.open)
	b.mu.Unlock()
	if open > 3 {
		t.Errorf("%d days are in memory", open)
	}
	rows, err := b.Sums(t.Context(), Filter{})
	if err != nil || len(rows) < 20 || len(rows) > 23 {
		t.Error(len(rows), err)
	}
	if !slices.IsSortedFunc(rows, func(a, b Row) int { return int(b.Day - a.Day) }) {
		t.Error("not sorted by day")
	}
	today := DayOf(b.cfg.Now())
	if rows, err := b.Sums(t.Context(), Filter{From: today - 6, To: today - 4}); err != nil || len(rows) != 3 {
		t.Error(rows, err)
	}
}

func TestCloseSaysWhatIsLost(t *testing.T) {
	b := newBench(t, Config{Every: time.Millisecond})
	b.usage.set(func() fault { return refuses }, nil)
	b.Record(b.use(1, "f"))
	if err := b.Flush(t.Context()); faas.KindOf(err) != faas.Unavailable {
		t.Error(err)
	}
	if err := b.Close(t.Context()); faas.KindOf(err) != faas.Unavailable {
		t.Error(err)
	}
}

func FuzzDecode(f *testing.F) {
	u := faas.Usage{RequestID: "id", Account: "000000000000", Function: "f", Start: time.Unix(1, 2).UTC(), Cold: &faas.Cold{Init: 3}, BilledMS: 4}
	s := sumOf(&u)
	f.Add(uint16(kindUsage), []byte(encodeUsage(&u).Data))
	full := fullUsage()
	f.Add(uint16(kindUsage), []byte(encodeUsage(&full).Data))
	f.Add(uint16(kindRow), []byte(encodeRow(kindRow, keyOf(&u), &s).Data))
	f.Add(uint16(kindEnd), []byte(encodeEnd(2, closed{1: {2, 3}}).Data))
	f.Fuzz(func(t *testing.T, kind uint16, b []byte) {
		switch kind {
		case kindUsage:
			if u, err := decodeUsage(b); err == nil {
				if again, err := decodeUsage(encodeUsage(&u).Data); err != nil || !reflect.DeepEqual(again, u) {
					t.Fatal(again, u, err)
				}
			}
		case kindRow:
			if k, s, err := decodeRow(b); err == nil {
				if k2, s2, err := decodeRow(encodeRow(kindRow, k, &s).Data); err != nil || k2 != k || s2 != s {
					t.Fatal(k2, k, err)
				}
			}
		case kindEnd:
			if n, c, err := decodeEnd(b); err == nil {
				if n2, c2, err := decodeEnd(encodeEnd(n, c).Data); err != nil || n2 != n || len(c2) != len(c) {
					t.Fatal(c2, c, err)
				}
			}
		}
	})
}

func BenchmarkRecord(b *testing.B) {
	l := newBench(b, Config{})
	us := make([]faas.Usage, 1000)
	for i := range us {
		us[i] = l.use(i, "f")
	}
	ids := make([]string, b.N)
	for i := range ids {
		ids[i] = fmt.Sprint("request-", i)
	}
	b.ReportAllocs()
	b.ResetTimer()
	for i := range b.N {
		u := us[i%len(us)]
		u.RequestID = ids[i]
		l.Record(u)
	}
}
