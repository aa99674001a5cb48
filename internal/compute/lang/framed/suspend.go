package framed

import (
	"context"
	"errors"
	"net"

	"artesian/internal/compute/sandbox"
)

// errSuspended is why a session that was suspended takes no calls.
var errSuspended = errors.New("the process waits to be saved")

// Suspend has the process get ready to be saved: what the function wants done before is done when it returns, and the process only waits
// for the other side of a restore. The session is over. Its errors are those of Init.
func (s *Session) Suspend(ctx context.Context) error {
	switch {
	case s.failed != nil:
		return s.failed
	case !s.ready:
		return errors.New("suspend before the end of the initialisation")
	}
	defer bound(ctx, s.conn)()
	if _, err := s.conn.Write([]byte{framePrepare, 0, 0, 0, 0}); err != nil {
		return s.fail(s.why(ctx, err))
	}
	if _, err := s.frame(ctx, framePrepare); err != nil {
		return err
	}
	s.failed = errSuspended
	return nil
}

// Resume takes over the channel of a process that was restored after Suspend, in a sandbox of spec. Its Init waits until what the
// function wants done after a restore is done; env is what is new in the environment.
func Resume(sb sandbox.Sandbox, env []string) *Session {
	s := New(sb)
	s.assigning = NewWaking(s.conn, env)
	return s
}

// NewWaking prepares to tell a process that was restored after Suspend that it goes on, with env new in its environment.
func NewWaking(conn *net.UnixConn, env []string) *Assigning {
	a := NewAssigning(conn, Assignment{Dir: "/", Env: env})
	if a.err == nil {
		a.rest[0] = frameWake
	}
	return a
}
