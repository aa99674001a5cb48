package python_test

import (
	"errors"
	"strings"
	"testing"

	"artesian/internal/compute/lang"
	"artesian/internal/compute/lang/framed"
)

const hooked = `
import os, random, tempfile
from snapshot_restore_py import register_after_restore, register_before_snapshot

random.seed(1)
done, before = [], random.getstate()

@register_before_snapshot
def first():
    done.append("before 1")

register_before_snapshot(lambda word: done.append(word), "before 2")
register_after_restore(done.append, "after 1")

@register_after_restore
def last():
    done.append("after 2 " + os.environ["AWS_SESSION_TOKEN"])

def handler(event, context):
    return [done, random.getstate() == before, context.log_stream_name]
`

func TestSuspend(t *testing.T) {
	f := start(t, "python3.11", hooked)
	s, ok := f.session.(*framed.Session)
	if !ok {
		t.Skip("a session of another kind")
	}
	if _, err := s.Init(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := s.Suspend(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Invoke(t.Context(), lang.Call{}, nil); err == nil {
		t.Error("a call of a process that waits to be saved")
	}
	f.session = framed.Resume(f.sb, []string{"AWS_SESSION_TOKEN=fresh", "AWS_LAMBDA_LOG_STREAM_NAME=another"})
	if _, err := f.session.Init(t.Context()); err != nil {
		t.Fatal(err)
	}
	want := `[["before 2", "before 1", "after 1", "after 2 fresh"], false, "another"]`
	if got, failure := f.call(`{}`); got != want || failure != nil {
		t.Errorf("answer %s, want %s", got, want)
	}
}

// TestSuspendFails: an error of a hook is one of the function's initialisation.
func TestSuspendFails(t *testing.T) {
	for when, hook := range map[string]string{"before": "register_before_snapshot", "after": "register_after_restore"} {
		t.Run(when, func(t *testing.T) {
			f := start(t, "python3.11", "import snapshot_restore_py\n@snapshot_restore_py."+hook+"\ndef f(): raise KeyError('no')\ndef handler(e, c): pass\n")
			s, ok := f.session.(*framed.Session)
			if !ok {
				t.Skip("a session of another kind")
			}
			if _, err := s.Init(t.Context()); err != nil {
				t.Fatal(err)
			}
			err := s.Suspend(t.Context())
			if when == "after" {
				if err != nil {
					t.Fatal(err)
				}
				_, err = framed.Resume(f.sb, nil).Init(t.Context())
			}
			var failure *lang.Failure
			if !errors.As(err, &failure) || failure.Type != "KeyError" || !strings.Contains(string(failure.Document), "no") {
				t.Errorf("a hook that fails: %v", err)
			}
		})
	}
}
