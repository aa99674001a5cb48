package container

import (
	"context"
	"fmt"
	"io"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"artesian/internal/compute/sandbox"
	"artesian/internal/compute/sandbox/sandboxtest"
)

// BenchmarkStart is a sandbox from nothing to the end of a small static program, and its phases; BenchmarkBubblewrap is
// the same program under the nearest peer: all namespaces, but no control group, filter, listener or /tmp on disk.
func BenchmarkStart(b *testing.B) { benchmarkStart(b, false) }

// BenchmarkStartInternet is the same with the internet.
func BenchmarkStartInternet(b *testing.B) { benchmarkStart(b, true) }

func benchmarkStart(b *testing.B, internet bool) {
	m := open(b, 0)
	spec := sandboxtest.Spec("bench", sandboxtest.Payload(b), "exit", "0")
	spec.Listen, spec.Internet = []string{"127.0.0.1:4566"}, internet
	var phases [5][]time.Duration
	for b.Loop() {
		began := time.Now()
		s, err := m.Start(context.Background(), spec)
		if err != nil {
			b.Fatal(err)
		}
		started := time.Now()
		<-s.Done()
		ended := time.Now()
		if err := s.Close(); err != nil {
			b.Fatal(err)
		}
		p := s.Started()
		for i, d := range []time.Duration{p.Sandbox, p.Exec, started.Sub(began), ended.Sub(began), time.Since(ended)} {
			phases[i] = append(phases[i], d)
		}
	}
	for i, name := range []string{"sandbox", "exec", "start", "start-to-end", "close"} {
		slices.Sort(phases[i])
		b.ReportMetric(float64(phases[i][len(phases[i])/2].Microseconds()), "µs-"+name+"-p50")
	}
}

func BenchmarkBubblewrap(b *testing.B) {
	bwrap, err := exec.LookPath("bwrap")
	if err != nil {
		b.Skip("needs bwrap (package bubblewrap)")
	}
	payload := sandboxtest.Payload(b)
	var took []time.Duration
	for b.Loop() {
		began := time.Now()
		cmd := exec.Command(bwrap, "--unshare-all", "--die-with-parent", "--new-session", "--proc", "/proc", "--dev", "/dev", "--tmpfs", "/tmp",
			"--ro-bind", filepath.Dir(payload), "/var/task", "/var/task/"+filepath.Base(payload), "exit", "0")
		cmd.Stdout = io.Discard
		if err := cmd.Run(); err != nil {
			b.Fatal(err)
		}
		took = append(took, time.Since(began))
	}
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2].Microseconds()), "µs-start-to-end-p50")
}

// BenchmarkSpawner is what a daemon does once before its first sandbox; without root it includes the maps of the user
// namespace around all of them.
func BenchmarkSpawner(b *testing.B) {
	dir := b.TempDir()
	m := open(b, 0)
	for b.Loop() {
		s, err := (&Maker{dir: dir, standing: m.standing}).startSpawner()
		if err != nil {
			b.Fatal(err)
		}
		s.close()
	}
}

// BenchmarkBecome is a cell, made ahead, from the call to a small static program's end: what is left on the path of a start.
func BenchmarkBecome(b *testing.B) {
	m := open(b, 0)
	payload := sandboxtest.Payload(b)
	var phases [4][]time.Duration
	for n := 0; b.Loop(); n++ {
		b.StopTimer()
		s := sandboxtest.Spec("bench", payload, "exit", "0")
		s.ID, s.Listen = fmt.Sprintf("bench-%d", n), []string{"127.0.0.1:4566"}
		ahead := sandboxtest.CellSpec(s.ID, "")
		ahead.Listen = s.Listen
		c, err := m.Prepare(context.Background(), ahead)
		if err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
		began := time.Now()
		sb, err := c.Become(context.Background(), s)
		if err != nil {
			b.Fatal(err)
		}
		became := time.Now()
		<-sb.Done()
		b.StopTimer()
		ended := time.Now()
		p := sb.Started()
		for i, d := range []time.Duration{p.Sandbox, p.Exec, became.Sub(began), ended.Sub(began)} {
			phases[i] = append(phases[i], d)
		}
		if err := sb.Close(); err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
	}
	for i, name := range []string{"sandbox", "exec", "become", "become-to-end"} {
		slices.Sort(phases[i])
		b.ReportMetric(float64(phases[i][len(phases[i])/2].Microseconds()), "µs-"+name+"-p50")
	}
}

// BenchmarkBurst is 200 sandboxes asked for at once: until the last program runs, the slowest start, and until all are closed.
func BenchmarkBurst(b *testing.B) {
	const burst = 200
	m := open(b, 0)
	payload := sandboxtest.Payload(b)
	var running, closed []time.Duration
	for n := 0; b.Loop(); n++ {
		began := time.Now()
		var all sync.WaitGroup
		sandboxes := make([]sandbox.Sandbox, burst)
		for k := range burst {
			all.Go(func() {
				s := sandboxtest.Spec(fmt.Sprintf("burst-%d-%d", n, k), payload, "wait")
				s.Listen, s.TmpMB = []string{"127.0.0.1:4566"}, 64 // what 200 of them may grow by is claimed of the disk
				sb, err := m.Start(context.Background(), s)
				if err != nil {
					b.Error(err)
					return
				}
				sandboxes[k] = sb
			})
		}
		all.Wait()
		running = append(running, time.Since(began))
		began = time.Now()
		for _, sb := range sandboxes {
			if sb != nil {
				all.Go(func() { _ = sb.Close() })
			}
		}
		all.Wait()
		closed = append(closed, time.Since(began))
	}
	slices.Sort(running)
	slices.Sort(closed)
	b.ReportMetric(float64(running[len(running)/2].Milliseconds()), "ms-running-p50")
	b.ReportMetric(float64(closed[len(closed)/2].Milliseconds()), "ms-closed-p50")
}
