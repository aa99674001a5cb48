package wire_test

import (
	"compress/gzip"
	"context"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"artesian/internal/door/aws/wire"
	"artesian/internal/door/aws/wire/model"
	"artesian/internal/faas"
)

// suite is one file's entry: a small model, and cases that use it.
type suite struct {
	Description string                 `json:"description"`
	Metadata    model.Metadata         `json:"metadata"`
	Shapes      map[string]model.Shape `json:"shapes"`
	Cases       []golden               `json:"cases"`
}

type golden struct {
	ID         string          `json:"id"`
	Given      model.Operation `json:"given"`
	Params     map[string]any  `json:"params"`
	Serialized struct {
		Method  string            `json:"method"`
		URI     string            `json:"uri"`
		Headers map[string]string `json:"headers"`
		Body    string            `json:"body"`
	} `json:"serialized"`
	Result    map[string]any `json:"result"`
	Error     map[string]any `json:"error"`
	ErrorCode string         `json:"errorCode"`
	ErrorText string         `json:"errorMessage"`
	Response  struct {
		Status  int               `json:"status_code"`
		Headers map[string]string `json:"headers"`
		Body    string            `json:"body"`
	} `json:"response"`
}

// eachCase runs f for every case of a file that is not skipped with a reason. A reason for a case that does not exist fails.
func eachCase(t *testing.T, file string, skip map[string]string, f func(t *testing.T, s suite, c golden)) {
	t.Helper()
	in, err := os.Open(filepath.Join("testdata", "protocols", file+".json.gz"))
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	z, err := gzip.NewReader(in)
	if err != nil {
		t.Fatal(err)
	}
	var suites []suite
	if err := json.NewDecoder(z).Decode(&suites); err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for _, s := range suites {
		for _, c := range s.Cases {
			if reason, ok := skip[c.ID]; ok {
				seen[c.ID] = true
				t.Logf("%s: %s", c.ID, reason)
				continue
			}
			t.Run(c.ID, func(t *testing.T) { f(t, s, c) })
		}
	}
	for id := range skip {
		if !seen[id] {
			t.Errorf("no case is called %s", id)
		}
	}
}

// server makes a server of a case's one operation; its types are made at run time.
func (s suite) server(t *testing.T, c golden, call func(in any, output reflect.Type) (any, error)) (*wire.Server, *wire.Spec) {
	t.Helper()
	if c.Given.Output != nil {
		c.Given.Output.ResultWrapper = c.Given.Name + "Result"
	}
	m := &model.Model{Metadata: s.Metadata, Shapes: s.Shapes, Operations: map[string]model.Operation{c.Given.Name: c.Given}}
	svc := model.Service{Name: "test", Ops: []string{c.Given.Name}, Statuses: map[faas.Kind]wire.Code{}, Codes: wire.Codes{
		Syntax: "Syntax", Type: "Type", Validation: "Validation", Refused: "Refused", UnknownOp: "UnknownOp"}}
	for k := range 12 {
		svc.Statuses[faas.Kind(k)] = wire.Code{Code: faas.Kind(k).String(), Status: 400}
	}
	built, err := model.Build(m, svc)
	if err != nil {
		t.Fatal(err)
	}
	spec := &built.Spec
	method := wire.DynamicMethod(
		func() any { return reflect.New(typeOf(spec, spec.Ops[0].Input, 0)).Interface() },
		func(_ context.Context, in any) (any, error) { return call(in, typeOf(spec, spec.Ops[0].Output, 0)) })
	allow := func(context.Context, wire.Call) error { return nil }
	return wire.New(spec, []wire.Method{method}, wire.Options{Authorize: allow}), spec
}

// typeOf makes the Go type of a shape as the generator would write it. Recursion ends in empty structures: no case is that deep.
func typeOf(spec *wire.Spec, shape, depth int) reflect.Type {
	sh := &spec.Shapes[shape]
	switch sh.Kind {
	case wire.Structure:
		if depth > 6 {
			return reflect.TypeFor[struct{}]()
		}
		fields := make([]reflect.StructField, len(sh.Members))
		for i, m := range sh.Members {
			ft := typeOf(spec, m.Shape, depth+1)
			k := spec.Shapes[m.Shape].Kind
			scalar := k != wire.Structure && k != wire.List && k != wire.Map && k != wire.Blob && k != wire.Document
			if k == wire.Structure || scalar && !m.Required {
				ft = reflect.PointerTo(ft)
			}
			fields[i] = reflect.StructField{Name: strings.ToUpper(m.Name[:1]) + m.Name[1:], Type: ft}
		}
		return reflect.StructOf(fields)
	case wire.List:
		return reflect.SliceOf(typeOf(spec, sh.Elem, depth+1))
	case wire.Map:
		return reflect.MapOf(reflect.TypeFor[string](), typeOf(spec, sh.Elem, depth+1))
	}
	return map[wire.Kind]reflect.Type{wire.String: reflect.TypeFor[string](), wire.Boolean: reflect.TypeFor[bool](),
		wire.Integer: reflect.TypeFor[int32](), wire.Long: reflect.TypeFor[int64](), wire.Float: reflect.TypeFor[float32](),
		wire.Double: reflect.TypeFor[float64](), wire.Timestamp: reflect.TypeFor[time.Time](), wire.Blob: reflect.TypeFor[[]byte](),
		wire.Document: reflect.TypeFor[any]()}[sh.Kind]
}

