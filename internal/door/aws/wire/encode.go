package wire

import (
	"net/http"
	"reflect"
	"strings"
)

// response is what goes back: the headers are set apart from it.
type response struct {
	status  int
	content string
	body    []byte
}

// encode writes what an operation returned. out is a pointer to the output's struct, or nil for an operation without one.
func (s *Spec) encode(op *Op, out any, id string, h http.Header) response {
	res := response{status: http.StatusOK, content: s.Content}
	if op.Status != 0 {
		res.status = op.Status
	}
	switch s.Protocol {
	case RestJSON:
		if op.Output == 0 {
			res.content = ""
			return res
		}
		s.encodeREST(op, reflect.ValueOf(out).Elem(), h, &res)
	case AWSJSON:
		if op.Output != 0 {
			res.body = s.jsonObject(nil, reflect.ValueOf(out).Elem(), &s.Shapes[op.Output])
		}
	case Query:
		w := &xmlWriter{spec: s}
		w.WriteString("<" + op.Name + `Response xmlns="` + s.Namespace + `">`)
		if op.Output != 0 && op.Wrapper != "" {
			w.open(op.Wrapper)
			w.members(reflect.ValueOf(out).Elem(), &s.Shapes[op.Output])
			w.close(op.Wrapper)
		}
		w.open("ResponseMetadata")
		w.element("RequestId", id)
		w.close("ResponseMetadata")
		w.close(op.Name + "Response")
		res.body = w.Bytes()
	}
	return res
}

func (s *Spec) encodeREST(op *Op, v reflect.Value, h http.Header, res *response) {
	sh := &s.Shapes[op.Output]
	inBody := true
	for i := range sh.Members {
		m := &sh.Members[i]
		f := v.Field(i)
		if m.Loc == Payload {
			inBody = false
			s.encodePayload(op, f, m, res)
		}
		if unset(f) {
			continue
		}
		switch m.Loc {
		case StatusCode:
			if f = reflect.Indirect(f); f.Int() >= 200 && f.Int() <= 599 {
				res.status = int(f.Int())
			}
		case Header, Headers:
			s.encodeHeader(f, m, h)
		}
	}
	if inBody {
		res.body = s.jsonObject(nil, v, sh)
	}
}

func (s *Spec) encodeHeader(v reflect.Value, m *Member, h http.Header) {
	sh := &s.Shapes[m.Shape]
	switch sh.Kind {
	case Map:
		for _, k := range mapKeys(v) {
			h.Set(m.Wire+k.String(), v.MapIndex(k).String())
		}
	case List:
		var parts []string
		for i := range v.Len() {
			text := s.text(v.Index(i), &s.Shapes[sh.Elem], HTTPDate)
			if s.Shapes[sh.Elem].Kind == String && strings.ContainsAny(text, `,"`) {
				text = `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(text) + `"`
			}
			parts = append(parts, text)
		}
		h.Set(m.wire(), strings.Join(parts, ", "))
	default:
		h.Set(m.wire(), s.text(v, sh, HTTPDate))
	}
}

// encodePayload makes a member the whole body. A blob is written as it is, without a copy.
func (s *Spec) encodePayload(op *Op, v reflect.Value, m *Member, res *response) {
	res.content = op.Content
	switch sh := &s.Shapes[m.Shape]; sh.Kind {
	case Blob:
		res.body = v.Bytes()
		if res.content == "" {
			res.content = "application/octet-stream"
		}
	case String:
		if !unset(v) {
			res.body = []byte(reflect.Indirect(v).String())
		}
		if res.content == "" {
			res.content = "text/plain"
		}
	default:
		res.content = s.Content
		if !unset(v) {
			res.body = s.json(nil, v, m.Shape)
		}
	}
}
