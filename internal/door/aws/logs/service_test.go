package logs_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"artesian/internal/door/aws/logs"
	"artesian/internal/door/aws/logs/api"
	"artesian/internal/door/aws/wire"
	"artesian/internal/engine"
	"artesian/internal/engine/kv"
	"artesian/internal/faas"
	store "artesian/internal/observe/logs"
	"artesian/internal/observe/logs/insights"
)

// platform is a server of CloudWatch Logs on a real engine. Signatures are another room's.
type platform struct {
	url   string
	store *store.Store
}

var scope = faas.Scope{Account: faas.DefaultAccount, Region: faas.DefaultRegion}

func caller(context.Context) (string, faas.Scope) {
	return "arn:aws:iam::000000000000:user/test", scope
}

func start(t *testing.T) *platform {
	t.Helper()
	ctx := context.Background()
	eng, err := engine.Open(ctx, engine.Config{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = eng.Close() })
	reg, err := kv.Open(ctx, eng)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(reg.Close)
	st, err := store.Open(ctx, eng, reg, store.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = st.Close(ctx) })
	queries := insights.NewRunner(st, time.Now, slog.New(slog.DiscardHandler))
	t.Cleanup(queries.Close)
	service := logs.New(logs.Config{Store: st, Queries: queries, Caller: caller, Now: time.Now})
	server := api.New(service, wire.Options{Resource: service.Resource, Authorize: func(context.Context, wire.Call) error { return nil }})
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(io.LimitReader(r.Body, server.Limit(r)))
		if err != nil {
			server.Refuse(w, r, err)
			return
		}
		server.Serve(w, r, body)
	}))
	t.Cleanup(srv.Close)
	return &platform{srv.URL, st}
}

// do calls an operation with a JSON document and returns status and answer.
func (p *platform) do(t *testing.T, op string, in any) (int, map[string]any) {
	t.Helper()
	text, ok := in.(string)
	if !ok {
		b, err := json.Marshal(in)
		if err != nil {
			t.Fatal(err)
		}
		text = string(b)
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, p.url, strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-amz-json-1.1")
	req.Header.Set("X-Amz-Target", "Logs_20140328."+op)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]any{}
	if len(bytes.TrimSpace(b)) > 0 {
		if err := json.Unmarshal(b, &out); err != nil {
			t.Fatalf("%s: %v: %s", op, err, b)
		}
	}
	return res.StatusCode, out
}

// ok is do for what must succeed.
func (p *platform) ok(t *testing.T, op string, in any) map[string]any {
	t.Helper()
	status, out := p.do(t, op, in)
	if status != http.StatusOK {
		t.Fatalf("%s: %d %v", op, status, out)
	}
	return out
}

func (p *platform) environ() []string {
	clean := slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "AWS_") })
	return append(clean, "AWS_ENDPOINT_URL="+p.url, "AWS_ACCESS_KEY_ID=AKIDEXAMPLE", "AWS_SECRET_ACCESS_KEY=secret", "AWS_REGION=us-east-1",
		"AWS_DEFAULT_REGION=us-east-1", "AWS_EC2_METADATA_DISABLED=true", "AWS_CONFIG_FILE=/dev/null", "AWS_SHARED_CREDENTIALS_FILE=/dev/null",
		"AWS_PAGER=", "NO_PROXY=*", "PYTHONUNBUFFERED=1")
}

type object = map[string]any

