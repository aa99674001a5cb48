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
	labels labels
	query  url.Values // nil without any
}

// labels are those of a path, by the names that its template gives them.
type labels struct {
	names  []string
	values [maxLabels]string
}

// maxLabels is how many labels a template has at most; the generator's models have no more.
const maxLabels = 8

func (l *labels) value(name string) string {
	for i, n := range l.names {
		if n == name {
			return l.values[i]
		}
	}
	return ""
}

// defaultLimit bounds the body of an operation that states no limit of its own, in bytes.
const defaultLimit = 2 << 20

// Limit is the most bytes that the body of r may have. It depends on the operation, which for awsQuery only the URL may tell here.
func (s *Server) Limit(r *http.Request) int64 {
	m, err := s.match(r)
	if err != nil {
		return defaultLimit
	}
	return s.limit(m.op)
}

func (s *Server) limit(op int) int64 {
	if op >= 0 && s.spec.Ops[op].Limit > 0 {
		return s.spec.Ops[op].Limit
	}
	return defaultLimit
}

func (s *Server) tooLarge(m match) error {
	message := fmt.Sprintf("Request must be smaller than %d bytes", s.limit(m.op))
	if name := cmp.Or(s.actionOf(m.op), m.name); name != "" {
		message += " for the " + name + " operation"
	}
	return &faas.Error{Kind: faas.TooLarge, Code: s.spec.Codes.TooLarge, Message: message}
}

func (s *Server) match(r *http.Request) (match, error) {
	var query url.Values
	if r.URL.RawQuery != "" {
		var err error
		if query, err = url.ParseQuery(r.URL.RawQuery); err != nil {
			return match{op: -1}, s.badRequest(s.spec.Codes.Syntax, "The query string cannot be parsed.")
		}
	}
	switch s.spec.Protocol {
	case RestJSON:
		found, escaped := s.routes.find(r.Method, r.URL.EscapedPath(), query)
		if found == nil {
			return match{op: -1}, s.unknownOp(r.Method + " " + r.URL.Path)
		}
		values, err := found.values(&escaped)
		if err != nil {
			return match{op: -1}, s.badRequest(s.spec.Codes.Syntax, "The path cannot be parsed.")
		}
		return match{found.name, found.op, values, query}, nil
	case AWSJSON:
		name, ok := strings.CutPrefix(r.Header.Get("X-Amz-Target"), s.spec.Target+".")
		if !ok || r.Method != http.MethodPost {
			return match{op: -1}, s.unknownOp(r.Header.Get("X-Amz-Target"))
		}
		return s.named(name, query)
	}
	return s.formAction(query)
}

// formAction finds the operation of an awsQuery request by the parameters that name it.
func (s *Server) formAction(form url.Values) (match, error) {
	if v := form.Get("Version"); v != "" && v != s.spec.APIVersion {
		return match{op: -1}, s.unknownOp(form.Get("Action") + " of version " + v)
	}
	return s.named(form.Get("Action"), form)
}

func (s *Server) named(name string, query url.Values) (match, error) {
	i, ok := s.ops[name]
	if !ok {
		return match{op: -1}, s.unknownOp(name)
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

// find returns the operation that a request asks for, as long as it is built; for awsQuery the body names it.
func (s *Server) find(r *http.Request, body []byte) (match, error) {
	m, err := s.match(r)
	if s.spec.Protocol == Query && r.Method == http.MethodPost {
		form, formErr := s.form(r, body)
		if formErr != nil {
			return m, formErr
		}
		m, err = s.formAction(form)
	}
	switch {
	case err != nil:
		return m, err
	case m.op < 0:
		return m, &faas.Error{Kind: faas.Unsupported, Code: s.spec.Codes.NotBuilt, Message: "Operation " + m.name + " is not built."}
	case int64(len(body)) > s.limit(m.op):
		return m, s.tooLarge(m)
	}
	if enc := r.Header.Get("Content-Encoding"); enc != "" && enc != "identity" {
		return m, s.badRequest(s.spec.Codes.Syntax, "Content-Encoding "+strconv.Quote(clip(enc))+" is not supported.")
	}
	return m, nil
}

// form parses a form body; parameters of the URL count too, the body's win.
func (s *Server) form(r *http.Request, body []byte) (url.Values, error) {
	if ct := r.Header.Get("Content-Type"); ct != "" {
		if kind, _, err := mime.ParseMediaType(ct); err != nil || kind != "application/x-www-form-urlencoded" {
			return nil, s.badRequest(s.spec.Codes.Syntax, "Content-Type must be application/x-www-form-urlencoded.")
		}
	}
	form, err := url.ParseQuery(string(body))
	if err != nil {
		return nil, s.badRequest(s.spec.Codes.Syntax, "The request body cannot be parsed as a form.")
	}
	for k, v := range r.URL.Query() {
		if !form.Has(k) {
			form[k] = v
		}
	}
	return form, nil
}
