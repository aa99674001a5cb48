package wire

import (
	"net/http"
	"net/url"
	"reflect"
	"strings"
)

// rest decodes a request of the REST protocols: labels of the path, query, headers and body.
func (d *decoder) rest(op *Op, v reflect.Value, r *http.Request, labels labels, query url.Values, body []byte) error {
	sh := d.at(op.Input)
	var seen [maxMembers]bool
	inBody := true
	for i := range sh.Members {
		m := &sh.Members[i]
		d.push(m.Name)
		set, err := false, error(nil)
		switch m.Loc {
		case URI:
			set, err = true, d.text(v.Field(i), d.at(m.Shape), labels.value(m.wire()))
		case QueryParam:
			set, err = d.queryParam(v.Field(i), m, query)
		case Header:
			set, err = d.header(v.Field(i), m, r.Header)
		case Headers:
			set = d.headers(v.Field(i), m, r.Header)
		case Payload:
			inBody = false
			set, err = d.payload(v.Field(i), m, body)
		}
		d.pop()
		if err != nil {
			return err
		}
		seen[i] = set
	}
	if err := d.queryKnown(op, sh, query); err != nil {
		return err
	}
	if inBody {
		if err := d.jsonBody(v, op.Input, body, &seen); err != nil {
			return err
		}
	}
	return d.checkStruct(sh, &seen)
}

func (d *decoder) queryParam(v reflect.Value, m *Member, query url.Values) (bool, error) {
	sh := d.at(m.Shape)
	if sh.Kind == Map {
		return d.queryMap(v, sh, query)
	}
	values, ok := query[m.wire()]
	if !ok {
		return false, nil
	}
	if sh.Kind == List {
		return true, d.texts(v, sh, values)
	}
	return true, d.text(v, sh, values[0])
}

// texts sets a list of scalars.
func (d *decoder) texts(v reflect.Value, sh *Shape, values []string) error {
	v.Set(reflect.MakeSlice(v.Type(), len(values), len(values)))
	for i, s := range values {
		d.pushIndex(i)
		err := d.text(v.Index(i), d.at(sh.Elem), s)
		d.pop()
		if err != nil {
			return err
		}
	}
	d.checkSize(sh, v)
	return nil
}

// queryMap takes all parameters, also those that other members name.
func (d *decoder) queryMap(v reflect.Value, sh *Shape, query url.Values) (bool, error) {
	out := reflect.MakeMap(v.Type())
	for name, values := range query {
		if reservedParam(name) {
			continue
		}
		elem := reflect.New(v.Type().Elem()).Elem()
		var err error
		if es := d.at(sh.Elem); es.Kind == List {
			err = d.texts(elem, es, values)
		} else {
			err = d.text(elem, es, values[0])
		}
		if err != nil {
			return false, err
		}
		d.mapKey(sh, name)
		out.SetMapIndex(reflect.ValueOf(name), elem)
	}
	v.Set(out)
	d.checkSize(sh, out)
	return true, nil
}

// queryKnown refuses parameters that neither the input, nor the template, nor a signature has a use for.
func (d *decoder) queryKnown(op *Op, sh *Shape, query url.Values) error {
	if len(query) == 0 {
		return nil
	}
	first := ""
	for name := range query {
		if (first == "" || name < first) && !d.takes(op, sh, name) {
			first = name
		}
	}
	if first != "" || query.Has("") && !d.takes(op, sh, "") {
		return d.unknown(first)
	}
	return nil
}

// takes reports whether an operation, whose input is sh, has a use for a parameter.
func (d *decoder) takes(op *Op, sh *Shape, name string) bool {
	if reservedParam(name) {
		return true
	}
	for i := range sh.Members {
		m := &sh.Members[i]
		if m.Loc == QueryParam && (m.wire() == name || d.at(m.Shape).Kind == Map) {
			return true
		}
	}
	_, literal, _ := strings.Cut(op.URI, "?")
	if literal == "" {
		return false
	}
	fixed, _ := url.ParseQuery(literal)
	return fixed.Has(name)
}

// reservedParam tells parameters of a presigned URL, and the operation's name that some SDKs add.
func reservedParam(name string) bool {
	return len(name) > 6 && strings.EqualFold(name[:6], "X-Amz-") || name == "x-id"
}

func (d *decoder) header(v reflect.Value, m *Member, h http.Header) (bool, error) {
	values := h.Values(m.wire())
	if len(values) == 0 {
		return false, nil
	}
	sh := d.at(m.Shape)
	if sh.Kind == List {
		var all []string
		for _, s := range values {
			all = append(all, splitHeader(s, d.at(sh.Elem).Kind == Timestamp)...)
		}
		return true, d.texts(v, sh, all)
	}
	return true, d.text(v, sh, strings.TrimSpace(values[0]))
}

// headers takes all headers with the member's prefix. A name loses its original case on the way (RFC 9110 gives it none);
// it is lower case here.
func (d *decoder) headers(v reflect.Value, m *Member, h http.Header) bool {
	out := map[string]string{}
	prefix := http.CanonicalHeaderKey(m.Wire)
	for name, values := range h {
		if len(name) >= len(prefix) && strings.EqualFold(name[:len(prefix)], prefix) && len(values) > 0 {
			out[strings.ToLower(name[len(prefix):])] = values[0]
		}
	}
	if len(out) == 0 {
		return false
	}
	v.Set(reflect.ValueOf(out).Convert(v.Type()))
	return true
}

// splitHeader splits a comma-separated header; an entry in double quotes may hold commas, and a date holds one.
func splitHeader(s string, dates bool) []string {
	var out []string
	for s = strings.TrimSpace(s); s != ""; s = strings.TrimSpace(s) {
		if s[0] == '"' {
			entry, rest := unquoteHeader(s[1:])
			out = append(out, entry)
			s = strings.TrimPrefix(strings.TrimSpace(rest), ",")
			continue
		}
		cut := strings.IndexByte(s, ',')
		if dates && cut >= 0 && strings.IndexByte(s[:cut], ' ') < 0 { // "Mon, 16 Dec 2019 ..."
			if next := strings.IndexByte(s[cut+1:], ','); next >= 0 {
				cut += 1 + next
			} else {
				cut = -1
			}
		}
		if cut < 0 {
			return append(out, s)
		}
		out = append(out, strings.TrimSpace(s[:cut]))
		s = s[cut+1:]
	}
	return out
}

func unquoteHeader(s string) (entry, rest string) {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == '\\' && i+1 < len(s):
			i++
			b.WriteByte(s[i])
		case s[i] == '"':
			return b.String(), s[i+1:]
		default:
			b.WriteByte(s[i])
		}
	}
	return b.String(), ""
}

// payload takes the whole body as the value of a member. A blob is the body itself, not a copy.
func (d *decoder) payload(v reflect.Value, m *Member, body []byte) (bool, error) {
	sh := d.at(m.Shape)
	switch sh.Kind {
	case Blob:
		d.setBlob(v, sh, body)
	case String:
		d.setString(v, sh, string(body))
	default:
		if len(body) == 0 {
			return false, nil
		}
		r := &jsonReader{data: body}
		if err := d.jsonValue(r, v, m.Shape); err != nil {
			return false, err
		}
		if err := r.end(); err != nil {
			return false, d.notJSON(err)
		}
	}
	return len(body) > 0, nil
}
