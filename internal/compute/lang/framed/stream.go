package framed

import (
	"context"
	"io"

	"artesian/internal/compute/lang"
	"artesian/internal/compute/lang/lambda"
)

// stream takes an answer that comes in pieces, after the head of its first frame, of which n bytes are the content type.
// What goes beyond the limit, or what out does not take, is read and dropped: the runtime goes on and the session too.
func (s *Session) stream(ctx context.Context, c *lang.Call, out io.Writer, n int) (*lang.Failure, error) {
	kind, err := s.contentType(ctx, n)
	if err != nil {
		return nil, err
	}
	var failed error
	if c.Stream != nil {
		failed = c.Stream(kind)
	}
	left := c.Limit(true)
	var beyond bool
	b := make([]byte, chunk)
	for {
		kind, n, err := s.part(ctx)
		switch {
		case err != nil:
			return nil, err
		case kind == framePiece && n > left:
			beyond = true
			fallthrough
		case kind == framePiece:
			to := out
			if beyond || failed != nil {
				to = io.Discard
			}
			left -= n
			if err := s.copy(ctx, to, n, b); s.failed != nil {
				return nil, s.failed
			} else if err != nil {
				failed = err
			}
		case kind == frameEnd && n == 0 && beyond:
			return brokenOff(lambda.TooLongFailure(c)), failed
		case kind == frameEnd && n == 0:
			return nil, failed
		case kind == frameError:
			f, err := s.failure(ctx, n)
			if err != nil {
				return nil, err
			}
			return brokenOff(f), failed
		default:
			return nil, s.fail(broken("frame %q of %d bytes instead of the next piece of an answer", kind, n))
		}
	}
}

func brokenOff(f *lang.Failure) *lang.Failure {
	f.BrokenOff = true
	return f
}

// contentType reads the n bytes that say what a stream is.
func (s *Session) contentType(ctx context.Context, n int) (string, error) {
	if n > maxType {
		return "", s.fail(broken("a content type of %d bytes", n))
	}
	b := make([]byte, n)
	if err := s.readFull(ctx, b); err != nil {
		return "", s.fail(err)
	}
	for _, c := range b {
		if c < ' ' || c > '~' {
			return "", s.fail(broken("a content type with byte %#02x", c))
		}
	}
	return string(b), nil
}
