package wire_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"

	iam "artesian/internal/door/aws/iam/api"
	lambda "artesian/internal/door/aws/lambda/api"
	"artesian/internal/door/aws/wire"
	"artesian/internal/door/aws/wire/model"
	"artesian/internal/faas"
)

// send makes one request and returns the answer.
func send(s *wire.Server, method, target, body string, headers ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, target, nil)
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	s.Serve(w, r, []byte(body))
	return w
}

// code returns an answer's error code.
func code(t *testing.T, w *httptest.ResponseRecorder) string {
	t.Helper()
	if c := w.Header().Get("x-amzn-ErrorType"); c != "" {
		return c
	}
	if _, rest, ok := strings.Cut(w.Body.String(), "<Code>"); ok {
		c, _, _ := strings.Cut(rest, "</Code>")
		return c
	}
	var body struct {
		Type string `json:"__type"`
	}
	_ = json.Unmarshal(w.Body.Bytes(), &body)
	return body.Type
}

func TestEveryCallIsAuthorised(t *testing.T) {
	f := &fakeLambda{}
	var calls []wire.Call
	opts := wire.Options{
		Authorize: func(_ context.Context, c wire.Call) error {
			calls = append(calls, c)
			return faas.Errorf(faas.Denied, "Not you.")
		},
		Resource: func(_ context.Context, op string, in any) string {
			if in, ok := in.(*lambda.InvokeInput); ok {
				return "arn:" + op + ":" + in.FunctionName
			}
			return ""
		},
	}
	s := lambda.New(f, opts)
	if w := send(s, "POST", "/2015-03-31/functions/f/invocations?Qualifier=1", "{}"); w.Code != 403 || code(t, w) != "AccessDeniedException" {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	send(s, "GET", "/2015-03-31/functions", "")
	if len(calls) != 2 || calls[0].Action != "lambda:InvokeFunction" || calls[0].Resource != "arn:Invoke:f" || calls[1].Action != "lambda:ListFunctions" ||
		calls[1].Resource != "*" {
		t.Errorf("calls %+v", calls)
	}
	if w := send(lambda.New(f, wire.Options{}), "GET", "/2015-03-31/functions", ""); w.Code != 403 {
		t.Errorf("without an authoriser: %d", w.Code)
	}
}

// failing answers every Invoke with one error.
type failing struct {
	lambda.Service
	err error
}

func (f failing) Invoke(context.Context, *lambda.InvokeInput) (*lambda.InvokeOutput, error) {
	if f.err == nil {
		panic("secret")
	}
	return nil, f.err
}

func TestErrors(t *testing.T) {
	for _, c := range []struct {
		err    error
		status int
		code   string
		body   string
	}{
		{faas.Errorf(faas.NotFound, "None."), 404, "ResourceNotFoundException", `{"Message":"None.","Type":"User"}`},
		{fmt.Errorf("find: %w", faas.Errorf(faas.TooLarge, "Big.")), 413, "RequestTooLargeException", `{"Type":"User","message":"Big."}`},
		{&faas.Error{Kind: faas.Invalid, Code: "InvalidRuntimeException", Message: "Bad."}, 502, "InvalidRuntimeException", `{"Message":"Bad.","Type":"Service"}`},
		{&faas.Error{Kind: faas.Invalid, Code: "Unmodelled", Message: "Bad."}, 400, "Unmodelled", `{"message":"Bad."}`},
		{&lambda.TooManyRequestsException{Message: new("Slow."), RetryAfterSeconds: new("7"), Reason: new("R")}, 429, "TooManyRequestsException",
			`{"Reason":"R","message":"Slow."}`},
		{errors.New("secret"), 500, "ServiceException", ""},
		{&faas.Error{Message: "secret"}, 500, "ServiceException", ""},
		{nil, 500, "ServiceException", ""},
	} {
		var log bytes.Buffer
		s := lambda.New(failing{err: c.err}, wire.Options{Authorize: allow, Log: slog.New(slog.NewTextHandler(&log, nil))})
		w := send(s, "POST", "/2015-03-31/functions/f/invocations", "{}")
		if w.Code != c.status || code(t, w) != c.code || c.body != "" && w.Body.String() != c.body {
			t.Errorf("%v: %d %s %s", c.err, w.Code, code(t, w), w.Body)
		}
		id := w.Header().Get("x-amzn-RequestId")
		if strings.Contains(w.Body.String(), "secret") {
			t.Errorf("%v: leaked in %s", c.err, w.Body)
		}
		if c.status == 500 && (!strings.Contains(log.String(), "secret") || !strings.Contains(log.String(), id)) {
			t.Errorf("%v: logged %s", c.err, &log)
		}
	}
	s := lambda.New(failing{err: &lambda.TooManyRequestsException{RetryAfterSeconds: new("7")}}, wire.Options{Authorize: allow})
	if got := send(s, "POST", "/2015-03-31/functions/f/invocations", "{}").Header().Get("Retry-After"); got != "7" {
		t.Errorf("Retry-After %q", got)
	}
	s = lambda.New(failing{err: faas.Errorf(faas.Throttled, "Slow.")}, wire.Options{Authorize: allow})
	if got := send(s, "POST", "/2015-03-31/functions/f/invocations", "{}").Header().Get("Retry-After"); got != "1" {
		t.Errorf("Retry-After %q", got)
	}
}

func TestTooLarge(t *testing.T) {
	s := lambda.New(&fakeLambda{}, wire.Options{Authorize: allow})
	invoke := httptest.NewRequest("POST", "/2015-03-31/functions/f/invocations", nil)
	if got := s.Limit(invoke); got != faas.MaxRequestBytes {
		t.Errorf("limit of Invoke %d", got)
	}
	if got := s.Limit(httptest.NewRequest("POST", "/2015-03-31/functions", nil)); got != 70167211 {
		t.Errorf("limit of CreateFunction %d", got)
	}
	w := send(s, "POST", "/2015-03-31/functions/f/invocations", strings.Repeat(" ", faas.MaxRequestBytes+1))
	refused := httptest.NewRecorder()
	s.Refuse(refused, invoke, faas.Errorf(faas.TooLarge, "too large"))
	for _, w := range []*httptest.ResponseRecorder{w, refused} {
		if w.Code != http.StatusRequestEntityTooLarge || code(t, w) != "RequestEntityTooLargeException" ||
			!strings.Contains(w.Body.String(), "Request must be smaller than 6291456 bytes for the InvokeFunction operation") {
			t.Errorf("%d %s", w.Code, w.Body)
		}
	}
}

// A form names its operation in a body that is too large to be read, so the answer does not.
func TestTooLargeForm(t *testing.T) {
	s := iam.New(&fakeIAM{}, wire.Options{Authorize: allow})
	w := httptest.NewRecorder()
	s.Refuse(w, httptest.NewRequest("POST", "/", nil), faas.Errorf(faas.TooLarge, "too large"))
	if w.Code != 413 || !strings.Contains(w.Body.String(), "<Message>Request must be smaller than 2097152 bytes</Message>") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

func TestRequestIDOfTheContext(t *testing.T) {
	r := httptest.NewRequest("GET", "/2015-03-31/functions", nil)
	w := httptest.NewRecorder()
	lambda.New(&fakeLambda{}, wire.Options{Authorize: allow}).Serve(w, r.WithContext(faas.WithRequestID(r.Context(), "the-id")), nil)
	if got := w.Header().Get("x-amzn-RequestId"); got != "the-id" {
		t.Errorf("request id %q", got)
	}
}

func TestRefusedMembers(t *testing.T) {
	m, err := model.Load("../models/lambda/2015-03-31/service-2.json.gz")
	if err != nil {
		t.Fatal(err)
	}
	svc := model.Service{Name: "lambda", Ops: []string{"CreateFunction"}, Statuses: map[faas.Kind]wire.Code{}, Codes: wire.Codes{Refused: "Refused"},
		Refused: map[string][]string{"CreateFunction": {"Code.ImageUri", "VpcConfig", "FileSystemConfigs.LocalMountPath", "Layers", "Publish", "Timeout"}}}
	for k := range 12 {
		svc.Statuses[faas.Kind(k)] = wire.Code{Code: "Kind", Status: 400}
	}
	built, err := model.Build(m, svc)
	if err != nil {
		t.Fatal(err)
	}
	spec := &built.Spec
	s := wire.New(spec, []wire.Method{wire.DynamicMethod(
		func() any { return reflect.New(typeOf(spec, spec.Ops[0].Input, 0)).Interface() },
		func(context.Context, any) (any, error) {
			return reflect.New(typeOf(spec, spec.Ops[0].Output, 0)).Interface(), nil
		})},
		wire.Options{Authorize: allow})
	for member, refused := range map[string]string{
		`"Code":{"ZipFile":"aGk="}`:                                 "",
		`"Code":{"ImageUri":"x"}`:                                   "Code.ImageUri",
		`"Code":{},"VpcConfig":{"SubnetIds":["subnet-1"]}`:          "VpcConfig",
		`"Code":{},"VpcConfig":{"SubnetIds":[]}`:                    "",
		`"Code":{},"VpcConfig":{"Ipv6AllowedForDualStack":false}`:   "",
		`"Code":{},"VpcConfig":{"Ipv6AllowedForDualStack":true}`:    "VpcConfig",
		`"Code":{},"Layers":[]`:                                     "",
		`"Code":{},"Layers":["arn:aws:lambda:::awslayer:A"]`:        "Layers",
		`"Code":{"ImageUri":""}`:                                    "",
		`"Code":{},"Publish":true`:                                  "Publish",
		`"Code":{},"Timeout":0`:                                     "Timeout",
		`"Code":{},"FileSystemConfigs":[{"LocalMountPath":"/mnt"}]`: "FileSystemConfigs.LocalMountPath",
	} {
		w := send(s, "POST", "/2015-03-31/functions", `{"FunctionName":"f","Role":"arn:aws:iam::000000000000:role/r",`+member+`}`)
		if refused == "" && w.Code != 201 || refused != "" && !strings.Contains(w.Body.String(), "The parameter "+refused+" is not supported.") {
			t.Errorf("%s: %d %s", member, w.Code, w.Body)
		}
	}
	svc.Refused = map[string][]string{"CreateFunction": {"Code.Typo"}}
	if _, err := model.Build(m, svc); err == nil {
		t.Error("a refused member that does not exist is accepted")
	}
}
