package app_test

import (
	"encoding/json"
	"errors"
	"maps"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"
	"github.com/google/go-cmp/cmp"
)

// attributes are what a tool keeps of a resource, by the names of its language.
type attributes map[string]any

// plan reads a function and what belongs to it as Terraform's AWS provider does after a create, an update and before every plan:
// aws_lambda_function, _alias, _permission, _function_event_invoke_config, _function_recursion_config,
// _runtime_management_config and _provisioned_concurrency_config. Its source says which answers it compares.
func (p *platform) plan(t *testing.T, c *lambda.Client, name string) attributes {
	t.Helper()
	ctx, s := t.Context(), attributes{}
	f := got(c.GetFunction(ctx, &lambda.GetFunctionInput{FunctionName: &name}))(t)
	conf := f.Configuration
	s["arn"], s["architectures"], s["code_sha256"], s["description"] = *conf.FunctionArn, conf.Architectures, *conf.CodeSha256, *conf.Description
	s["handler"], s["memory_size"], s["package_type"], s["role"] = *conf.Handler, *conf.MemorySize, conf.PackageType, *conf.Role
	s["runtime"], s["timeout"], s["tracing"], s["ephemeral_storage"] = conf.Runtime, *conf.Timeout, conf.TracingConfig.Mode, *conf.EphemeralStorage.Size
	s["logging"], s["snap_start"], s["last_modified"], s["revision"] = string(conf.LoggingConfig.LogFormat)+" "+*conf.LoggingConfig.LogGroup, conf.SnapStart.ApplyOn, *conf.LastModified, *conf.RevisionId
	s["layers"], s["vpc_config"], s["dead_letter_config"], s["file_system_config"] = len(conf.Layers), conf.VpcConfig == nil, conf.DeadLetterConfig == nil, len(conf.FileSystemConfigs)
	s["kms_key_arn"], s["image_uri"], s["signing_job_arn"], s["source_kms_key_arn"] = conf.KMSKeyArn == nil, f.Code.ImageUri == nil, conf.SigningJobArn == nil, f.Code.SourceKMSKeyArn == nil
	s["state"], s["last_update"], s["tags"] = conf.State, conf.LastUpdateStatus, f.Tags
	s["environment"], s["reserved_concurrent_executions"] = map[string]string(nil), -1
	if conf.Environment != nil {
		s["environment"] = conf.Environment.Variables
	}
	if f.Concurrency != nil {
		s["reserved_concurrent_executions"] = int(*f.Concurrency.ReservedConcurrentExecutions)
	}
	pages := lambda.NewListVersionsByFunctionPaginator(c, &lambda.ListVersionsByFunctionInput{FunctionName: &name})
	for pages.HasMorePages() {
		page := got(pages.NextPage(ctx))(t)
		last := page.Versions[len(page.Versions)-1]
		s["version"], s["qualified_arn"] = *last.Version, *last.FunctionArn
	}
	signing := got(c.GetFunctionCodeSigningConfig(ctx, &lambda.GetFunctionCodeSigningConfigInput{FunctionName: &name}))(t)
	s["code_signing_config_arn"] = aws.ToString(signing.CodeSigningConfigArn)
	s["recursive_loop"] = got(c.GetFunctionRecursionConfig(ctx, &lambda.GetFunctionRecursionConfigInput{FunctionName: &name}))(t).RecursiveLoop
	s["update_runtime_on"] = got(c.GetRuntimeManagementConfig(ctx, &lambda.GetRuntimeManagementConfigInput{FunctionName: &name}))(t).UpdateRuntimeOn
	s["list_tags"] = got(c.ListTags(ctx, &lambda.ListTagsInput{Resource: conf.FunctionArn}))(t).Tags
	s["provisioned"] = len(got(c.ListProvisionedConcurrencyConfigs(ctx, &lambda.ListProvisionedConcurrencyConfigsInput{FunctionName: &name}))(t).ProvisionedConcurrencyConfigs)
	s["event_sources"] = len(got(c.ListEventSourceMappings(ctx, &lambda.ListEventSourceMappingsInput{FunctionName: &name}))(t).EventSourceMappings)
	for _, a := range got(c.ListAliases(ctx, &lambda.ListAliasesInput{FunctionName: &name}))(t).Aliases {
		one := got(c.GetAlias(ctx, &lambda.GetAliasInput{FunctionName: &name, Name: a.Name}))(t)
		weights := map[string]float64(nil)
		if one.RoutingConfig != nil {
			weights = one.RoutingConfig.AdditionalVersionWeights
		}
		s["alias "+*a.Name] = attributes{"arn": *one.AliasArn, "function_version": *one.FunctionVersion, "description": *one.Description, "routing_config": weights}
		qualified := got(c.GetFunction(ctx, &lambda.GetFunctionInput{FunctionName: &name, Qualifier: a.Name}))(t)
		s["function "+*a.Name] = attributes{"qualified_arn": *qualified.Configuration.FunctionArn, "version": *qualified.Configuration.Version, "concurrency": qualified.Concurrency}
		p.planQualified(t, c, s, name, a.Name)
	}
	p.planQualified(t, c, s, name, nil)
	return s
}

