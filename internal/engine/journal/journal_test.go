package journal_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"artesian/internal/engine"
	"artesian/internal/engine/journal"
	"artesian/internal/faas"
)

func openEngine(tb testing.TB, dir string) *engine.Engine {
	tb.Helper()
	e, err := engine.Open(context.Background(), engine.Config{Dir: dir})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { e.Close() })
	return e
}

func openJournal(tb testing.TB, e *engine.Engine) *journal.Journal {
	tb.Helper()
	j, err := journal.Open(tb.Context(), e, "usage", journal.Limits{})
	if err != nil {
		tb.Fatal(err)
	}
	return j
}

func rec(kind int, data string) journal.Record {
	return journal.Record{Kind: uint16(kind), Data: []byte(data)}
}

// replayed renders what Replay yields, one word a record.
func replayed(tb testing.TB, j *journal.Journal, from journal.Seq) []string {
	tb.Helper()
	var out []string
	err := j.Replay(tb.Context(), from, func(seq journal.Seq, r journal.Record) error {
		out = append(out, fmt.Sprintf("%d:%d:%s", seq, r.Kind, r.Data))
		return nil
	})
	if err != nil {
		tb.Fatal(err)
	}
	return out
}

func TestAppendReplay(t *testing.T) {
	dir := t.TempDir()
	e := openEngine(t, dir)
	j := openJournal(t, e)
	if j.Last() != 0 || len(replayed(t, j, 0)) != 0 {
		t.Fatal("a new journal is not empty")
	}
	for i, group := range [][]journal.Record{{rec(1, "a"), rec(65535, ""), rec(0, "c")}, {rec(2, "d")}, {rec(3, "e"), rec(3, "f")}} {
		seq, err := j.Append(t.Context(), journal.Seq(i), group...)
		if err != nil || seq != journal.Seq(i+1) || j.Last() != seq {
			t.Fatalf("append %d: %d %v, last %d", i, seq, err, j.Last())
		}
	}
	want := []string{"1:1:a", "1:65535:", "1:0:c", "2:2:d", "3:3:e", "3:3:f"}
	if got := replayed(t, j, 0); !slices.Equal(got, want) {
		t.Fatal(got)
	}
	if got := replayed(t, j, 3); !slices.Equal(got, want[4:]) {
		t.Fatal(got)
	}
	if got := replayed(t, j, 4); got != nil {
		t.Fatal(got)
	}
	e.Close()
	j = openJournal(t, openEngine(t, dir))
	if got := replayed(t, j, 1); !slices.Equal(got, want) || j.Last() != 3 {
		t.Fatal(got, j.Last())
	}
}

func TestReplayStopsWithTheCallersError(t *testing.T) {
	j := openJournal(t, openEngine(t, t.TempDir()))
	if _, err := j.Append(t.Context(), 0, rec(1, "a"), rec(1, "b")); err != nil {
		t.Fatal(err)
	}
	enough, calls := errors.New("enough"), 0
	err := j.Replay(t.Context(), 0, func(journal.Seq, journal.Record) error { calls++; return enough })
	if !errors.Is(err, enough) || calls != 1 {
		t.Fatal(err, calls)
	}
}

func TestFence(t *testing.T) {
	e := openEngine(t, t.TempDir())
	a, b := openJournal(t, e), openJournal(t, e)
	if _, err := a.Append(t.Context(), 0, rec(1, "a")); err != nil {
		t.Fatal(err)
	}
	for _, expect := range []journal.Seq{0, 2, 99} {
		if _, err := b.Append(t.Context(), expect, rec(1, "b")); faas.KindOf(err) != faas.Conflict {
			t.Fatalf("append after %d: %v", expect, err)
		}
	}
	if _, err := b.Submit(t.Context(), rec(1, "b")); faas.KindOf(err) != faas.Conflict {
		t.Fatalf("submit behind a fence: %v", err)
	}
	if _, err := b.Submit(t.Context(), rec(1, "b")); faas.KindOf(err) != faas.Conflict {
		t.Fatalf("second submit behind a fence: %v", err)
	}
	if got := replayed(t, a, 0); !slices.Equal(got, []string{"1:1:a"}) {
		t.Fatal(got)
	}
}

func TestOnlyOneOfManyAppends(t *testing.T) {
	e := openEngine(t, t.TempDir())
	var wg sync.WaitGroup
	var mu sync.Mutex
	won := map[int]int{}
	for w := range 8 {
		j := openJournal(t, e)
		wg.Go(func() {
			for round := range 20 {
				for { // until the round is settled by someone
					_, err := j.Append(t.Context(), journal.Seq(round), rec(w, ""))
					if err == nil {
						mu.Lock()
						won[round]++
						mu.Unlock()
					} else if faas.KindOf(err) != faas.Conflict {
						t.Errorf("append: %v", err)
						return
					}
					if err == nil || len(replayedTo(t, j, round+1)) > round {
						break
					}
				}
			}
		})
	}
	wg.Wait()
	for round := range 20 {
		if won[round] != 1 {
			t.Errorf("round %d was won %d times", round, won[round])
		}
	}
}

func replayedTo(tb testing.TB, j *journal.Journal, n int) []string {
	var out []string
	stop := errors.New("stop")
	err := j.Replay(tb.Context(), 0, func(seq journal.Seq, r journal.Record) error {
		out = append(out, fmt.Sprint(seq))
		if len(out) == n {
			return stop
		}
		return nil
	})
	if err != nil && !errors.Is(err, stop) {
		tb.Errorf("replay: %v", err)
	}
	return out
}

