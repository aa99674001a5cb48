package framed

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"os"
	"time"

	"artesian/internal/compute/lang"
	"artesian/internal/compute/sandbox"
	"artesian/internal/compute/sandbox/direct"
)

// exitWait is how long the end of a process may lag behind the end of its channel.
const exitWait = time.Second

// smallCall is the size up to which a call is copied together and leaves in one plain write; chunk is how much of a large
// answer is passed on at once.
const (
	smallCall = 8 << 10
	chunk     = 64 << 10
)

// Session is a lang.Session over sandbox.Channel.
type Session struct {
	sb    sandbox.Sandbox
	conn  *net.UnixConn
	small *direct.Conn // conn, for what calls read and write of it in small pieces
	begun time.Time

	assigning *Assigning // for a generic process: sent before all else; nil otherwise

	hello  time.Time // when the bootstrap spoke
	ready  bool
	failed error // why no further call is possible
	seq    uint32
	guard  guard

	buf  [4096]byte // what was read and not yet used: buf[r:w]
	r, w int
	out  []byte // where calls are put together
}

// New takes over the channel of a sandbox whose process was just executed.
func New(sb sandbox.Sandbox) *Session {
	conn := sb.Channel()
	return &Session{sb: sb, conn: conn, small: direct.New(conn), begun: time.Now(), guard: guard{conn: conn}}
}

// Close ends the conversation; what waits in Init or Invoke returns.
func (s *Session) Close() error {
	s.guard.stop()
	return s.conn.Close()
}

// Init implements lang.Session.
func (s *Session) Init(ctx context.Context) (lang.InitPhases, error) {
	if s.failed != nil {
		return lang.InitPhases{}, s.failed
	}
	if s.assigning != nil {
		if err := s.assign(ctx); err != nil {
			return lang.InitPhases{Runtime: time.Since(s.begun)}, err
		}
	}
	defer bound(ctx, s.conn)()
	if s.hello.IsZero() {
		if err := s.greeted(ctx); err != nil {
			return lang.InitPhases{Runtime: time.Since(s.begun)}, err
		}
	}
	phases := lang.InitPhases{Runtime: s.hello.Sub(s.begun)}
	if !s.ready {
		if _, err := s.frame(ctx, frameReady); err != nil {
			phases.Init = time.Since(s.hello)
			return phases, err
		}
		s.ready = true
	}
	phases.Init = time.Since(s.hello)
	return phases, nil
}

// assign sends a generic process its assignment.
func (s *Session) assign(ctx context.Context) error {
	err := s.assigning.Send(ctx)
	if err == nil || err == ctx.Err() {
		return err
	}
	if s.assigning.err == nil {
		err = s.why(ctx, err)
	}
	return s.fail(err)
}

// greeted waits for the bootstrap to speak. That of a generic process may have been heard before it was adopted.
func (s *Session) greeted(ctx context.Context) error {
	if s.assigning != nil {
		if err := s.fill(ctx, frameHead); err != nil {
			return err
		}
		if kind, _ := s.head(); kind != frameHello {
			s.hello = s.begun
			return nil
		}
	}
	p, err := s.frame(ctx, frameHello)
	switch {
	case err != nil:
		return err
	case len(p) != 1 || p[0] != Version:
		return s.fail(broken("a greeting of protocol %v, not %d,", p, Version))
	}
	s.hello = time.Now()
	return nil
}

// frame waits for one frame of initialisation. A frame that has not come in full when ctx ends is read again next time.
func (s *Session) frame(ctx context.Context, want byte) ([]byte, error) {
	if err := s.fill(ctx, frameHead); err != nil {
		return nil, err
	}
	kind, n := s.head()
	if kind == frameInitError && n <= maxFrame {
		s.r += frameHead
		doc := make([]byte, n)
		if err := s.readFull(ctx, doc); err != nil {
			return nil, s.fail(err)
		}
		f, err := parseFailure(doc)
		if err != nil {
			return nil, s.fail(err)
		}
		return nil, s.fail(f)
	}
	if kind != want || n > 64 {
		return nil, s.fail(broken("frame %q of %d bytes instead of %q", kind, n, want))
	}
	if err := s.fill(ctx, frameHead+n); err != nil {
		return nil, err
	}
	p := s.buf[s.r+frameHead : s.r+frameHead+n]
	s.r += frameHead + n
	return p, nil
}

