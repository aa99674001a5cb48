package logs_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"reflect"
	"strconv"
	"testing"
	"time"
)

// TestForms compares whole answers with testdata/forms.json.
func TestForms(t *testing.T) {
	text, err := os.ReadFile("testdata/forms.json")
	if err != nil {
		t.Fatal(err)
	}
	text = bytes.ReplaceAll(text, []byte(`"<now>"`), strconv.AppendInt(nil, time.Now().UnixMilli(), 10))
	var forms []struct {
		Op     string
		In     json.RawMessage
		Status int
		Out    any
	}
	if err := json.Unmarshal(text, &forms); err != nil {
		t.Fatal(err)
	}
	p := start(t)
	for _, f := range forms {
		if f.Op == "" {
			continue
		}
		status, out := p.do(t, f.Op, string(f.In))
		if diff := differs("answer", any(out), f.Out); status != f.Status || diff != "" {
			t.Errorf("%s %s: %d: %s", f.Op, f.In, status, diff)
		}
	}
}

// differs says where got is not as want, in which <ms>, <n> and <text> stand for any value of their kind.
func differs(at string, got, want any) string {
	switch w := want.(type) {
	case map[string]any:
		g, ok := got.(map[string]any)
		if !ok || len(g) != len(w) {
			return fmt.Sprintf("%s: %v, want %v", at, got, want)
		}
		for k := range w {
			if d := differs(at+"."+k, g[k], w[k]); d != "" {
				return d
			}
		}
		return ""
	case []any:
		g, ok := got.([]any)
		if !ok || len(g) != len(w) {
			return fmt.Sprintf("%s: %v, want %v", at, got, want)
		}
		for i := range w {
			if d := differs(fmt.Sprintf("%s[%d]", at, i), g[i], w[i]); d != "" {
				return d
			}
		}
		return ""
	}
	number, isNumber := got.(float64)
	s, isText := got.(string)
	switch {
	case want == "<ms>" && isNumber && number > 1.7e12, want == "<n>" && isNumber, want == "<text>" && isText && s != "", reflect.DeepEqual(got, want):
		return ""
	}
	return fmt.Sprintf("%s: %v, want %v", at, got, want)
}
