package meter_test

import (
	"testing"
	"time"

	"artesian/internal/account/meter"
	"artesian/internal/faas"
)

// TestTrace: the calls of one trace are found, durable or not, in the order in which they came, and nobody else's.
func TestTrace(t *testing.T) {
	ctx := t.Context()
	l := openLedger(t, openEngine(t, t.TempDir()), meter.Config{})
	const id = "1-6733b1c0-0123456789abcdef01234567"
	record := func(n int, trace, region string, at time.Duration) {
		u := call(n)
		u.TraceID, u.Region, u.Start = trace, region, noon.Add(at)
		l.Record(u)
	}
	own := faas.Scope{Account: faas.DefaultAccount, Region: faas.DefaultRegion}
	check := func(when string, want ...int) {
		t.Helper()
		got, err := l.Trace(ctx, own, id)
		if err != nil || len(got) != len(want) {
			t.Fatalf("%s: %+v %v", when, got, err)
		}
		for i, n := range want {
			if got[i].RequestID != call(n).RequestID {
				t.Errorf("%s: number %d is %s", when, i, got[i].RequestID)
			}
		}
	}
	check("empty")
	record(1, id, own.Region, 2)
	record(2, "1-6733b1c0-0123456789abcdef01234568", own.Region, 2)
	record(3, id, "eu-west-1", 2)
	check("in memory", 1)
	if err := l.Flush(ctx); err != nil {
		t.Fatal(err)
	}
	record(4, id, own.Region, 1)
	check("one of two written", 4, 1)
	if got, err := l.Trace(ctx, own, ""); err != nil || got != nil {
		t.Errorf("no id: %v %v", got, err)
	}
}
