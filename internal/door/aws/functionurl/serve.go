package functionurl

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"artesian/internal/compute/registry"
	"artesian/internal/faas"
)

// The settings of a URL.
const (
	AuthNone, AuthIAM = "NONE", "AWS_IAM"
	Buffered, Stream  = "BUFFERED", "RESPONSE_STREAM"
)

// signing is the service that requests to a URL with AuthIAM are signed for.
const signing = "lambda"

// Config of a Site.
type Config struct {
	Endpoint func(id string) (*registry.Endpoint, bool)
	Invoke   func(ctx context.Context, inv faas.Invocation, out faas.Sink) error
	// Signer is who signed the request that ctx belongs to.
	Signer func(ctx context.Context) Signer
	// Authorize is asked whether the signer may do action with resource, an ARN.
	Authorize func(ctx context.Context, action, resource string) error
	// Trace returns the trace header that a client sent, when it is fit to be shown to a function.
	Trace     func(*http.Request) string
	WriteTime time.Duration // that a client may take to accept 64 KiB of a response; default 1 minute
	Now       func() time.Time
	Logger    *slog.Logger
}

// Site answers the requests to all URLs.
type Site struct {
	cfg  Config
	kept atomic.Int64 // bytes of responses that wait for their clients
	most int64        // that there may be
}

// New returns a Site.
func New(cfg Config) *Site {
	if cfg.WriteTime == 0 {
		cfg.WriteTime = time.Minute
	}
	return &Site{cfg: cfg, most: allKept}
}

// Visit is a request to one URL.
type Visit struct {
	site *Site
	to   Address
	end  *registry.Endpoint
}

// Find returns what answers requests to an address; false when there is no such URL.
func (s *Site) Find(to Address) (*Visit, bool) {
	end, ok := s.cfg.Endpoint(to.ID)
	if !ok || to.Region != "" && to.Region != end.Function.Region {
		return nil, false
	}
	to.Region = end.Function.Region
	return &Visit{s, to, end}, true
}

// Unknown answers a request to a URL that isn't there, as AWS does.
func (s *Site) Unknown(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("X-Amzn-Errortype", "AccessDeniedException")
	writeBody(w, http.StatusForbidden, `{"Message":null}`)
}

// Signing is the service that a request must be signed for; empty is none. Browsers can't sign what asks for leave.
func (v *Visit) Signing(r *http.Request) string {
	if v.end.Auth != AuthIAM || v.answersPreflight(r) {
		return ""
	}
	return signing
}

func (v *Visit) answersPreflight(r *http.Request) bool { return v.end.CORS != nil && preflight(r) }

// Limit is the most bytes that a request's body may have.
func (v *Visit) Limit(*http.Request) int64 { return faas.MaxRequestBytes }

// Refuse answers a request that got no further.
func (v *Visit) Refuse(w http.ResponseWriter, r *http.Request, err error) {
	v.prepare(w, r)
	v.fail(w, r, err)
}

// prepare sets the headers that every response has.
func (v *Visit) prepare(w http.ResponseWriter, r *http.Request) {
	allow(v.end.CORS, w.Header(), r)
	if v.to.Path != "" { // what a browser shows of it is of no origin, so never of the platform's
		w.Header().Add("Content-Security-Policy", "sandbox allow-scripts allow-forms allow-popups")
	}
}