// planQualified reads what a function has under each qualifier.
func (p *platform) planQualified(t *testing.T, c *lambda.Client, s attributes, name string, qualifier *string) {
	t.Helper()
	key := " " + aws.ToString(qualifier)
	var missing *types.ResourceNotFoundException
	policy, err := c.GetPolicy(t.Context(), &lambda.GetPolicyInput{FunctionName: &name, Qualifier: qualifier})
	if err == nil {
		var doc any
		if err := json.Unmarshal([]byte(*policy.Policy), &doc); err != nil {
			t.Fatal(err)
		}
		s["policy"+key] = doc
	} else if !errors.As(err, &missing) {
		t.Fatal(err)
	}
	async, err := c.GetFunctionEventInvokeConfig(t.Context(), &lambda.GetFunctionEventInvokeConfigInput{FunctionName: &name, Qualifier: qualifier})
	if err == nil {
		s["event_invoke"+key] = attributes{"retries": async.MaximumRetryAttempts, "age": async.MaximumEventAgeInSeconds,
			"on_success": aws.ToString(async.DestinationConfig.OnSuccess.Destination), "on_failure": aws.ToString(async.DestinationConfig.OnFailure.Destination)}
	} else if !errors.As(err, &missing) {
		t.Fatal(err)
	}
}

