package journal

import (
	"context"
	"errors"
	"slices"
	"testing"

	"github.com/nats-io/nats.go/jetstream"

	"artesian/internal/engine"
)

// silent delivers nothing.
type silent struct{ jetstream.MessagesContext }

func (silent) Next(...jetstream.NextOpt) (jetstream.Msg, error) { return nil, context.DeadlineExceeded }

func ofGroups(t *testing.T, n int) *Journal {
	t.Helper()
	e, err := engine.Open(t.Context(), engine.Config{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { e.Close() })
	j, err := Open(t.Context(), e, "late", Limits{})
	if err != nil {
		t.Fatal(err)
	}
	for i := range n {
		if _, err := j.Append(t.Context(), Seq(i), Record{Data: []byte{byte(i)}}); err != nil {
			t.Fatal(err)
		}
	}
	return j
}

// TestLateDeliveryIsNoDamage: what the stream has is read although it does not come.
func TestLateDeliveryIsNoDamage(t *testing.T) {
	j := ofGroups(t, 4)
	var seen []Seq
	keep := func(seq Seq, _ Record) error {
		seen = append(seen, seq)
		return nil
	}
	if err := j.TrimBefore(t.Context(), 3); err != nil {
		t.Fatal(err)
	}
	if err := j.read(t.Context(), silent{}, 1, 4, keep); err != nil || !slices.Equal(seen, []Seq{3, 4}) {
		t.Fatal(seen, err)
	}
	seen = nil
	var damage *DamageError
	if err := j.read(t.Context(), silent{}, 4, 5, keep); !errors.As(err, &damage) || damage.Seq != 5 || !slices.Equal(seen, []Seq{4}) {
		t.Fatal(seen, err)
	}
}

// TestTrimmedWhileReplayed: the end of what a replay is to read goes before it is delivered.
func TestTrimmedWhileReplayed(t *testing.T) {
	const groups = 2 * jetstream.DefaultMaxMessages // more than are on the way at a time
	j := ofGroups(t, groups)
	seen := Seq(0)
	err := j.Replay(t.Context(), 0, func(seq Seq, _ Record) error {
		if seq != seen+1 {
			t.Errorf("%d after %d", seq, seen)
		}
		if seen = seq; seq == 1 {
			return j.TrimBefore(t.Context(), groups+1)
		}
		return nil
	})
	if err != nil || seen == groups {
		t.Fatalf("seen up to %d, %v", seen, err)
	}
}
