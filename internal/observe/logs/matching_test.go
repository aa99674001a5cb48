package logs

import (
	"context"
	"errors"
	"testing"
	"time"

	"artesian/internal/engine"
	"artesian/internal/engine/kv"
	"artesian/internal/faas"
)

// TestMatchingIsBounded: patterns take no more than their part of the processors; who has none goes on beside them.
func TestMatchingIsBounded(t *testing.T) {
	ctx := t.Context()
	eng, err := engine.Open(ctx, engine.Config{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer eng.Close()
	reg, err := kv.Open(ctx, eng)
	if err != nil {
		t.Fatal(err)
	}
	defer reg.Close()
	s, err := Open(ctx, eng, reg, Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close(context.Background())
	id := GroupID{faas.Scope{Account: faas.DefaultAccount, Region: faas.DefaultRegion}, "g"}
	if err := errors.Join(s.CreateGroup(ctx, id, nil), s.CreateStream(ctx, id, "s"), s.Put(ctx, id, "s", []Put{{time.Now(), "message"}})); err != nil {
		t.Fatal(err)
	}
	all := Query{Limit: 10}
	matching := Query{Limit: 10, Match: func(string) bool { return true }}
	if p, err := s.Filter(ctx, id, matching); err != nil || len(p.Events) != 1 {
		t.Fatalf("%+v, %v", p, err)
	}
	for range cap(s.patterns) {
		s.patterns <- struct{}{}
	}
	late, cancel := context.WithTimeout(ctx, 100*time.Millisecond)
	defer cancel()
	if p, err := s.Filter(late, id, matching); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("beside all others: %+v, %v", p, err)
	}
	if p, err := s.Filter(ctx, id, all); err != nil || len(p.Events) != 1 {
		t.Errorf("without a pattern: %+v, %v", p, err)
	}
	for range cap(s.patterns) {
		<-s.patterns
	}
	if p, err := s.Filter(ctx, id, matching); err != nil || len(p.Events) != 1 {
		t.Errorf("afterwards: %+v, %v", p, err)
	}
}
