package wire

import (
	"encoding/base64"
	"encoding/json"
	"reflect"
	"unicode/utf8"
)

// jsonBody decodes a whole body into v, the Go struct of shape, and marks the members seen. An empty body is an empty object.
func (d *decoder) jsonBody(v reflect.Value, shape int, body []byte, seen *[maxMembers]bool) error {
	r := &jsonReader{data: body}
	if r.peek() == 0 && r.pos == len(body) {
		return nil
	}
	if err := d.jsonMembers(r, v, shape, seen); err != nil {
		return err
	}
	if err := r.end(); err != nil {
		return d.notJSON(err)
	}
	return nil
}

// jsonInput decodes the body of a request that has nothing but a body.
func (d *decoder) jsonInput(v reflect.Value, shape int, body []byte) error {
	var seen [maxMembers]bool
	if err := d.jsonBody(v, shape, body, &seen); err != nil {
		return err
	}
	return d.checkStruct(d.at(shape), &seen)
}

func (d *decoder) notJSON(err error) error {
	return d.syntaxError("Could not parse request body into json: %v", err)
}

// jsonValue decodes the next value into v.
func (d *decoder) jsonValue(r *jsonReader, v reflect.Value, shape int) error {
	if !d.count() {
		return d.tooMany()
	}
	if d.tooDeep() {
		return d.deepError()
	}
	switch sh := d.at(shape); sh.Kind {
	case Structure:
		v = slot(v)
		v.SetZero()
		var seen [maxMembers]bool
		if err := d.jsonMembers(r, v, shape, &seen); err != nil {
			return err
		}
		return d.checkStruct(sh, &seen)
	case List:
		return d.jsonList(r, v, sh)
	case Map:
		return d.jsonMap(r, v, sh)
	case Document:
		doc, err := d.jsonDocument(r)
		if err == nil && doc != nil {
			v.Set(reflect.ValueOf(doc))
		}
		return err
	default:
		return d.jsonScalar(r, v, sh)
	}
}

func (d *decoder) jsonMembers(r *jsonReader, v reflect.Value, shape int, seen *[maxMembers]bool) error {
	if r.peek() != '{' {
		return d.mismatch(r, "an object")
	}
	sh := d.at(shape)
	return d.jsonObject(r, func(key []byte) error {
		i := findMember(sh, key)
		if i < 0 {
			return d.jsonUnknown(r, sh, string(key))
		}
		m := &sh.Members[i]
		if null, err := r.null(); err != nil || null {
			if err != nil {
				return d.notJSON(err)
			}
			return nil
		}
		seen[i] = true
		d.push(m.Name)
		defer d.pop()
		return d.jsonValue(r, v.Field(i), m.Shape)
	})
}

// findMember returns the index of the body member that is called name in messages, or -1.
func findMember(sh *Shape, name []byte) int {
	for i := range sh.Members {
		if m := &sh.Members[i]; m.wire() == string(name) && m.Loc == Body {
			return i
		}
	}
	return -1
}

// jsonUnknown refuses a member that is not in the model, unless it is null or the type tag that some clients add.
func (d *decoder) jsonUnknown(r *jsonReader, sh *Shape, name string) error {
	null, err := r.null()
	if err == nil && !null {
		if name != "__type" {
			return d.unknown(name)
		}
		_, err = r.str()
	}
	if err != nil {
		return d.notJSON(err)
	}
	return nil
}

// jsonObject calls member for each key of the object that is next; member takes the value.
func (d *decoder) jsonObject(r *jsonReader, member func(key []byte) error) error {
	r.take('{')
	if r.take('}') {
		return nil
	}
	for {
		key, escaped, err := r.raw()
		if err != nil {
			return d.notJSON(err)
		}
		if escaped {
			var ok bool
			if key, ok = unescape(key); !ok {
				return d.notJSON(r.fail("a string with valid escapes"))
			}
		}
		if !utf8.Valid(key) {
			key = []byte(string([]rune(string(key))))
		}
		if !r.take(':') {
			return d.notJSON(r.fail("':'"))
		}
		if err := member(key); err != nil {
			return err
		}
		if r.take('}') {
			return nil
		}
		if !r.take(',') {
			return d.notJSON(r.fail("',' or '}'"))
		}
	}
}

// jsonArray calls elem for each element of the array that is next; elem takes it.
func (d *decoder) jsonArray(r *jsonReader, elem func() error) error {
	r.take('[')
	if r.take(']') {
		return nil
	}
	for {
		if err := elem(); err != nil {
			return err
		}
		if r.take(']') {
			return nil
		}
		if !r.take(',') {
			return d.notJSON(r.fail("',' or ']'"))
		}
	}
}

func (d *decoder) jsonList(r *jsonReader, v reflect.Value, sh *Shape) error {
	if r.peek() != '[' {
		return d.mismatch(r, "an array")
	}
	v.Set(reflect.MakeSlice(v.Type(), 0, 0))
	n := 0
	err := d.jsonArray(r, func() error {
		d.pushIndex(n)
		defer d.pop()
		n++
		if r.peek() == 'n' {
			return d.mismatch(r, "a value")
		}
		v.Grow(1)
		v.SetLen(n)
		return d.jsonValue(r, v.Index(n-1), sh.Elem)
	})
	if err == nil {
		d.checkSize(sh, v)
	}
	return err
}

func (d *decoder) jsonMap(r *jsonReader, v reflect.Value, sh *Shape) error {
	if r.peek() != '{' {
		return d.mismatch(r, "an object")
	}
	v.Set(reflect.MakeMap(v.Type()))
	err := d.jsonObject(r, func(key []byte) error {
		name := string(key)
		d.mapKey(sh, name)
		d.push(name)
		defer d.pop()
		if r.peek() == 'n' {
			return d.mismatch(r, "a value")
		}
		elem := reflect.New(v.Type().Elem()).Elem()
		if err := d.jsonValue(r, elem, sh.Elem); err != nil {
			return err
		}
		v.SetMapIndex(reflect.ValueOf(name), elem)
		return nil
	})
	if err == nil {
		d.checkSize(sh, v)
	}
	return err
}

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
