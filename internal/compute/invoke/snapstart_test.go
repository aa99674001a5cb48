package invoke_test

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/synctest"

	"artesian/internal/compute/lang"
	"artesian/internal/faas"
)

// TestUnrestored: what goes wrong when an instance goes on from its image is told in Lambda's words; one that ended over it is started
// without its image.
func TestUnrestored(t *testing.T) {
	done := func(_ context.Context, _ lang.Call, out io.Writer) (*lang.Failure, error) {
		_, err := out.Write([]byte(`"done"`))
		return nil, err
	}
	for _, test := range []struct {
		function, code string
		init           func(ctx context.Context, n int) error
		way            string
	}{
		{"pending-snapped", "SnapStartNotReadyException", nil, ""},
		{"snapped", "SnapStartException", func(context.Context, int) error { return &lang.Failure{Type: "ValueError"} }, faas.WaySnapshot},
		{"snapped", "SnapStartTimeoutException", func(ctx context.Context, _ int) error { <-ctx.Done(); return ctx.Err() }, faas.WaySnapshot},
		{"snapped", "", func(_ context.Context, n int) error {
			if n == 1 {
				return lang.ErrExited
			}
			return nil
		}, faas.WayStart},
		{"snapped", "", nil, faas.WaySnapshot},
	} {
		synctest.Test(t, func(t *testing.T) {
			n := 0
			sc := &script{invoke: done}
			if test.init != nil {
				sc.init = func(ctx context.Context) error { n++; return test.init(ctx, n) }
			}
			s := newStage(t, sc)
			defer s.close(t)
			err := s.Invoke(context.Background(), call(test.function), &page{t: t})
			var told *faas.Error
			if errors.As(err, &told); test.code == "" && err != nil || test.code != "" && (told == nil || told.Code != test.code) {
				t.Fatalf("%s: %v, want %q", test.function, err, test.code)
			}
			if test.way == "" {
				return
			}
			u := s.usage[0]
			if u.Cold == nil || u.Cold.Way != test.way || test.code != "" && u.Outcome != faas.OutcomeInit {
				t.Errorf("%s: %+v, cold %+v", test.code, u, u.Cold)
			}
			if got := strings.Contains(strings.Join(s.paper.lines, "\n"), "Restore Duration"); got != (test.way == faas.WaySnapshot && test.code == "") {
				t.Errorf("%s: %q", test.code, s.paper.lines)
			}
		})
	}
}
