package invoke_test

import (
	"context"
	"errors"
	"io"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"artesian/internal/compute/lang"
	"artesian/internal/faas"
)

// TestReservations: a function with a number of its own has that many places and takes none of the others'; the others have what
// is left. One place of the account is the stage's limit.
func TestReservations(t *testing.T) {
	for _, c := range []struct {
		name     string
		reserved map[string]int
		ready    map[string]int
		running  string // one call of it runs
		call     string
		reason   string // of the refusal of the next; none is let in
	}{
		{"nothing reserved", nil, nil, "f", "g", "ConcurrentInvocationLimitExceeded"},
		{"own place beside another's", map[string]int{"f": 1}, nil, "f", "f", "ReservedFunctionConcurrentInvocationLimitExceeded"},
		{"two own places", map[string]int{"f": 2}, nil, "f", "f", ""},
		{"all is reserved", map[string]int{"f": 1}, nil, "f", "g", "ConcurrentInvocationLimitExceeded"},
		{"none of its own", map[string]int{"g": 0}, nil, "f", "g", "ReservedFunctionConcurrentInvocationLimitExceeded"},
		{"kept ready: others have none of it", nil, map[string]int{"f": 1}, "f", "g", "ConcurrentInvocationLimitExceeded"},
		{"kept ready, two places", nil, map[string]int{"f": 2}, "f", "f", ""},
		{"beyond what is kept ready", nil, map[string]int{"f": 1}, "f", "f", "ConcurrentInvocationLimitExceeded"},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newStage(t, &script{invoke: func(context.Context, lang.Call, io.Writer) (*lang.Failure, error) {
					time.Sleep(time.Second)
					return nil, nil
				}})
				s.reserved, s.ready = c.reserved, c.ready
				var wg sync.WaitGroup
				wg.Go(func() {
					if err := s.Invoke(t.Context(), call(c.running), &page{t: t}); err != nil {
						t.Error(err)
					}
				})
				synctest.Wait()
				err := s.Invoke(t.Context(), call(c.call), &page{t: t})
				var e *faas.Error
				if got := errors.As(err, &e); got != (c.reason != "") || got && (e.Kind != faas.Throttled || e.Reason != c.reason) {
					t.Errorf("%v", err)
				}
				wg.Wait()
				s.close(t)
			})
		})
	}
}
