package journal_test

import (
	"bytes"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/nats-io/nats.go/jetstream"

	"artesian/internal/engine/journal"
)

// concurrently shares b.N calls of fn between 64 writers.
func concurrently(b *testing.B, fn func() error) {
	b.Helper()
	var left atomic.Int64
	left.Store(int64(b.N))
	var wg sync.WaitGroup
	b.ResetTimer()
	for range 64 {
		wg.Go(func() {
			for left.Add(-1) >= 0 {
				if err := fn(); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "appends/s")
}

// BenchmarkSubmit64Writers is what a partition's owner does with many callers; its floor is below.
func BenchmarkSubmit64Writers(b *testing.B) {
	j := openJournal(b, openEngine(b, b.TempDir()))
	data := bytes.Repeat([]byte("d"), 256)
	concurrently(b, func() error {
		_, err := j.Submit(b.Context(), journal.Record{Kind: 1, Data: data})
		return err
	})
}

// BenchmarkPublish64Writers is the floor: the same server, one synced message each.
func BenchmarkPublish64Writers(b *testing.B) {
	e := openEngine(b, b.TempDir())
	if _, err := e.Stream(b.Context(), jetstream.StreamConfig{Name: "FLOOR", Subjects: []string{"floor"}}); err != nil {
		b.Fatal(err)
	}
	data := bytes.Repeat([]byte("d"), 256)
	concurrently(b, func() error {
		_, err := e.JetStream().Publish(b.Context(), "floor", data)
		return err
	})
}

func BenchmarkAppend(b *testing.B) {
	j := openJournal(b, openEngine(b, b.TempDir()))
	data := bytes.Repeat([]byte("d"), 256)
	for b.Loop() {
		if _, err := j.Append(b.Context(), j.Last(), journal.Record{Kind: 1, Data: data}); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkReplay(b *testing.B) {
	j := openJournal(b, openEngine(b, b.TempDir()))
	data := bytes.Repeat([]byte("d"), 256)
	group := make([]journal.Record, 100)
	for i := range group {
		group[i] = journal.Record{Kind: 1, Data: data}
	}
	for range 1000 {
		if _, err := j.Append(b.Context(), j.Last(), group...); err != nil {
			b.Fatal(err)
		}
	}
	for b.Loop() {
		n := 0
		if err := j.Replay(b.Context(), 0, func(journal.Seq, journal.Record) error { n++; return nil }); err != nil || n != 100_000 {
			b.Fatal(n, err)
		}
	}
}
