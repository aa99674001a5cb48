package pool

import (
	"testing"
	"time"
)

// BenchmarkWith is what the pool costs a warm call, with a fixed keep-alive and with one that is learned.
func BenchmarkWith(b *testing.B) {
	for name, keepAlive := range map[string]time.Duration{"fixed": time.Hour, "learned": 0} {
		b.Run(name, func(b *testing.B) {
			p := New(&fakeNode{}, Config{KeepAlive: keepAlive, Grace: time.Hour})
			v := version("f", 128)
			nothing := func(*Instance) error { return nil }
			b.ReportAllocs()
			for b.Loop() {
				if err := p.With(b.Context(), v, nothing); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
