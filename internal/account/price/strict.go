package price

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"artesian/internal/faas"
)

// strict decodes exactly one JSON value: unknown fields, fields given twice and anything after it are refused by name.
func strict(text []byte, v any) error {
	if err := once(json.NewDecoder(bytes.NewReader(text)), ""); err != nil {
		return err
	}
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.DisallowUnknownFields()
	if err := dec.Decode(v); err != nil {
		return faas.Errorf(faas.Invalid, "%s", reason(err))
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return faas.Errorf(faas.Invalid, "there is something after the closing brace")
	}
	return nil
}

// reason says what is wrong without naming Go types.
func reason(err error) string {
	var typ *json.UnmarshalTypeError
	if errors.As(err, &typ) {
		return fmt.Sprintf("%s cannot be a JSON %s", typ.Field, typ.Value)
	}
	return strings.TrimPrefix(err.Error(), "json: ")
}

// once walks one value and refuses an object that has a field twice.
func once(dec *json.Decoder, path string) error {
	tok, err := dec.Token()
	if err != nil {
		return notJSON(err)
	}
	open, ok := tok.(json.Delim)
	if !ok {
		return nil
	}
	seen := map[string]bool{}
	for dec.More() {
		at := path
		if open == '{' {
			name, err := dec.Token()
			if err != nil {
				return notJSON(err)
			}
			at = strings.TrimPrefix(fmt.Sprintf("%s.%v", path, name), ".")
			if key := strings.ToLower(at); seen[key] {
				return faas.Errorf(faas.Invalid, "the field %s is there twice", at)
			} else {
				seen[key] = true
			}
		}
		if err := once(dec, at); err != nil {
			return err
		}
	}
	if _, err := dec.Token(); err != nil {
		return notJSON(err)
	}
	return nil
}

func notJSON(err error) error {
	var syntax *json.SyntaxError
	if errors.As(err, &syntax) {
		return faas.Errorf(faas.Invalid, "it is not JSON: byte %d: %v", syntax.Offset, err)
	}
	return faas.Errorf(faas.Invalid, "it is not JSON: it ends too early")
}
