package gateway

import (
	"errors"
	"io"
	"net/http"
	"os"
	"sync/atomic"
	"time"

	"artesian/internal/faas"
)

// Bounds of bodies. They are read before their sender is known, since the signature covers them.
const (
	smallBody   = 64 << 10  // up to here a declared length is taken at once; a larger body takes memory as it arrives
	unknownBody = 4 << 10   // the first memory of a body whose length is not declared
	allBodies   = 256 << 20 // of all requests at once
	largeBodies = 192 << 20 // of these; the rest is for small bodies, so that calls go on while uploads fill the memory
	guestBodies = 96 << 20  // of all requests to functions' URLs at once, which are counted apart: anybody may send them
	maxDrain    = 128 << 20 // how much of a body that is too large is read and thrown away
	bodyRate    = 128 << 10 // bytes a second at which a body must come once its first time is over
)

// budget counts the bytes of bodies in flight.
type budget struct {
	used       atomic.Int64
	all, large int64 // how many there may be, when a small or a large body asks
}

// take asks for n bytes more of a body that will then have size bytes.
func (b *budget) take(n, size int64) bool {
	most := b.all
	if size > smallBody {
		most = b.large
	}
	if b.used.Add(n) > most {
		b.used.Add(-n)
		return false
	}
	return true
}

// arrival is one request's body on its way in. Its memory counts until it is let go.
type arrival struct {
	budget *budget
	conn   *http.ResponseController
	time   time.Duration // that a body may take
	begun  time.Time
	held   int64
}

// expect sets the time by which a request's body must be here, also when nobody reads it but the server that discards it.
func (g *Gateway) expect(w http.ResponseWriter, r *http.Request) {
	if r.ContentLength != 0 {
		_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(g.cfg.BodyTime)) // not possible in a test's recorder
	}
}

// arrival is the body that a request brings, counted in b.
func (g *Gateway) arrival(w http.ResponseWriter, b *budget) arrival {
	return arrival{budget: b, conn: http.NewResponseController(w), time: g.cfg.BodyTime, begun: time.Now()}
}

func (a *arrival) letGo() { a.budget.used.Add(-a.held) }

// read returns a whole body of at most limit bytes. The errors are *faas.Error: TooLarge, Throttled when too many bodies
// are in flight, Invalid for one that ended early or took too long.
func (a *arrival) read(r *http.Request, limit int64) ([]byte, error) {
	declared := r.ContentLength
	switch {
	case declared == 0:
		return nil, nil
	case declared > limit:
		return nil, tooLarge(r, limit)
	}
	most, size := declared, min(declared, smallBody)
	if declared < 0 {
		most, size = limit+1, min(limit+1, unknownBody)
	}
	body, err := a.grow(nil, size)
	for ended := false; err == nil && !ended && int64(len(body)) < most; {
		if len(body) == cap(body) {
			body, err = a.grow(body, min(2*int64(cap(body)), most))
			continue
		}
		var n int
		n, err = r.Body.Read(body[len(body):cap(body)])
		body = body[:len(body)+n]
		if errors.Is(err, io.EOF) {
			ended, err = true, nil
		}
	}
	switch {
	case err != nil:
		return nil, broken(err)
	case int64(len(body)) < declared:
		return nil, broken(io.ErrUnexpectedEOF)
	case int64(len(body)) > limit:
		return nil, tooLarge(r, limit)
	}
	_ = a.conn.SetReadDeadline(time.Time{}) // what is read next is the next request
	return body, nil
}

// grow moves what has arrived to new memory of size bytes.
func (a *arrival) grow(old []byte, size int64) ([]byte, error) {
	if !a.budget.take(size, size) {
		return nil, faas.Errorf(faas.Throttled, "Too many large requests are being received; try again in a moment.")
	}
	body := make([]byte, len(old), size)
	copy(body, old)
	a.budget.used.Add(-a.held)
	a.held = size
	if size > smallBody {
		_ = a.conn.SetReadDeadline(a.begun.Add(a.time + time.Duration(size/bodyRate)*time.Second))
	}
	return body, nil
}

// tooLarge reads the rest, else the client meets a closed connection before it reads the answer.
func tooLarge(r *http.Request, limit int64) error {
	_, _ = io.CopyN(io.Discard, r.Body, maxDrain)
	return faas.Errorf(faas.TooLarge, "Request must be smaller than %d bytes for the operation", limit)
}

func broken(err error) error {
	var ours *faas.Error
	switch {
	case errors.As(err, &ours):
		return ours
	case errors.Is(err, os.ErrDeadlineExceeded):
		return &faas.Error{Kind: faas.Invalid, Message: "The request's body did not arrive in time.", Cause: err}
	}
	return &faas.Error{Kind: faas.Invalid, Message: "The request's body ended early.", Cause: err}
}
