package wire

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"time"

	"artesian/internal/faas"
)

// eventStream is the content type of a stream of events.
const eventStream = "application/vnd.amazon.eventstream"

// Stream is where an operation writes to whose output is a stream of events. Its methods are called by one goroutine at a
// time. Each event is with the client before Send returns, or on its way; a client who does not take it in time is given up.
type Stream[O, E any] struct{ to *stream }

// Begin answers with out's headers. An error that the operation returns before is answered as any other.
func (s Stream[O, E]) Begin(out *O) error { return s.to.begin(out) }

// Send sends one event, of which exactly one member is set. An error that the operation returns after it ends the stream.
func (s Stream[O, E]) Send(event *E) error { return s.to.send(event) }

// BindStream makes a Method of an operation whose output is a stream of events.
func BindStream[I, O, E any](f func(context.Context, *I, Stream[O, E]) error) Method {
	return Method{
		new:    func() any { return new(I) },
		stream: func(ctx context.Context, in any, to *stream) error { return f(ctx, in.(*I), Stream[O, E]{to}) },
	}
}

type stream struct {
	server *Server
	op     *Op
	id     string
	w      http.ResponseWriter
	conn   *http.ResponseController
	buf    []byte
	begun  bool
	failed error // the connection's
}

// serveStream runs an operation that streams. It returns the error of one that has not begun.
func (s *Server) serveStream(ctx context.Context, w http.ResponseWriter, id string, op int, in any) error {
	to := &stream{server: s, op: &s.spec.Ops[op], id: id, w: w, conn: http.NewResponseController(w)}
	defer func() { _ = to.conn.SetWriteDeadline(time.Time{}) }() // the connection may be used again
	err := s.methods[op].stream(ctx, in, to)
	if err == nil && !to.begun {
		err = errors.New("the operation ended without an answer")
	}
	if err == nil || !to.begun || to.failed != nil {
		if to.failed != nil {
			return nil // nobody is there to be told
		}
		return err
	}
	rep := s.classify(ctx, err)
	s.log.WarnContext(ctx, "stream broke off", "service", s.spec.Name, "operation", to.op.Name, "request_id", id, "code", rep.Code.Code, "error", err)
	_ = to.message(s.exception(rep))
	return nil
}

func (t *stream) begin(out any) error {
	if t.begun {
		return errors.New("a stream begins once")
	}
	t.begun = true
	h := t.w.Header()
	res := t.server.spec.encode(t.op, out, t.id, h)
	h.Set("x-amzn-RequestId", t.id)
	h.Set("Content-Type", eventStream)
	return t.write(func() error {
		t.w.WriteHeader(res.status)
		return nil
	})
}

func (t *stream) send(event any) error {
	m, err := t.server.spec.event(t.op.Events, reflect.ValueOf(event).Elem())
	if err != nil {
		return err
	}
	return t.message(m)
}

func (t *stream) message(m message) error {
	t.buf = m.append(t.buf[:0])
	return t.write(func() error {
		_, err := t.w.Write(t.buf)
		return err
	})
}

// write lets f write and makes sure that it goes out now, within the time that the client has.
func (t *stream) write(f func() error) error {
	if t.failed != nil {
		return t.failed
	}
	_ = t.conn.SetWriteDeadline(time.Now().Add(t.server.opts.EventTime)) // not possible in a test's recorder
	err := f()
	if err == nil {
		err = t.conn.Flush()
	}
	if err != nil {
		t.failed = fmt.Errorf("write event: %w", err)
	}
	return t.failed
}

// event makes a message of the one member of v that is set.
func (s *Spec) event(shape int, v reflect.Value) (message, error) {
	sh := &s.Shapes[shape]
	for i := range sh.Members {
		if m := &sh.Members[i]; !unset(v.Field(i)) {
			return s.eventMessage(m, v.Field(i).Elem()), nil
		}
	}
	return message{}, faas.Errorf(faas.Internal, "an event of which no member is set")
}

func (s *Spec) eventMessage(event *Member, v reflect.Value) message {
	m := message{headers: []header{{":message-type", "event"}, {":event-type", event.Name}}}
	sh := &s.Shapes[event.Shape]
	content, body := s.Content, true
	for i := range sh.Members {
		f, member := v.Field(i), &sh.Members[i]
		switch {
		case member.Loc == Payload:
			body = false
			content, m.payload = s.eventPayload(f, member.Shape)
		case member.Loc == Header && !unset(f):
			m.headers = append(m.headers, header{member.wire(), reflect.Indirect(f).Interface()})
		}
	}
	if body {
		m.payload = s.jsonObject(nil, v, sh)
	}
	m.headers = append(m.headers, header{":content-type", content})
	return m
}

func (s *Spec) eventPayload(v reflect.Value, shape int) (content string, payload []byte) {
	switch kind := s.Shapes[shape].Kind; {
	case kind == Blob:
		return "application/octet-stream", v.Bytes()
	case unset(v):
		return s.Content, nil
	case kind == String:
		return "text/plain", []byte(reflect.Indirect(v).String())
	}
	return s.Content, s.json(nil, v, shape)
}

// exception is an error as the last message of a stream: one of the model's by its name, any other by code and message.
func (s *Server) exception(rep reply) message {
	if s.errorShape(rep.Code.Code) == nil {
		return message{headers: []header{{":message-type", "error"}, {":error-code", rep.Code.Code}, {":error-message", rep.message}}}
	}
	return message{
		headers: []header{{":message-type", "exception"}, {":exception-type", rep.Code.Code}, {":content-type", s.spec.Content}},
		payload: s.jsonError(rep, http.Header{}),
	}
}
