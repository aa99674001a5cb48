package wire_test

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	iam "artesian/internal/door/aws/iam/api"
	lambda "artesian/internal/door/aws/lambda/api"
	logs "artesian/internal/door/aws/logs/api"
	sts "artesian/internal/door/aws/sts/api"
	"artesian/internal/door/aws/wire"
	"artesian/internal/faas"
)

// A real client of each protocol talks to the generated door; behind it are these implementations.

type fakeLambda struct {
	lambda.Service
	created  *lambda.CreateFunctionInput
	untagged *lambda.UntagResourceInput
}

func (f *fakeLambda) CreateFunction(_ context.Context, in *lambda.CreateFunctionInput) (*lambda.CreateFunctionOutput, error) {
	f.created = in
	return &lambda.CreateFunctionOutput{FunctionName: &in.FunctionName, MemorySize: in.MemorySize, Environment: &lambda.EnvironmentResponse{Variables: in.Environment.Variables},
		LastModified: new("2026-01-02T03:04:05.678+0000")}, nil
}

func (f *fakeLambda) Invoke(_ context.Context, in *lambda.InvokeInput) (*lambda.InvokeOutput, error) {
	if in.FunctionName == "missing" {
		return nil, &lambda.ResourceNotFoundException{Message: new("Function not found: missing"), Type: new("User")}
	}
	return &lambda.InvokeOutput{StatusCode: new(int32(200)), Payload: in.Payload, FunctionError: new("Unhandled"), LogResult: in.LogType,
		ExecutedVersion: new(in.FunctionName + "@" + *in.Qualifier)}, nil
}

func (f *fakeLambda) ListFunctions(_ context.Context, in *lambda.ListFunctionsInput) (*lambda.ListFunctionsOutput, error) {
	return &lambda.ListFunctionsOutput{Functions: []lambda.FunctionConfiguration{{FunctionName: in.Marker}}, NextMarker: new("n")}, nil
}

func (f *fakeLambda) UntagResource(_ context.Context, in *lambda.UntagResourceInput) (*lambda.UntagResourceOutput, error) {
	f.untagged = in
	return nil, nil
}

func (f *fakeLambda) GetFunction(context.Context, *lambda.GetFunctionInput) (*lambda.GetFunctionOutput, error) {
	return nil, fmt.Errorf("open /secret/place: %w", context.DeadlineExceeded)
}

func (f *fakeLambda) PublishVersion(context.Context, *lambda.PublishVersionInput) (*lambda.PublishVersionOutput, error) {
	return nil, &faas.Error{Kind: faas.Conflict, Message: "An update is in progress.", Cause: fmt.Errorf("inner")}
}

