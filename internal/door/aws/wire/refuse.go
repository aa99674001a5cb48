package wire

import (
	"reflect"
	"time"
)

// refuse answers the first refused member of an input that is set to something.
func (s *Spec) refuse(op *Op, v reflect.Value) error {
	for _, r := range op.Refused {
		if meansSomething(v, r.Index) {
			return refused(s, r.Path)
		}
	}
	return nil
}

// meansSomething follows a path of member indices through v, every entry of a list on the way, and tells whether what is there
// holds any value. Empty lists, structures of empty values, "" and false do not: tools send them for "none". A number does, even 0.
func meansSomething(v reflect.Value, index []int) bool {
	switch v.Kind() {
	case reflect.Pointer, reflect.Interface:
		if v.IsNil() {
			return false
		}
		if k := v.Elem().Kind(); k >= reflect.Int && k <= reflect.Float64 {
			return true
		}
		return meansSomething(v.Elem(), index)
	case reflect.Slice, reflect.Map:
		if len(index) == 0 || v.Kind() == reflect.Map {
			return v.Len() > 0
		}
		for i := range v.Len() {
			if meansSomething(v.Index(i), index) {
				return true
			}
		}
		return false
	case reflect.Struct:
		if t, ok := v.Interface().(time.Time); ok {
			return !t.IsZero()
		}
		if len(index) > 0 {
			return meansSomething(v.Field(index[0]), index[1:])
		}
		for i := range v.NumField() {
			if meansSomething(v.Field(i), nil) {
				return true
			}
		}
		return false
	}
	return !v.IsZero()
}
