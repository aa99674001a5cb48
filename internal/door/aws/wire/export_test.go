package wire

import (
	"context"
	"net/http"
	"reflect"
)

// DynamicMethod makes a Method whose types exist at run time only.
func DynamicMethod(new func() any, call func(ctx context.Context, in any) (any, error)) Method {
	return Method{new: new, call: call}
}

// WriteTyped answers with an error whose type exists at run time only.
func (s *Server) WriteTyped(w http.ResponseWriter, code, message string, v reflect.Value) {
	s.refusal(w, "foo-id", reply{Code: Code{code, s.status(code, 0)}, message: message, typed: v})
}

// WriteOutput answers as the only operation of the Spec does when it returns out.
func (s *Server) WriteOutput(w http.ResponseWriter, out any) {
	s.write(w, "foo-id", s.spec.encode(&s.spec.Ops[0], out, "foo-id", w.Header()))
}

// ParseDocument reads a body of no fixed shape.
func ParseDocument(b []byte) (any, error) {
	d := &decoder{spec: &Spec{}}
	r := &jsonReader{data: b}
	v, err := d.jsonDocument(r)
	if err == nil {
		err = r.end()
	}
	return v, err
}

// AppendString writes a JSON string.
func AppendString(s string) []byte { return appendString(nil, s) }

// SplitHeader splits a header's value into its entries.
func SplitHeader(s string, dates bool) []string { return splitHeader(s, dates) }
