package lambda

import (
	"bytes"
	"encoding/base64"
	"errors"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"artesian/internal/compute/lang"
	"artesian/internal/faas"
)

// The Runtime API, version 2018-06-01: https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html. What the page
// leaves open (which state allows what, the error bodies) is as AWS's public emulator of it answers.
const version = "/2018-06-01/runtime/"

// Bounds of what a runtime may send. With all connections used they come to less than 20 MB: header fields on each, one
// body. What reports an initialisation's end is a document for people. Trailers of a streamed answer are bounded by
// net/http, at 4 KiB.
const (
	maxHeader      = 1<<20 + 64<<10 // awslambdaric puts up to 1 MiB of X-Ray cause into a field
	maxType        = 256
	maxInitError   = 256 << 10
	maxConnections = 8 // a runtime needs one
	maxRefused     = 64 << 20
	headerTime     = time.Minute // no limit between requests: a connection rests while the handler runs
)

const (
	headErrorType = "Lambda-Runtime-Function-Error-Type"
	headErrorBody = "Lambda-Runtime-Function-Error-Body"
	headMode      = "Lambda-Runtime-Function-Response-Mode"
)

func (s *Session) routes() *http.ServeMux {
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+version+"invocation/next", s.next)
	mux.HandleFunc("POST "+version+"invocation/{id}/response", s.response)
	mux.HandleFunc("POST "+version+"invocation/{id}/error", s.invocationError)
	mux.HandleFunc("POST "+version+"init/error", s.initError)
	mux.HandleFunc("GET "+version+"restore/next", s.restoreNext)
	mux.HandleFunc("POST "+version+"restore/error", s.initError)
	return mux
}

// next holds the request until there is an event.
func (s *Session) next(w http.ResponseWriter, r *http.Request) {
	p := &poll{event: make(chan *exchange, 1)}
	s.mu.Lock()
	open := s.open()
	if open >= s.most || s.initErr != nil {
		s.mu.Unlock()
		refuseState(w, "the current event has not been answered")
		return
	}
	if len(s.asking) >= s.most-open {
		close(s.asking[0].event) // an older request, which its sender may have given up
		s.asking = slices.Delete(s.asking, 0, 1)
	}
	s.asking, s.asked = append(s.asking, p), true
	s.signal()
	s.mu.Unlock()

	select {
	case x, ok := <-p.event:
		if !ok {
			refuseState(w, "a newer request waits for the next event")
			return
		}
		deliver(w, &x.call)
	case <-r.Context().Done():
		s.mu.Lock()
		s.forget(p)
		s.mu.Unlock()
	}
}

// complete reports whether the exchange has its answer.
func (x *exchange) complete() bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.state == answered
}

func deliver(w http.ResponseWriter, c *lang.Call) {
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Content-Length", strconv.Itoa(len(c.Payload)))
	h.Set("Lambda-Runtime-Deadline-Ms", strconv.FormatInt(c.Deadline.UnixMilli(), 10))
	for name, value := range map[string]string{
		"Lambda-Runtime-Aws-Request-Id":       c.RequestID,
		"Lambda-Runtime-Invoked-Function-Arn": c.FunctionARN,
		"Lambda-Runtime-Trace-Id":             c.Trace,
		"Lambda-Runtime-Aws-Tenant-Id":        c.Tenant,
		"Lambda-Runtime-Client-Context":       string(c.ClientContext),
		"Lambda-Runtime-Cognito-Identity":     string(c.Identity),
	} {
		if value != "" {
			h.Set(name, value)
		}
	}
	_, _ = w.Write(c.Payload) // a runtime that hangs up has its call time out, as on Lambda
}

// claim finds the exchange that the request answers, or refuses the request.
func (s *Session) claim(w http.ResponseWriter, r *http.Request) *exchange {
	s.mu.Lock()
	x := s.handed[r.PathValue("id")]
	s.mu.Unlock()
	switch {
	case x == nil:
		refuse(w, http.StatusBadRequest, "InvalidRequestID", "Invalid request ID")
		return nil
	case !x.begin():
		refuseState(w, "the event has been answered")
		return nil
	}
	return x
}

func (s *Session) response(w http.ResponseWriter, r *http.Request) {
	x := s.claim(w, r)
	if x == nil {
		return
	}
	limit := x.call.Limit(false)
	var err error
	switch r.Header.Get(headMode) {
	case "":
		var body []byte
		if body, err = readAll(r, limit); err == nil {
			_, err = x.Write(body)
		}
	case "streaming":
		limit = x.call.Limit(true)
		if err = x.stream(r.Header.Get("Content-Type")); err == nil {
			_, err = io.Copy(x, &bounded{in: r.Body, left: limit})
		}
	default:
		x.finish(failure("Runtime.InvalidResponseModeHeader", "Invalid function response mode"), true)
		refuse(w, http.StatusBadRequest, "InvalidFunctionResponseMode", "Invalid function response mode")
		return
	}
	switch {
	case errors.Is(err, errTooLarge):
		x.finish(tooLarge(limit), true)
		refuseSize(w, r, limit)
	case errors.Is(err, errAbandoned): // too late: its caller has been told
		x.finish(nil, false)
		refuse(w, http.StatusBadRequest, "InvalidRequestID", "Invalid request ID")
	case err != nil && strings.Contains(err.Error(), "long trailer"): // as net/http calls it
		x.finish(failure("Runtime.TruncatedResponse", "the runtime's answer ended with an error whose document is too large for trailers of 4 KiB"), true)
		refuse(w, http.StatusBadRequest, "TrailersTooLarge", "Exceeded maximum allowed size of trailers (4096 bytes).")
	case err != nil:
		x.finish(failure("Runtime.TruncatedResponse", "the runtime's answer broke off"), true)
		refuse(w, http.StatusBadRequest, "TruncatedHTTPRequest", "HTTP request detected as truncated")
	default:
		x.finish(trailer(r.Trailer), false)
		accept(w)
	}
}

