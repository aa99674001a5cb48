package framed

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"reflect"
	"strings"
	"testing"

	"artesian/internal/compute/lang"
	"artesian/internal/compute/sandbox"
)

// adopted is a session that begins with spec's assignment, and the other end of its channel.
func adopted(t testing.TB, spec *sandbox.Spec, args ...string) (*Session, *box, net.Conn) {
	t.Helper()
	_, b, other := pair(t)
	return Adopt(b, spec, args...), b, other
}

// read is what a bootstrap makes of an assignment's frame.
func read(r io.Reader) (a Assignment, err error) {
	var head [frameHead]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return a, err
	}
	b := make([]byte, binary.BigEndian.Uint32(head[1:]))
	if _, err := io.ReadFull(r, b); err != nil {
		return a, err
	}
	if head[0] != frameAssignment || len(b) < 2 || b[len(b)-1] != 0 {
		return a, errors.New("no assignment")
	}
	parts := strings.Split(string(b[1:len(b)-1]), "\x00")
	n := int(b[0])
	a.Dir, a.Args, a.Env = parts[0], parts[1:n+1], parts[n+1:]
	return a, nil
}

func TestAdopt(t *testing.T) {
	spec := &sandbox.Spec{Dir: "/var/task", Env: []string{"A=é\xff\n", "B=", "_HANDLER=index.handler"}}
	for name, said := range map[string]string{"greeting unheard": frame('H', "\x01") + frame('R', ""), "greeting heard": frame('R', "")} {
		s, _, other := adopted(t, spec, "one", "")
		say(t, other, said)
		for range 2 {
			phases, err := s.Init(t.Context())
			if err != nil {
				t.Fatal(name, err)
			}
			if heard := name == "greeting heard"; heard != (phases.Runtime == 0) || phases.Init == 0 {
				t.Error(name, phases)
			}
		}
		got, err := read(other)
		if want := (Assignment{Dir: "/var/task", Args: []string{"one", ""}, Env: spec.Env}); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %q, %v", name, got, err)
		}
		_ = s.Close()
		if more, err := io.ReadAll(other); len(more) > 0 {
			t.Errorf("%s: then %q, %v", name, more, err)
		}
	}
}

// TestAdoptInParts: an assignment that the process does not take at once goes on with the next Init, and comes whole.
func TestAdoptInParts(t *testing.T) {
	spec := &sandbox.Spec{Dir: "/", Env: []string{"A=" + strings.Repeat("x", maxAssignment-100)}}
	s, _, other := adopted(t, spec)
	ctx, cancel := context.WithCancel(t.Context())
	got := make(chan error, 1)
	go func() {
		_, err := s.Init(ctx)
		got <- err
	}()
	r := bufio.NewReader(other)
	if _, err := r.Peek(1); err != nil { // it is being sent
		t.Fatal(err)
	}
	cancel()
	if err := <-got; !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	go func() {
		_, err := s.Init(t.Context())
		got <- err
	}()
	if a, err := read(r); err != nil || !reflect.DeepEqual(a.Env, spec.Env) {
		t.Fatal(err, len(a.Env))
	}
	say(t, other, string(greeting[:])+frame('R', ""))
	if err := <-got; err != nil {
		t.Fatal(err)
	}
}

func TestAdoptRefuses(t *testing.T) {
	for want, c := range map[string]struct {
		spec sandbox.Spec
		args []string
	}{
		"environment and arguments are 104": {spec: sandbox.Spec{Env: []string{strings.Repeat("x", maxAssignment)}}},
		"has a NUL":                         {spec: sandbox.Spec{Env: []string{"A=\x00"}}},
		"there are 256 arguments":           {args: make([]string, 256)},
	} {
		s, _, other := adopted(t, &c.spec, c.args...)
		for range 2 {
			if _, err := s.Init(t.Context()); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%v, want %q", err, want)
			}
		}
		_ = s.Close()
		if b, _ := io.ReadAll(other); len(b) > 0 {
			t.Errorf("%s: part of it was sent", want)
		}
	}
}

func TestAdoptDead(t *testing.T) {
	s, b, other := adopted(t, &sandbox.Spec{Dir: "/"})
	_ = other.Close()
	close(b.done)
	if _, err := s.Init(t.Context()); !errors.Is(err, lang.ErrExited) {
		t.Fatal(err)
	}
}

func TestGreeting(t *testing.T) {
	for said, want := range map[string]string{string(greeting[:]): "", frame('H', "\x02"): "instead of a greeting", string(greeting[:]) + "R": "instead of a greeting", "H": "instead of a greeting", "": "EOF"} {
		_, b, other := pair(t)
		say(t, other, said)
		_ = other.(*net.UnixConn).CloseWrite()
		err := Greeting(t.Context(), b.conn)
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%q: %v, want %q", said, err, want)
		}
	}
	_, b, _ := pair(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := Greeting(ctx, b.conn); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

// FuzzAssignment: what is sent is what is read, whatever its bytes, or is refused.
func FuzzAssignment(f *testing.F) {
	f.Add("/var/task", "a", "A=1", "B=\xff\x00")
	f.Add("", "", "", "")
	f.Fuzz(func(t *testing.T, dir, arg, one, two string) {
		want := Assignment{Dir: dir, Args: []string{arg}, Env: []string{one, two}}
		b, err := want.frame()
		if nul := strings.Contains(dir+arg+one+two, "\x00"); nul != (err != nil) {
			t.Fatalf("%q: %v", want, err)
		}
		if err != nil {
			return
		}
		if got, err := read(strings.NewReader(string(b))); err != nil || !reflect.DeepEqual(got, want) {
			t.Fatalf("%q, %v, sent %q", got, err, want)
		}
	})
}

// FuzzAdopted: whatever a process writes that was to be adopted, Init returns, and is content only with what says that it is ready.
func FuzzAdopted(f *testing.F) {
	f.Add([]byte(string(greeting[:]) + frame('R', "")))
	f.Add([]byte(frame('R', "")))
	f.Add([]byte(string(greeting[:]) + frame('I', "\x00\x01E{}")))
	f.Add([]byte(frame('H', "\x02")))
	f.Fuzz(func(t *testing.T, said []byte) {
		s, b, other := adopted(t, &sandbox.Spec{Dir: "/"})
		if _, err := other.Write(said[:min(len(said), 32<<10)]); err != nil {
			t.Skip(err)
		}
		_ = other.(*net.UnixConn).CloseWrite()
		close(b.done)
		_, err := s.Init(t.Context())
		text := strings.TrimPrefix(string(said), string(greeting[:]))
		if ready := strings.HasPrefix(text, "R\x00\x00\x00") && len(text) > 4 && len(text) >= 5+int(text[4]) && text[4] <= 64; ready != (err == nil) {
			t.Fatalf("%q: %v", said, err)
		}
	})
}
