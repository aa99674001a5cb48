package container

import (
	"strings"
	"testing"
	"time"

	"artesian/internal/compute/sandbox"
	"artesian/internal/faas"
)

// BenchmarkCopy is a copy in a cell that was made ahead: until it is a sandbox, and until its first call is answered.
func BenchmarkCopy(b *testing.B) {
	f, err := initialise(b, open(b, 4<<30), "import json, ssl, urllib.request, logging\ndef handler(e, c): return e\n")
	if err != nil {
		b.Fatal(err)
	}
	var became, answered, making time.Duration
	for b.Loop() {
		b.StopTimer()
		made := f.spec
		made.ID, made.Copy = "copy-"+strings.ToLower(faas.NewUUID()), f.o
		s := made
		made.Argv, made.Env, made.Dir, made.Channel = nil, nil, "", false
		begun := time.Now()
		cell, err := f.m.Prepare(b.Context(), made)
		if err != nil {
			b.Fatal(err)
		}
		making += time.Since(begun)
		b.StartTimer()
		begun = time.Now()
		var sb sandbox.Sandbox
		if sb, err = cell.Become(b.Context(), s); err != nil {
			b.Fatal(err)
		}
		became += time.Since(begun)
		session := f.r.Twin(sb, nil)
		if _, err := session.Init(b.Context()); err != nil {
			b.Fatal(err)
		}
		call(b, session, "1")
		answered += time.Since(begun)
		b.StopTimer()
		_ = session.Close()
		if err := sb.Close(); err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
	}
	for name, d := range map[string]time.Duration{"ms/cell": making, "ms/become": became, "ms/answer": answered} {
		b.ReportMetric(d.Seconds()*1000/float64(b.N), name)
	}
}
