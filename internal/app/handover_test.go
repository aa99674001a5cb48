package app

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"artesian/internal/account/meter"
	"artesian/internal/compute/lang"
	"artesian/internal/compute/pool"
	"artesian/internal/compute/registry"
	"artesian/internal/compute/sandbox"
	"artesian/internal/engine/kv"
	"artesian/internal/faas"
)

// records is a store that tells one follower of each kind of key what is written, at once.
type records struct {
	rev     uint64
	entries map[kv.Key]kv.Entry
	follow  map[string]func(kv.Entry, bool)
}

func (s *records) Create(_ context.Context, key kv.Key, value []byte) (uint64, error) {
	s.rev++
	e := kv.Entry{Key: key, Value: value, Rev: s.rev}
	s.entries[key] = e
	s.follow[key.Kind](e, false)
	return s.rev, nil
}

func (s *records) Update(ctx context.Context, key kv.Key, value []byte, _ uint64) (uint64, error) {
	return s.Create(ctx, key, value)
}

func (s *records) Delete(_ context.Context, key kv.Key, _ uint64) error {
	delete(s.entries, key)
	s.follow[key.Kind](kv.Entry{Key: key}, true)
	return nil
}

func (s *records) Get(key kv.Key) (kv.Entry, bool) { e, ok := s.entries[key]; return e, ok }

func (s *records) Page(faas.Scope, string, string, string, int) ([]kv.Entry, bool) { return nil, false }

func (s *records) Watch(kind string, fn func(kv.Entry, bool)) func() {
	s.follow[kind] = fn
	return func() {}
}

// starts launches instances, those of a version after its time.
type starts struct {
	mu   sync.Mutex
	take map[string]time.Duration
}

func (s *starts) Launch(ctx context.Context, v *faas.Version) (*pool.Running, error) {
	s.mu.Lock()
	take := s.take[v.ID.Version]
	s.mu.Unlock()
	select {
	case <-time.After(take):
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	return &pool.Running{Sandbox: &still{done: make(chan struct{})}, Session: said{}, Output: quiet{}}, nil
}

type still struct {
	sandbox.Sandbox
	done chan struct{}
	once sync.Once
}

func (s *still) SetCPU(float64) error          { return nil }
func (s *still) Freeze() error                 { return nil }
func (s *still) Usage() (sandbox.Usage, error) { return sandbox.Usage{}, nil }
func (s *still) Done() <-chan struct{}         { return s.done }
func (s *still) Close() error                  { s.once.Do(func() { close(s.done) }); return nil }

type said struct{ lang.Session }

func (said) Init(context.Context) (lang.InitPhases, error) { return lang.InitPhases{}, nil }
func (said) Close() error                                  { return nil }

type quiet struct{ pool.Output }

func (quiet) Close() {}

// moving is a function with versions 1 and 2, whose alias live has instances kept ready.
type moving struct {
	*App
	t      *testing.T
	id     faas.FunctionID
	billed map[string]int64 // by version, MB × milliseconds
}

func (m *moving) Held(k meter.Key, mbMS int64) { m.billed[k.Version] += mbMS }

func move(t *testing.T, count int, take map[string]time.Duration) *moving {
	m := &moving{t: t, id: faas.FunctionID{Name: "f"}, billed: map[string]int64{}}
	m.App = &App{pool: pool.New(&starts{take: take}, pool.Config{})}
	m.held.ledger = m
	m.functions = registry.Open(&records{entries: map[kv.Key]kv.Entry{}, follow: map[string]func(kv.Entry, bool){}}, time.Now, slog.New(slog.DiscardHandler),
		func(v faas.VersionID) { m.held.note(v.FunctionID) })
	m.must(nil, m.provision(t.Context()))
	v := faas.Version{ID: faas.VersionID{FunctionID: m.id}, State: faas.Active, MemoryMB: 128}
	m.must(m.functions.Create(t.Context(), v, nil, true))
	m.must(m.functions.Update(t.Context(), m.id, "", true, func(r *registry.Record) error { r.Version.Code.SHA256 = "2"; return nil }))
	m.must(m.functions.CreateAlias(t.Context(), m.id, faas.Alias{Name: "live", Version: "1"}))
	m.must(m.functions.Provision(t.Context(), m.id, "live", count, 1000))
	return m
}

func (m *moving) must(_ any, err error) {
	m.t.Helper()
	if err != nil {
		m.t.Fatal(err)
	}
}

func (m *moving) update(change func(*faas.Alias)) {
	m.t.Helper()
	m.must(m.functions.UpdateAlias(m.t.Context(), m.id, "live", "", func(a *faas.Alias) error { change(a); return nil }))
}

// expect waits until nothing moves, and compares where calls go and what is kept ready of which version.
func (m *moving) expect(when string, at float64, serves string, ready map[string]int) {
	m.t.Helper()
	synctest.Wait()
	v, err := m.functions.Resolve(m.id, "live", at)
	if err != nil || v.ID.Version != serves {
		m.t.Errorf("%s: calls go to %+v, %v; want version %s", when, v, err, serves)
	}
	for number, n := range ready {
		rec, err := m.functions.Get(m.id, number)
		if err != nil {
			m.t.Fatal(err)
		}
		if held := m.pool.Holds(rec.Version.ID); held.There != n {
			m.t.Errorf("%s: %d of version %s are ready, want %d", when, held.There, number, n)
		}
	}
}

func (m *moving) end() {
	for i := len(m.stops) - 1; i >= 0; i-- {
		m.must(nil, m.stops[i](m.t.Context()))
	}
	m.must(nil, m.pool.Close(m.t.Context()))
}

// TestHandOverIsBounded: an alias's calls go to its old version while the new one's instances are made, and no longer than the bound,
// though they never are.
func TestHandOverIsBounded(t *testing.T) {
	for name, c := range map[string]struct {
		takes, moves time.Duration
	}{"soon": {5 * time.Second, 5 * time.Second}, "never": {time.Hour, handOverTime}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := move(t, 2, map[string]time.Duration{"2": c.takes})
				m.expect("at first", 0, "1", map[string]int{"1": 2, "2": 0})
				m.update(func(a *faas.Alias) { a.Version = "2" })
				m.expect("moved", 0, "1", map[string]int{"1": 2, "2": 0})
				time.Sleep(c.moves - time.Millisecond)
				m.expect("just before", 0, "1", map[string]int{"1": 2, "2": 0})
				time.Sleep(2 * time.Millisecond)
				m.expect("just after", 0, "2", map[string]int{"1": 0})
				m.end()
			})
		})
	}
}

