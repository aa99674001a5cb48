package wire_test

import (
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"
)

// The requests of the field's own cases are decoded into what their authors meant.

func TestInputCases(t *testing.T) {
	for _, file := range []string{"input-rest-json", "input-json", "input-json_1_0", "input-query"} {
		t.Run(file, func(t *testing.T) {
			eachCase(t, file, inputSkips[file], inputCase)
		})
	}
}

const (
	compressed = "compression of requests is not supported: no built service asks for it"
	unnamed    = "the case leaves out what names the operation: it is about the client's choice of host"
	token      = "the client makes the token"
	absent     = "an empty list or map has no form on the wire, where it is as if absent"
)

// inputSkips says which cases do not apply to a server, or not to this one.
var inputSkips = map[string]map[string]string{
	"input-rest-json": {
		"RestJsonHostWithPath":                           "the prefix of the path is the client's endpoint",
		"RestJsonHttpPrefixHeadersAreNotPresent":         absent,
		"RestJsonOmitsEmptyListQueryValues":              absent,
		"MediaTypeHeaderInputBase64":                     "JSON values in headers are refused by the generator: no built service has them",
		"SDKAppliedContentEncoding_restJson1":            compressed,
		"SDKAppendedGzipAfterProvidedEncoding_restJson1": compressed,
		"RestJsonQueryIdempotencyTokenAutoFill":          token,
		"RestJsonQueryParamsStringListMap":               "a server puts all parameters into the map (Smithy, httpQueryParams)",
		"RestJsonQueryPrecedence":                        "a server puts all parameters into the map (Smithy, httpQueryParams)",
		"RestJsonHttpWithEmptyStructurePayload":          "the body has an empty structure, and so has what is decoded",
		"RestJsonHttpWithHeadersButNoPayload":            "the body has an empty structure, and so has what is decoded",
	},
	"input-json": {
		"SDKAppliedContentEncoding_awsJson1_1":                    compressed,
		"SDKAppendsGzipAndIgnoresHttpProvidedEncoding_awsJson1_1": compressed,
	},
	"input-json_1_0": {
		"AwsJson10EndpointTrait":                                  unnamed,
		"AwsJson10EndpointTraitWithHostLabel":                     unnamed,
		"AwsJson10HostWithPath":                                   unnamed,
		"SDKAppliedContentEncoding_awsJson1_0":                    compressed,
		"SDKAppendsGzipAndIgnoresHttpProvidedEncoding_awsJson1_0": compressed,
	},
	"input-query": {
		"SDKAppliedContentEncoding_awsQuery":                    compressed,
		"SDKAppendsGzipAndIgnoresHttpProvidedEncoding_awsQuery": compressed,
		"QueryProtocolIdempotencyTokenAutoFill":                 token,
		"QueryEmptyQueryMaps":                                   absent,
	},
}

func inputCase(t *testing.T, s suite, c golden) {
	var got any
	srv, spec := s.server(t, c, func(in any, output reflect.Type) (any, error) {
		got = in
		return reflect.New(output).Interface(), nil
	})
	method := c.Serialized.Method
	if method == "" {
		method = "POST"
	}
	r := httptest.NewRequest(method, c.Serialized.URI, strings.NewReader(""))
	for k, v := range c.Serialized.Headers {
		r.Header.Set(k, v)
	}
	w := httptest.NewRecorder()
	srv.Serve(w, r, []byte(c.Serialized.Body))
	if got == nil {
		t.Fatalf("refused: %d %s", w.Code, w.Body)
	}
	want := reflect.New(typeOf(spec, spec.Ops[0].Input, 0))
	fill(t, spec, want.Elem(), spec.Ops[0].Input, c.Params)
	if g, w := show(got), show(want.Interface()); g != w {
		t.Errorf("decoded\n %s\nwant\n %s", g, w)
	}
}
