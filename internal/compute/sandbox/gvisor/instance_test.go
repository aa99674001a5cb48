package gvisor

import (
	"context"
	"errors"
	"net"
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"artesian/internal/compute/sandbox"
	"artesian/internal/compute/sandbox/gvisor/wire"
)

// around is the sandbox of a supervisor that the test plays.
type around struct {
	sandbox.Sandbox
	near *net.UnixConn
	done chan struct{}
}

func (a *around) Channel() *net.UnixConn        { return a.near }
func (a *around) Done() <-chan struct{}         { return a.done }
func (a *around) Exit() sandbox.Exit            { return sandbox.Exit{} }
func (a *around) Usage() (sandbox.Usage, error) { return sandbox.Usage{}, errors.New("no kernel") }
func (a *around) Close() error                  { return nil }

// supervised is an instance and the other end of what it talks over.
func supervised(t *testing.T, beside int) (i *instance, far *net.UnixConn) {
	t.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	var ends [2]*net.UnixConn
	for n, fd := range fds {
		f := os.NewFile(uintptr(fd), "supervisor")
		c, err := net.FileConn(f)
		if err = errors.Join(err, f.Close()); err != nil {
			t.Fatal(err)
		}
		ends[n] = c.(*net.UnixConn)
		t.Cleanup(func() { _ = c.Close() })
	}
	a := &around{near: ends[0], done: make(chan struct{})}
	i = &instance{Sandbox: a, answers: make(chan wire.News, 1), done: make(chan struct{}), ended: make(chan sandbox.Ended, beside),
		spec: sandbox.Spec{Beside: make([]sandbox.Program, beside)}, main: make(chan struct{})}
	go i.listen()
	t.Cleanup(func() {
		_ = ends[1].Close()
		close(a.done)
		<-i.done
	})
	return i, ends[1]
}

func ordered(t *testing.T, far *net.UnixConn, kind string) (o wire.Order) {
	t.Helper()
	files, err := wire.Read(far, &o)
	wire.Close(files)
	if err != nil || o.Kind != kind {
		t.Fatalf("order %+v, want %s: %v", o, kind, err)
	}
	return o
}

func tell(t *testing.T, far *net.UnixConn, n wire.News) {
	t.Helper()
	if err := wire.Write(far, n); err != nil {
		t.Fatal(err)
	}
}

// TestLateAnswer: the answer to an order that nobody waits for any more is not taken for that to the next one.
func TestLateAnswer(t *testing.T) {
	i, far := supervised(t, 0)
	given, cancel := context.WithCancel(t.Context())
	first := make(chan error, 1)
	go func() { first <- i.ask(given, wire.Order{Kind: wire.Pause}) }()
	pause := ordered(t, far, wire.Pause)
	cancel()
	if err := <-first; !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	second := make(chan error, 1)
	tell(t, far, wire.News{Kind: wire.Done, Number: pause.Number})
	go func() { second <- i.ask(t.Context(), wire.Order{Kind: wire.Save}) }()
	save := ordered(t, far, wire.Save)
	tell(t, far, wire.News{Kind: wire.Done, Number: pause.Number})
	tell(t, far, wire.News{Kind: wire.Failed, Number: save.Number, Error: "no room"})
	if err := <-second; err == nil || err.Error() != "no room" {
		t.Errorf("the order to save came out with %v", err)
	}
}

// TestBrokenOut: whatever ends of programs a supervisor tells of, as often as it likes, who listens goes on, and hears of those that there are.
func TestBrokenOut(t *testing.T) {
	i, far := supervised(t, 1)
	for _, n := range []int{-1, 7, 0, 0, 0} {
		tell(t, far, wire.News{Kind: wire.Left, Program: n, Status: 3 << 8})
	}
	asked := make(chan error, 1)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	go func() { asked <- i.ask(ctx, wire.Order{Kind: wire.Pause}) }()
	tell(t, far, wire.News{Kind: wire.Done, Number: ordered(t, far, wire.Pause).Number})
	if err := <-asked; err != nil {
		t.Fatal(err)
	}
	if e := <-i.ended; e != (sandbox.Ended{Code: 3}) || len(i.ended) != 0 {
		t.Errorf("ended: %+v and %d more", e, len(i.ended))
	}
}