func TestLambdaWithBoto3(t *testing.T) {
	f := &fakeLambda{}
	s := lambda.New(f, wire.Options{Authorize: allow})
	got := boto(t, s, `
c = client("lambda")
zip = bytes(range(256)) * 400
r = c.create_function(FunctionName="f", Runtime="python3.11", Role="arn:aws:iam::000000000000:role/r", Handler="a.b", MemorySize=256,
    Code={"ZipFile": zip}, Environment={"Variables": {"AB": "é\"\\ \u2028", "B_2": ""}}, Tags={"k": "v"})
out["create"] = [r["FunctionName"], r["MemorySize"], r["Environment"]["Variables"]["AB"], r["LastModified"], r["ResponseMetadata"]["HTTPStatusCode"]]
payload = bytes(range(256))
r = c.invoke(FunctionName="arn:aws:lambda:us-east-1:000000000000:function:f:live", Qualifier="live", LogType="Tail", Payload=payload)
out["invoke"] = [r["StatusCode"], r["Payload"].read() == payload, r["FunctionError"], r["LogResult"], r["ExecutedVersion"],
    r["ResponseMetadata"]["HTTPHeaders"]["content-type"], len(r["ResponseMetadata"]["RequestId"])]
r = c.invoke(FunctionName="f", Qualifier="1")
out["invoke nothing"] = r["Payload"].read().decode()
r = c.list_functions(Marker="a b/c&d", MaxItems=5)
out["list"] = [r["Functions"][0]["FunctionName"], r["NextMarker"]]
r = c.untag_resource(Resource="arn:aws:lambda:us-east-1:000000000000:function:f", TagKeys=["a", "b c"])
out["untag"] = r["ResponseMetadata"]["HTTPStatusCode"]
out["missing"] = failure(c.invoke, FunctionName="missing", Qualifier="1")
out["memory"] = failure(c.create_function, FunctionName="f", Role="arn:aws:iam::000000000000:role/r", Code={}, MemorySize=20480)
out["two"] = failure(c.list_functions, MaxItems=0, FunctionVersion="SOME")
out["unbuilt"] = failure(c.create_event_source_mapping, FunctionName="f")
out["internal"] = failure(c.get_function, FunctionName="f")
out["conflict"] = failure(c.publish_version, FunctionName="f")
out["null"] = failure(c.create_function, FunctionName="f", Role="arn:aws:iam::000000000000:role/r")
`)
	name := "Value 'SOME' at 'functionVersion' failed to satisfy constraint: Member must satisfy enum value set: [ALL]"
	expect(t, got, map[string]any{
		"create":         []any{"f", 256, "é\"\\ \u2028", "2026-01-02T03:04:05.678+0000", 201},
		"invoke":         []any{200, true, "Unhandled", "Tail", "arn:aws:lambda:us-east-1:000000000000:function:f:live@live", "application/json", 36},
		"invoke nothing": "",
		"list":           []any{"a b/c&d", "n"},
		"untag":          204,
		"missing":        []any{"ResourceNotFoundException", "Function not found: missing", 404, 0},
		"memory": []any{"ValidationException", "1 validation error detected: Value '20480' at 'memorySize' failed to satisfy constraint: " +
			"Member must have value less than or equal to 10240", 400, 0},
		"two": []any{"ValidationException", "2 validation errors detected: " + name + "; Value '0' at 'maxItems' failed to satisfy constraint: " +
			"Member must have value greater than or equal to 1", 400, 0},
		"unbuilt":  []any{"NotImplementedException", "Operation CreateEventSourceMapping is not built.", 501, 0},
		"internal": []any{"ServiceException", "The service met an internal error. Its log has the reason under the request id.", 500, 1},
		"conflict": []any{"ResourceConflictException", "An update is in progress.", 409, 0},
		"null": []any{"ValidationException", "1 validation error detected: Value null at 'code' failed to satisfy constraint: " +
			"Member must not be null", 400, 0},
	})
	var zip []byte
	for range 400 {
		for b := range 256 {
			zip = append(zip, byte(b))
		}
	}
	if !bytes.Equal(f.created.Code.ZipFile, zip) || f.created.Tags["k"] != "v" || *f.created.Handler != "a.b" {
		t.Error("CreateFunction did not arrive as sent")
	}
	if k := f.untagged.TagKeys; len(k) != 2 || k[1] != "b c" {
		t.Errorf("tag keys %q", k)
	}
}

type fakeSTS struct{ sts.Service }

func (fakeSTS) GetCallerIdentity(ctx context.Context, _ *sts.GetCallerIdentityInput) (*sts.GetCallerIdentityOutput, error) {
	return &sts.GetCallerIdentityOutput{Account: new("000000000000"), Arn: new("arn:aws:iam::000000000000:user/a<b&c"), UserId: new(faas.RequestID(ctx))}, nil
}

