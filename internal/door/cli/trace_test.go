package cli

import (
	"encoding/json"
	"testing"
	"time"

	"artesian/internal/door/gateway/admin"
	"artesian/internal/faas"
)

const ms = time.Millisecond

// forked is a call that waited 6 ms, 5 of them for its own instance.
func forked() faas.Usage {
	return faas.Usage{RequestID: "r1", TraceID: "1-6733b1c0-0123456789abcdef01234567", Function: "hello", Version: "$LATEST", Runtime: "python3.11", Instance: "i7",
		Start: time.Date(2026, 11, 27, 12, 0, 0, int(6*ms), time.UTC), Outcome: faas.OutcomeOK, Queue: 6 * ms, Run: 3 * ms, Settle: ms / 10, BilledMS: 6,
		CPU: 2 * ms, MemoryMB: 128, PeakMB: 38, BytesIn: 80, BytesOut: 20,
		Cold: &faas.Cold{Way: faas.WayFork, Why: "no idle instance: 3 busy, zygote python3.11 ready, forked in 4.1 ms", Sandbox: 2 * ms, Runtime: ms, Init: 2 * ms}}
}

func TestTraceOfAColdCall(t *testing.T) {
	f := newFake(t)
	f.own[admin.ReceiptsPath+"r1"] = admin.Receipt{Usage: forked(), Currency: "USD", Ours: "0.0000000083", AWS: "0.0000002083"}
	got := f.run(t, "", "trace", "r1")
	want := `hello $LATEST · python3.11 · i7 · ok
request r1 · trace 1-6733b1c0-0123456789abcdef01234567
cold: it got a child of a zygote; no idle instance: 3 busy, zygote python3.11 ready, forked in 4.1 ms

  received  2026-11-27 12:00:00.000000 UTC
  queue           1 ms  at 0 µs
  place           0 µs  at 1 ms
  sandbox         2 ms  at 1 ms
  runtime         1 ms  at 3 ms
  init            2 ms  at 4 ms
  handler         3 ms  at 6 ms
  answer        100 µs  at 9 ms
  in all        9.1 ms

CPU 2 ms · peak 38 of 128 MB · in 80 B, out 20 B · billed 6 ms · 0.0000000083 USD (AWS 0.0000002083)
`
	if got != (outcome{0, want, ""}) {
		t.Errorf("%+v", got)
	}
	var doc traced
	if got := f.run(t, "", "trace", "r1", "--json"); json.Unmarshal([]byte(got.out), &doc) != nil || doc.Cold == nil || doc.Cold.Way != faas.WayFork ||
		len(doc.Phases) != 7 || doc.Phases[6] != (phase{"answer", 9 * ms, ms / 10}) || doc.Ours != "0.0000000083" {
		t.Errorf("%+v", got)
	}
}

func TestTraceOfATrace(t *testing.T) {
	f := newFake(t)
	first, second := forked(), forked()
	second.Cold, second.RequestID, second.Function, second.Start = nil, "r2", "inner", first.Start.Add(ms)
	f.own[admin.TracesPath+first.TraceID] = admin.Trace{Receipts: []admin.Receipt{{Usage: first}, {Usage: second}}}
	for _, id := range []string{first.TraceID, "Root=" + first.TraceID} {
		got := f.run(t, "", "trace", id)
		contains(t, got.out, "+0 µs  hello", "cold, fork", "+1 ms  inner", "r2", "warm")
	}
	got := f.run(t, "", "trace", "1-6733b1c0-0123456789abcdef01234568")
	if got.status != ExitError {
		t.Errorf("%+v", got)
	}
}

func TestTraceOfAnUnknownCall(t *testing.T) {
	f := newFake(t)
	got := f.run(t, "", "trace", "nobody")
	contains(t, got.err, "there is no receipt of the request nobody in us-east-1: it never came here, it still runs, or")
	if got.status != ExitError || got.out != "" {
		t.Errorf("%+v", got)
	}
	if got := f.run(t, "", "trace", ""); got.status != ExitUsage {
		t.Errorf("%+v", got)
	}
}

func TestWhy(t *testing.T) {
	for _, c := range []struct {
		change func(*faas.Usage)
		why    string
		queue  phase
	}{
		{func(u *faas.Usage) { u.Queue = 2 * ms },
			"cold: it got a child of a zygote; no idle instance: 3 busy, zygote python3.11 ready, forked in 4.1 ms; its start had begun 3 ms before the call came, for another one",
			phase{"queue", 0, 0}},
		{func(u *faas.Usage) { u.Cold = &faas.Cold{Sandbox: ms} }, "cold", phase{"queue", 0, 5 * ms}}, // a receipt of the first format
		{func(u *faas.Usage) { u.Cold, u.Idle, u.Thawed = nil, 3200*ms, true }, "warm: idle instance i7, last used 3.2 s ago, thawed", phase{"queue", 0, 6 * ms}},
		{func(u *faas.Usage) { u.Cold, u.Idle = nil, ms }, "warm: idle instance i7, last used 1 ms ago", phase{"queue", 0, 6 * ms}},
		{func(u *faas.Usage) { u.Cold, u.Idle, u.Thawed, u.Ahead, u.Held = nil, ms, true, true, true }, "warm: provisioned instance i7, made ahead 1 ms ago, thawed",
			phase{"queue", 0, 6 * ms}},
		{func(u *faas.Usage) { u.Cold, u.Ahead = nil, true }, "warm: idle instance i7, made ahead and just ready", phase{"queue", 0, 6 * ms}},
		{func(u *faas.Usage) { u.Cold = nil }, "warm: instance i7, straight from another call", phase{"queue", 0, 6 * ms}},
		{func(u *faas.Usage) { *u = faas.Usage{Outcome: faas.OutcomeThrottled, Queue: ms} },
			"did not run: over a limit of concurrency or memory, or too many calls waited", phase{"queue", 0, ms}},
		{func(u *faas.Usage) { *u = faas.Usage{Outcome: faas.OutcomeCancelled} }, "did not run: the client left before there was an instance", phase{"queue", 0, 0}},
		{func(u *faas.Usage) { *u = faas.Usage{Outcome: faas.OutcomeUnavailable} }, "did not run: no instance could be started", phase{"queue", 0, 0}},
	} {
		u := forked()
		c.change(&u)
		if got := why(&u); got != c.why {
			t.Errorf("got  %q\nwant %q", got, c.why)
		}
		if got := phases(&u)[0]; got != c.queue {
			t.Errorf("%s: %+v, want %+v", c.why, got, c.queue)
		}
	}
}
