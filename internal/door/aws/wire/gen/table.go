package main

import (
	"fmt"
	"reflect"
	"strconv"
	"strings"
)

// table writes the Spec. It is plain data, which the linker lays out: nothing runs at start.
func (e *emitter) table() {
	spec := reflect.ValueOf(e.built.Spec)
	e.line("var spec = wire.Spec{")
	for i := range spec.NumField() {
		f := spec.Field(i)
		if f.IsZero() {
			continue
		}
		name := spec.Type().Field(i).Name
		if f.Kind() != reflect.Slice {
			e.line("%s: %s,", name, literal(f))
			continue
		}
		e.line("%s: %s{", name, typeName(f.Type()))
		for j := range f.Len() {
			comment := ""
			if name == "Shapes" {
				comment = " // " + strconv.Itoa(j) + " " + e.types[j]
			}
			e.line("%s,%s", fields(f.Index(j)), strings.TrimRight(comment, " "))
		}
		e.line("},")
	}
	e.line("}")
}

func typeName(t reflect.Type) string {
	if t.Kind() == reflect.Slice {
		return "[]" + typeName(t.Elem())
	}
	if t.Kind() == reflect.Array {
		return "[" + strconv.Itoa(t.Len()) + "]" + typeName(t.Elem())
	}
	return t.String()
}

// literal writes a value with its type; only what is not zero is mentioned.
func literal(v reflect.Value) string {
	switch v.Kind() {
	case reflect.Struct:
		return typeName(v.Type()) + fields(v)
	case reflect.Slice:
		parts := make([]string, v.Len())
		for i := range parts {
			parts[i] = element(v.Index(i))
		}
		return typeName(v.Type()) + "{" + strings.Join(parts, ", ") + "}"
	case reflect.Array:
		var parts []string
		for i := range v.Len() {
			if !v.Index(i).IsZero() {
				parts = append(parts, strconv.Itoa(i)+": "+element(v.Index(i)))
			}
		}
		return typeName(v.Type()) + "{" + strings.Join(parts, ", ") + "}"
	case reflect.String:
		return quoted(v.String())
	case reflect.Uint8:
		return constant(v)
	case reflect.Float64:
		return strconv.FormatFloat(v.Float(), 'f', -1, 64)
	}
	return fmt.Sprint(v.Interface())
}

func element(v reflect.Value) string {
	if v.Kind() == reflect.Struct {
		return fields(v)
	}
	return literal(v)
}

func fields(v reflect.Value) string {
	var parts []string
	for i := range v.NumField() {
		if f := v.Field(i); !f.IsZero() {
			parts = append(parts, v.Type().Field(i).Name+": "+literal(f))
		}
	}
	return "{" + strings.Join(parts, ", ") + "}"
}

func quoted(s string) string {
	if strings.ContainsAny(s, "`\n\r") || !strings.Contains(s, `\`) {
		return strconv.Quote(s)
	}
	return "`" + s + "`"
}

var constants = map[string][]string{
	"Protocol":   {"RestJSON", "AWSJSON", "Query"},
	"Kind":       {"Structure", "List", "Map", "String", "Boolean", "Integer", "Long", "Float", "Double", "Timestamp", "Blob", "Document"},
	"Loc":        {"Body", "URI", "QueryParam", "Header", "Headers", "StatusCode", "Payload"},
	"TimeFormat": {"Natural", "UnixTime", "ISO8601", "HTTPDate"},
}

func constant(v reflect.Value) string { return "wire." + constants[v.Type().Name()][v.Uint()] }