// Invoke implements lang.Session. The calling goroutine itself writes and reads.
func (s *Session) Invoke(ctx context.Context, c lang.Call, out io.Writer) (*lang.Failure, error) {
	switch {
	case s.failed != nil:
		return nil, s.failed
	case !s.ready:
		return nil, errors.New("invoke before the end of the initialisation")
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if until, ok := ctx.(*lang.Until); ok {
		at, _ := until.Deadline()
		s.guard.begin(at)
		defer s.guard.end()
	} else {
		defer bound(ctx, s.conn)()
	}
	s.seq++
	if err := s.send(ctx, &c); err != nil {
		return nil, s.fail(err)
	}
	kind, n, err := s.part(ctx)
	switch {
	case err != nil:
		return nil, err
	case kind == frameAnswer:
		return nil, s.copy(ctx, out, n, nil)
	case kind == frameStream:
		return s.stream(ctx, &c, out, n)
	case kind != frameError:
		return nil, s.fail(broken("frame %q of %d bytes instead of an answer", kind, n))
	}
	f, err := s.failure(ctx, n)
	if err == nil {
		_, err = out.Write(f.Document)
	}
	return f, err
}

// part waits for the head of the next frame of this call and returns how much follows it.
func (s *Session) part(ctx context.Context) (kind byte, n int, err error) {
	if err := s.fill(ctx, frameHead+callHead); err != nil {
		return 0, 0, s.fail(err)
	}
	kind, n = s.head()
	seq := binary.BigEndian.Uint32(s.buf[s.r+frameHead:])
	switch {
	case kind != frameAnswer && kind != frameError && kind != frameStream && kind != framePiece && kind != frameEnd, n < callHead, n > maxFrame:
		return 0, 0, s.fail(broken("frame %q of %d bytes instead of an answer", kind, n))
	case seq != s.seq:
		return 0, 0, s.fail(broken("an answer to call %d during call %d", seq, s.seq))
	}
	s.r += frameHead + callHead
	return kind, n - callHead, nil
}

func (s *Session) failure(ctx context.Context, n int) (*lang.Failure, error) {
	doc := make([]byte, n)
	if err := s.readFull(ctx, doc); err != nil {
		return nil, s.fail(err)
	}
	f, err := parseFailure(doc)
	if err != nil {
		return nil, s.fail(err)
	}
	return f, nil
}

// send writes one call with a single system call where the socket takes it.
func (s *Session) send(ctx context.Context, c *lang.Call) error {
	head := appendCall(s.out[:0], s.seq, c)
	var err error
	if len(head)+len(c.Payload) <= smallCall {
		head = append(head, c.Payload...)
		_, err = s.small.Write(head)
	} else {
		v := net.Buffers{head, c.Payload}
		_, err = v.WriteTo(s.conn)
	}
	if cap(head) <= smallCall {
		s.out = head
	}
	if err != nil {
		return s.why(ctx, err)
	}
	return nil
}

// copy passes n bytes of an answer on as they come, through b where it is large enough. When out fails, the rest is read and
// dropped, and the session goes on.
func (s *Session) copy(ctx context.Context, out io.Writer, n int, b []byte) error {
	part := s.buf[s.r:min(s.w, s.r+n)]
	s.r += len(part)
	_, failed := out.Write(part)
	n -= len(part)
	if n == 0 {
		return failed
	}
	if len(b) < min(n, chunk) {
		b = make([]byte, min(n, chunk))
	}
	for n > 0 {
		m, err := s.conn.Read(b[:min(n, len(b))])
		if err != nil {
			return s.fail(s.why(ctx, err))
		}
		n -= m
		if failed == nil {
			_, failed = out.Write(b[:m])
		}
	}
	return failed
}

func (s *Session) head() (kind byte, n int) {
	return s.buf[s.r], int(binary.BigEndian.Uint32(s.buf[s.r+1:]))
}

// fill waits until at least n bytes, at most the buffer's size, are there.
func (s *Session) fill(ctx context.Context, n int) error {
	for s.w-s.r < n {
		if s.r > 0 {
			s.w = copy(s.buf[:], s.buf[s.r:s.w])
			s.r = 0
		}
		m, err := s.small.Read(s.buf[s.w:])
		s.w += m
		if err != nil {
			return s.why(ctx, err)
		}
	}
	return nil
}

func (s *Session) readFull(ctx context.Context, p []byte) error {
	n := copy(p, s.buf[s.r:s.w])
	s.r += n
	if _, err := io.ReadFull(s.conn, p[n:]); err != nil {
		return s.why(ctx, err)
	}
	return nil
}

// why turns an error of the socket into one of the seam's. A socket that ended means a process that ended, unless it
// lives on, having closed its end.
func (s *Session) why(ctx context.Context, err error) error {
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return ctx.Err()
	}
	t := time.NewTimer(exitWait)
	defer t.Stop()
	select {
	case <-s.sb.Done():
		return lang.ErrExited
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
	}
	if errors.Is(err, net.ErrClosed) {
		return os.ErrClosed
	}
	return &lang.ProtocolError{Reason: "the function's process closed the runtime's channel"}
}

// fail remembers why the session is over.
func (s *Session) fail(err error) error {
	s.failed = err
	return err
}
