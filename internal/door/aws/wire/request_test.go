package wire_test

import (
	"strings"
	"testing"

	iam "artesian/internal/door/aws/iam/api"
	lambda "artesian/internal/door/aws/lambda/api"
	logs "artesian/internal/door/aws/logs/api"
	"artesian/internal/door/aws/wire"
)

func TestBadJSONInput(t *testing.T) {
	s := lambda.New(&fakeLambda{}, wire.Options{Authorize: allow})
	deep := strings.Repeat(`{"Variables":`, 100) + strings.Repeat("}", 100)
	many := `{"Layers":[` + strings.Repeat(`"a",`, 200_001) + `"a"]}`
	for _, c := range []struct{ body, code, says string }{
		{`{`, "InvalidRequestContentException", "unexpected end"},
		{`{"a" 1}`, "InvalidRequestContentException", "expected ':'"},
		{`{"FunctionName":"f",}`, "InvalidRequestContentException", "offset 20"},
		{`{"FunctionName":"f"} x`, "InvalidRequestContentException", "end of the body"},
		{`{"FunctionName":"\x"}`, "InvalidRequestContentException", "escapes"},
		{"{\"FunctionName\":\"a\nb\"}", "InvalidRequestContentException", "control character"},
		{`{"MemorySize":01}`, "InvalidRequestContentException", "unexpected character '1'"},
		{`{"MemorySize":1.}`, "InvalidRequestContentException", "a digit"},
		{`{"MemorySize":tru}`, "SerializationException", "MemorySize must be an integer"},
		{`[]`, "SerializationException", "the request must be an object"},
		{`{"FunctionName":5}`, "SerializationException", "FunctionName must be a string"},
		{`{"MemorySize":"5"}`, "SerializationException", "MemorySize must be an integer"},
		{`{"MemorySize":3000000000}`, "SerializationException", "32 bits"},
		{`{"MemorySize":1.5}`, "SerializationException", "must be an integer"},
		{`{"Publish":1}`, "SerializationException", "Publish must be true or false"},
		{`{"Code":{"ZipFile":"%%%"}}`, "SerializationException", "Code.ZipFile must be base64"},
		{`{"Layers":["a",null]}`, "SerializationException", "Layers.2 must be a value"},
		{`{"Tags":{"a":null}}`, "SerializationException", "Tags.a must be a value"},
		{`{"Environment":` + deep + `}`, "SerializationException", "must be a string"},
		{many, "SerializationException", "more than 200000 values"},
		{`{"NoSuchMember":1}`, "InvalidParameterValueException", "NoSuchMember is not supported"},
		{`{"Code":{"Newer":{}}}`, "InvalidParameterValueException", "Code.Newer is not supported"},
	} {
		w := send(s, "POST", "/2015-03-31/functions", c.body)
		if w.Code != 400 || code(t, w) != c.code || !strings.Contains(w.Body.String(), c.says) {
			t.Errorf("%.80s: %d %s %s; want %s … %s", c.body, w.Code, code(t, w), w.Body, c.code, c.says)
		}
	}
}

