package lambda

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	"artesian/internal/compute/registry"
	"artesian/internal/door/aws/lambda/api"
	"artesian/internal/faas"
)

// Events is the book of functions, as far as it is about asynchronous events.
type Events interface {
	SetAsync(ctx context.Context, id faas.FunctionID, qualifier string, mutate func(*registry.Async) (*registry.Async, error)) error
}

// asyncInput is what putting and updating the configuration of asynchronous events share.
type asyncInput struct {
	name         string
	qualifier    *string
	retries, age *int32
	destinations *api.DestinationConfig
}

// PutFunctionEventInvokeConfig implements api.Service.
func (s *Service) PutFunctionEventInvokeConfig(ctx context.Context, in *api.PutFunctionEventInvokeConfigInput) (*api.PutFunctionEventInvokeConfigOutput, error) {
	return s.putAsync(ctx, asyncInput{in.FunctionName, in.Qualifier, in.MaximumRetryAttempts, in.MaximumEventAgeInSeconds, in.DestinationConfig}, false)
}

// UpdateFunctionEventInvokeConfig implements api.Service.
func (s *Service) UpdateFunctionEventInvokeConfig(ctx context.Context, in *api.UpdateFunctionEventInvokeConfigInput) (*api.UpdateFunctionEventInvokeConfigOutput, error) {
	return s.putAsync(ctx, asyncInput{in.FunctionName, in.Qualifier, in.MaximumRetryAttempts, in.MaximumEventAgeInSeconds, in.DestinationConfig}, true)
}

// putAsync replaces a configuration, or with update changes what is given of the one that is there.
func (s *Service) putAsync(ctx context.Context, in asyncInput, update bool) (*api.FunctionEventInvokeConfig, error) {
	if in.retries == nil && in.age == nil && in.destinations == nil {
		return nil, faas.Errorf(faas.Invalid, "You must specify at least one of error handling or destination setting.")
	}
	id, q, err := s.asyncName(ctx, in.name, in.qualifier)
	if err != nil {
		return nil, err
	}
	if err := checkDestinations(id, in.destinations); err != nil {
		return nil, err
	}
	var out registry.Async
	err = s.cfg.Functions.SetAsync(ctx, id, q, func(before *registry.Async) (*registry.Async, error) {
		out = registry.Async{}
		if update && before == nil {
			return nil, noAsync(id, q)
		}
		if update {
			out = *before
		}
		in.apply(&out)
		return &out, nil
	})
	if err != nil {
		return nil, err
	}
	return async(id, q, out), nil
}

func (in asyncInput) apply(a *registry.Async) {
	if in.retries != nil {
		a.Retries = ptr(int(*in.retries))
	}
	if in.age != nil {
		a.MaxAge = ptr(time.Duration(*in.age) * time.Second)
	}
	if in.destinations != nil {
		a.OnSuccess = value(value(in.destinations.OnSuccess).Destination)
		a.OnFailure = value(value(in.destinations.OnFailure).Destination)
	}
}

// asyncName reads a function's name; its own configuration is the one of $LATEST.
func (s *Service) asyncName(ctx context.Context, name string, qualifier *string) (faas.FunctionID, string, error) {
	id, q, err := s.name(ctx, name, qualifier)
	if q == faas.Latest {
		q = ""
	}
	return id, q, err
}

// checkDestinations refuses what AWS does not deliver to, and a function as its own destination
// (https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-retain-records.html).
func checkDestinations(id faas.FunctionID, d *api.DestinationConfig) error {
	if d == nil {
		return nil
	}
	for member, arn := range map[string]string{"OnFailure": value(value(d.OnFailure).Destination), "OnSuccess": value(value(d.OnSuccess).Destination)} {
		if arn == "" {
			continue
		}
		service := ""
		if parts := strings.SplitN(arn, ":", 6); len(parts) == 6 && parts[5] != "" {
			service = parts[2]
		}
		known := []string{"sqs", "sns", "lambda", "events"}
		if member == "OnFailure" {
			known = append(known, "s3")
		}
		if !slices.Contains(known, service) {
			return faas.Errorf(faas.Invalid, "DestinationConfig.%s.Destination: %s is not the ARN of one of %s", member, arn, strings.Join(known, ", "))
		}
		if arn == id.ARN() || strings.HasPrefix(arn, id.ARN()+":") {
			return faas.Errorf(faas.Invalid, "DestinationConfig.%s.Destination: You can't specify the function as a destination for itself.", member)
		}
	}
	return nil
}

