package lambda

import (
	"context"

	"artesian/internal/compute/registry"
	"artesian/internal/door/aws/lambda/api"
	"artesian/internal/faas"
)

// Loops is the book of functions, as far as it is about calls in a loop.
type Loops interface {
	Configure(ctx context.Context, id faas.FunctionID, mutate func(*registry.Record) error) (*registry.Record, error)
}

// PutFunctionRecursionConfig implements api.Service.
func (s *Service) PutFunctionRecursionConfig(ctx context.Context, in *api.PutFunctionRecursionConfigInput) (*api.PutFunctionRecursionConfigOutput, error) {
	id, err := s.unqualified(ctx, in.FunctionName)
	if err != nil {
		return nil, err
	}
	rec, err := s.cfg.Functions.Configure(ctx, id, func(rec *registry.Record) error { rec.Loops = in.RecursiveLoop == "Allow"; return nil })
	if err != nil {
		return nil, err
	}
	return &api.PutFunctionRecursionConfigOutput{RecursiveLoop: recursion(rec)}, nil
}

// GetFunctionRecursionConfig implements api.Service.
func (s *Service) GetFunctionRecursionConfig(ctx context.Context, in *api.GetFunctionRecursionConfigInput) (*api.GetFunctionRecursionConfigOutput, error) {
	id, err := s.unqualified(ctx, in.FunctionName)
	if err != nil {
		return nil, err
	}
	rec, err := s.cfg.Functions.Get(id, "")
	if err != nil {
		return nil, err
	}
	return &api.GetFunctionRecursionConfigOutput{RecursiveLoop: recursion(rec)}, nil
}

func recursion(rec *registry.Record) *string {
	if rec.Loops {
		return ptr("Allow")
	}
	return ptr("Terminate")
}

// PutRuntimeManagementConfig implements api.Service. A function always runs on the interpreter that is here now: that is Auto.
func (s *Service) PutRuntimeManagementConfig(ctx context.Context, in *api.PutRuntimeManagementConfigInput) (*api.PutRuntimeManagementConfigOutput, error) {
	rec, q, err := s.get(ctx, in.FunctionName, in.Qualifier)
	if err != nil {
		return nil, err
	}
	if in.UpdateRuntimeOn != "Auto" {
		return nil, refused("UpdateRuntimeOn", in.UpdateRuntimeOn, "Auto, since a function runs on the interpreter of this machine as it is")
	}
	if in.RuntimeVersionArn != nil {
		return nil, faas.Errorf(faas.Invalid, "RuntimeVersionArn: it is for UpdateRuntimeOn Manual only")
	}
	return &api.PutRuntimeManagementConfigOutput{UpdateRuntimeOn: "Auto", FunctionArn: invokedARN(rec.Version.ID.FunctionID, q)}, nil
}

// GetRuntimeManagementConfig implements api.Service.
func (s *Service) GetRuntimeManagementConfig(ctx context.Context, in *api.GetRuntimeManagementConfigInput) (*api.GetRuntimeManagementConfigOutput, error) {
	rec, q, err := s.get(ctx, in.FunctionName, in.Qualifier)
	if err != nil {
		return nil, err
	}
	return &api.GetRuntimeManagementConfigOutput{UpdateRuntimeOn: ptr("Auto"), FunctionArn: ptr(invokedARN(rec.Version.ID.FunctionID, q))}, nil
}

// The reads of code signing and event source mappings answer as where there are none: here none can be made.

// GetFunctionCodeSigningConfig implements api.Service.
func (s *Service) GetFunctionCodeSigningConfig(ctx context.Context, in *api.GetFunctionCodeSigningConfigInput) (*api.GetFunctionCodeSigningConfigOutput, error) {
	_, _, err := s.get(ctx, in.FunctionName, nil)
	return nil, err
}

// DeleteFunctionCodeSigningConfig implements api.Service.
func (s *Service) DeleteFunctionCodeSigningConfig(ctx context.Context, in *api.DeleteFunctionCodeSigningConfigInput) (*api.DeleteFunctionCodeSigningConfigOutput, error) {
	_, _, err := s.get(ctx, in.FunctionName, nil)
	return nil, err
}

// ListCodeSigningConfigs implements api.Service.
func (s *Service) ListCodeSigningConfigs(context.Context, *api.ListCodeSigningConfigsInput) (*api.ListCodeSigningConfigsOutput, error) {
	return &api.ListCodeSigningConfigsOutput{CodeSigningConfigs: []api.CodeSigningConfig{}}, nil
}

func noSigning(arn string) error {
	return faas.Errorf(faas.NotFound, "The Lambda code signing configuration %s can not be found.", arn)
}

// GetCodeSigningConfig implements api.Service.
func (s *Service) GetCodeSigningConfig(_ context.Context, in *api.GetCodeSigningConfigInput) (*api.GetCodeSigningConfigOutput, error) {
	return nil, noSigning(in.CodeSigningConfigArn)
}

// ListFunctionsByCodeSigningConfig implements api.Service.
func (s *Service) ListFunctionsByCodeSigningConfig(_ context.Context, in *api.ListFunctionsByCodeSigningConfigInput) (*api.ListFunctionsByCodeSigningConfigOutput, error) {
	return nil, noSigning(in.CodeSigningConfigArn)
}

// ListEventSourceMappings implements api.Service.
func (s *Service) ListEventSourceMappings(context.Context, *api.ListEventSourceMappingsInput) (*api.ListEventSourceMappingsOutput, error) {
	return &api.ListEventSourceMappingsOutput{EventSourceMappings: []api.EventSourceMappingConfiguration{}}, nil
}
