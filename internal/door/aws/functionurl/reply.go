package functionurl

import (
	"bytes"
	"errors"
	"net/http"
	"strconv"
	"time"

	"artesian/internal/faas"
)

// Bounds of clients that take a response slowly.
const (
	part     = 64 << 10  // is written within one WriteTime
	sendRate = 32 << 10  // bytes a second at which a response that is kept whole must be taken, once its first WriteTime is over
	allKept  = 192 << 20 // bytes of such responses at once
	freely   = 64 << 10  // bytes of a response that may be kept when others fill three quarters of that
)

// reply writes one HTTP response.
type reply struct {
	v        *Visit
	w        http.ResponseWriter
	r        *http.Request
	conn     *http.ResponseController
	until    time.Time // by which it must be taken; zero: as long as parts of it are
	sent     bool      // its head has gone out
	bodyless bool
	broken   bool // it ends before it is complete
}

// ofHost are headers by which a browser would do something to the whole host, which a function that is reached by path shares
// with the platform.
var ofHost = map[string]bool{"Clear-Site-Data": true, "Strict-Transport-Security": true}

// done lets the connection be used again.
func (o *reply) done() {
	_ = o.conn.Flush() // within the deadline
	_ = o.conn.SetWriteDeadline(time.Time{})
}

// begin sends the head. length is the body's, or -1.
func (o *reply) begin(resp *response, length int) {
	o.sent = true
	if length >= 0 {
		o.until = time.Now().Add(o.v.site.cfg.WriteTime + time.Duration(length/sendRate)*time.Second)
	}
	h := o.w.Header()
	for name, values := range resp.header {
		if o.v.to.Path != "" && ofHost[http.CanonicalHeaderKey(name)] {
			continue
		}
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
	by := time.Now().Add(o.v.site.cfg.WriteTime)
	if !o.until.IsZero() && o.until.Before(by) {
		by = o.until
	}
	_ = o.conn.SetWriteDeadline(by) // not possible in a test's recorder
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

// whole sends a response that is kept until its client has taken it: its function's instance is free already, so nothing else
// bounds how many there are.
func (o *reply) whole(resp *response) error {
	site, n := o.v.site, int64(len(resp.body))
	most := site.most
	if n > freely {
		most -= most / 4
	}
	defer site.kept.Add(-n)
	if site.kept.Add(n) > most {
		o.sent = true
		o.extend()
		o.v.fail(o.w, o.r, faas.Errorf(faas.Unavailable, "Too many large responses wait for their clients; try again in a moment."))
		return nil
	}
	o.begin(resp, len(resp.body))
	return o.write(resp.body)
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
	s.body = bytes.Buffer{}
	return s.out.whole(resp)
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
	return s.out.whole(&response{status: http.StatusOK, header: http.Header{"Content-Type": {contentJSON}}, body: s.kept.Bytes()})
}