// trailer is the failure that a streamed answer may end with.
func trailer(h http.Header) *lang.Failure {
	kind := h.Get(headErrorType)
	if kind == "" {
		return nil
	}
	body, err := base64.StdEncoding.DecodeString(h.Get(headErrorBody))
	if err != nil {
		return failure(kind, "the runtime reported an error without a readable document")
	}
	return reported(kind, body)
}

func (s *Session) invocationError(w http.ResponseWriter, r *http.Request) {
	x := s.claim(w, r)
	if x == nil {
		return
	}
	body, err := readAll(r, faas.MaxResponseBytes)
	switch {
	case errors.Is(err, errTooLarge):
		x.finish(TooLargeFailure(), true)
		refuseSize(w, r, faas.MaxResponseBytes)
	case err != nil:
		x.finish(failure("Runtime.TruncatedResponse", "the runtime's answer broke off"), true)
		refuse(w, http.StatusBadRequest, "TruncatedHTTPRequest", "HTTP request detected as truncated")
	default:
		x.finish(reported(r.Header.Get(headErrorType), body), false)
		accept(w)
	}
}

func (s *Session) initError(w http.ResponseWriter, r *http.Request) {
	if !s.beginReport() {
		refuseState(w, "the initialisation is over")
		return
	}
	kind := r.Header.Get(headErrorType)
	body, err := readAll(r, maxInitError)
	switch {
	case errors.Is(err, errTooLarge):
		s.endReport(reported(kind, errorBody(kind, "the runtime's error document is larger than "+strconv.Itoa(maxInitError)+" bytes")))
		refuseSize(w, r, maxInitError)
	case err != nil:
		s.endReport(nil)
		refuse(w, http.StatusBadRequest, "TruncatedHTTPRequest", "HTTP request detected as truncated")
	case !s.endReport(reported(kind, body)):
		refuseState(w, "the initialisation is over")
	default:
		accept(w)
	}
}

// beginReport claims the report of how the initialisation failed, before it is read; false when it is over, or another
// report is being read.
func (s *Session) beginReport() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.asked || s.initErr != nil || s.reporting {
		return false
	}
	s.reporting = true
	return true
}

// endReport takes the report in; f is nil when it broke off. False when the runtime has asked for an event meanwhile.
func (s *Session) endReport(f *lang.Failure) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.reporting = false
	if s.asked {
		return false
	}
	s.initErr = f
	s.signal()
	return true
}

var errTooLarge = errors.New("answer is too large")

// bounded reads at most left bytes and then fails with errTooLarge unless the input ends there.
type bounded struct {
	in   io.Reader
	left int
}

func (b *bounded) Read(p []byte) (int, error) {
	if len(p) > b.left+1 {
		p = p[:b.left+1]
	}
	n, err := b.in.Read(p)
	if n > b.left {
		return 0, errTooLarge
	}
	b.left -= n
	return n, err
}

// readAll reads a whole body of at most limit bytes.
func readAll(r *http.Request, limit int) ([]byte, error) {
	if r.ContentLength > int64(limit) {
		return nil, errTooLarge
	}
	var b bytes.Buffer
	if r.ContentLength > 0 {
		b.Grow(int(r.ContentLength) + bytes.MinRead)
	}
	_, err := b.ReadFrom(&bounded{in: r.Body, left: limit})
	return b.Bytes(), err
}

func accept(w http.ResponseWriter) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusAccepted)
	_, _ = io.WriteString(w, `{"status":"OK"}`+"\n")
}

func refuse(w http.ResponseWriter, status int, kind, message string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(append(bytes.Clone(errorBody(kind, message)), '\n'))
}

func refuseState(w http.ResponseWriter, why string) {
	refuse(w, http.StatusForbidden, "InvalidStateTransition", "State transition is not allowed: "+why)
}

// refuseSize takes in what the runtime goes on sending, within reason: it may not look at the answer before.
func refuseSize(w http.ResponseWriter, r *http.Request, limit int) {
	_, _ = io.CopyN(io.Discard, r.Body, maxRefused)
	refuse(w, http.StatusRequestEntityTooLarge, "RequestEntityTooLarge",
		"Exceeded maximum allowed payload size ("+strconv.Itoa(limit)+" bytes).")
}

func errorBody(kind, message string) []byte { return failure(kind, message).Document }
