package wire_test

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/http/httptest"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// What the field's own cases say that a service returned is written as the cases' responses say.

func TestOutputCases(t *testing.T) {
	for _, file := range []string{"output-rest-json", "output-json", "output-json_1_0", "output-query"} {
		t.Run(file, func(t *testing.T) {
			eachCase(t, file, outputSkips[file], func(t *testing.T, s suite, c golden) {
				if c.Error != nil {
					errorCase(t, s, c)
				} else {
					outputCase(t, s, c)
				}
			})
		})
	}
}

const (
	oldForm = "clients accept this form of an error's code; servers write the plain one"
	offset  = "clients accept offsets; servers write UTC"
	nulls   = "clients accept nulls and type tags; servers leave them out"
	order   = "the order of a map's entries is ours: sorted"
	empty   = "clients accept an empty body; servers write an empty result"
)

// outputSkips says which cases are about what clients put up with.
var outputSkips = map[string]map[string]string{
	"output-rest-json": {
		"RestJsonDateTimeWithNegativeOffset":                     offset,
		"RestJsonDateTimeWithPositiveOffset":                     offset,
		"RestJsonFooErrorUsingXAmznErrorTypeWithUri":             oldForm,
		"RestJsonFooErrorUsingXAmznErrorTypeWithUriAndNamespace": oldForm,
		"RestJsonFooErrorUsingCode":                              oldForm,
		"RestJsonFooErrorUsingCodeAndNamespace":                  oldForm,
		"RestJsonFooErrorUsingCodeUriAndNamespace":               oldForm,
		"RestJsonFooErrorWithDunderType":                         oldForm,
		"RestJsonFooErrorWithDunderTypeAndNamespace":             oldForm,
		"RestJsonFooErrorWithDunderTypeUriAndNamespace":          oldForm,
		"RestJsonDeserializesDenseSetMapAndSkipsNull":            nulls,
		"RestJsonDeserializeIgnoreType":                          nulls,
		"RestJsonDoesntDeserializeNullStructureValues":           nulls,
		"MediaTypeHeaderOutputBase64":                            "JSON values in headers are refused by the generator: no built service has them",
	},
	"output-json": {
		"AwsJson11DateTimeWithNegativeOffset":                     offset,
		"AwsJson11DateTimeWithPositiveOffset":                     offset,
		"handles_unexpected_json_output":                          "clients accept members they do not know",
		"AwsJson11FooErrorUsingXAmznErrorType":                    oldForm,
		"AwsJson11FooErrorUsingXAmznErrorTypeWithUri":             oldForm,
		"AwsJson11FooErrorUsingXAmznErrorTypeWithUriAndNamespace": oldForm,
		"AwsJson11FooErrorUsingCode":                              oldForm,
		"AwsJson11FooErrorUsingCodeAndNamespace":                  oldForm,
		"AwsJson11FooErrorUsingCodeUriAndNamespace":               oldForm,
		"AwsJson11FooErrorWithDunderTypeAndNamespace":             oldForm,
		"AwsJson11FooErrorWithDunderTypeUriAndNamespace":          oldForm,
		"AwsJson11IntEnums":                                       "the case's response has a header of requests",
		"AwsJson11DeserializeIgnoreType":                          nulls,
		"parses_the_request_id_from_the_response":                 "the request id is ours",
		"AwsJson11StructuresDontDeserializeNullValues":            nulls,
	},
	"output-json_1_0": {
		"AwsJson10InvalidGreetingError":                           oldForm,
		"AwsJson10FooErrorUsingXAmznErrorType":                    oldForm,
		"AwsJson10FooErrorUsingXAmznErrorTypeWithUri":             oldForm,
		"AwsJson10FooErrorUsingXAmznErrorTypeWithUriAndNamespace": oldForm,
		"AwsJson10FooErrorUsingCode":                              oldForm,
		"AwsJson10FooErrorUsingCodeAndNamespace":                  oldForm,
		"AwsJson10FooErrorUsingCodeUriAndNamespace":               oldForm,
		"AwsJson10FooErrorWithDunderTypeAndNamespace":             oldForm,
		"AwsJson10FooErrorWithDunderTypeUriAndNamespace":          oldForm,
		"AwsJson10ComplexError":                                   oldForm,
		"AwsJson10EmptyComplexError":                              oldForm,
		"AwsJson10DeserializeIgnoreType":                          nulls,
		"AwsJson10DeserializeAllowNulls":                          nulls,
		"AwsJson10HandlesUnexpectedJsonOutput":                    "clients accept members they do not know",
	},
	"output-query": {
		"AwsQueryDateTimeWithNegativeOffset": offset,
		"AwsQueryDateTimeWithPositiveOffset": offset,
		"QueryEmptyInputAndEmptyOutput":      empty,
		"QueryNoInputAndNoOutput":            empty,
		"QueryNoInputAndOutput":              empty,
		"QueryQueryFlattenedXmlMap":          order,
		"QueryXmlMaps":                       order,
		"QueryQueryXmlMapsXmlName":           order,
		"QueryXmlEmptyMaps":                  "the case's empty map holds white space",
		"QueryComplexError":                  "an error without a message has its code for one here",
	},
}

