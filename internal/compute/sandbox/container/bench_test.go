package container

import (
	"context"
	"testing"

	"artesian/internal/compute/sandbox/sandboxtest"
)

// BenchmarkStartClose is a sandbox from nothing to the end of a small static program.
func BenchmarkStartClose(b *testing.B) {
	m := open(b, 0)
	spec := sandboxtest.Spec("bench", sandboxtest.Payload(b), "exit", "0")
	var isolated, executed, ended, closed float64
	for b.Loop() {
		s, err := m.Start(context.Background(), spec)
		if err != nil {
			b.Fatal(err)
		}
		p := s.Started()
		<-s.Done()
		if err := s.Close(); err != nil {
			b.Fatal(err)
		}
		isolated += p.Sandbox.Seconds()
		executed += p.Exec.Seconds()
	}
	_, _ = ended, closed
	b.ReportMetric(1e3*isolated/float64(b.N), "ms-sandbox/op")
	b.ReportMetric(1e3*executed/float64(b.N), "ms-exec/op")
}
