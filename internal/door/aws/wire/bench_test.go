package wire_test

import (
	"encoding/base64"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"

	lambda "artesian/internal/door/aws/lambda/api"
	logs "artesian/internal/door/aws/logs/api"
	"artesian/internal/door/aws/wire"
)

// discard is a response that goes nowhere.
type discard struct{ h http.Header }

func (d discard) Header() http.Header         { return d.h }
func (d discard) Write(b []byte) (int, error) { return len(b), nil }
func (d discard) WriteHeader(code int) {
	if code >= 300 {
		panic("the request is refused")
	}
}

func bench(b *testing.B, s *wire.Server, r *http.Request, body []byte) {
	b.ReportAllocs()
	b.SetBytes(int64(len(body)))
	for b.Loop() {
		s.Serve(discard{http.Header{}}, r, body)
	}
}

func BenchmarkInvoke(b *testing.B) {
	r := httptest.NewRequest("POST", "/2015-03-31/functions/f/invocations?Qualifier=1", nil)
	bench(b, lambda.New(anyLambda{}, wire.Options{Authorize: allow}), r, []byte(`{"name":"Ada"}`))
}

func BenchmarkInvokeLargest(b *testing.B) {
	r := httptest.NewRequest("POST", "/2015-03-31/functions/f/invocations?Qualifier=1", nil)
	bench(b, lambda.New(anyLambda{}, wire.Options{Authorize: allow}), r, []byte(`"`+strings.Repeat("x", 6<<20-2)+`"`))
}

func BenchmarkCreateFunctionLargest(b *testing.B) {
	zip := base64.StdEncoding.EncodeToString(make([]byte, 50_000_000))
	r := httptest.NewRequest("POST", "/2015-03-31/functions", nil)
	bench(b, lambda.New(anyLambda{}, wire.Options{Authorize: allow}), r,
		[]byte(`{"FunctionName":"f","Role":"arn:aws:iam::000000000000:role/r","Code":{"ZipFile":"`+zip+`"}}`))
}

func BenchmarkPutLogEvents(b *testing.B) {
	r := httptest.NewRequest("POST", "/", nil)
	r.Header.Set("X-Amz-Target", "Logs_20140328.PutLogEvents")
	event := `{"timestamp":1700000000123,"message":"START RequestId: 8f507cfc-xmpl-4697-b07a-ac58fc914c95 Version: $LATEST"}`
	bench(b, logs.New(anyLogs{}, wire.Options{Authorize: allow}), r,
		[]byte(`{"logGroupName":"g","logStreamName":"s","logEvents":[`+strings.Repeat(event+",", 999)+event+`]}`))
}

func BenchmarkNew(b *testing.B) {
	for b.Loop() {
		lambda.New(anyLambda{}, wire.Options{})
	}
}

// An invocation's payload goes through without a copy in either direction.
func TestPayloadIsNotCopied(t *testing.T) {
	s := lambda.New(anyLambda{}, wire.Options{Authorize: allow})
	r := httptest.NewRequest("POST", "/2015-03-31/functions/f/invocations?Qualifier=1", nil)
	body := make([]byte, 6<<20)
	s.Serve(discard{http.Header{}}, r, body) // compiles the patterns
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	s.Serve(discard{http.Header{}}, r, body)
	runtime.ReadMemStats(&after)
	if n := after.TotalAlloc - before.TotalAlloc; n > 1<<20 {
		t.Errorf("an invocation with %d bytes allocates %d", len(body), n)
	}
}
