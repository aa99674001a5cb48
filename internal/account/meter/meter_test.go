package meter_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"artesian/internal/account/meter"
	"artesian/internal/engine"
	"artesian/internal/faas"
)

func openEngine(tb testing.TB, dir string) *engine.Engine {
	tb.Helper()
	e, err := engine.Open(context.Background(), engine.Config{Dir: dir})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { e.Close() })
	return e
}

func openLedger(tb testing.TB, e *engine.Engine, cfg meter.Config) *meter.Ledger {
	tb.Helper()
	l, err := meter.Open(context.Background(), e, cfg)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { l.Close(context.Background()) })
	return l
}

func closeAll(tb testing.TB, l *meter.Ledger, e *engine.Engine) {
	tb.Helper()
	if err := l.Close(context.Background()); err != nil {
		tb.Fatal(err)
	}
	if err := e.Close(); err != nil {
		tb.Fatal(err)
	}
}

var noon = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

func call(id int) faas.Usage {
	u := faas.Usage{RequestID: fmt.Sprintf("%08d-0000-4000-8000-000000000000", id), Account: faas.DefaultAccount, Region: faas.DefaultRegion,
		Function: "hello", Version: faas.Latest, Start: noon, Outcome: faas.OutcomeOK, Run: 3 * time.Millisecond, BilledMS: 3,
		CPU: 2 * time.Millisecond, MemoryMB: 128, PeakMB: 40, BytesIn: 10, BytesOut: 20, TmpMB: 512}
	if id%10 == 0 {
		u.Cold = &faas.Cold{Place: 1, Sandbox: 2, Runtime: 3, Init: 4}
	}
	return u
}

func TestSumsAndReceiptsSurviveARestart(t *testing.T) {
	dir, ctx := t.TempDir(), t.Context()
	e := openEngine(t, dir)
	l := openLedger(t, e, meter.Config{})
	const n = 25
	for i := range n {
		l.Record(call(i))
		l.Record(call(i)) // the same again
	}
	l.Record(faas.Usage{RequestID: "x", Account: "1", Region: "eu-west-1", Function: "hello", Version: "1", Start: noon, Outcome: faas.OutcomeThrottled})
	check := func(when string) {
		t.Helper()
		rows, err := l.Sums(ctx, meter.Filter{Account: faas.DefaultAccount})
		if err != nil || len(rows) != 1 {
			t.Fatal(when, rows, err)
		}
		r := rows[0]
		if r.Function != "hello" || r.Day.String() != "2026-11-23" || r.Calls() != n || r.Cold != 3 || r.Init != 12 || r.Errors() != 0 ||
			r.BilledMS != 3*n || r.Used.MemoryMBs != 3*128*n || r.Used.Requests != n || r.PeakMB != 40 || r.Run != 3*n*time.Millisecond {
			t.Errorf("%s: %+v", when, r)
		}
		if all, err := l.Sums(ctx, meter.Filter{Versions: true}); err != nil || len(all) != 2 || all[1].Errors() != 1 || all[1].Version != "1" {
			t.Errorf("%s: %+v %v", when, all, err)
		}
		got, err := l.Receipt(ctx, call(20).RequestID)
		if err != nil || got.Cold == nil || *got.Cold != *call(20).Cold || got.Run != call(20).Run || !got.Start.Equal(noon) {
			t.Errorf("%s: %+v %v", when, got, err)
		}
		if _, err := l.Receipt(ctx, "none"); faas.KindOf(err) != faas.NotFound {
			t.Error(when, err)
		}
	}
	check("in memory")
	if err := l.Flush(ctx); err != nil {
		t.Fatal(err)
	}
	check("written")
	closeAll(t, l, e)
	e = openEngine(t, dir)
	l = openLedger(t, e, meter.Config{})
	check("after a restart")
	l.Record(call(3))
	check("a repeated call")
}