// TestKeptIsBilledToTheMillisecond: what is kept ready is billed from when it is there until it is not, of each version.
func TestKeptIsBilledToTheMillisecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := move(t, 2, map[string]time.Duration{"1": 3 * time.Second, "2": 5 * time.Second})
		time.Sleep(3*time.Second + 90*time.Second)
		m.update(func(a *faas.Alias) { a.Version = "2" })
		time.Sleep(5*time.Second + 10*time.Minute + time.Millisecond)
		synctest.Wait()
		m.must(nil, m.functions.Unprovision(t.Context(), m.id, "live"))
		time.Sleep(time.Hour)
		m.end()
		const each = 2 * 128
		if want := int64(each * (90 + 5) * 1000); m.billed["1"] != want {
			t.Errorf("version 1: %d MB ms, want %d", m.billed["1"], want)
		}
		if want := int64(each * (10*60*1000 + 1)); m.billed["2"] != want {
			t.Errorf("version 2: %d MB ms, want %d", m.billed["2"], want)
		}
	})
}

// TestHandOverWaitsForEachVersion: of fewer instances than versions, the old one's do not pass for the new one's.
func TestHandOverWaitsForEachVersion(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := move(t, 1, map[string]time.Duration{"2": 5 * time.Second})
		m.expect("at first", 0, "1", map[string]int{"1": 1})
		m.update(func(a *faas.Alias) { a.Other, a.Share = "2", 0.5 })
		for _, at := range []float64{0, 0.99} {
			m.expect("weighted", at, "1", map[string]int{"1": 1, "2": 0})
		}
		rec, err := m.functions.Get(m.id, "")
		m.must(nil, err)
		if now := m.provisioned(rec, "live"); now.Ready {
			t.Errorf("%+v", now)
		}
		time.Sleep(6 * time.Second)
		served := map[string]bool{}
		for _, at := range []float64{0, 0.99} {
			v, err := m.functions.Resolve(m.id, "live", at)
			m.must(v, err)
			served[v.ID.Version] = true
		}
		if text := fmt.Sprint(served); text != "map[1:true 2:true]" {
			t.Errorf("calls go to %s", text)
		}
		m.end()
	})
}
