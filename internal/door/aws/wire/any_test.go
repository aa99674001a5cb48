package wire_test

import (
	"context"
	"slices"

	iam "artesian/internal/door/aws/iam/api"
	lambda "artesian/internal/door/aws/lambda/api"
	logs "artesian/internal/door/aws/logs/api"
	"artesian/internal/door/aws/wire"
	"artesian/internal/faas"
)

// The services behind the fuzz targets: what reaches them has met the model's constraints, or they panic.

type anyLambda struct{ lambda.Service }

func (anyLambda) CreateFunction(_ context.Context, in *lambda.CreateFunctionInput) (*lambda.CreateFunctionOutput, error) {
	must(in.FunctionName != "" && len(in.FunctionName) <= 140 && in.Code != nil && (in.MemorySize == nil || *in.MemorySize >= 128))
	return nil, nil
}

func (anyLambda) Invoke(_ context.Context, in *lambda.InvokeInput) (*lambda.InvokeOutput, error) {
	must(in.FunctionName != "" && (in.LogType == nil || *in.LogType == "None" || *in.LogType == "Tail"))
	return &lambda.InvokeOutput{Payload: in.Payload, LogResult: in.LogType}, nil
}

func (anyLambda) ListFunctions(_ context.Context, in *lambda.ListFunctionsInput) (*lambda.ListFunctionsOutput, error) {
	must(in.MaxItems == nil || *in.MaxItems >= 1 && *in.MaxItems <= 10000)
	return &lambda.ListFunctionsOutput{NextMarker: in.Marker}, nil
}

func (anyLambda) UntagResource(_ context.Context, in *lambda.UntagResourceInput) (*lambda.UntagResourceOutput, error) {
	must(in.Resource != "" && in.TagKeys != nil)
	return nil, nil
}

func (anyLambda) GetAccountSettings(context.Context, *lambda.GetAccountSettingsInput) (*lambda.GetAccountSettingsOutput, error) {
	return nil, nil
}

func (anyLambda) GetFunction(_ context.Context, in *lambda.GetFunctionInput) (*lambda.GetFunctionOutput, error) {
	return nil, faas.Errorf(faas.NotFound, "%s", in.FunctionName)
}

type anyIAM struct{ iam.Service }

func (anyIAM) CreateRole(_ context.Context, in *iam.CreateRoleInput) (*iam.CreateRoleOutput, error) {
	must(in.RoleName != "" && len(in.Tags) <= 50)
	return &iam.CreateRoleOutput{Role: &iam.Role{RoleName: in.RoleName, AssumeRolePolicyDocument: &in.AssumeRolePolicyDocument, Tags: in.Tags}}, nil
}

func (anyIAM) UntagRole(_ context.Context, in *iam.UntagRoleInput) (*iam.UntagRoleOutput, error) {
	must(in.RoleName != "" && in.TagKeys != nil)
	return nil, nil
}

func (anyIAM) GetRole(_ context.Context, in *iam.GetRoleInput) (*iam.GetRoleOutput, error) {
	return nil, faas.Errorf(faas.NotFound, "%s", in.RoleName)
}

type anyLogs struct{ logs.Service }

func (anyLogs) PutLogEvents(_ context.Context, in *logs.PutLogEventsInput) (*logs.PutLogEventsOutput, error) {
	must(in.LogGroupName != "" && len(in.LogEvents) >= 1)
	return nil, nil
}

func (anyLogs) CreateLogGroup(_ context.Context, in *logs.CreateLogGroupInput) (*logs.CreateLogGroupOutput, error) {
	must(in.LogGroupName != "")
	return nil, nil
}

// only refuses the operations that a fuzzed service leaves out.
func only(ops ...string) wire.Options {
	return wire.Options{Authorize: func(_ context.Context, c wire.Call) error {
		if !slices.Contains(ops, c.Operation) {
			return faas.Errorf(faas.Denied, "not built here")
		}
		return nil
	}}
}

func must(ok bool) {
	if !ok {
		panic("a constraint of the model is broken")
	}
}
