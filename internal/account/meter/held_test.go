package meter_test

import (
	"context"
	"testing"

	"artesian/internal/account/meter"
	"artesian/internal/faas"
)

// TestHeld: memory-time that belongs to no call is counted once, beside the calls of its day, and is there after a restart.
func TestHeld(t *testing.T) {
	dir := t.TempDir()
	e := openEngine(t, dir)
	l := openLedger(t, e, meter.Config{})
	k := meter.Key{Scope: faas.Scope{Account: faas.DefaultAccount, Region: faas.DefaultRegion}, Function: "hello", Version: "1", Day: meter.DayOf(noon)}
	l.Record(call(1))
	l.Held(k, 1000)
	check := func(l *meter.Ledger, held int64) {
		t.Helper()
		rows, err := l.Sums(context.Background(), meter.Filter{})
		if err != nil || len(rows) != 1 || rows[0].Used.HeldMBs != held || rows[0].Calls() != 1 || rows[0].Receiptless != 0 {
			t.Fatalf("%v: %+v, want %d held", err, rows, held)
		}
	}
	check(l, 1000)
	if err := l.Flush(context.Background()); err != nil {
		t.Fatal(err)
	}
	l.Held(k, 234)
	check(l, 1234)
	closeAll(t, l, e)
	e = openEngine(t, dir)
	check(openLedger(t, e, meter.Config{}), 1234)
}
