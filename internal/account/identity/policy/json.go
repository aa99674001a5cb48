package policy

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
)

// value is a JSON value that remembers the order of its fields. Numbers and booleans are kept as they were written.
type value struct {
	kind   byte // one of { [ " 1 t n: object, array, string, number, boolean, null
	text   string
	items  []value
	fields []field
}

type field struct {
	name  string
	value value
}

// maxDepth is more than any policy needs: a condition's value is five levels deep.
const maxDepth = 10

// parseJSON reads one JSON value. An object that has a field twice is refused: which one counts would be a guess.
func parseJSON(text string) (value, error) {
	dec := json.NewDecoder(strings.NewReader(text))
	dec.UseNumber()
	v, err := readValue(dec, "", maxDepth)
	if err != nil {
		return value{}, err
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return value{}, malformed("", "text follows the end of the JSON document")
	}
	return v, nil
}

func readValue(dec *json.Decoder, at string, depth int) (value, error) {
	tok, err := dec.Token()
	if err != nil {
		return value{}, malformed(at, fmt.Sprintf("not JSON near byte %d", dec.InputOffset()))
	}
	switch t := tok.(type) {
	case json.Delim:
		if depth == 0 {
			return value{}, malformed(at, "nested too deeply")
		}
		if t == '{' {
			return readObject(dec, at, depth-1)
		}
		return readArray(dec, at, depth-1)
	case string:
		return value{kind: '"', text: t}, nil
	case json.Number:
		return value{kind: '1', text: t.String()}, nil
	case bool:
		return value{kind: 't', text: fmt.Sprint(t)}, nil
	}
	return value{kind: 'n', text: "null"}, nil
}

func readObject(dec *json.Decoder, at string, depth int) (value, error) {
	v := value{kind: '{'}
	seen := map[string]bool{}
	for dec.More() {
		tok, err := dec.Token()
		name, ok := tok.(string)
		if err != nil || !ok {
			return value{}, malformed(at, fmt.Sprintf("not JSON near byte %d", dec.InputOffset()))
		}
		if seen[name] {
			return value{}, malformed(at, fmt.Sprintf("has the field %s twice", quote(name)))
		}
		seen[name] = true
		inner, err := readValue(dec, join(at, name), depth)
		if err != nil {
			return value{}, err
		}
		v.fields = append(v.fields, field{name, inner})
	}
	return v, closing(dec, at)
}

func readArray(dec *json.Decoder, at string, depth int) (value, error) {
	v := value{kind: '['}
	for dec.More() {
		inner, err := readValue(dec, index(at, len(v.items)), depth)
		if err != nil {
			return value{}, err
		}
		v.items = append(v.items, inner)
	}
	return v, closing(dec, at)
}

func closing(dec *json.Decoder, at string) error {
	if _, err := dec.Token(); err != nil {
		return malformed(at, fmt.Sprintf("not JSON near byte %d", dec.InputOffset()))
	}
	return nil
}

func join(at, name string) string {
	if at == "" {
		return name
	}
	return at + "." + name
}

func index(at string, i int) string { return fmt.Sprintf("%s[%d]", at, i) }

// strings returns a string, or a list of strings, as a list.
func (v value) strings(at string) ([]string, error) {
	if v.kind == '"' {
		return []string{v.text}, nil
	}
	if v.kind != '[' {
		return nil, malformed(at, "must be a string or a list of strings")
	}
	list := make([]string, 0, len(v.items))
	for i, item := range v.items {
		if item.kind != '"' {
			return nil, malformed(index(at, i), "must be a string")
		}
		list = append(list, item.text)
	}
	return list, nil
}

// scalars is strings, with numbers and booleans taken as they are written.
func (v value) scalars(at string) ([]string, error) {
	items := v.items
	if v.kind != '[' {
		items = []value{v}
	}
	list := make([]string, 0, len(items))
	for i, item := range items {
		if !strings.ContainsRune(`"1t`, rune(item.kind)) {
			return nil, malformed(index(at, i), "must be a string, a number or a boolean")
		}
		list = append(list, item.text)
	}
	return list, nil
}
