package wire

import (
	"bytes"
	"cmp"
	"encoding/base64"
	"encoding/xml"
	"reflect"
	"strconv"
	"time"
)

// xmlWriter writes the XML of awsQuery responses.
type xmlWriter struct {
	spec *Spec
	bytes.Buffer
}

func (w *xmlWriter) open(name string)  { w.WriteString("<" + name + ">") }
func (w *xmlWriter) close(name string) { w.WriteString("</" + name + ">") }

func (w *xmlWriter) element(name, text string) {
	w.open(name)
	_ = xml.EscapeText(w, []byte(text)) // a Buffer takes everything
	w.close(name)
}

// members writes a structure's set members; required lists are written even when empty.
func (w *xmlWriter) members(v reflect.Value, sh *Shape) {
	for i := range sh.Members {
		m := &sh.Members[i]
		f := v.Field(i)
		if m.Loc != Body || m.Attribute || unset(f) && !(m.Required && listlike(f)) {
			continue
		}
		w.value(m.wire(), f, m.Shape)
	}
}

// value writes one element, or for a flattened list or map several.
func (w *xmlWriter) value(name string, v reflect.Value, shape int) {
	sh := &w.spec.Shapes[shape]
	if v.Kind() == reflect.Pointer {
		v = v.Elem()
	}
	switch sh.Kind {
	case Structure:
		w.WriteString("<" + name)
		w.attributes(v, sh)
		w.WriteString(">")
		w.members(v, sh)
		w.close(name)
	case List:
		w.list(name, v, sh)
	case Map:
		w.entries(name, v, sh)
	default:
		w.element(name, w.spec.text(v, sh, ISO8601))
	}
}

func (w *xmlWriter) attributes(v reflect.Value, sh *Shape) {
	for i := range sh.Members {
		if m := &sh.Members[i]; m.Attribute && !unset(v.Field(i)) {
			w.WriteString(" " + m.wire() + `="`)
			_ = xml.EscapeText(w, []byte(w.spec.text(v.Field(i), &w.spec.Shapes[m.Shape], ISO8601)))
			w.WriteString(`"`)
		}
	}
}

func (w *xmlWriter) list(name string, v reflect.Value, sh *Shape) {
	entry := cmp.Or(sh.ElemName, "member")
	if sh.Flattened {
		entry = name
	} else {
		w.open(name)
		defer w.close(name)
	}
	for i := range v.Len() {
		w.value(entry, v.Index(i), sh.Elem)
	}
}

func (w *xmlWriter) entries(name string, v reflect.Value, sh *Shape) {
	entry := "entry"
	if sh.Flattened {
		entry = name
	} else {
		w.open(name)
		defer w.close(name)
	}
	for _, k := range mapKeys(v) {
		w.open(entry)
		w.element(cmp.Or(sh.KeyName, "key"), k.String())
		w.value(cmp.Or(sh.ElemName, "value"), v.MapIndex(k), sh.Elem)
		w.close(entry)
	}
}

// text writes a scalar for XML or a header; natural is the format of timestamps there.
func (s *Spec) text(v reflect.Value, sh *Shape, natural TimeFormat) string {
	if v.Kind() == reflect.Pointer {
		v = v.Elem()
	}
	switch sh.Kind {
	case Boolean:
		return strconv.FormatBool(v.Bool())
	case Integer, Long:
		return strconv.FormatInt(v.Int(), 10)
	case Float, Double:
		return formatFloat(v.Float(), v.Type().Bits())
	case Timestamp:
		return formatTime(v.Interface().(time.Time), cmp.Or(sh.Time, natural))
	case Blob:
		return base64.StdEncoding.EncodeToString(v.Bytes())
	}
	return v.String()
}
