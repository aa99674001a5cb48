package wire

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"reflect"
	"strings"

	"artesian/internal/faas"
)

// Failure is an error of a service's model; the generated error types implement it.
type Failure interface {
	error
	ErrorCode() string
}

// statusClientGone is logged and sent for a request whose client left; nobody reads it.
const statusClientGone = 499

// reply is an error as it goes over the wire.
type reply struct {
	Code
	message string
	reason  string
	typed   reflect.Value // the generated error, when there is one
	retry   bool          // the same request may succeed later
}

// classify maps any error to what the client is told. Text of errors that nobody classified stays in the log.
func (s *Server) classify(ctx context.Context, err error) reply {
	var typed Failure
	var fe *faas.Error
	switch {
	case errors.As(err, &typed):
		code := typed.ErrorCode()
		v := reflect.Indirect(reflect.ValueOf(typed))
		return reply{Code: Code{code, s.status(code, http.StatusBadRequest)}, message: messageOf(v), typed: v}
	case errors.As(err, &fe) && fe.Kind != faas.Internal:
		known := s.spec.kind(fe.Kind)
		if fe.Code != "" {
			known = Code{fe.Code, s.status(fe.Code, known.Status)}
		}
		return reply{Code: known, message: fe.Message, reason: fe.Reason, retry: fe.Kind == faas.Throttled || fe.Kind == faas.Unavailable}
	case ctx.Err() != nil:
		return reply{Code: Code{"RequestAbortedException", statusClientGone}, message: "The client closed the connection."}
	}
	return reply{Code: s.spec.kind(faas.Internal), message: "The service met an internal error. Its log has the reason under the request id."}
}

func (s *Spec) kind(k faas.Kind) Code {
	if int(k) >= len(s.Kinds) {
		k = faas.Internal
	}
	return s.Kinds[k]
}

// status returns the HTTP status of a code: the model's, or otherwise. SDKs retry 500, 502, 503 and 504, and so not 501.
func (s *Server) status(code string, otherwise int) int {
	switch {
	case code == s.spec.Codes.NotBuilt:
		return http.StatusNotImplemented
	case code == s.spec.Codes.UnknownOp && s.spec.Protocol == RestJSON:
		return http.StatusNotFound
	}
	if e := s.errorShape(code); e != nil {
		return e.Status
	}
	return otherwise
}

func (s *Server) errorShape(code string) *ErrorShape {
	if i, ok := s.errors[code]; ok {
		return &s.spec.Errors[i]
	}
	return nil
}

// messageOf returns the message of a generated error.
func messageOf(v reflect.Value) string {
	if f := v.FieldByName("Message"); f.IsValid() && f.Kind() == reflect.Pointer && !f.IsNil() {
		return f.Elem().String()
	}
	return ""
}

// ErrorText is what a generated error's Error method returns.
func ErrorText(code string, message *string) string {
	if message == nil {
		return code
	}
	return code + ": " + *message
}

func (s *Server) fail(ctx context.Context, w http.ResponseWriter, id, op string, err error) {
	rep := s.classify(ctx, err)
	level := slog.LevelDebug
	if rep.Status >= 500 && rep.Status != http.StatusNotImplemented {
		level = slog.LevelError
	}
	s.log.Log(ctx, level, "request failed", "service", s.spec.Name, "operation", op, "request_id", id,
		"code", rep.Code.Code, "status", rep.Status, "error", err)
	s.refusal(w, id, rep)
}

// refusal writes an error in the way of the protocol.
func (s *Server) refusal(w http.ResponseWriter, id string, rep reply) {
	h := w.Header()
	if rep.retry && h.Get("Retry-After") == "" {
		h.Set("Retry-After", "1")
	}
	var body []byte
	switch s.spec.Protocol {
	case RestJSON:
		h.Set("x-amzn-ErrorType", rep.Code.Code)
		body = s.jsonError(rep, h)
	case AWSJSON:
		body = s.jsonError(rep, h)
		tag := appendString([]byte(`{"__type":`), rep.Code.Code)
		if len(body) > 2 {
			tag = append(tag, ',')
		}
		body = append(tag, body[1:]...)
	case Query:
		body = s.xmlError(rep, id)
	}
	s.write(w, id, response{status: rep.Status, content: s.spec.Content, body: body})
}

// jsonError writes the members of the error's shape; the message under the name that the shape gives it.
func (s *Server) jsonError(rep reply, h http.Header) []byte {
	e := s.errorShape(rep.Code.Code)
	if e == nil {
		return append(appendString([]byte(`{"message":`), rep.message), '}')
	}
	sh := &s.spec.Shapes[e.Shape]
	if rep.typed.IsValid() {
		for i := range sh.Members {
			if m := &sh.Members[i]; m.Loc == Header && !unset(rep.typed.Field(i)) {
				s.spec.encodeHeader(rep.typed.Field(i), m, h)
			}
		}
		return s.spec.jsonObject(nil, rep.typed, sh)
	}
	b := []byte{'{'}
	for i := range sh.Members {
		m := &sh.Members[i]
		var value string
		switch {
		case strings.EqualFold(m.Name, "message"):
			value = rep.message
		case m.Name == "Type":
			value = "User"
			if e.Fault {
				value = "Service"
			}
		case m.Name == "Reason" && rep.reason != "":
			value = rep.reason
		default:
			continue
		}
		if len(b) > 1 {
			b = append(b, ',')
		}
		b = append(appendString(b, m.wire()), ':')
		b = appendString(b, value)
	}
	return append(b, '}')
}

func (s *Server) xmlError(rep reply, id string) []byte {
	fault := "Sender"
	if rep.Status >= 500 {
		fault = "Receiver"
	}
	w := &xmlWriter{spec: s.spec}
	w.WriteString(`<ErrorResponse xmlns="` + s.spec.Namespace + `">`)
	w.open("Error")
	w.element("Type", fault)
	w.element("Code", rep.Code.Code)
	w.element("Message", cmp.Or(rep.message, rep.Code.Code))
	if e := s.errorShape(rep.Code.Code); e != nil && rep.typed.IsValid() {
		for i := range s.spec.Shapes[e.Shape].Members {
			m := &s.spec.Shapes[e.Shape].Members[i]
			if f := rep.typed.Field(i); !unset(f) && !strings.EqualFold(m.Name, "message") {
				w.value(m.wire(), f, m.Shape)
			}
		}
	}
	w.close("Error")
	w.element("RequestId", id)
	w.close("ErrorResponse")
	return w.Bytes()
}
