package wire

import (
	"encoding/base64"
	"encoding/json"
	"reflect"
)

func (d *decoder) jsonScalar(r *jsonReader, v reflect.Value, sh *Shape) error {
	c := r.peek()
	isNumber := c == '-' || c >= '0' && c <= '9'
	switch {
	case sh.Kind == String && c == '"':
		s, err := r.str()
		if err != nil {
			return d.notJSON(err)
		}
		d.setString(v, sh, s)
	case sh.Kind == Blob && c == '"':
		return d.jsonBlob(r, v, sh)
	case sh.Kind == Boolean && (c == 't' || c == 'f'):
		b, err := r.boolean()
		if err != nil {
			return d.notJSON(err)
		}
		slot(v).SetBool(b)
	case isNumber && (sh.Kind == Integer || sh.Kind == Long):
		s, err := r.num()
		if err != nil {
			return d.notJSON(err)
		}
		n, ok := integral(s)
		if !ok {
			return d.typeError("must be an integer of 64 bits")
		}
		return d.setInt(v, sh, n)
	case isNumber && (sh.Kind == Float || sh.Kind == Double || sh.Kind == Timestamp):
		s, err := r.num()
		if err != nil {
			return d.notJSON(err)
		}
		return d.text(v, sh, s)
	case c == '"' && (sh.Kind == Float || sh.Kind == Double || sh.Kind == Timestamp):
		return d.jsonQuoted(r, v, sh)
	default:
		return d.mismatch(r, jsonTypes[sh.Kind])
	}
	return nil
}

// jsonQuoted takes what JSON has no literal for: dates in text form, and the three float values that are not numbers.
func (d *decoder) jsonQuoted(r *jsonReader, v reflect.Value, sh *Shape) error {
	s, err := r.str()
	if err != nil {
		return d.notJSON(err)
	}
	if sh.Kind != Timestamp && s != "NaN" && s != "Infinity" && s != "-Infinity" {
		return d.typeError("must be a number")
	}
	return d.text(v, sh, s)
}

// jsonBlob decodes base64 straight from the body.
func (d *decoder) jsonBlob(r *jsonReader, v reflect.Value, sh *Shape) error {
	raw, escaped, err := r.raw()
	if err != nil {
		return d.notJSON(err)
	}
	if escaped {
		var ok bool
		if raw, ok = unescape(raw); !ok {
			return d.notJSON(r.fail("a string with valid escapes"))
		}
	}
	out := make([]byte, base64.StdEncoding.DecodedLen(len(raw)))
	n, err := base64.StdEncoding.Decode(out, raw)
	if err != nil {
		return d.typeError("must be base64")
	}
	d.setBlob(v, sh, out[:n])
	return nil
}

var jsonTypes = [...]string{String: "a string", Boolean: "true or false", Integer: "an integer", Long: "an integer",
	Float: "a number", Double: "a number", Timestamp: "a timestamp", Blob: "a string of base64"}

// mismatch tells a value of the wrong type from text that is not JSON at all.
func (d *decoder) mismatch(r *jsonReader, want string) error {
	switch c := r.peek(); {
	case c == '{', c == '[', c == '"', c == 't', c == 'f', c == 'n', c == '-', c >= '0' && c <= '9':
		return d.typeError("must be %s", want)
	}
	return d.notJSON(r.fail("a value"))
}

// jsonDocument decodes a value of no fixed shape; numbers stay as written.
func (d *decoder) jsonDocument(r *jsonReader) (any, error) {
	if !d.count() {
		return nil, d.tooMany()
	}
	d.push("")
	defer d.pop()
	if d.tooDeep() {
		return nil, d.deepError()
	}
	var out any
	var err error
	switch c := r.peek(); c {
	case '{':
		m := map[string]any{}
		return m, d.jsonObject(r, func(key []byte) error {
			v, err := d.jsonDocument(r)
			m[string(key)] = v
			return err
		})
	case '[':
		list := []any{}
		err := d.jsonArray(r, func() error {
			v, err := d.jsonDocument(r)
			list = append(list, v)
			return err
		})
		return list, err
	case '"':
		out, err = r.str()
	case 't', 'f':
		out, err = r.boolean()
	case 'n':
		err = r.literal("null")
	default:
		var s string
		s, err = r.num()
		out = json.Number(s)
	}
	if err != nil {
		return nil, d.notJSON(err)
	}
	return out, nil
}