func TestAcceptedJSONInput(t *testing.T) {
	f := &fakeLambda{}
	s := lambda.New(f, wire.Options{Authorize: allow})
	body := ` { "FunctionName" : "f" , "Role":"arn:aws:iam::000000000000:role/r", "Code" : {"ZipFile":"aGk\/","__type":"x"}, "MemorySize":2.56e2,
		"Unknown":null, "Description":"\u00e9\ud83d\ude39\udead", "Environment":{"Variables":{"A\u0042":"x"}}, "Layers":[] } `
	if w := send(s, "POST", "/2015-03-31/functions/", body); w.Code != 201 {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	in := f.created
	if *in.MemorySize != 256 || *in.Description != "é😹\ufffd" || in.Environment.Variables["AB"] != "x" || string(in.Code.ZipFile) != "hi?" || in.Layers == nil {
		t.Errorf("decoded %s", show(in))
	}
}

func TestRESTRequests(t *testing.T) {
	s := lambda.New(&fakeLambda{}, wire.Options{Authorize: allow})
	for _, c := range []struct {
		method, target string
		status         int
		says           string
	}{
		{"GET", "/2015-03-31/functions/?Marker=m", 200, `"FunctionName":"m"`},
		{"GET", "/2015-03-31/functions?Marker=m&X-Amz-Signature=s&x-id=ListFunctions", 200, `"m"`},
		{"GET", "/2015-03-31/functions?Newer=1", 400, "Newer is not supported"},
		{"GET", "/2015-03-31/functions?MaxItems=x", 400, "MaxItems must be an integer"},
		{"GET", "/2015-03-31/functions?MaxItems=%zz", 400, "query string"},
		{"DELETE", "/2017-03-31/tags/arn%3Aaws%3Alambda%3Aus-east-1%3A000000000000%3Afunction%3Af?tagKeys=a&tagKeys=b", 204, ""},
		{"POST", "/2015-03-31/functions/a%2Fb/invocations?Qualifier=1", 400, "'a/b' at 'functionName'"},
		{"GET", "/2015-03-31/functions/f/nothing", 404, "Could not find operation"},
		{"PATCH", "/2015-03-31/functions/f", 404, "Could not find operation"},
		{"GET", "/2019-09-30/functions/f/provisioned-concurrency?List=ALL", 200, "{}"},
		{"GET", "/2019-09-30/functions/f/provisioned-concurrency?Qualifier=q", 200, `"StatusReason":"q"`},
		{"GET", "/", 404, "Could not find operation"},
	} {
		w := send(s, c.method, c.target, "")
		if w.Code != c.status || !strings.Contains(w.Body.String(), c.says) {
			t.Errorf("%s %s: %d %s; want %d %s", c.method, c.target, w.Code, w.Body, c.status, c.says)
		}
	}
	if w := send(s, "GET", "/2015-03-31/functions", "", "Content-Encoding", "gzip"); w.Code != 400 {
		t.Errorf("compressed body: %d", w.Code)
	}
}

func TestFormRequests(t *testing.T) {
	s := iam.New(&fakeIAM{}, wire.Options{Authorize: allow})
	for _, c := range []struct {
		body   string
		status int
		code   string
		says   string
	}{
		{"Action=DeleteRole&Version=2010-05-08&RoleName=r", 200, "", "<RequestId>"},
		{"Action=DeleteRole&Version=2010-05-09&RoleName=r", 400, "InvalidAction", "2010-05-09"},
		{"Action=Nonsense", 400, "InvalidAction", "Nonsense"},
		{"RoleName=r", 400, "InvalidAction", ""},
		{"Action=DeleteRole&RoleName=%zz", 400, "MalformedQueryString", "form"},
		{"Action=DeleteRole&RoleName=r&Extra=1", 400, "InvalidInput", "Extra"},
		{"Action=DeleteRole&RoleName.member.1=r", 400, "InvalidInput", "RoleName.member"},
		{"Action=ListRoles&MaxItems=many", 400, "MalformedInput", "MaxItems"},
		{"Action=TagRole&RoleName=r&Tags.member.x.Key=a", 400, "InvalidInput", "Tags.x"},
		{"Action=TagRole&RoleName=r&Tags.entry.1.Key=a", 400, "InvalidInput", "Tags.entry"},
		{"Action=TagRole&RoleName=r&Tags=a", 400, "MalformedInput", "Tags must be a list"},
		{"Action=TagRole&RoleName=r&Tags.member.1=a", 400, "MalformedInput", "must be a structure"},
		{"Action=TagRole&Deep" + strings.Repeat(".a", 100) + "=1", 400, "MalformedInput", "deep"},
	} {
		w := send(s, "POST", "/", c.body, "Content-Type", "application/x-www-form-urlencoded; charset=utf-8")
		if w.Code != c.status || c.code != "" && code(t, w) != c.code || !strings.Contains(w.Body.String(), c.says) {
			t.Errorf("%s: %d %s; want %d %s %s", c.body, w.Code, w.Body, c.status, c.code, c.says)
		}
	}
	if w := send(s, "GET", "/?Action=DeleteRole&RoleName=r&X-Amz-Date=d", ""); w.Code != 200 {
		t.Errorf("operation in the URL: %d %s", w.Code, w.Body)
	}
	if w := send(s, "POST", "/", "{}", "Content-Type", "application/json"); w.Code != 400 {
		t.Errorf("JSON to a form service: %d %s", w.Code, w.Body)
	}
}

func TestTargets(t *testing.T) {
	s := logs.New(&fakeLogs{}, wire.Options{Authorize: allow})
	if w := send(s, "POST", "/", `{"logGroupName":"g"}`, "X-Amz-Target", "Logs_20140328.CreateLogGroup"); w.Code != 200 || w.Body.Len() != 0 {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	for _, target := range []string{"", "CreateLogGroup", "Other_1.CreateLogGroup", "Logs_20140328.None"} {
		w := send(s, "POST", "/", `{}`, "X-Amz-Target", target)
		if w.Code != 400 || code(t, w) != "UnknownOperationException" {
			t.Errorf("%q: %d %s", target, w.Code, w.Body)
		}
	}
}
