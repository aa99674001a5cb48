package logs_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"artesian/internal/observe/logs"
)

// BenchmarkInvocation is what one quiet invocation logs: START, END, REPORT.
func BenchmarkInvocation(b *testing.B) {
	h := open(b, b.TempDir(), logs.Config{})
	w := h.writer(b, "g", "s")
	lines := []string{"START RequestId: 8f5ad4c0-5d7c-4a5f-9d0f-0123456789ab Version: $LATEST\n", "END RequestId: 8f5ad4c0-5d7c-4a5f-9d0f-0123456789ab\n",
		"REPORT RequestId: 8f5ad4c0-5d7c-4a5f-9d0f-0123456789ab\tDuration: 1.23 ms\tBilled Duration: 2 ms\tMemory Size: 128 MB\tMax Memory Used: 40 MB\n"}
	b.ReportAllocs()
	for b.Loop() {
		for _, l := range lines {
			w.Write(time.Now(), l)
		}
	}
}

// BenchmarkPoll is what `aws logs tail --follow` asks every few seconds, of a group with 200 MB in it.
func BenchmarkPoll(b *testing.B) {
	h := open(b, b.TempDir(), logs.Config{})
	w, other := h.writer(b, "g", "s"), h.writer(b, "other", "s")
	line := strings.Repeat("x", 1000)
	began := time.Now()
	for i := range 200_000 {
		w.Write(time.Now(), fmt.Sprintf("%08d %s", i, line))
		if i%1000 == 0 {
			other.Write(time.Now(), line)
		}
	}
	if err := h.Flush(b.Context(), group("g")); err != nil {
		b.Fatal(err)
	}
	b.Logf("%.0f MB/s written", 200/time.Since(began).Seconds())
	b.Run("newest", func(b *testing.B) {
		for b.Loop() {
			page, err := h.Filter(b.Context(), group("g"), logs.Query{From: time.Now().Add(-time.Millisecond).UnixMilli(), Limit: 100})
			if err != nil {
				b.Fatal(page, err)
			}
		}
	})
	b.Run("streams", func(b *testing.B) {
		for b.Loop() {
			if _, _, err := h.Streams(b.Context(), group("g"), logs.StreamQuery{Limit: 50}); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("last of a stream", func(b *testing.B) {
		for b.Loop() {
			if p, err := h.Get(b.Context(), group("g"), logs.GetQuery{Stream: "s", Limit: 10}); err != nil || len(p.Events) != 10 {
				b.Fatal(err)
			}
		}
	})
	b.Run("no such stream", func(b *testing.B) {
		for b.Loop() {
			if _, err := h.Get(b.Context(), group("g"), logs.GetQuery{Stream: "none", Limit: 10}); err == nil {
				b.Fatal()
			}
		}
	})
	b.Run("first page", func(b *testing.B) {
		for b.Loop() {
			if p, err := h.Filter(b.Context(), group("g"), logs.Query{Limit: 100}); err != nil || len(p.Events) != 100 {
				b.Fatal(err)
			}
		}
	})
}
