package journal

import (
	"context"
	"testing"

	"artesian/internal/engine"
	"artesian/internal/faas"
)

// TestSubmitIsBounded holds the writer back, so that submissions wait.
func TestSubmitIsBounded(t *testing.T) {
	e, err := engine.Open(t.Context(), engine.Config{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	j, err := Open(t.Context(), e, "bounded", Limits{})
	if err != nil {
		t.Fatal(err)
	}
	j.busy = true
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	half := Record{Kind: 1, Data: make([]byte, j.limit()/2)}
	for range 2*waitingGroups - 1 {
		if _, err := j.Submit(gone, half); faas.KindOf(err) != faas.Unavailable {
			t.Fatalf("a caller who leaves: %v", err)
		}
	}
	if _, err := j.Submit(gone, half, half); faas.KindOf(err) != faas.TooLarge {
		t.Fatalf("more than a group: %v", err)
	}
	if _, err := j.Submit(t.Context(), half, Record{Data: make([]byte, j.limit()/3)}); faas.KindOf(err) != faas.Throttled {
		t.Fatalf("more than may wait: %v", err)
	}
	j.drain()
	if _, err := j.Submit(t.Context(), Record{Kind: 2}); err != nil {
		t.Fatal(err)
	}
	var kinds []uint16
	var groups []Seq
	err = j.Replay(t.Context(), 0, func(seq Seq, r Record) error {
		kinds, groups = append(kinds, r.Kind), append(groups, seq)
		return nil
	})
	if err != nil || len(kinds) != 2*waitingGroups || kinds[len(kinds)-1] != 2 {
		t.Fatalf("%v in groups %v, %v", kinds, groups, err)
	}
}
