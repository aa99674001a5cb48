package meter

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"artesian/internal/engine"
	"artesian/internal/engine/journal"
	"artesian/internal/faas"
)

// faulty is a journal that fails on demand.
type faulty struct {
	log
	mu    sync.Mutex
	fail  func() fault
	slow  chan struct{} // appends wait for it to be closed
	count int
}

type fault int

const (
	works   fault = iota
	refuses       // nothing is appended
	lostAck       // it is appended, and nobody hears of it
)

func (f *faulty) Append(ctx context.Context, expect journal.Seq, recs ...journal.Record) (journal.Seq, error) {
	f.mu.Lock()
	slow, fail := f.slow, f.fail
	f.count++
	f.mu.Unlock()
	if slow != nil {
		<-slow
	}
	verdict := works
	if fail != nil {
		verdict = fail()
	}
	if verdict == refuses {
		return 0, faas.Errorf(faas.Unavailable, "the disk is full")
	}
	seq, err := f.log.Append(ctx, expect, recs...)
	if verdict == lostAck && err == nil {
		return 0, faas.Errorf(faas.Unavailable, "nobody knows")
	}
	return seq, err
}

func (f *faulty) set(fail func() fault, slow chan struct{}) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.fail, f.slow = fail, slow
}

// bench is a ledger on a real engine whose journals can be made to fail.
type bench struct {
	eng   *engine.Engine
	name  string
	usage *faulty
	days  *faulty
	now   atomic.Int64
	cfg   Config
	*Ledger
}

func newEngine(tb testing.TB) *engine.Engine {
	tb.Helper()
	e, err := engine.Open(context.Background(), engine.Config{Dir: tb.TempDir()})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { e.Close() })
	return e
}

func newBench(tb testing.TB, cfg Config) *bench {
	tb.Helper()
	b := prepare(newEngine(tb), "", cfg)
	b.start(tb)
	tb.Cleanup(func() { b.Close(context.Background()) })
	return b
}

// prepare makes a ledger of a name of its own, to be started.
func prepare(e *engine.Engine, name string, cfg Config) *bench {
	b := &bench{eng: e, name: name, cfg: cfg}
	b.now.Store(time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC).UnixNano())
	b.cfg.Now = func() time.Time { return time.Unix(0, b.now.Load()).UTC() }
	return b
}

type fataler interface{ Fatal(...any) }

func (b *bench) start(t fataler) {
	var err error
	b.Ledger, err = start(context.Background(), b.cfg, 2000, func(ctx context.Context, name string) (log, error) {
		j, err := journal.Open(ctx, b.eng, name+b.name, journal.Limits{})
		if err != nil {
			return nil, err
		}
		f := &faulty{log: j}
		if name == usageLog {
			b.usage = f
		} else {
			b.days = f
		}
		return f, nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func (b *bench) restart(t fataler) {
	b.usage.set(nil, nil)
	if err := b.Close(context.Background()); err != nil {
		t.Fatal(err)
	}
	b.start(t)
}

func (b *bench) use(id int, function string) faas.Usage {
	return faas.Usage{RequestID: fmt.Sprintf("%012d", id), Account: "000000000000", Region: "us-east-1", Function: function,
		Version: fmt.Sprint(id % 3), Start: b.cfg.Now(), Outcome: outcomes[id%len(outcomes)], Run: time.Duration(id), BilledMS: int64(id%7 + 1),
		CPU: time.Duration(id), MemoryMB: 128, PeakMB: id % 128, BytesIn: 1, BytesOut: 2, TmpMB: 1024}
}
