package wire

import (
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
