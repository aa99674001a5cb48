package metrics

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"artesian/internal/faas"
)

func text(t *testing.T, c *Calls, gauges ...Gauge) string {
	t.Helper()
	var b strings.Builder
	if err := c.Write(&b, gauges); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestCounts(t *testing.T) {
	c := New()
	const ms = time.Millisecond
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			c.Record(&faas.Usage{Instance: "i1", Outcome: faas.OutcomeOK, Runtime: "python3.11", Queue: 12 * ms, Run: 3 * ms, Settle: ms / 5,
				Cold: &faas.Cold{Way: faas.WayFork, Sandbox: 4 * ms, Runtime: ms, Init: 5 * ms}})
			c.Record(&faas.Usage{Instance: "i1", Outcome: faas.OutcomeError, Runtime: "python3.11", Run: 2 * time.Minute})
			c.Record(&faas.Usage{Outcome: faas.OutcomeThrottled})
		})
	}
	wg.Wait()
	c.Record(&faas.Usage{Instance: "i2", Outcome: "new", Cold: &faas.Cold{Init: ms}})
	got := text(t, c, Gauge{"artesian_instances", "Instances.", []string{"runtime", "a\"b\\c\nd", "state", "idle"}, 2, false},
		Gauge{"other", "Others.", nil, 0.5, false}, Gauge{"artesian_instances", "Instances.", []string{"runtime", "x", "state", "busy"}, 1, false})
	for _, want := range []string{
		"# TYPE artesian_invocations_total counter\n", `artesian_invocations_total{outcome="ok"} 4`, `artesian_invocations_total{outcome="error"} 4`,
		`artesian_invocations_total{outcome="throttle"} 4`, `artesian_invocations_total{outcome="other"} 1`,
		`artesian_queue_seconds_bucket{le="0.01"} 9`, `artesian_queue_seconds_bucket{le="0.025"} 13`, "artesian_queue_seconds_sum 0.048\n",
		`artesian_handler_seconds_bucket{le="60"} 5`, `artesian_handler_seconds_bucket{le="+Inf"} 9`, "artesian_handler_seconds_count 9\n",
		`artesian_cold_starts_total{runtime="image",way="start"} 1`, `artesian_cold_starts_total{runtime="python3.11",way="fork"} 4`,
		`artesian_cold_start_seconds_bucket{runtime="python3.11",way="fork",phase="sandbox",le="0.0025"} 0`,
		`artesian_cold_start_seconds_bucket{runtime="python3.11",way="fork",phase="sandbox",le="0.005"} 4`,
		`artesian_cold_start_seconds_sum{runtime="python3.11",way="fork",phase="all"} 0.04`,
		`artesian_instances{runtime="a\"b\\c\nd",state="idle"} 2` + "\n" + `artesian_instances{runtime="x",state="busy"} 1` + "\n", "other 0.5\n",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("lacks %q", want)
		}
	}
	for line := range strings.Lines(got) {
		if strings.HasPrefix(line, "# TYPE") && strings.Count(got, line) != 1 {
			t.Errorf("twice: %s", line)
		}
	}
	if t.Failed() {
		t.Log(got)
	}
}

// TestSeriesAreBounded: what clients name makes no more series than that.
func TestSeriesAreBounded(t *testing.T) {
	c := New()
	for i := range 3 * maxStarts {
		c.Record(&faas.Usage{Instance: "i", Runtime: fmt.Sprint("r", i), Cold: &faas.Cold{}})
	}
	got := text(t, c)
	if n := strings.Count(got, "artesian_cold_starts_total{"); n != maxStarts+1 {
		t.Errorf("%d series", n)
	}
	if !strings.Contains(got, fmt.Sprintf(`artesian_cold_starts_total{runtime="other",way="other"} %d`, 2*maxStarts)) {
		t.Error("the others are not counted")
	}
}

func BenchmarkRecord(b *testing.B) {
	c := New()
	u := faas.Usage{Instance: "i1", Outcome: faas.OutcomeOK, Queue: 5 * time.Microsecond, Run: 200 * time.Microsecond, Settle: 10 * time.Microsecond}
	b.ReportAllocs()
	for b.Loop() {
		c.Record(&u)
	}
}