func outputCase(t *testing.T, s suite, c golden) {
	srv, spec := s.server(t, c, func(_ any, output reflect.Type) (any, error) { return nil, errors.New("not called") })
	out := reflect.New(typeOf(spec, spec.Ops[0].Output, 0))
	fill(t, spec, out.Elem(), spec.Ops[0].Output, c.Result)
	w := httptest.NewRecorder()
	srv.WriteOutput(w, out.Interface())
	compare(t, c, w, spec.Content == "text/xml")
}

func errorCase(t *testing.T, s suite, c golden) {
	srv, spec := s.server(t, c, func(any, reflect.Type) (any, error) { return nil, errors.New("not called") })
	for _, e := range spec.Errors {
		if e.Code == c.ErrorCode {
			v := reflect.New(typeOf(spec, e.Shape, 0)).Elem()
			fill(t, spec, v, e.Shape, c.Error)
			w := httptest.NewRecorder()
			srv.WriteTyped(w, c.ErrorCode, c.ErrorText, v)
			compare(t, c, w, spec.Content == "text/xml")
			return
		}
	}
	t.Fatalf("no error has the code %s", c.ErrorCode)
}

func compare(t *testing.T, c golden, w *httptest.ResponseRecorder, isXML bool) {
	t.Helper()
	if w.Code != c.Response.Status {
		t.Errorf("status %d, want %d", w.Code, c.Response.Status)
	}
	for k, want := range c.Response.Headers {
		if got := w.Header().Get(k); got != want {
			t.Errorf("header %s is %q, want %q", k, got, want)
		}
	}
	read := readJSON
	if isXML {
		read = readXML
	}
	got, want := read(t, w.Body.Bytes()), read(t, []byte(c.Response.Body))
	if got != want {
		t.Errorf("body\n %s\nwant\n %s", got, want)
	}
}

// readJSON brings a body into one form; a body that is not JSON stays as it is, an empty one is an empty object.
func readJSON(_ *testing.T, body []byte) string {
	if len(bytes.TrimSpace(body)) == 0 {
		return "{}"
	}
	var v any
	if json.Unmarshal(body, &v) != nil {
		return string(body)
	}
	out, _ := json.Marshal(v)
	return string(out)
}

// readXML brings a document into one form: attributes apart from namespaces, elements with their text, white space between
// elements dropped; order within an element does not count, except that of equal names.
func readXML(t *testing.T, body []byte) string {
	t.Helper()
	d := xml.NewDecoder(bytes.NewReader(body))
	var read func(start xml.StartElement) string
	read = func(start xml.StartElement) string {
		var kids []string
		text := ""
		for {
			tok, err := d.Token()
			if err != nil {
				t.Fatalf("parse %s: %v", body, err)
			}
			switch tok := tok.(type) {
			case xml.StartElement:
				if kid := read(tok); tok.Name.Local != "ResponseMetadata" { // the cases leave it out
					kids = append(kids, kid)
				}
			case xml.CharData:
				text += string(tok)
			case xml.EndElement:
				slices.SortStableFunc(kids, func(a, b string) int {
					return strings.Compare(a[:strings.IndexByte(a, '>')], b[:strings.IndexByte(b, '>')])
				})
				if len(kids) > 0 {
					text = ""
				}
				name := start.Name.Local
				for _, a := range start.Attr {
					if a.Name.Local != "xmlns" && a.Name.Space != "xmlns" {
						name += fmt.Sprintf(" %s=%q", a.Name.Local, a.Value)
					}
				}
				return "<" + name + ">" + text + strings.Join(kids, "") + "</>"
			}
		}
	}
	for {
		tok, err := d.Token()
		if err == io.EOF {
			return ""
		}
		if err != nil {
			t.Fatalf("parse %s: %v", body, err)
		}
		if start, ok := tok.(xml.StartElement); ok {
			return read(start)
		}
	}
}
