package wire_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"reflect"
	"strings"
	"testing"

	iam "artesian/internal/door/aws/iam/api"
	lambda "artesian/internal/door/aws/lambda/api"
	logs "artesian/internal/door/aws/logs/api"
	"artesian/internal/door/aws/wire"
	"artesian/internal/faas"
)

// FuzzJSON holds the reader to encoding/json's judgement of what is JSON and what it means.
func FuzzJSON(f *testing.F) {
	for _, s := range []string{`{"a":[1,-2.5e3,true,null,"\u00e9\ud83d\ude39"],"b":{}}`, `[]`, `"a\/b"`, ` 0 `, `{"a":1,"a":2}`, `[1,]`, `01`, `"` + "\xff" + `"`, `{"\ud800":"\ud800x"}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		got, err := wire.ParseDocument(b)
		d := json.NewDecoder(bytes.NewReader(b))
		d.UseNumber()
		var want any
		if !json.Valid(b) {
			if err == nil {
				t.Fatalf("accepted %q as %v", b, got)
			}
			return
		}
		_ = d.Decode(&want)
		var fe *faas.Error
		if errors.As(err, &fe) && (strings.Contains(fe.Message, "deep") || strings.Contains(fe.Message, "values")) {
			return // ours has bounds
		}
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Fatalf("%q is %#v, %v; want %#v", b, got, err, want)
		}
	})
}

// FuzzJSONString holds the writer to what encoding/json reads back.
func FuzzJSONString(f *testing.F) {
	for _, s := range []string{"", "a\"\\\n\x00\x7f", "é😹\u2028", "\xff\xc3", "\ufffd"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		var got string
		if err := json.Unmarshal(wire.AppendString(s), &got); err != nil {
			t.Fatal(err)
		}
		if want := string([]rune(s)); got != want {
			t.Fatalf("%q is read back as %q", s, got)
		}
	})
}

// FuzzREST sends requests of any method, path, header and body to a REST service.
func FuzzREST(f *testing.F) {
	s := lambda.New(anyLambda{}, only("CreateFunction", "Invoke", "ListFunctions", "UntagResource", "GetAccountSettings", "GetFunction"))
	f.Add("POST", "/2015-03-31/functions", "", []byte(`{"FunctionName":"f","Role":"arn:aws:iam::000000000000:role/r","Code":{"ZipFile":"aGk="}}`))
	f.Add("POST", "/2015-03-31/functions/arn%3Aaws%3Alambda%3Aus-east-1%3A000000000000%3Afunction%3Af/invocations?Qualifier=1", "Tail", []byte("{}"))
	f.Add("GET", "/2015-03-31/functions/?MaxItems=1&Marker=%20", "", []byte(nil))
	f.Add("DELETE", "/2017-03-31/tags/a%2Fb?tagKeys=a&tagKeys=", "", []byte(nil))
	f.Fuzz(func(t *testing.T, method, target, header string, body []byte) {
		u, err := url.ParseRequestURI(target)
		if err != nil {
			return
		}
		r := &http.Request{Method: method, URL: u, Header: http.Header{"X-Amz-Log-Type": {header}}}
		answer(t, s, r, body)
	})
}

// FuzzForm sends any form to an awsQuery service.
func FuzzForm(f *testing.F) {
	s := iam.New(anyIAM{}, only("CreateRole", "UntagRole", "GetRole"))
	f.Add("Action=CreateRole&Version=2010-05-08&RoleName=r&AssumeRolePolicyDocument=%7B%7D&Tags.member.1.Key=a&Tags.member.1.Value=b")
	f.Add("Action=UntagRole&RoleName=r&TagKeys.member.2=a&TagKeys.member.10=b")
	f.Add("Action=UntagRole&RoleName=r&TagKeys=&MaxItems=1")
	f.Fuzz(func(t *testing.T, body string) {
		r := httptest.NewRequest("POST", "/", nil)
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		answer(t, s, r, []byte(body))
	})
}

// FuzzTarget sends any target and body to an awsJson service.
func FuzzTarget(f *testing.F) {
	s := logs.New(anyLogs{}, only("PutLogEvents", "CreateLogGroup"))
	f.Add("PutLogEvents", []byte(`{"logGroupName":"g","logStreamName":"s","logEvents":[{"timestamp":1,"message":"m"}]}`))
	f.Add("CreateLogGroup", []byte(`{"logGroupName":"g","tags":{"a":"b"}}`))
	f.Fuzz(func(t *testing.T, op string, body []byte) {
		r := httptest.NewRequest("POST", "/", nil)
		r.Header.Set("X-Amz-Target", "Logs_20140328."+op)
		answer(t, s, r, body)
	})
}

// answer sends a request and holds the answer to: no panic, no internal error, and what is served met the constraints.
func answer(t *testing.T, s *wire.Server, r *http.Request, body []byte) {
	t.Helper()
	w := httptest.NewRecorder()
	s.Serve(w, r, body)
	if w.Code == http.StatusInternalServerError {
		t.Fatalf("%s %s %q: %s", r.Method, r.URL, body, w.Body)
	}
}

// FuzzSplitHeader checks that no header breaks the splitting, and that entries survive it.
func FuzzSplitHeader(f *testing.F) {
	f.Add(`a, "b,\"c", d`, false)
	f.Add("Mon, 16 Dec 2019 23:48:18 GMT, Mon, 16 Dec 2019 23:48:18 GMT", true)
	f.Fuzz(func(t *testing.T, s string, dates bool) {
		if n := len(wire.SplitHeader(s, dates)); n > len(s) {
			t.Fatalf("%q has %d entries", s, n)
		}
	})
}
