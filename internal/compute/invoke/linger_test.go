package invoke_test

import (
	"context"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"artesian/internal/compute/lang"
	"artesian/internal/compute/pool"
	"artesian/internal/faas"
)

// extended is a session with an extension that is at work for a while behind each answer.
type extended struct {
	*script
	rest func(ctx context.Context) error
	told []time.Duration // that calls took
}

func (*extended) Working() bool                    { return true }
func (e *extended) Rest(ctx context.Context) error { return e.rest(ctx) }
func (e *extended) Report(u *faas.Usage, _ *lang.Failure, _ time.Duration) {
	e.told = append(e.told, u.Run)
}

// lingering is a stage whose instances have such sessions.
type lingering struct {
	*stage
	session *extended
	starts  int
}

func (l *lingering) Launch(ctx context.Context, v *faas.Version) (*pool.Running, error) {
	l.starts++
	r, err := l.stage.Launch(ctx, v)
	if err == nil {
		r.Session = l.session
	}
	return r, err
}

func newLingering(t *testing.T, rest func(context.Context) error) *lingering {
	l := &lingering{stage: newStage(t, &script{invoke: func(_ context.Context, _ lang.Call, out io.Writer) (*lang.Failure, error) {
		_, err := io.WriteString(out, "answer")
		return nil, err
	}})}
	l.session = &extended{script: l.script, rest: rest}
	l.over(l)
	return l
}

func resting(d time.Duration, err error) func(context.Context) error {
	return func(ctx context.Context) error {
		select {
		case <-time.After(d):
			return err
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// TestLinger: the answer is out at once, with the log so far; the instance stays the call's until its extensions are done, and the
// call is metered then, once, whether its caller is still there or not.
func TestLinger(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newLingering(t, resting(2*time.Second, nil))
		begun, out := time.Now(), &page{t: t}
		ctx, cancel := context.WithCancel(t.Context())
		if err := s.Invoke(ctx, call("f"), out); err != nil || out.body.String() != "answer" || out.ended != 1 || out.tail.FunctionError != "" {
			t.Fatalf("%v %+v", err, out)
		}
		cancel()
		if d := time.Since(begun); d != 0 || len(s.usage) != 0 {
			t.Errorf("after %v, metered %+v", d, s.usage)
		}
		if log := string(out.tail.Log); !strings.Contains(log, "END") || strings.Contains(log, "REPORT") {
			t.Errorf("log %s", log)
		}
		if err := s.Invoke(t.Context(), call("f"), &page{t: t}); faas.KindOf(err) != faas.Throttled {
			t.Errorf("a second execution of one allowed: %v", err)
		}
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if len(s.usage) != 2 || s.usage[1].Outcome != faas.OutcomeOK || s.usage[1].Run != 2*time.Second || s.usage[1].BilledMS != 2005 || s.usage[1].BytesOut != 6 {
			t.Errorf("usage %+v", s.usage)
		}
		if len(s.session.told) != 1 || s.session.told[0] != 2*time.Second || strings.Count(strings.Join(s.paper.lines, "\n"), "Duration: 2000.00 ms") != 1 {
			t.Errorf("told %v, log %q", s.session.told, s.paper.lines)
		}
		s.session.rest = resting(time.Second/2, nil)
		if err := s.Invoke(t.Context(), call("f"), &page{t: t}); err != nil || s.starts != 1 {
			t.Errorf("then: %v, %d starts", err, s.starts)
		}
		s.close(t) // waits for what lingers
		if len(s.usage) != 3 {
			t.Errorf("usage %+v", s.usage)
		}
	})
}

// TestLingerFails: what extensions do behind the answer changes nothing of it; the instance serves no other call.
func TestLingerFails(t *testing.T) {
	for name, c := range map[string]struct {
		rest    func(context.Context) error
		outcome faas.Outcome
		took    time.Duration
		log     string
	}{
		"timeout": {resting(time.Hour, nil), faas.OutcomeTimeout, 3 * time.Second, "Status: timeout"},
		"crash":   {resting(time.Second, &lang.Crashed{Type: "Extension.Crash", Reason: "exit status 1"}), faas.OutcomeExit, time.Second, "Status: error\tError Type: Extension.Crash"},
		"exit":    {resting(time.Second, lang.ErrExited), faas.OutcomeExit, 2 * time.Second, "Status: error\tError Type: Runtime.ExitError"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newLingering(t, c.rest)
				out := &page{t: t}
				if err := s.Invoke(t.Context(), call("f"), out); err != nil || out.body.String() != "answer" || out.tail.FunctionError != "" || out.tail.Broken != nil {
					t.Fatalf("%v %+v", err, out)
				}
				time.Sleep(c.took)
				synctest.Wait()
				if len(s.usage) != 1 || s.usage[0].Outcome != c.outcome || s.usage[0].Run > c.took {
					t.Errorf("usage %+v", s.usage)
				}
				if log := strings.Join(s.paper.lines, "\n"); strings.Count(log, c.log) != 1 || strings.Count(log, "END RequestId") != 1 {
					t.Errorf("log %s", log)
				}
				if out.body.String() != "answer" || out.ended != 1 {
					t.Errorf("the answer became %+v", out)
				}
				s.session.rest = resting(0, nil)
				if err := s.Invoke(t.Context(), call("f"), &page{t: t}); err != nil || s.starts != 2 {
					t.Errorf("then: %v, %d starts", err, s.starts)
				}
				s.close(t)
			})
		})
	}
}
