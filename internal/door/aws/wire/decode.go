package wire

import (
	"encoding/base64"
	"fmt"
	"math"
	"reflect"
	"strconv"
	"strings"
	"time"

	"artesian/internal/faas"
)

// Bounds of a request, so that a small body cannot grow into a large value.
const (
	maxDepth   = 64
	maxValues  = 200_000 // values of any kind in one request
	maxMembers = 128     // of a structure; the generator holds models to it
)

// decoder fills the Go value of a shape and notes the violated constraints on the way. It serves one request.
type decoder struct {
	spec       *Spec
	patterns   *patterns
	path       []step
	room       [8]step // of the path, as far as it is enough
	values     int
	violations []string
}

// step is one level of the path to the value at hand: a member's name, or a 1-based index, or both ("entry" 1).
type step struct {
	name  string
	index int
}

func (d *decoder) push(name string) { d.path = append(d.path, step{name: name}) }
func (d *decoder) pushIndex(i int)  { d.path = append(d.path, step{name: "member", index: i + 1}) }
func (d *decoder) pop()             { d.path = d.path[:len(d.path)-1] }
func (d *decoder) at(i int) *Shape  { return &d.spec.Shapes[i] }
func (d *decoder) tooMany() error   { return d.typeError("has more than %d values", maxValues) }
func (d *decoder) count() (ok bool) { d.values++; return d.values <= maxValues }
func (d *decoder) tooDeep() bool    { return len(d.path) > maxDepth }
func (d *decoder) deepError() error {
	return d.typeError("is nested more than %d levels deep", maxDepth)
}
func (d *decoder) where() string     { return pathString(d.path, false) }
func (d *decoder) camelPath() string { return pathString(d.path, true) }

// pathString joins a path; camel writes each name with a lower-case first letter and indices as AWS's validation
// messages do (logEvents.1.member.timestamp).
func pathString(path []step, camel bool) string {
	var b strings.Builder
	for _, s := range path {
		if b.Len() > 0 {
			b.WriteByte('.')
		}
		switch {
		case s.index > 0 && camel:
			b.WriteString(strconv.Itoa(s.index) + "." + s.name)
		case s.index > 0:
			b.WriteString(strconv.Itoa(s.index))
		case camel:
			b.WriteString(lowerFirst(s.name))
		default:
			b.WriteString(s.name)
		}
	}
	return b.String()
}

func lowerFirst(s string) string {
	if s == "" || s[0] < 'A' || s[0] > 'Z' {
		return s
	}
	return string(s[0]+'a'-'A') + s[1:]
}

// typeError says that the value at hand cannot be read.
func (d *decoder) typeError(format string, args ...any) error {
	name := d.where()
	if name == "" {
		name = "the request"
	}
	return &faas.Error{Kind: faas.Invalid, Code: d.spec.Codes.Type, Message: name + " " + fmt.Sprintf(format, args...)}
}

// syntaxError says that the body as a whole cannot be read.
func (d *decoder) syntaxError(format string, args ...any) error {
	return &faas.Error{Kind: faas.Invalid, Code: d.spec.Codes.Syntax, Message: fmt.Sprintf(format, args...)}
}

// unknown refuses a member that the model does not have: a newer client may mean something by it.
func (d *decoder) unknown(name string) error {
	d.push(clip(name))
	defer d.pop()
	return refused(d.spec, d.where())
}

func refused(spec *Spec, name string) error {
	return &faas.Error{Kind: faas.Unsupported, Code: spec.Codes.Refused,
		Message: "The parameter " + name + " is not supported."}
}

// slot returns what v points to, allocating it, or v itself when it is not a pointer.
func slot(v reflect.Value) reflect.Value {
	if v.Kind() != reflect.Pointer {
		return v
	}
	v.Set(reflect.New(v.Type().Elem()))
	return v.Elem()
}

// text sets v from the text of a label, header, query or form parameter.
func (d *decoder) text(v reflect.Value, sh *Shape, s string) error {
	switch sh.Kind {
	case String:
		d.setString(v, sh, s)
	case Blob:
		return d.setBase64(v, sh, s)
	case Boolean:
		if s != "true" && s != "false" {
			return d.typeError("must be true or false")
		}
		slot(v).SetBool(s == "true")
	case Integer, Long:
		n, err := strconv.ParseInt(s, 10, 64)
		if err != nil {
			return d.typeError("must be an integer")
		}
		return d.setInt(v, sh, n)
	case Float, Double:
		f, err := parseFloat(s)
		if err != nil {
			return d.typeError("must be a number")
		}
		return d.setFloat(v, sh, f)
	case Timestamp:
		t, err := parseTime(s)
		if err != nil {
			return d.typeError("must be a timestamp")
		}
		slot(v).Set(reflect.ValueOf(t))
	default:
		return d.typeError("cannot be given as text")
	}
	return nil
}

func (d *decoder) setString(v reflect.Value, sh *Shape, s string) {
	s = strings.ToValidUTF8(s, "\ufffd")
	d.checkString(sh, s)
	slot(v).SetString(s)
}

func (d *decoder) setBase64(v reflect.Value, sh *Shape, s string) error {
	b, err := base64.StdEncoding.DecodeString(s)
	if err != nil {
		return d.typeError("must be base64")
	}
	d.setBlob(v, sh, b)
	return nil
}

func (d *decoder) setBlob(v reflect.Value, sh *Shape, b []byte) {
	if sh.outside(float64(len(b))) {
		d.length(sh, len(b), "")
	}
	v.SetBytes(b)
}

func (d *decoder) setInt(v reflect.Value, sh *Shape, n int64) error {
	if sh.Kind == Integer && (n < math.MinInt32 || n > math.MaxInt32) {
		return d.typeError("must be an integer of 32 bits")
	}
	d.checkNumber(sh, float64(n))
	slot(v).SetInt(n)
	return nil
}

func (d *decoder) setFloat(v reflect.Value, sh *Shape, f float64) error {
	if sh.Kind == Float && !math.IsInf(f, 0) && math.Abs(f) > math.MaxFloat32 {
		return d.typeError("must be a number of 32 bits")
	}
	d.checkNumber(sh, f)
	slot(v).SetFloat(f)
	return nil
}

func parseFloat(s string) (float64, error) {
	switch s {
	case "NaN":
		return math.NaN(), nil
	case "Infinity":
		return math.Inf(1), nil
	case "-Infinity":
		return math.Inf(-1), nil
	}
	if strings.ContainsAny(s, "xXpP_nNiI") { // ParseFloat's own spellings
		return 0, strconv.ErrSyntax
	}
	return strconv.ParseFloat(s, 64)
}

// parseTime reads a timestamp in any of the formats, each told by its look.
func parseTime(s string) (time.Time, error) {
	if f, err := parseFloat(s); err == nil {
		return unixTime(f)
	}
	for _, layout := range []string{time.RFC3339Nano, time.RFC1123, "2006-01-02T15:04:05.999999999"} {
		if t, err := time.Parse(layout, s); err == nil {
			return t.UTC(), nil
		}
	}
	return time.Time{}, fmt.Errorf("parse timestamp: %w", strconv.ErrSyntax)
}

// unixTime takes seconds since 1970, to the microsecond at most.
func unixTime(f float64) (time.Time, error) {
	if math.IsNaN(f) || math.Abs(f) > 253402300799 { // year 9999
		return time.Time{}, fmt.Errorf("read timestamp: %w", strconv.ErrRange)
	}
	sec, frac := math.Modf(f)
	return time.Unix(int64(sec), int64(math.Round(frac*1e6))*1e3).UTC(), nil
}
