package wire

import (
	"encoding/base64"
	"encoding/json"
	"math"
	"reflect"
	"slices"
	"strconv"
	"time"
	"unicode/utf8"
)

// jsonObject appends a structure's members that travel in the body. Unset members are left out, required ones never.
func (s *Spec) jsonObject(b []byte, v reflect.Value, sh *Shape) []byte {
	b = append(b, '{')
	first := true
	for i := range sh.Members {
		m := &sh.Members[i]
		f := v.Field(i)
		if m.Loc != Body || unset(f) && !(m.Required && listlike(f)) {
			continue
		}
		if !first {
			b = append(b, ',')
		}
		first = false
		b = append(appendString(b, m.wire()), ':')
		b = s.json(b, f, m.Shape)
	}
	return append(b, '}')
}

// unset tells an optional member that is absent.
func unset(v reflect.Value) bool {
	switch v.Kind() {
	case reflect.Pointer, reflect.Slice, reflect.Map, reflect.Interface:
		return v.IsNil()
	}
	return false
}

func listlike(v reflect.Value) bool { return v.Kind() == reflect.Slice || v.Kind() == reflect.Map }

// json appends the value of a shape.
func (s *Spec) json(b []byte, v reflect.Value, shape int) []byte {
	sh := &s.Shapes[shape]
	if v.Kind() == reflect.Pointer {
		v = v.Elem()
	}
	switch sh.Kind {
	case Structure:
		return s.jsonObject(b, v, sh)
	case List:
		b = append(b, '[')
		for i := range v.Len() {
			if i > 0 {
				b = append(b, ',')
			}
			b = s.json(b, v.Index(i), sh.Elem)
		}
		return append(b, ']')
	case Map:
		b = append(b, '{')
		for i, k := range mapKeys(v) {
			if i > 0 {
				b = append(b, ',')
			}
			b = append(appendString(b, k.String()), ':')
			b = s.json(b, v.MapIndex(k), sh.Elem)
		}
		return append(b, '}')
	case Document:
		return appendDocument(b, v.Interface())
	case Timestamp:
		if sh.Time == ISO8601 || sh.Time == HTTPDate {
			return appendString(b, formatTime(v.Interface().(time.Time), sh.Time))
		}
		return append(b, formatTime(v.Interface().(time.Time), UnixTime)...)
	case Blob:
		b = append(b, '"')
		b = base64.StdEncoding.AppendEncode(b, v.Bytes())
		return append(b, '"')
	case String:
		return appendString(b, v.String())
	case Boolean:
		return strconv.AppendBool(b, v.Bool())
	case Float, Double:
		return appendJSONFloat(b, v.Float(), v.Type().Bits())
	}
	return strconv.AppendInt(b, v.Int(), 10)
}

func mapKeys(v reflect.Value) []reflect.Value {
	keys := v.MapKeys()
	slices.SortFunc(keys, func(a, b reflect.Value) int {
		if a.String() < b.String() {
			return -1
		}
		return 1
	})
	return keys
}

// appendDocument appends a value of no fixed shape; what cannot be written as JSON becomes null.
func appendDocument(b []byte, v any) []byte {
	out, err := json.Marshal(v)
	if err != nil {
		return append(b, "null"...)
	}
	return append(b, out...)
}

func appendJSONFloat(b []byte, f float64, bits int) []byte {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return appendString(b, formatFloat(f, bits))
	}
	return append(b, formatFloat(f, bits)...)
}

func formatFloat(f float64, bits int) string {
	switch {
	case math.IsNaN(f):
		return "NaN"
	case math.IsInf(f, 1):
		return "Infinity"
	case math.IsInf(f, -1):
		return "-Infinity"
	case f != 0 && (math.Abs(f) < 1e-6 || math.Abs(f) >= 1e21):
		return strconv.FormatFloat(f, 'e', -1, bits)
	}
	return strconv.FormatFloat(f, 'f', -1, bits)
}

// formatTime writes a timestamp to the millisecond, without a fraction when it has none.
func formatTime(t time.Time, format TimeFormat) string {
	t = t.UTC()
	switch format {
	case HTTPDate:
		return t.Format("Mon, 02 Jan 2006 15:04:05 GMT")
	case ISO8601:
		return t.Format("2006-01-02T15:04:05.999Z")
	}
	ms := t.UnixMilli()
	if ms%1000 == 0 {
		return strconv.FormatInt(ms/1000, 10)
	}
	return strconv.FormatFloat(float64(ms)/1000, 'f', -1, 64)
}

// appendString appends s as a JSON string. Bytes that are not UTF-8 become U+FFFD.
func appendString(b []byte, s string) []byte {
	const hex = "0123456789abcdef"
	b = append(b, '"')
	start := 0
	for i := 0; i < len(s); {
		c := s[i]
		if c >= ' ' && c != '"' && c != '\\' && c < utf8.RuneSelf {
			i++
			continue
		}
		if c >= utf8.RuneSelf {
			r, n := utf8.DecodeRuneInString(s[i:])
			if r == utf8.RuneError && n == 1 {
				b = append(append(b, s[start:i]...), "\ufffd"...)
				start = i + 1
			}
			i += n
			continue
		}
		b = append(b, s[start:i]...)
		switch c {
		case '"', '\\':
			b = append(b, '\\', c)
		case '\n':
			b = append(b, '\\', 'n')
		case '\r':
			b = append(b, '\\', 'r')
		case '\t':
			b = append(b, '\\', 't')
		default:
			b = append(b, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
		}
		i++
		start = i
	}
	return append(append(b, s[start:]...), '"')
}
