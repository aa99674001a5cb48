package wire

import (
	"cmp"
	"fmt"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"artesian/internal/faas"
)

// match is what a request asks for.
type match struct {
	name   string
	op     int // index into Spec.Ops; -1 not built
	labels map[string]string
	query  url.Values
}

// Match tells which operation a request asks for, without reading its body: for awsQuery only one named in the URL is seen.
// ok is false when the request is none of this service's. limit is how long its body may be, in bytes.
func (s *Server) Match(r *http.Request) (operation string, limit int64, ok bool) {
	m, err := s.match(r)
	if err != nil {
		return "", DefaultLimit, false
	}
	return m.name, s.limit(m.op), true
}

func (s *Server) limit(op int) int64 {
	if op >= 0 && s.spec.Ops[op].Limit > 0 {
		return s.spec.Ops[op].Limit
	}
	return DefaultLimit
}

func (s *Server) match(r *http.Request) (match, error) {
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return match{}, s.badRequest(s.spec.Codes.Syntax, "The query string cannot be parsed.")
	}
	switch s.spec.Protocol {
	case RestJSON:
		found, labels := s.routes.find(r.Method, r.URL.EscapedPath(), query)
		if found == nil {
			return match{}, s.unknownOp(r.Method + " " + r.URL.Path)
		}
		values, err := found.values(labels)
		if err != nil {
			return match{}, s.badRequest(s.spec.Codes.Syntax, "The path cannot be parsed.")
		}
		return match{found.name, found.op, values, query}, nil
	case AWSJSON:
		name, ok := strings.CutPrefix(r.Header.Get("X-Amz-Target"), s.spec.Target+".")
		if !ok || r.Method != http.MethodPost {
			return match{}, s.unknownOp(r.Header.Get("X-Amz-Target"))
		}
		return s.named(name, query)
	}
	return s.formAction(query, query)
}

// formAction finds the operation of an awsQuery request by the parameters that name it.
func (s *Server) formAction(form, query url.Values) (match, error) {
	if v := form.Get("Version"); v != "" && v != s.spec.APIVersion {
		return match{}, s.unknownOp(form.Get("Action") + " of version " + v)
	}
	return s.named(form.Get("Action"), query)
}

func (s *Server) named(name string, query url.Values) (match, error) {
	i, ok := s.ops[name]
	if !ok {
		return match{}, s.unknownOp(name)
	}
	return match{name: name, op: i, query: query}, nil
}

func (s *Server) badRequest(code, message string) error {
	return &faas.Error{Kind: faas.Invalid, Code: code, Message: message}
}

func (s *Server) unknownOp(name string) error {
	return s.badRequest(s.spec.Codes.UnknownOp, "Could not find operation "+strconv.Quote(clip(name))+".")
}

// actionOf returns the IAM action of an operation without its prefix, "" when it is not known.
func (s *Server) actionOf(op int) string {
	if op < 0 {
		return ""
	}
	return cmp.Or(s.spec.Ops[op].Action, s.spec.Ops[op].Name)
}

// read finds the operation and reads the body; for awsQuery the body is what names the operation.
func (s *Server) read(r *http.Request) (match, []byte, error) {
	m, err := s.match(r)
	formed := s.spec.Protocol == Query && r.Method == http.MethodPost
	if err != nil && !formed {
		return m, nil, err
	}
	if enc := r.Header.Get("Content-Encoding"); enc != "" && enc != "identity" {
		return m, nil, s.badRequest(s.spec.Codes.Syntax, "Content-Encoding "+strconv.Quote(clip(enc))+" is not supported.")
	}
	limit := int64(DefaultLimit)
	if err == nil {
		limit = s.limit(m.op)
	}
	body, readErr := ReadBody(r, limit)
	if readErr != nil {
		if faas.KindOf(readErr) == faas.TooLarge {
			readErr = &faas.Error{Kind: faas.TooLarge, Code: s.spec.Codes.TooLarge,
				Message: fmt.Sprintf("Request must be smaller than %d bytes for the %s operation", limit, cmp.Or(s.actionOf(m.op), m.name))}
		}
		return m, nil, readErr
	}
	if formed {
		form, err := s.form(r, body, m.query)
		if err != nil {
			return m, nil, err
		}
		if m, err = s.formAction(form, form); err != nil {
			return m, nil, err
		}
	}
	if m.op < 0 {
		return m, nil, &faas.Error{Kind: faas.Unsupported, Code: s.spec.Codes.NotBuilt, Message: "Operation " + m.name + " is not built."}
	}
	return m, body, nil
}

// form parses a form body; parameters of the URL count too, the body's win.
func (s *Server) form(r *http.Request, body []byte, query url.Values) (url.Values, error) {
	if ct := r.Header.Get("Content-Type"); ct != "" {
		if kind, _, err := mime.ParseMediaType(ct); err != nil || kind != "application/x-www-form-urlencoded" {
			return nil, s.badRequest(s.spec.Codes.Syntax, "Content-Type must be application/x-www-form-urlencoded.")
		}
	}
	form, err := url.ParseQuery(string(body))
	if err != nil {
		return nil, s.badRequest(s.spec.Codes.Syntax, "The request body cannot be parsed as a form.")
	}
	for k, v := range query {
		if !form.Has(k) {
			form[k] = v
		}
	}
	return form, nil
}