func TestSTSWithBoto3(t *testing.T) {
	got := boto(t, sts.New(fakeSTS{}, wire.Options{Authorize: allow}), `
c = client("sts")
r = c.get_caller_identity()
out["who"] = [r["Account"], r["Arn"], r["UserId"] == r["ResponseMetadata"]["RequestId"]]
out["unbuilt"] = failure(c.get_federation_token, Name="x1")
`)
	expect(t, got, map[string]any{
		"who":     []any{"000000000000", "arn:aws:iam::000000000000:user/a<b&c", true},
		"unbuilt": []any{"NotImplemented", "Operation GetFederationToken is not built.", 501, 0},
	})
}

type fakeIAM struct {
	iam.Service
	created *iam.CreateRoleInput
}

func (f *fakeIAM) CreateRole(_ context.Context, in *iam.CreateRoleInput) (*iam.CreateRoleOutput, error) {
	f.created = in
	return &iam.CreateRoleOutput{Role: &iam.Role{RoleName: in.RoleName, Path: "/", Arn: "arn:aws:iam::000000000000:role/" + in.RoleName,
		CreateDate: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), MaxSessionDuration: in.MaxSessionDuration, Tags: in.Tags,
		AssumeRolePolicyDocument: &in.AssumeRolePolicyDocument}}, nil
}

func (f *fakeIAM) ListRoles(context.Context, *iam.ListRolesInput) (*iam.ListRolesOutput, error) {
	return nil, nil
}

func (f *fakeIAM) DeleteRole(_ context.Context, in *iam.DeleteRoleInput) (*iam.DeleteRoleOutput, error) {
	if in.RoleName == "gone" {
		return nil, faas.Errorf(faas.NotFound, "The role with name gone cannot be found.")
	}
	return nil, nil
}

func TestIAMWithBoto3(t *testing.T) {
	f := &fakeIAM{}
	got := boto(t, iam.New(f, wire.Options{Authorize: allow}), `
c = client("iam")
r = c.create_role(RoleName="r", AssumeRolePolicyDocument='{"a": "<&>"}', MaxSessionDuration=3600, Tags=[{"Key": "a", "Value": "1"}, {"Key": "b", "Value": ""}])
out["create"] = [r["Role"]["RoleName"], r["Role"]["CreateDate"].isoformat(), r["Role"]["MaxSessionDuration"], r["Role"]["Tags"]]
out["list"] = c.list_roles()["Roles"]
out["delete"] = c.delete_role(RoleName="r")["ResponseMetadata"]["HTTPStatusCode"]
out["gone"] = failure(c.delete_role, RoleName="gone")
out["name"] = failure(c.delete_role, RoleName="no spaces")
out["tag"] = failure(c.create_role, RoleName="r", AssumeRolePolicyDocument="{}", Tags=[{"Key": "a", "Value": "1"}, {"Value": "1"}])
out["unbuilt"] = failure(c.create_group, GroupName="g")
`)
	expect(t, got, map[string]any{
		"create": []any{"r", "2026-01-02T03:04:05+00:00", 3600, []any{map[string]string{"Key": "a", "Value": "1"}, map[string]string{"Key": "b", "Value": ""}}},
		"list":   []any{},
		"delete": 200,
		"gone":   []any{"NoSuchEntity", "The role with name gone cannot be found.", 404, 0},
		"name": []any{"ValidationError", "1 validation error detected: Value 'no spaces' at 'roleName' failed to satisfy constraint: " +
			`Member must satisfy regular expression pattern: [\w+=,.@-]+`, 400, 0},
		"tag": []any{"ValidationError", "1 validation error detected: Value null at 'tags.2.member.key' failed to satisfy constraint: " +
			"Member must not be null", 400, 0},
		"unbuilt": []any{"NotImplemented", "Operation CreateGroup is not built.", 501, 0},
	})
	if f.created.AssumeRolePolicyDocument != `{"a": "<&>"}` {
		t.Errorf("document %q", f.created.AssumeRolePolicyDocument)
	}
}

type fakeLogs struct {
	logs.Service
	put *logs.PutLogEventsInput
}