func TestTrim(t *testing.T) {
	dir := t.TempDir()
	e := openEngine(t, dir)
	j := openJournal(t, e)
	for i := range 5 {
		if _, err := j.Append(t.Context(), journal.Seq(i), rec(1, fmt.Sprint(i))); err != nil {
			t.Fatal(err)
		}
	}
	if err := j.TrimBefore(t.Context(), 7); faas.KindOf(err) != faas.Invalid {
		t.Fatalf("trim past the end: %v", err)
	}
	if err := j.TrimBefore(t.Context(), 4); err != nil {
		t.Fatal(err)
	}
	if got := replayed(t, j, 0); !slices.Equal(got, []string{"4:1:3", "5:1:4"}) {
		t.Fatal(got)
	}
	if err := j.TrimBefore(t.Context(), 6); err != nil {
		t.Fatal(err)
	}
	if got := replayed(t, j, 0); got != nil {
		t.Fatal(got)
	}
	e.Close()
	j = openJournal(t, openEngine(t, dir))
	if seq, err := j.Append(t.Context(), 5, rec(1, "next")); err != nil || seq != 6 {
		t.Fatalf("append to a journal trimmed whole: %d %v", seq, err)
	}
}

func TestLimits(t *testing.T) {
	e := openEngine(t, t.TempDir())
	j, err := journal.Open(t.Context(), e, "small", journal.Limits{MaxBytes: 64 << 10})
	if err != nil {
		t.Fatal(err)
	}
	big := strings.Repeat("x", 10<<10)
	for i := range 20 {
		if _, err := j.Append(t.Context(), journal.Seq(i), rec(1, big)); err != nil {
			t.Fatal(err)
		}
	}
	if got := len(replayed(t, j, 0)); got < 4 || got > 6 {
		t.Fatalf("%d groups of 10 KiB are kept in 64 KiB", got)
	}
	if j.Last() != 20 {
		t.Fatal(j.Last())
	}
}

func TestRefusals(t *testing.T) {
	e := openEngine(t, t.TempDir())
	j := openJournal(t, e)
	if _, err := j.Append(t.Context(), 0); faas.KindOf(err) != faas.Invalid {
		t.Errorf("append of nothing: %v", err)
	}
	huge := journal.Record{Data: make([]byte, e.MaxPayload())}
	if _, err := j.Append(t.Context(), 0, huge); faas.KindOf(err) != faas.TooLarge {
		t.Errorf("append of too much: %v", err)
	}
	if _, err := j.Submit(t.Context(), huge); faas.KindOf(err) != faas.TooLarge {
		t.Errorf("submit of too much: %v", err)
	}
	largest := journal.Record{Data: make([]byte, e.MaxPayload()-1100)}
	if _, err := j.Append(t.Context(), 0, largest); err != nil {
		t.Errorf("append of the most: %v", err)
	}
	for _, name := range []string{"", "A", "a.b", "a b", "-a", strings.Repeat("a", 65)} {
		if _, err := journal.Open(t.Context(), e, name, journal.Limits{}); faas.KindOf(err) != faas.Invalid {
			t.Errorf("open %q: %v", name, err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := j.Append(ctx, 1, rec(1, "late")); faas.KindOf(err) != faas.Unavailable {
		t.Errorf("append after the caller left: %v", err)
	}
}

func TestSubmitPacks(t *testing.T) {
	e := openEngine(t, t.TempDir())
	j := openJournal(t, e)
	const writers, each = 32, 20
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			before := journal.Seq(0)
			for i := range each {
				seq, err := j.Submit(t.Context(), rec(w, fmt.Sprint(i)), rec(w, "pair"))
				if err != nil || seq <= before {
					t.Errorf("submit: %d after %d, %v", seq, before, err)
					return
				}
				before = seq
			}
		})
	}
	wg.Wait()
	next := make([]int, writers)
	open := -1 // the writer whose pair is open
	err := j.Replay(t.Context(), 0, func(_ journal.Seq, r journal.Record) error {
		switch w := int(r.Kind); {
		case open < 0 && string(r.Data) == fmt.Sprint(next[w]):
			next[w]++
			open = w
		case open == w && string(r.Data) == "pair":
			open = -1
		default:
			return fmt.Errorf("writer %d: %s", w, r.Data)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for w, n := range next {
		if n != each {
			t.Errorf("writer %d has %d of %d", w, n, each)
		}
	}
	if groups := int(j.Last()); groups >= writers*each/2 {
		t.Errorf("%d submissions took %d groups", writers*each, groups)
	}
}

func TestDamageNamesTheGroup(t *testing.T) {
	e := openEngine(t, t.TempDir())
	j := openJournal(t, e)
	if _, err := j.Append(t.Context(), 0, rec(1, "whole")); err != nil {
		t.Fatal(err)
	}
	if _, err := e.JetStream().Publish(t.Context(), "journal.usage", []byte("\x01torn")); err != nil {
		t.Fatal(err)
	}
	var seen []string
	err := j.Replay(t.Context(), 0, func(_ journal.Seq, r journal.Record) error {
		seen = append(seen, string(r.Data))
		return nil
	})
	var damage *journal.DamageError
	if !errors.As(err, &damage) || damage.Seq != 2 || !slices.Equal(seen, []string{"whole"}) {
		t.Fatal(err, seen)
	}
	if _, err := j.Append(t.Context(), 2, rec(1, "after")); err != nil {
		t.Fatal(err)
	}
	st, err := e.JetStream().Stream(t.Context(), "JOURNAL-usage")
	if err != nil {
		t.Fatal(err)
	}
	if err := st.DeleteMsg(t.Context(), 2); err != nil {
		t.Fatal(err)
	}
	err = j.Replay(t.Context(), 0, func(journal.Seq, journal.Record) error { return nil })
	if !errors.As(err, &damage) || damage.Seq != 2 {
		t.Fatalf("a group is missing: %v", err)
	}
}