func got[T any](v T, err error) func(*testing.T) T {
	return func(t *testing.T) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// TestPlanShowsNoChange applies changes one after the other. After each, what is read is what was asked for and what was there
// before, and reading again shows the same: a plan straight after an apply is empty.
func TestPlanShowsNoChange(t *testing.T) {
	p := start(t)
	p.role()
	c, ctx, name := p.sdk(), t.Context(), ptr("planned")
	code := func(n string) []byte {
		return zipOf(t, map[string]string{"app.py": "def handler(e, c): return " + n + "\n"})
	}
	one, two := code("1"), code("2")
	const arn = "arn:aws:lambda:us-east-1:000000000000:function:planned"
	want := attributes{}
	for _, step := range []struct {
		name   string
		apply  func() error
		change attributes // of what is read; nil takes away
	}{
		{"create with defaults", func() error {
			_, err := c.CreateFunction(ctx, &lambda.CreateFunctionInput{FunctionName: name, Runtime: types.RuntimePython311, Handler: ptr("app.handler"),
				Role: ptr(rolePath), Code: &types.FunctionCode{ZipFile: one}, Tags: map[string]string{"team": "a"}})
			return err
		}, attributes{"arn": arn, "code_sha256": shaOf(one), "description": "", "handler": "app.handler", "memory_size": int32(128), "package_type": types.PackageTypeZip,
			"role": rolePath, "runtime": types.RuntimePython311, "timeout": int32(3), "tracing": types.TracingModePassThrough, "ephemeral_storage": int32(512),
			"logging": "Text /aws/lambda/planned", "snap_start": types.SnapStartApplyOnNone, "layers": 0, "vpc_config": true, "dead_letter_config": true, "file_system_config": 0,
			"kms_key_arn": true, "image_uri": true, "signing_job_arn": true, "source_kms_key_arn": true, "state": types.StateActive, "last_update": types.LastUpdateStatusSuccessful,
			"tags": map[string]string{"team": "a"}, "list_tags": map[string]string{"team": "a"}, "environment": map[string]string(nil), "reserved_concurrent_executions": -1,
			"version": "$LATEST", "qualified_arn": arn + ":$LATEST", "code_signing_config_arn": "", "recursive_loop": types.RecursiveLoopTerminate,
			"update_runtime_on": types.UpdateRuntimeOnAuto, "provisioned": 0, "event_sources": 0}},
		{"everything in the configuration", func() error {
			_, err := c.UpdateFunctionConfiguration(ctx, &lambda.UpdateFunctionConfigurationInput{FunctionName: name, Description: ptr("d"), MemorySize: ptr(int32(256)),
				Timeout: ptr(int32(900)), Environment: &types.Environment{Variables: map[string]string{"AB": "c"}}, EphemeralStorage: &types.EphemeralStorage{Size: ptr(int32(1024))},
				TracingConfig: &types.TracingConfig{Mode: types.TracingModeActive}, LoggingConfig: &types.LoggingConfig{LogFormat: types.LogFormatJson, LogGroup: ptr("/mine")}})
			return err
		}, attributes{"description": "d", "memory_size": int32(256), "timeout": int32(900), "environment": map[string]string{"AB": "c"}, "ephemeral_storage": int32(1024),
			"tracing": types.TracingModeActive, "logging": "JSON /mine"}},
		{"nothing again", func() error {
			_, err := c.UpdateFunctionConfiguration(ctx, &lambda.UpdateFunctionConfigurationInput{FunctionName: name, Environment: &types.Environment{Variables: map[string]string{}}})
			return err
		}, attributes{"environment": map[string]string(nil)}},
		{"publish", func() error {
			_, err := c.PublishVersion(ctx, &lambda.PublishVersionInput{FunctionName: name})
			return err
		},
			attributes{"version": "1", "qualified_arn": arn + ":1"}},
		{"code, published", func() error {
			_, err := c.UpdateFunctionCode(ctx, &lambda.UpdateFunctionCodeInput{FunctionName: name, ZipFile: two, Publish: true})
			return err
		}, attributes{"code_sha256": shaOf(two), "version": "2", "qualified_arn": arn + ":2"}},
		{"alias with a weight", func() error {
			_, err := c.CreateAlias(ctx, &lambda.CreateAliasInput{FunctionName: name, Name: ptr("live"), FunctionVersion: ptr("1"), Description: ptr(""),
				RoutingConfig: &types.AliasRoutingConfiguration{AdditionalVersionWeights: map[string]float64{"2": 0.25}}})
			return err
		}, attributes{"alias live": attributes{"arn": arn + ":live", "function_version": "1", "description": "", "routing_config": map[string]float64{"2": 0.25}},
			"function live": attributes{"qualified_arn": arn + ":live", "version": "1", "concurrency": (*types.Concurrency)(nil)}}},
		{"alias moved", func() error {
			_, err := c.UpdateAlias(ctx, &lambda.UpdateAliasInput{FunctionName: name, Name: ptr("live"), FunctionVersion: ptr("2"), Description: ptr("new"),
				RoutingConfig: &types.AliasRoutingConfiguration{}})
			return err
		}, attributes{"alias live": attributes{"arn": arn + ":live", "function_version": "2", "description": "new", "routing_config": map[string]float64(nil)},
			"function live": attributes{"qualified_arn": arn + ":live", "version": "2", "concurrency": (*types.Concurrency)(nil)}}},
		{"permission", func() error {
			_, err := c.AddPermission(ctx, &lambda.AddPermissionInput{FunctionName: name, Qualifier: ptr("live"), StatementId: ptr("events"), Action: ptr("lambda:InvokeFunction"),
				Principal: ptr("events.amazonaws.com"), SourceArn: ptr("arn:aws:events:us-east-1:000000000000:rule/r"), SourceAccount: ptr("000000000000"), PrincipalOrgID: ptr("o-0123456789")})
			return err
		}, attributes{"policy live": map[string]any{"Version": "2012-10-17", "Id": "default", "Statement": []any{map[string]any{"Sid": "events", "Effect": "Allow",
			"Principal": map[string]any{"Service": "events.amazonaws.com"}, "Action": "lambda:InvokeFunction", "Resource": arn + ":live", "Condition": map[string]any{
				"StringEquals": map[string]any{"AWS:SourceAccount": "000000000000", "aws:PrincipalOrgID": "o-0123456789"},
				"ArnLike":      map[string]any{"AWS:SourceArn": "arn:aws:events:us-east-1:000000000000:rule/r"}}}}}}},
		{"permission given and taken away", func() error {
			_, err := c.AddPermission(ctx, &lambda.AddPermissionInput{FunctionName: name, StatementId: ptr("url"), Action: ptr("lambda:InvokeFunctionUrl"), Principal: ptr("*"),
				FunctionUrlAuthType: types.FunctionUrlAuthTypeNone})
			if err == nil {
				revision := got(c.GetPolicy(ctx, &lambda.GetPolicyInput{FunctionName: name}))(t).RevisionId
				_, err = c.RemovePermission(ctx, &lambda.RemovePermissionInput{FunctionName: name, StatementId: ptr("url"), RevisionId: revision})
			}
			return err
		}, nil},
		{"asynchronous events", func() error {
			_, err := c.PutFunctionEventInvokeConfig(ctx, &lambda.PutFunctionEventInvokeConfigInput{FunctionName: name, MaximumRetryAttempts: ptr(int32(0)),
				DestinationConfig: &types.DestinationConfig{OnFailure: &types.OnFailure{Destination: ptr("arn:aws:sns:us-east-1:000000000000:t")}}})
			return err
		}, attributes{"event_invoke ": attributes{"retries": ptr(int32(0)), "age": (*int32)(nil), "on_success": "", "on_failure": "arn:aws:sns:us-east-1:000000000000:t"}}},
		{"reserved concurrency and loops", func() error {
			if _, err := c.PutFunctionConcurrency(ctx, &lambda.PutFunctionConcurrencyInput{FunctionName: name, ReservedConcurrentExecutions: ptr(int32(7))}); err != nil {
				return err
			}
			_, err := c.PutFunctionRecursionConfig(ctx, &lambda.PutFunctionRecursionConfigInput{FunctionName: name, RecursiveLoop: types.RecursiveLoopAllow})
			return err
		}, attributes{"reserved_concurrent_executions": 7, "recursive_loop": types.RecursiveLoopAllow}},
		{"tags", func() error {
			if _, err := c.TagResource(ctx, &lambda.TagResourceInput{Resource: ptr(arn), Tags: map[string]string{"x": "y"}}); err != nil {
				return err
			}
			_, err := c.UntagResource(ctx, &lambda.UntagResourceInput{Resource: ptr(arn), TagKeys: []string{"team"}})
			return err
		}, attributes{"tags": map[string]string{"x": "y"}, "list_tags": map[string]string{"x": "y"}}},
		{"all taken away", func() error {
			_, err := c.DeleteAlias(ctx, &lambda.DeleteAliasInput{FunctionName: name, Name: ptr("live")})
			if err == nil {
				_, err = c.DeleteFunctionEventInvokeConfig(ctx, &lambda.DeleteFunctionEventInvokeConfigInput{FunctionName: name})
			}
			if err == nil {
				_, err = c.DeleteFunctionConcurrency(ctx, &lambda.DeleteFunctionConcurrencyInput{FunctionName: name})
			}
			return err
		}, attributes{"alias live": nil, "function live": nil, "policy live": nil, "event_invoke ": nil, "reserved_concurrent_executions": -1}},
	} {
		if err := step.apply(); err != nil {
			t.Fatalf("%s: %v", step.name, err)
		}
		for k, v := range step.change {
			if want[k] = v; v == nil {
				delete(want, k)
			}
		}
		first, again := p.plan(t, c, *name), p.plan(t, c, *name)
		if d := cmp.Diff(first, again); d != "" {
			t.Errorf("%s: read again:\n%s", step.name, d)
		}
		read := maps.Clone(first)
		for _, k := range []string{"architectures", "last_modified", "revision"} { // the machine's, and the moment's
			delete(read, k)
		}
		if d := cmp.Diff(want, read); d != "" {
			t.Errorf("%s: a plan would change (-asked +read):\n%s", step.name, d)
		}
	}
}

func ptr[T any](v T) *T { return &v }