func (f *fakeLogs) PutLogEvents(_ context.Context, in *logs.PutLogEventsInput) (*logs.PutLogEventsOutput, error) {
	f.put = in
	return &logs.PutLogEventsOutput{NextSequenceToken: new("t")}, nil
}

func (f *fakeLogs) GetLogEvents(context.Context, *logs.GetLogEventsInput) (*logs.GetLogEventsOutput, error) {
	return &logs.GetLogEventsOutput{Events: []logs.OutputLogEvent{{Timestamp: new(int64(1<<40 + 1)), Message: new("tab\tnew\nline")}}}, nil
}

func (f *fakeLogs) CreateLogGroup(_ context.Context, in *logs.CreateLogGroupInput) (*logs.CreateLogGroupOutput, error) {
	if in.LogGroupName == "there" {
		return nil, &logs.ResourceAlreadyExistsException{Message: new("The specified log group already exists")}
	}
	return nil, nil
}

func TestLogsWithBoto3(t *testing.T) {
	f := &fakeLogs{}
	got := boto(t, logs.New(f, wire.Options{Authorize: allow}), `
c = client("logs")
r = c.put_log_events(logGroupName="g", logStreamName="s", logEvents=[{"timestamp": 1700000000123, "message": "m"}] * 3)
out["put"] = r["nextSequenceToken"]
out["get"] = c.get_log_events(logGroupName="g", logStreamName="s", startFromHead=True)["events"]
out["create"] = c.create_log_group(logGroupName="g")["ResponseMetadata"]["HTTPStatusCode"]
out["there"] = failure(c.create_log_group, logGroupName="there")
out["message"] = failure(c.put_log_events, logGroupName="g", logStreamName="s", logEvents=[{"timestamp": -1, "message": ""}])
out["type"] = failure(c.put_retention_policy, logGroupName="g", retentionInDays="x")
out["unbuilt"] = failure(c.delete_metric_filter, logGroupName="g", filterName="q")
`)
	expect(t, got, map[string]any{
		"put":    "t",
		"get":    []any{map[string]any{"timestamp": 1<<40 + 1, "message": "tab\tnew\nline"}},
		"create": 200,
		"there":  []any{"ResourceAlreadyExistsException", "The specified log group already exists", 400, 0},
		"message": []any{"InvalidParameterException", "2 validation errors detected: Value '-1' at 'logEvents.1.member.timestamp' failed to satisfy constraint: " +
			"Member must have value greater than or equal to 0; Value '' at 'logEvents.1.member.message' failed to satisfy constraint: " +
			"Member must have length greater than or equal to 1", 400, 0},
		"type":    []any{"SerializationException", "retentionInDays must be an integer", 400, 0},
		"unbuilt": []any{"NotImplementedException", "Operation DeleteMetricFilter is not built.", 501, 0},
	})
	if len(f.put.LogEvents) != 3 || f.put.LogEvents[2].Timestamp != 1700000000123 || !strings.Contains(f.put.LogEvents[0].Message, "m") {
		t.Errorf("events %+v", f.put.LogEvents)
	}
}

func (f *fakeLambda) PutProvisionedConcurrencyConfig(context.Context, *lambda.PutProvisionedConcurrencyConfigInput) (*lambda.PutProvisionedConcurrencyConfigOutput, error) {
	return &lambda.PutProvisionedConcurrencyConfigOutput{}, nil
}

func (f *fakeLambda) ListProvisionedConcurrencyConfigs(context.Context, *lambda.ListProvisionedConcurrencyConfigsInput) (*lambda.ListProvisionedConcurrencyConfigsOutput, error) {
	return &lambda.ListProvisionedConcurrencyConfigsOutput{}, nil
}

func (f *fakeLambda) GetProvisionedConcurrencyConfig(_ context.Context, in *lambda.GetProvisionedConcurrencyConfigInput) (*lambda.GetProvisionedConcurrencyConfigOutput, error) {
	return &lambda.GetProvisionedConcurrencyConfigOutput{StatusReason: &in.Qualifier}, nil
}
