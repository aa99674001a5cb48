package invoke_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"artesian/internal/compute/lang"
	"artesian/internal/faas"
)

// reader is the sink of a caller who takes a stream: each write waits until it is let through.
type reader struct {
	heads  []faas.Head
	writes chan []byte // as they are let through; nil takes all at once
	err    error       // of every write
	tries  int
	body   bytes.Buffer
	tails  []faas.Tail
}

func (r *reader) Begin(h faas.Head) error { r.heads = append(r.heads, h); return nil }

func (r *reader) Write(p []byte) (int, error) {
	if r.tries++; r.err != nil {
		return 0, r.err
	}
	if r.writes != nil {
		r.writes <- bytes.Clone(p)
	}
	return r.body.Write(p)
}

func (r *reader) End(t faas.Tail) error { r.tails = append(r.tails, t); return nil }

func streamCall() faas.Invocation {
	inv := call("f")
	inv.Stream, inv.Tail = true, false
	return inv
}

// streaming answers piece by piece; between, it waits for tick, which may be nil.
func streaming(tick chan struct{}, fail *lang.Failure, pieces ...string) *script {
	return &script{invoke: func(ctx context.Context, c lang.Call, out io.Writer) (*lang.Failure, error) {
		if c.Stream == nil {
			return nil, errors.New("no stream is taken")
		}
		if err := c.Stream("text/plain"); err != nil {
			return nil, err
		}
		for _, p := range pieces {
			if tick != nil {
				<-tick
			}
			if _, err := io.WriteString(out, p); err != nil {
				return nil, err
			}
		}
		return fail, nil
	}}
}

// TestStreamAsItComes: head and pieces are with the caller before the function goes on.
func TestStreamAsItComes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tick := make(chan struct{})
		s := newStage(t, streaming(tick, nil, "one", "two"))
		out := &reader{}
		done := make(chan error, 1)
		go func() { done <- s.Invoke(t.Context(), streamCall(), out) }()
		for i, want := range []string{"", "one", "onetwo"} {
			if i > 0 {
				tick <- struct{}{}
			}
			synctest.Wait()
			if len(out.heads) != 1 || out.heads[0] != (faas.Head{ExecutedVersion: faas.Latest, ContentType: "text/plain"}) || out.body.String() != want {
				t.Fatalf("%+v %q, want %q", out.heads, out.body.String(), want)
			}
		}
		if err := <-done; err != nil || len(out.tails) != 1 || out.tails[0].FunctionError != "" || s.usage[0].BytesOut != 6 {
			t.Errorf("%v %+v %+v", err, out.tails, s.usage)
		}
		s.close(t)
	})
}

// TestSlowReader: the function waits for a caller who does not read, for no longer than its own time; the caller gets what
// there was, and that it broke off.
func TestSlowReader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		piece := strings.Repeat("x", 1<<20)
		s := newStage(t, streaming(nil, nil, piece))
		out := &reader{writes: make(chan []byte)}
		done := make(chan error, 1)
		begun := time.Now()
		go func() { done <- s.Invoke(t.Context(), streamCall(), out) }()
		time.Sleep(10 * time.Second) // the function has three
		if n := s.pool.List(); len(n) != 0 {
			t.Errorf("the instance is still there after %v: %+v", time.Since(begun), n)
		}
		s.script.invoke = answering("1").invoke
		if err := s.Invoke(t.Context(), call("other"), &page{t: t}); err != nil { // there is one place
			t.Error("its place is still taken:", err)
		}
		var got int
		for ended := false; !ended; {
			select {
			case p := <-out.writes:
				got += len(p)
			case err := <-done:
				if ended = true; err != nil {
					t.Error(err)
				}
			}
		}
		if got == 0 || got >= len(piece) || !strings.Contains(string(out.tails[0].Broken), "timed out") || s.usage[0].Outcome != faas.OutcomeTimeout {
			t.Errorf("%d bytes, %+v %+v", got, out.tails, s.usage)
		}
		s.close(t)
	})
}

// TestRestIsSentAfterTheCall: the instance is free as soon as the function is done, however slowly its caller reads.
func TestRestIsSentAfterTheCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t, streaming(nil, nil, "one"))
		out := &reader{writes: make(chan []byte)}
		done := make(chan error, 1)
		go func() { done <- s.Invoke(t.Context(), streamCall(), out) }()
		synctest.Wait()
		s.script.invoke = answering("1").invoke
		if err := s.Invoke(t.Context(), call("f"), &page{t: t}); err != nil || s.usage[1].Cold != nil {
			t.Errorf("%v %+v", err, s.usage)
		}
		<-out.writes
		if err := <-done; err != nil || s.usage[0].Outcome != faas.OutcomeOK {
			t.Errorf("%v %+v", err, s.usage[0])
		}
		s.close(t)
	})
}

// TestReaderGone: a function whose caller has gone runs to its end, unhindered.
func TestReaderGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t, streaming(nil, nil, strings.Repeat("x", 1<<20), "end"))
		gone := errors.New("connection reset")
		out := &reader{err: gone}
		if err := s.Invoke(t.Context(), streamCall(), out); !errors.Is(err, gone) || len(out.tails) != 0 || out.tries != 1 {
			t.Errorf("%v %+v, %d writes", err, out.tails, out.tries)
		}
		if u := s.usage[0]; u.Outcome != faas.OutcomeOK || u.BytesOut != 1<<20+3 {
			t.Errorf("%+v", u)
		}
		s.close(t)
	})
}

// TestStreamBreaksOff: an error behind the first byte goes where the answer ends, one before it is the answer.
func TestStreamBreaksOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fail := &lang.Failure{Type: "E", Document: []byte(`{"errorType":"E"}`), BrokenOff: true}
		s := newStage(t, streaming(nil, fail, "part"))
		out := &reader{}
		if err := s.Invoke(t.Context(), streamCall(), out); err != nil {
			t.Fatal(err)
		}
		if tail := out.tails[0]; tail.FunctionError == "" || string(tail.Broken) != string(fail.Document) || out.body.String() != "part" {
			t.Errorf("%+v %q", tail, out.body.String())
		}
		s.script.invoke = func(context.Context, lang.Call, io.Writer) (*lang.Failure, error) { return fail, nil }
		whole := &page{t: t}
		if err := s.Invoke(t.Context(), call("f"), whole); err != nil || whole.body.String() != string(fail.Document) || whole.tail.Broken != nil {
			t.Errorf("%v %q %+v", err, whole.body.String(), whole.tail)
		}
		s.close(t)
	})
}
