package logs

import (
	"context"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"artesian/internal/engine"
	"artesian/internal/engine/kv"
	"artesian/internal/faas"
)

// TestOrphansAreSwept starts after a crash that came between the two steps of deleting a group: its entry is gone, its
// events are not. A group of another that lives stays whole.
func TestOrphansAreSwept(t *testing.T) {
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
	scope := faas.Scope{Account: faas.DefaultAccount, Region: faas.DefaultRegion}
	dead, alive := GroupID{scope, "dead"}, GroupID{scope, "alive"}
	for _, id := range []GroupID{dead, alive} {
		if err := s.CreateGroup(ctx, id, nil); err != nil {
			t.Fatal(err)
		}
		for _, stream := range []string{"s", "gone"} {
			if err := s.CreateStream(ctx, id, stream); err != nil {
				t.Fatal(err)
			}
			if err := s.Put(ctx, id, stream, []Put{{time.Now(), "message"}}); err != nil {
				t.Fatal(err)
			}
		}
		if err := s.DeleteStream(ctx, id, "gone"); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.change(ctx, dead, nil); err != nil { // the first step
		t.Fatal(err)
	}
	if err := s.Close(ctx); err != nil {
		t.Fatal(err)
	}
	if s, err = Open(ctx, eng, reg, Config{}); err != nil {
		t.Fatal(err)
	}
	defer s.Close(context.Background())
	until(t, func() bool {
		info, err := s.stream.Info(ctx, jetstream.WithSubjectFilter("logs.>"))
		return err == nil && len(info.State.Subjects) == 1 && len(reg.List(scope, streamKind, "")) == 1 && len(reg.List(scope, goneKind, "")) == 1
	})
	page, err := s.Filter(ctx, alive, Query{Limit: 10})
	if err != nil || len(page.Events) != 1 {
		t.Fatal(page, err)
	}
}

func until(t *testing.T, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !done(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("it does not happen")
		}
	}
}
