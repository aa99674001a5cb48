package wire

import (
	"bytes"
	"fmt"
	"io"
	"net/http"

	"artesian/internal/faas"
)

// DefaultLimit bounds the body of an operation that states no limit of its own, in bytes.
const DefaultLimit = 2 << 20

// drained is how much of a body over the limit is read and thrown away, so that the client gets to see the answer.
const drained = 128 << 20

// heldBody is a request body that is in memory already.
type heldBody struct {
	*bytes.Reader
	data []byte
}

func (heldBody) Close() error { return nil }

// HeldBody makes b the body of a request; a Server then takes b itself instead of a copy. Whoever verified a signature over the
// body has read it already. b must not change any more.
func HeldBody(b []byte) io.ReadCloser { return heldBody{bytes.NewReader(b), b} }

// ReadBody reads the body of r as a whole. It fails with faas.TooLarge when the body is longer than limit bytes.
func ReadBody(r *http.Request, limit int64) ([]byte, error) {
	if held, ok := r.Body.(heldBody); ok && int64(len(held.data)) <= limit {
		return held.data, nil
	}
	if r.Body == nil || r.ContentLength == 0 {
		return nil, nil
	}
	if r.ContentLength > limit {
		return nil, tooLarge(r, limit)
	}
	first := min(max(r.ContentLength, 512), 1<<20) // a length that is only claimed reserves 1 MiB at most
	buf := bytes.NewBuffer(make([]byte, 0, first+bytes.MinRead))
	if _, err := buf.ReadFrom(io.LimitReader(r.Body, limit+1)); err != nil {
		return nil, &faas.Error{Kind: faas.Invalid, Message: "The request body could not be read.", Cause: fmt.Errorf("read body: %w", err)}
	}
	if int64(buf.Len()) > limit {
		return nil, tooLarge(r, limit)
	}
	return buf.Bytes(), nil
}

func tooLarge(r *http.Request, limit int64) error {
	_, _ = io.CopyN(io.Discard, r.Body, drained)
	return faas.Errorf(faas.TooLarge, "Request must be smaller than %d bytes", limit)
}
