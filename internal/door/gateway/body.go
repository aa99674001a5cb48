package gateway

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"time"

	"artesian/internal/faas"
)

const (
	// maxDrain is how much of a body that is too large is read and thrown away, in bytes.
	maxDrain = 128 << 20
	// trusted is how many bytes of memory a body gets for its declared length alone. Beyond, it gets as much as it brings:
	// whoever knows an access key's id, which is no secret, must not fill the memory with promises.
	trusted = 1 << 20
)

// readBody reads a whole body of at most limit bytes, within the time that a body may take. What declares more is refused.
func (g *Gateway) readBody(w http.ResponseWriter, r *http.Request, limit int64) ([]byte, error) {
	if r.ContentLength == 0 {
		return nil, nil
	}
	rc := http.NewResponseController(w)
	_ = rc.SetReadDeadline(time.Now().Add(g.cfg.BodyTime)) // a connection that is gone says so when it is read
	if r.ContentLength > limit {
		return nil, tooLarge(r.Body, limit)
	}
	var b bytes.Buffer
	b.Grow(int(min(max(r.ContentLength, 0), trusted)) + bytes.MinRead)
	_, err := b.ReadFrom(http.MaxBytesReader(w, r.Body, limit))
	var over *http.MaxBytesError
	switch {
	case errors.As(err, &over):
		return nil, tooLarge(r.Body, limit)
	case err != nil:
		return nil, &faas.Error{Kind: faas.Invalid, Message: "The request's body ended early.", Cause: err}
	}
	_ = rc.SetReadDeadline(time.Time{}) // after an error it stays: nothing waits for the rest of the body
	return b.Bytes(), nil
}

// tooLarge reads on, else the client meets a closed connection before it reads the answer.
func tooLarge(body io.Reader, limit int64) error {
	_, _ = io.CopyN(io.Discard, body, maxDrain)
	return faas.Errorf(faas.TooLarge, "Request must be smaller than %d bytes for the operation", limit)
}