func TestErrors(t *testing.T) {
	p := start(t)
	p.ok(t, "CreateLogGroup", object{"logGroupName": "g"})
	p.ok(t, "CreateLogStream", object{"logGroupName": "g", "logStreamName": "s"})
	now := time.Now().UnixMilli()
	event := func(at int64, m string) object { return object{"timestamp": at, "message": m} }
	put := func(events ...object) object {
		return object{"logGroupName": "g", "logStreamName": "s", "logEvents": events}
	}
	var many []object
	for range 5 {
		many = append(many, event(now, strings.Repeat("x", 210_000)))
	}
	const invalid, missing, exists = "InvalidParameterException", "ResourceNotFoundException", "ResourceAlreadyExistsException"
	for _, c := range []struct {
		op            string
		in            any
		code, message string
	}{
		{"CreateLogGroup", object{"logGroupName": "g"}, exists, "The specified log group already exists"},
		{"CreateLogGroup", object{"logGroupName": "a b"}, invalid, "logGroupName"},
		{"CreateLogGroup", object{"logGroupName": strings.Repeat("g", 513)}, invalid, "logGroupName"},
		{"CreateLogGroup", object{"logGroupName": "AWS/x"}, invalid, "Log groups starting with AWS/ are reserved for AWS."},
		{"CreateLogGroup", object{"logGroupName": "h", "logGroupClass": "INFREQUENT_ACCESS"}, invalid, "logGroupClass"},
		{"CreateLogGroup", object{"logGroupName": "h", "kmsKeyId": "arn:aws:kms:us-east-1:1:key/x"}, invalid, "kmsKeyId"},
		{"CreateLogGroup", object{"logGroupName": "h", "deletionProtectionEnabled": true}, invalid, "deletionProtectionEnabled"},
		{"CreateLogGroup", object{"logGroupName": "h", "colour": "red"}, "", "colour"},
		{"DeleteLogGroup", object{"logGroupName": "none"}, missing, "The specified log group does not exist."},
		{"CreateLogStream", object{"logGroupName": "g", "logStreamName": "s"}, exists, "The specified log stream already exists"},
		{"CreateLogStream", object{"logGroupName": "g", "logStreamName": "a:b"}, invalid, "logStreamName"},
		{"CreateLogStream", object{"logGroupName": "none", "logStreamName": "s"}, missing, "The specified log group does not exist."},
		{"DeleteLogStream", object{"logGroupName": "g", "logStreamName": "none"}, missing, "The specified log stream does not exist."},
		{"DescribeLogStreams", object{"logGroupName": "none"}, missing, "The specified log group does not exist."},
		{"DescribeLogStreams", object{}, invalid, "logGroupName"},
		{"DescribeLogStreams", object{"logGroupName": "g", "logGroupIdentifier": "g"}, invalid, "logGroupIdentifier"},
		{"DescribeLogStreams", object{"logGroupName": "g", "orderBy": "LastEventTime", "logStreamNamePrefix": "s"}, invalid,
			"Cannot order by LastEventTime with a logStreamNamePrefix."},
		{"DescribeLogStreams", object{"logGroupName": "g", "nextToken": "%"}, invalid, "The specified nextToken is invalid."},
		{"DescribeLogStreams", object{"logGroupName": "g", "limit": 51}, invalid, "limit"},
		{"DescribeLogGroups", object{"logGroupNamePrefix": "a", "logGroupNamePattern": "b"}, invalid, "mutually exclusive"},
		{"DescribeLogGroups", object{"includeLinkedAccounts": true}, invalid, "includeLinkedAccounts"},
		{"PutLogEvents", put(), invalid, "logEvents"},
		{"PutLogEvents", put(event(now, "b"), event(now-1, "a")), invalid, "Log events in a single PutLogEvents request must be in chronological order."},
		{"PutLogEvents", put(event(now-86_400_001, "a"), event(now, "b")), invalid,
			"The batch of log events in a single PutLogEvents request cannot span more than 24 hours."},
		{"PutLogEvents", put(event(now, strings.Repeat("x", 1<<20-25))), invalid, "Log event too large: 1048577 bytes exceeds limit of 1048576"},
		{"PutLogEvents", put(many...), invalid, "Upload too large: 1050130 bytes exceeds limit of 1048576"},
		{"PutLogEvents", put(event(now, "")), invalid, "message"},
		{"PutLogEvents", object{"logGroupName": "g", "logStreamName": "none", "logEvents": []object{event(now, "a")}}, missing,
			"The specified log stream does not exist."},
		{"GetLogEvents", object{"logGroupName": "g", "logStreamName": "none"}, missing, "The specified log stream does not exist."},
		{"GetLogEvents", object{"logGroupName": "g", "logStreamName": "s", "nextToken": "x"}, invalid, "The specified nextToken is invalid."},
		{"GetLogEvents", object{"logGroupName": "g", "logStreamName": "s", "limit": 10001}, invalid, "limit"},
		{"FilterLogEvents", object{"logGroupName": "none"}, missing, "The specified log group does not exist."},
		{"FilterLogEvents", object{"logGroupName": "g", "filterPattern": "{ $.a > x }"}, invalid, "character 9"},
		{"FilterLogEvents", object{"logGroupName": "g", "startFromHead": false}, invalid, "startFromHead"},
		{"FilterLogEvents", object{"logGroupName": "g", "logStreamNames": []string{"s"}, "logStreamNamePrefix": "s"}, invalid, "logStreamNamePrefix"},
		{"FilterLogEvents", object{"logGroupName": "g", "logStreamNames": []string{"none"}}, missing, "The specified log stream does not exist."},
		{"FilterLogEvents", object{"logGroupIdentifier": "arn:aws:logs:eu-west-1:000000000000:log-group:g"}, missing, "log group does not exist"},
		{"FilterLogEvents", object{"logGroupIdentifier": "arn:aws:s3:::g"}, invalid, "logGroupIdentifier"},
		{"PutRetentionPolicy", object{"logGroupName": "g", "retentionInDays": 2}, invalid, "Member must satisfy enum value set: [1, 3, 5, 7, 14"},
		{"PutRetentionPolicy", object{"logGroupName": "none", "retentionInDays": 1}, missing, "log group does not exist"},
		{"TagResource", object{"resourceArn": "arn:aws:logs:us-east-1:000000000000:log-group:none", "tags": object{"a": "b"}}, missing, "does not exist"},
		{"TagResource", object{"resourceArn": "arn:aws:logs:us-east-1:000000000000:destination:x", "tags": object{"a": "b"}}, invalid, "resourceArn"},
		{"PutMetricFilter", object{}, "NotImplementedException", "PutMetricFilter"},
	} {
		status, out := p.do(t, c.op, c.in)
		code, message := fmt.Sprint(out["__type"]), fmt.Sprint(out["message"])
		if status < 400 || c.code != "" && code != c.code || !strings.Contains(message, c.message) {
			t.Errorf("%s %.200v: %d %v, want %s with %q", c.op, c.in, status, out, c.code, c.message)
		}
	}
	if out := p.ok(t, "DescribeLogGroups", object{}); len(out["logGroups"].([]any)) != 1 {
		t.Errorf("a refused request left something behind: %v", out)
	}
	if out := p.ok(t, "FilterLogEvents", object{"logGroupName": "g"}); len(out["events"].([]any)) != 0 {
		t.Errorf("a refused request left something behind: %v", out)
	}
}