// Serve answers a request, whose signature has been checked where one is asked for.
func (v *Visit) Serve(w http.ResponseWriter, r *http.Request, body []byte) {
	v.prepare(w, r)
	if v.answersPreflight(r) {
		writeBody(w, http.StatusOK, "")
		return
	}
	received := v.site.cfg.Now()
	a := arrival{r: r, body: body, to: v.to, id: faas.RequestID(r.Context()), at: received}
	inv := faas.Invocation{ID: a.id, Function: v.end.Function, Qualifier: v.end.Qualifier, Received: received, Stream: v.end.Mode == Stream}
	if v.end.Auth == AuthIAM {
		s := v.site.cfg.Signer(r.Context())
		if err := v.site.cfg.Authorize(r.Context(), "lambda:InvokeFunctionUrl", v.arn()); err != nil {
			v.fail(w, r, err)
			return
		}
		a.signer, inv.Caller = &s, s.ARN
	}
	a.trace, inv.Trace = traces(v.site.cfg.Trace(r), received)
	w.Header().Set("X-Amzn-Trace-Id", a.trace)
	if n := a.size(); n > faas.MaxRequestBytes {
		v.fail(w, r, faas.Errorf(faas.TooLarge, "the body takes %d bytes in the event", n))
		return
	}
	inv.Payload = a.payload()
	out := &reply{v: v, w: w, r: r, conn: http.NewResponseController(w)}
	defer out.done()
	var sink faas.Sink = &whole{out: out}
	if inv.Stream {
		sink = &stream{out: out}
	}
	err := v.site.cfg.Invoke(r.Context(), inv, sink)
	switch {
	case out.broken:
		panic(http.ErrAbortHandler) // all that tells the client that the response is not complete
	case err != nil && !out.sent:
		v.fail(w, r, err)
	}
}

// arn is the name of what the URL invokes.
func (v *Visit) arn() string {
	if v.end.Qualifier == "" {
		return v.end.Function.ARN()
	}
	return v.end.Function.ARN() + ":" + v.end.Qualifier
}

// traces are the header that the event shows and the one that the invocation has: the client's, or a new one.
func traces(sent string, at time.Time) (shown, handed string) {
	var b [20]byte
	_, _ = rand.Read(b[:]) // crypto/rand.Read never returns an error
	if shown = sent; shown == "" {
		shown = fmt.Sprintf("Root=1-%08x-%s", uint32(at.Unix()), hex.EncodeToString(b[:12]))
	}
	if strings.Contains(shown, "Parent=") {
		return shown, shown
	}
	return shown, shown + ";Parent=" + hex.EncodeToString(b[12:])
}

// fail answers with a platform's error.
func (v *Visit) fail(w http.ResponseWriter, r *http.Request, err error) {
	status, code, message := http.StatusInternalServerError, "ServiceException", "Internal Server Error"
	switch faas.KindOf(err) {
	case faas.Denied, faas.Unauthenticated:
		status, code, message = http.StatusForbidden, "AccessDeniedException", "Forbidden"
	case faas.TooLarge:
		status, code, message = http.StatusRequestEntityTooLarge, "RequestEntityTooLargeException", "Request Entity Too Large"
	case faas.Throttled:
		status, code, message = http.StatusTooManyRequests, "TooManyRequestsException", faas.Message(err)
		if w.Header().Get("Retry-After") == "" {
			w.Header().Set("Retry-After", "1")
		}
	case faas.NotFound:
		status, code, message = http.StatusNotFound, "ResourceNotFoundException", faas.Message(err)
	case faas.Conflict:
		status, code, message = http.StatusConflict, "ResourceConflictException", faas.Message(err)
	case faas.Unavailable:
		status, code, message = http.StatusServiceUnavailable, "ServiceUnavailableException", faas.Message(err)
	case faas.Invalid, faas.Precondition, faas.Unsupported, faas.LimitExceeded:
		status, code, message = http.StatusBadRequest, "BadRequestException", faas.Message(err)
	case faas.Internal:
		if r.Context().Err() == nil {
			v.site.cfg.Logger.Error("request to a URL failed", "request_id", faas.RequestID(r.Context()), "function", v.arn(), "error", err)
		}
	}
	w.Header().Set("X-Amzn-Errortype", code)
	doc, err := json.Marshal(map[string]string{"Message": message})
	if err != nil {
		panic(err) // a string
	}
	writeBody(w, status, string(doc))
}

func writeBody(w http.ResponseWriter, status int, body string) {
	if body != "" {
		w.Header().Set("Content-Type", contentJSON)
	}
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	_, _ = w.Write([]byte(body)) // the client may have left
}
