package framed

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"os"
	"time"

	"artesian/internal/compute/sandbox"
)

// maxAssignment bounds an assignment's payload. Lambda allows 4 KB of a function's own variables; what the platform adds, the
// tokens of temporary credentials above all, is about as much again.
const maxAssignment = 1 << 20

// Assignment is what a generic process, which was started before anybody knew for whom, is told before it loads a function.
type Assignment struct {
	Dir  string   // working directory
	Args []string // the arguments that the runtime's program would have had
	Env  []string // the whole environment
}

// frame returns the assignment as the frame that it travels in.
func (a *Assignment) frame() ([]byte, error) {
	n := 3 + len(a.Dir)
	for _, list := range [][]string{a.Args, a.Env} {
		for _, s := range list {
			n += len(s) + 1
		}
	}
	if n > maxAssignment {
		return nil, fmt.Errorf("environment and arguments are %d bytes, and a process that runs already takes %d", n, maxAssignment)
	}
	if len(a.Args) > 255 {
		return nil, fmt.Errorf("there are %d arguments, and a process that runs already takes 255", len(a.Args))
	}
	b := make([]byte, 0, frameHead+n)
	b = append(b, frameAssignment, 0, 0, 0, 0, byte(len(a.Args)))
	b = append(append(b, a.Dir...), 0)
	for _, list := range [][]string{a.Args, a.Env} {
		for _, s := range list {
			b = append(append(b, s...), 0)
		}
	}
	if bytes.Count(b[frameHead+1:], []byte{0}) != 1+len(a.Args)+len(a.Env) {
		return nil, errors.New("the working directory, an argument or a variable of the environment has a NUL in it")
	}
	binary.BigEndian.PutUint32(b[1:], uint32(len(b)-frameHead))
	return b, nil
}

// Assigning hands an assignment over, once, however often it is asked to.
type Assigning struct {
	conn *net.UnixConn
	rest []byte // what has not been sent
	err  error  // why it can't be
}

// NewAssigning prepares to send a over the channel of a generic process.
func NewAssigning(conn *net.UnixConn, a Assignment) *Assigning {
	b, err := a.frame()
	return &Assigning{conn: conn, rest: b, err: err}
}

// Send writes what has not been sent. Its error is ctx's when that ended first: then the next Send goes on.
func (a *Assigning) Send(ctx context.Context) error {
	if len(a.rest) == 0 || a.err != nil {
		return a.err
	}
	defer bound(ctx, a.conn)()
	n, err := a.conn.Write(a.rest)
	a.rest = a.rest[n:]
	if errors.Is(err, os.ErrDeadlineExceeded) && ctx.Err() != nil {
		return ctx.Err()
	}
	if len(a.rest) == 0 {
		a.rest = nil
	}
	return err
}

// Gone reports whether the other end is why Send failed.
func (a *Assigning) Gone() bool { return a.err == nil && len(a.rest) > 0 }

// Adopt takes over the channel of a generic process in a sandbox that has become the one of spec. The session begins with the
// assignment: working directory and environment are spec's, args what the runtime's program takes besides.
func Adopt(sb sandbox.Sandbox, spec *sandbox.Spec, args ...string) *Session {
	s := New(sb)
	s.assigning = NewAssigning(s.conn, Assignment{Dir: spec.Dir, Args: args, Env: spec.Env})
	return s
}

// Greeting waits for what a generic process says once it is ready for its assignment. A session finds out by itself whether
// somebody has heard it; reading it sooner tells which processes are ready, and that they live.
func Greeting(ctx context.Context, conn *net.UnixConn) error {
	defer bound(ctx, conn)()
	var b [frameHead + 2]byte // one more than there may be
	n, err := conn.Read(b[:])
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded) && ctx.Err() != nil:
		return ctx.Err()
	case err != nil:
		return fmt.Errorf("wait for a generic process: %w", err)
	case !bytes.Equal(b[:n], greeting[:]):
		return broken("%q instead of a greeting", b[:n])
	}
	return nil
}

// bound makes reads and writes of conn end with ctx, until the returned function is called.
func bound(ctx context.Context, conn *net.UnixConn) (release func()) {
	if ctx.Done() == nil {
		return func() {}
	}
	done := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		_ = conn.SetDeadline(time.Unix(1, 0))
		close(done)
	})
	return func() {
		if !stop() {
			<-done
			_ = conn.SetDeadline(time.Time{})
		}
	}
}