func noAsync(id faas.FunctionID, qualifier string) error {
	return faas.Errorf(faas.NotFound, "The function %s doesn't have an EventInvokeConfig", asyncARN(id, qualifier))
}

func asyncARN(id faas.FunctionID, qualifier string) string {
	return id.ARN() + ":" + cmp.Or(qualifier, faas.Latest)
}

func async(id faas.FunctionID, qualifier string, a registry.Async) *api.FunctionEventInvokeConfig {
	c := &api.FunctionEventInvokeConfig{FunctionArn: ptr(asyncARN(id, qualifier)), LastModified: &a.Modified,
		DestinationConfig: &api.DestinationConfig{OnSuccess: &api.OnSuccess{}, OnFailure: &api.OnFailure{}}}
	if a.Retries != nil {
		c.MaximumRetryAttempts = ptr(int32(*a.Retries))
	}
	if a.MaxAge != nil {
		c.MaximumEventAgeInSeconds = ptr(int32(*a.MaxAge / time.Second))
	}
	if a.OnSuccess != "" {
		c.DestinationConfig.OnSuccess.Destination = &a.OnSuccess
	}
	if a.OnFailure != "" {
		c.DestinationConfig.OnFailure.Destination = &a.OnFailure
	}
	return c
}

// GetFunctionEventInvokeConfig implements api.Service.
func (s *Service) GetFunctionEventInvokeConfig(ctx context.Context, in *api.GetFunctionEventInvokeConfigInput) (*api.GetFunctionEventInvokeConfigOutput, error) {
	id, q, err := s.asyncName(ctx, in.FunctionName, in.Qualifier)
	if err != nil {
		return nil, err
	}
	rec, err := s.cfg.Functions.Get(id, "")
	if err != nil {
		return nil, err
	}
	a, ok := rec.Async[q]
	if !ok {
		return nil, noAsync(id, q)
	}
	return async(id, q, a), nil
}

// DeleteFunctionEventInvokeConfig implements api.Service.
func (s *Service) DeleteFunctionEventInvokeConfig(ctx context.Context, in *api.DeleteFunctionEventInvokeConfigInput) (*api.DeleteFunctionEventInvokeConfigOutput, error) {
	id, q, err := s.asyncName(ctx, in.FunctionName, in.Qualifier)
	if err != nil {
		return nil, err
	}
	return nil, s.cfg.Functions.SetAsync(ctx, id, q, func(before *registry.Async) (*registry.Async, error) {
		if before == nil {
			return nil, noAsync(id, q)
		}
		return nil, nil
	})
}

// ListFunctionEventInvokeConfigs implements api.Service. The marker is the last qualifier of the page before.
func (s *Service) ListFunctionEventInvokeConfigs(ctx context.Context, in *api.ListFunctionEventInvokeConfigsInput) (*api.ListFunctionEventInvokeConfigsOutput, error) {
	rec, _, err := s.get(ctx, in.FunctionName, nil)
	if err != nil {
		return nil, err
	}
	id := rec.Version.ID.FunctionID
	if rec, err = s.cfg.Functions.Get(id, ""); err != nil {
		return nil, err
	}
	out := &api.ListFunctionEventInvokeConfigsOutput{FunctionEventInvokeConfigs: []api.FunctionEventInvokeConfig{}}
	last := ""
	for _, q := range slices.Sorted(maps.Keys(rec.Async)) {
		if in.Marker != nil && q <= strings.TrimPrefix(*in.Marker, ":") {
			continue
		}
		if len(out.FunctionEventInvokeConfigs) == pageSize(in.MaxItems) {
			out.NextMarker = ptr(":" + last)
			break
		}
		out.FunctionEventInvokeConfigs = append(out.FunctionEventInvokeConfigs, *async(id, q, rec.Async[q]))
		last = q
	}
	return out, nil
}
