package functionurl

import (
	"bytes"
	"errors"
	"net/http"
	"strconv"
	"time"

	"artesian/internal/faas"
)

// part is how much of a response is written within one WriteTime.
const part = 64 << 10

// reply writes one HTTP response.
type reply struct {
	v        *Visit
	w        http.ResponseWriter
	r        *http.Request
	conn     *http.ResponseController
	sent     bool // its head has gone out
	bodyless bool
	broken   bool // it ends before it is complete
}

// done lets the connection be used again.
func (o *reply) done() { _ = o.conn.SetWriteDeadline(time.Time{}) }

// begin sends the head. length is the body's, or -1.
func (o *reply) begin(resp *response, length int) {
	o.sent = true
	h := o.w.Header()
	for name, values := range resp.header {
		for _, value := range values {
			h.Add(name, value)
		}
	}
	o.bodyless = o.r.Method == http.MethodHead || resp.status == http.StatusNoContent || resp.status == http.StatusNotModified
	if length >= 0 && resp.status != http.StatusNoContent {
		h.Set("Content-Length", strconv.Itoa(length))
	}
	o.extend()
	o.w.WriteHeader(resp.status)
}

// extend gives the client its time for the next part.
func (o *reply) extend() {
	_ = o.conn.SetWriteDeadline(time.Now().Add(o.v.site.cfg.WriteTime)) // not possible in a test's recorder
}

// write sends a piece of the body.
func (o *reply) write(p []byte) error {
	for !o.bodyless && len(p) > 0 {
		n := min(len(p), part)
		o.extend()
		if _, err := o.w.Write(p[:n]); err != nil {
			return err
		}
		p = p[n:]
	}
	return nil
}

// flush makes sure that all written so far is on its way.
func (o *reply) flush() error {
	o.extend()
	return o.conn.Flush()
}

// functionFailed answers for a function that has not done its part, as AWS does; why is for the log.
func (o *reply) functionFailed(why string) error {
	o.v.site.cfg.Logger.Info("function behind a URL failed", "request_id", faas.RequestID(o.r.Context()), "function", o.v.arn(), "reason", why)
	const text = "Internal Server Error"
	o.w.Header().Set("X-Amzn-Errortype", "InternalServerErrorException")
	o.begin(&response{status: http.StatusBadGateway, header: http.Header{"Content-Type": {contentJSON}}}, len(text))
	return o.write([]byte(text))
}

// whole is a Sink for an answer that is read before its client gets anything.
type whole struct {
	out  *reply
	body bytes.Buffer
}

func (s *whole) Begin(faas.Head) error       { return nil }
func (s *whole) Write(p []byte) (int, error) { return s.body.Write(p) }

func (s *whole) End(t faas.Tail) error {
	if t.FunctionError != "" {
		return s.out.functionFailed("it reported an error")
	}
	resp, err := interpret(s.body.Bytes())
	if err != nil {
		return s.out.functionFailed("what it returned: " + err.Error())
	}
	s.out.begin(resp, len(resp.body))
	return s.out.write(resp.body)
}

// stream is a Sink that passes an answer on as it comes. One that the function does not stream is kept until it is known not to
// be an error.
type stream struct {
	out     *reply
	prelude *prelude // the metadata that are not complete
	kept    *bytes.Buffer
}

func (s *stream) Begin(h faas.Head) error {
	switch {
	case h.ContentType == "":
		s.kept = new(bytes.Buffer)
		return nil
	case hasPrelude(h.ContentType):
		s.prelude = new(prelude)
		return nil
	case !fieldValue(h.ContentType):
		return errors.New("the content type is no HTTP header")
	}
	s.out.begin(&response{status: http.StatusOK, header: http.Header{"Content-Type": {h.ContentType}}}, -1)
	return s.out.flush()
}

func (s *stream) Write(p []byte) (int, error) {
	if s.kept != nil {
		return s.kept.Write(p)
	}
	piece := p
	if s.prelude != nil {
		resp, rest, err := s.prelude.write(p)
		if err != nil {
			return 0, errors.Join(err, s.out.functionFailed(err.Error()))
		}
		if resp == nil {
			return len(p), nil
		}
		s.prelude, piece = nil, rest
		s.out.begin(resp, -1)
	}
	if err := s.out.write(piece); err != nil {
		return 0, err
	}
	return len(p), s.out.flush()
}

func (s *stream) End(t faas.Tail) error {
	switch {
	case s.out.sent:
		s.out.broken = t.FunctionError != ""
		return nil
	case t.FunctionError != "":
		return s.out.functionFailed("it reported an error")
	case s.kept == nil:
		return s.out.functionFailed(errPrelude.Error())
	}
	s.out.begin(&response{status: http.StatusOK, header: http.Header{"Content-Type": {contentJSON}}}, s.kept.Len())
	return s.out.write(s.kept.Bytes())
}