func TestRejectedEvents(t *testing.T) {
	p := start(t)
	p.ok(t, "CreateLogGroup", object{"logGroupName": "g"})
	p.ok(t, "CreateLogStream", object{"logGroupName": "g", "logStreamName": "s"})
	now := time.Now()
	put := func(ages ...time.Duration) object {
		var events []object
		for _, a := range ages {
			events = append(events, object{"timestamp": now.Add(-a).UnixMilli(), "message": a.String()})
		}
		return p.ok(t, "PutLogEvents", object{"logGroupName": "g", "logStreamName": "s", "logEvents": events, "sequenceToken": "anything"})
	}
	const day = 24 * time.Hour
	out := put(15*day, 15*day-1, time.Minute, 0, -3*time.Hour)
	want := map[string]any{"tooOldLogEventEndIndex": 2.0, "tooNewLogEventStartIndex": 4.0}
	if got := out["rejectedLogEventsInfo"]; fmt.Sprint(got) != fmt.Sprint(want) || out["nextSequenceToken"] == "" {
		t.Errorf("%v, want %v", out, want)
	}
	if out := put(time.Hour); out["rejectedLogEventsInfo"] != nil {
		t.Error(out)
	}
	p.ok(t, "PutRetentionPolicy", object{"logGroupName": "g", "retentionInDays": 3})
	out = put(4*day, 4*day-1, time.Second)
	if got := fmt.Sprint(out["rejectedLogEventsInfo"]); got != "map[expiredLogEventEndIndex:2]" {
		t.Error(out)
	}
	events := p.ok(t, "FilterLogEvents", object{"logGroupName": "g"})["events"].([]any)
	var got []string
	for _, e := range events {
		got = append(got, e.(object)["message"].(string))
	}
	if fmt.Sprint(got) != "[1h0m0s 1m0s 1s 0s]" {
		t.Error(got)
	}
	if out := put(-3 * time.Hour); fmt.Sprint(out["rejectedLogEventsInfo"]) != "map[tooNewLogEventStartIndex:0]" {
		t.Error(out)
	}
}

func TestResourceNamesWhatIsTouched(t *testing.T) {
	s := logs.New(logs.Config{Caller: caller, Now: time.Now})
	const arn = "arn:aws:logs:us-east-1:000000000000:log-group:"
	for want, in := range map[string]any{
		arn + "g:log-stream:":  &api.CreateLogGroupInput{LogGroupName: "g"},
		arn + "g:log-stream:s": &api.PutLogEventsInput{LogGroupName: "g", LogStreamName: "s"},
		arn + "h:log-stream:":  &api.FilterLogEventsInput{LogGroupIdentifier: new(arn + "h")},
		arn + ":log-stream:":   &api.DescribeLogGroupsInput{},
		arn + "g":              &api.TagResourceInput{ResourceArn: arn + "g"},
	} {
		if got := s.Resource(t.Context(), "", in); got != want {
			t.Errorf("%T: %s, want %s", in, got, want)
		}
	}
}
