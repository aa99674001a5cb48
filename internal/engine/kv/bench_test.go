package kv_test

import (
	"bytes"
	"fmt"
	"testing"

	"artesian/internal/engine/kv"
)

// BenchmarkOpen10000 is the start of engine and registry with 10,000 entries of 2 KB.
func BenchmarkOpen10000(b *testing.B) {
	dir := b.TempDir()
	e := openEngine(b, dir)
	fill(b, e, 10_000, 2_000)
	e.Close()
	for b.Loop() {
		e := openEngine(b, dir)
		s, err := kv.Open(b.Context(), e)
		if err != nil {
			b.Fatal(err)
		}
		if n := len(s.List(scope(), "function", "")); n != 10_000 {
			b.Fatalf("%d entries", n)
		}
		b.StopTimer()
		s.Close()
		e.Close()
		b.StartTimer()
	}
}

func BenchmarkUpdate(b *testing.B) {
	s := openStore(b, openEngine(b, b.TempDir()))
	value := bytes.Repeat([]byte("v"), 2_000)
	rev := create(b, s, key("a"), "")
	for b.Loop() {
		var err error
		if rev, err = s.Update(b.Context(), key("a"), value, rev); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkGet(b *testing.B) {
	e := openEngine(b, b.TempDir())
	fill(b, e, 10_000, 2_000)
	s := openStore(b, e)
	k := key("name-4711")
	b.ReportAllocs()
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, ok := s.Get(k); !ok {
				b.Error("not found")
			}
		}
	})
}

func BenchmarkPage(b *testing.B) {
	e := openEngine(b, b.TempDir())
	fill(b, e, 10_000, 100)
	s := openStore(b, e)
	for i := 0; b.Loop(); i++ {
		if page, _ := s.Page(scope(), "function", "", fmt.Sprintf("name-%d", i%10_000), 50); len(page) == 0 {
			continue
		}
	}
}