// fill sets v from a case's plain JSON: blobs as text, timestamps as seconds. A null is an absent value.
func fill(t *testing.T, spec *wire.Spec, v reflect.Value, shape int, from any) {
	t.Helper()
	if from == nil {
		return
	}
	if v.Kind() == reflect.Pointer {
		v.Set(reflect.New(v.Type().Elem()))
		v = v.Elem()
	}
	sh := &spec.Shapes[shape]
	switch sh.Kind {
	case wire.Structure:
		known := 0
		for i, m := range sh.Members {
			if x, ok := from.(map[string]any)[m.Name]; ok {
				known++
				fill(t, spec, v.Field(i), m.Shape, x)
			}
		}
		if known != len(from.(map[string]any)) {
			t.Fatalf("case has members beyond the model: %v", from)
		}
	case wire.List:
		list := from.([]any)
		v.Set(reflect.MakeSlice(v.Type(), len(list), len(list)))
		for i, x := range list {
			fill(t, spec, v.Index(i), sh.Elem, x)
		}
	case wire.Map:
		v.Set(reflect.MakeMap(v.Type()))
		for k, x := range from.(map[string]any) {
			elem := reflect.New(v.Type().Elem()).Elem()
			fill(t, spec, elem, sh.Elem, x)
			v.SetMapIndex(reflect.ValueOf(k), elem)
		}
	case wire.Timestamp:
		sec, frac := math.Modf(from.(float64))
		v.Set(reflect.ValueOf(time.Unix(int64(sec), int64(math.Round(frac*1e6))*1e3).UTC()))
	case wire.Blob:
		v.SetBytes([]byte(from.(string)))
	case wire.Float, wire.Double:
		switch from {
		case "NaN":
			v.SetFloat(math.NaN())
		case "Infinity":
			v.SetFloat(math.Inf(1))
		case "-Infinity":
			v.SetFloat(math.Inf(-1))
		default:
			v.SetFloat(from.(float64))
		}
	case wire.Integer, wire.Long:
		v.SetInt(int64(from.(float64)))
	case wire.Document:
		v.Set(reflect.ValueOf(from))
	default:
		v.Set(reflect.ValueOf(from).Convert(v.Type()))
	}
}

// show writes a value so that two of them can be compared and read; absent and empty lists are the same.
func show(v any) string {
	b, err := json.Marshal(plain(reflect.ValueOf(v)))
	if err != nil {
		return fmt.Sprint(v)
	}
	return string(b)
}

func plain(v reflect.Value) any {
	if !v.IsValid() {
		return nil
	}
	switch v.Kind() {
	case reflect.Pointer, reflect.Interface:
		if v.IsNil() {
			return nil
		}
		return plain(v.Elem())
	case reflect.Struct:
		if tm, ok := v.Interface().(time.Time); ok {
			return tm.UTC().Format(time.RFC3339Nano)
		}
		out := map[string]any{}
		for i := range v.NumField() {
			if x := plain(v.Field(i)); x != nil {
				out[v.Type().Field(i).Name] = x
			}
		}
		return out
	case reflect.Slice:
		if b, ok := v.Interface().([]byte); ok {
			return string(b)
		}
		if v.IsNil() {
			return nil
		}
		out := []any{}
		for i := range v.Len() {
			out = append(out, plain(v.Index(i)))
		}
		return out
	case reflect.Map:
		if v.IsNil() {
			return nil
		}
		out := map[string]any{}
		for _, k := range v.MapKeys() {
			out[k.String()] = plain(v.MapIndex(k))
		}
		return out
	case reflect.Float32, reflect.Float64:
		return fmt.Sprint(v.Float())
	}
	if n, ok := v.Interface().(json.Number); ok {
		f, _ := n.Float64()
		return fmt.Sprint(f)
	}
	return v.Interface()
}
