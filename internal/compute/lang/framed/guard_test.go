package framed

import (
	"bytes"
	"context"
	"errors"
	"net"
	"testing"
	"time"

	"artesian/internal/compute/lang"
)

// TestOwnTime is about calls that are bounded by their own time: one that ends early leaves nothing behind for a later one, and
// one that does not end is over in time.
func TestOwnTime(t *testing.T) {
	s, _, other := ready(t)
	var out bytes.Buffer
	say(t, other, frame('A', "\x00\x00\x00\x01one")+frame('A', "\x00\x00\x00\x02two"))
	short := lang.NewUntil(time.Now().Add(50 * time.Millisecond))
	defer short.Stop()
	if _, err := s.Invoke(short, lang.Call{}, &out); err != nil {
		t.Fatal(err)
	}
	<-short.Done()
	long := lang.NewUntil(time.Now().Add(time.Hour))
	defer long.Stop()
	if _, err := s.Invoke(long, lang.Call{}, &out); err != nil {
		t.Fatal("the time of the call before ended this one:", err)
	}
	last := lang.NewUntil(time.Now().Add(50 * time.Millisecond))
	defer last.Stop()
	if _, err := s.Invoke(last, lang.Call{}, &out); !errors.Is(err, context.DeadlineExceeded) {
		t.Error("a call without an answer ended by", err)
	}
	if out.String() != "onetwo" {
		t.Errorf("answers %q", out.String())
	}
}

// nothing is a writer that keeps nothing.
type nothing struct{}

func (nothing) Write(p []byte) (int, error) { return len(p), nil }

// TestCallAllocates: a call in its own time, with a small answer, takes no memory.
func TestCallAllocates(t *testing.T) {
	s, _, other := ready(t)
	go echo(other)
	until := lang.NewUntil(time.Now().Add(time.Hour))
	defer until.Stop()
	c := lang.Call{RequestID: "11111111-2222-4333-8444-555555555555", FunctionARN: "arn:aws:lambda:us-east-1:000000000000:function:f",
		Trace: "Root=1-2-3", Payload: []byte(`{"name": "Ada"}`), Deadline: time.Now()}
	if n := testing.AllocsPerRun(200, func() {
		if _, err := s.Invoke(until, c, nothing{}); err != nil {
			t.Error(err)
		}
	}); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkCall(b *testing.B) {
	s, _, other := ready(b)
	go echo(other)
	until := lang.NewUntil(time.Now().Add(time.Hour))
	defer until.Stop()
	c := lang.Call{RequestID: "11111111-2222-4333-8444-555555555555", Payload: []byte(`{"name": "Ada"}`)}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := s.Invoke(until, c, nothing{}); err != nil {
			b.Fatal(err)
		}
	}
}

// echo answers every call with two bytes, and is a function that does nothing else.
func echo(c net.Conn) {
	var in [4096]byte
	answer := []byte(frame('A', "\x00\x00\x00\x00{}"))
	for {
		if _, err := c.Read(in[:]); err != nil {
			return
		}
		copy(answer[frameHead:], in[frameHead:frameHead+callHead])
		if _, err := c.Write(answer); err != nil {
			return
		}
	}
}
