package wire

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"reflect"
	"runtime/debug"
	"strconv"
	"time"

	"artesian/internal/faas"
)

// Call is what an authorisation decides about.
type Call struct {
	Service   string
	Operation string
	Action    string // IAM action, for example lambda:CreateFunction
	Resource  string // ARN, "*" when the service names none
	Input     any    // pointer to the decoded input
}

// Options are what a Server needs from outside.
type Options struct {
	// Authorize decides about every call before the operation runs; an error refuses it. Without it every call is refused.
	Authorize func(ctx context.Context, c Call) error
	// Resource returns the ARN that a call is about; may be nil.
	Resource func(ctx context.Context, operation string, input any) string
	// EventTime is how long a client may take to accept one event of a stream; default 1 minute.
	EventTime time.Duration
	// Log takes failures; nil discards them.
	Log *slog.Logger
}

// Method is one operation of an implementation.
type Method struct {
	new    func() any
	call   func(ctx context.Context, in any) (any, error)
	stream func(ctx context.Context, in any, to *stream) error // in place of call, for one whose output is a stream of events
}

// Bind makes a Method of an operation. A nil output is an empty one.
func Bind[I, O any](f func(context.Context, *I) (*O, error)) Method {
	return Method{
		new: func() any { return new(I) },
		call: func(ctx context.Context, in any) (any, error) {
			out, err := f(ctx, in.(*I))
			if out == nil {
				out = new(O)
			}
			return out, err
		},
	}
}

// Server answers the requests of one service. It is safe for concurrent use.
type Server struct {
	spec     *Spec
	methods  []Method
	opts     Options
	log      *slog.Logger
	routes   *routes        // RestJSON
	ops      map[string]int // other protocols: index into Spec.Ops, -1 for an unbuilt one
	errors   map[string]int // code to index into Spec.Errors
	patterns patterns
}

// New returns a Server; methods are in the order of spec.Ops.
func New(spec *Spec, methods []Method, opts Options) *Server {
	s := &Server{spec: spec, methods: methods, opts: opts, log: opts.Log, errors: map[string]int{}, ops: map[string]int{}}
	if s.opts.EventTime == 0 {
		s.opts.EventTime = time.Minute
	}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	for i, e := range spec.Errors {
		s.errors[e.Code] = i
	}
	if spec.Protocol == RestJSON {
		s.routes = newRoutes(spec)
		return s
	}
	for _, u := range spec.Unbuilt {
		s.ops[u.Name] = -1
	}
	for i := range spec.Ops {
		s.ops[spec.Ops[i].Name] = i
	}
	return s
}

// Serve answers a request whose caller is authenticated already and known to Authorize by the context. The body has been read; it
// is not copied, and must not change any more.
func (s *Server) Serve(w http.ResponseWriter, r *http.Request, body []byte) {
	ctx, id := requestID(r.Context())
	op := ""
	defer func() {
		if p := recover(); p != nil {
			if p == http.ErrAbortHandler {
				panic(p)
			}
			s.log.ErrorContext(ctx, "operation panicked", "service", s.spec.Name, "operation", op, "request_id", id,
				"panic", p, "stack", string(debug.Stack()))
			s.fail(ctx, w, id, op, errPanic)
		}
	}()
	res, err := s.serve(ctx, w, r, body, id, &op)
	if err != nil {
		s.fail(ctx, w, id, op, err)
		return
	}
	if res.status != 0 {
		s.write(w, id, res)
	}
}

var errPanic = errors.New("run operation: panic")

// Refuse answers a request with err in the way of the service's protocol: for whoever turns it away before Serve.
func (s *Server) Refuse(w http.ResponseWriter, r *http.Request, err error) {
	ctx, id := requestID(r.Context())
	m, _ := s.match(r)
	if faas.KindOf(err) == faas.TooLarge {
		err = s.tooLarge(m)
	}
	s.fail(ctx, w, id, m.name, err)
}

// requestID returns the id of a request, making one where the context has none.
func requestID(ctx context.Context) (context.Context, string) {
	if id := faas.RequestID(ctx); id != "" {
		return ctx, id
	}
	id := faas.NewUUID()
	return faas.WithRequestID(ctx, id), id
}

// serve runs the operation; name is set as soon as it is known. A response without a status has gone out already.
func (s *Server) serve(ctx context.Context, w http.ResponseWriter, r *http.Request, body []byte, id string, name *string) (response, error) {
	m, err := s.find(r, body)
	*name = m.name
	if err != nil {
		return response{}, err
	}
	op := &s.spec.Ops[m.op]
	in := s.methods[m.op].new()
	if err := s.decode(op, in, r, m, body); err != nil {
		return response{}, err
	}
	if err := s.authorize(ctx, op, in); err != nil {
		return response{}, err
	}
	if op.Events != 0 {
		return response{}, s.serveStream(ctx, w, id, m.op, in)
	}
	out, err := s.methods[m.op].call(ctx, in)
	if err != nil {
		return response{}, err
	}
	return s.spec.encode(op, out, id, w.Header()), nil
}

// decode fills in from the request, and refuses what breaks the model's constraints or is not honoured.
func (s *Server) decode(op *Op, in any, r *http.Request, m match, body []byte) error {
	d := &decoder{spec: s.spec, patterns: &s.patterns}
	d.path = d.room[:0]
	v := reflect.ValueOf(in).Elem()
	var err error
	switch s.spec.Protocol {
	case RestJSON:
		err = d.rest(op, v, r, m.labels, m.query, body)
	case AWSJSON:
		err = d.jsonInput(v, op.Input, body)
	case Query:
		err = d.formInput(v, op.Input, m.query)
	}
	if err != nil {
		return err
	}
	if err := s.spec.refuse(op, v); err != nil {
		return err
	}
	return d.violated()
}

func (s *Server) authorize(ctx context.Context, op *Op, in any) error {
	if s.opts.Authorize == nil {
		return faas.Errorf(faas.Denied, "Access denied.")
	}
	c := Call{Service: s.spec.Name, Operation: op.Name, Resource: "*", Input: in,
		Action: s.spec.Name + ":" + cmp.Or(op.Action, op.Name)}
	if s.opts.Resource != nil {
		if arn := s.opts.Resource(ctx, op.Name, in); arn != "" {
			c.Resource = arn
		}
	}
	return s.opts.Authorize(ctx, c)
}

func (s *Server) write(w http.ResponseWriter, id string, res response) {
	h := w.Header()
	if h.Get("X-Amzn-Requestid") != id {
		h.Set("X-Amzn-Requestid", id)
	}
	if res.content != "" {
		h.Set("Content-Type", res.content)
	}
	if res.status != http.StatusNoContent {
		h.Set("Content-Length", strconv.Itoa(len(res.body)))
	}
	w.WriteHeader(res.status)
	if res.status == http.StatusNoContent {
		return
	}
	if len(res.body) > quick { // a client that takes it slowly or never may not keep it in memory for ever
		conn := http.NewResponseController(w)
		_ = conn.SetWriteDeadline(time.Now().Add(takeTime + time.Duration(len(res.body)/takeRate)*time.Second)) // not possible in a test's recorder
		defer func() {
			_ = conn.Flush() // the rest is within the deadline, too
			_ = conn.SetWriteDeadline(time.Time{})
		}()
	}
	_, _ = w.Write(res.body) // the client may have left; there is nobody to tell
}

// How long a client may take to take an answer: those of more than quick bytes have takeTime and a second more for each
// takeRate of them.
const (
	quick    = 64 << 10
	takeTime = time.Minute
	takeRate = 32 << 10
)
