package lambda

import (
	"context"
	"maps"
	"slices"
	"strings"

	"artesian/internal/compute/registry"
	"artesian/internal/door/aws/lambda/api"
	"artesian/internal/faas"
)

// Provisions is the book of functions, as far as it is about provisioned concurrency.
type Provisions interface {
	Provision(ctx context.Context, id faas.FunctionID, qualifier string, n, total int) (registry.Provision, error)
	Unprovision(ctx context.Context, id faas.FunctionID, qualifier string) error
}

// Provisioned is how far the instances are that are kept ready under a qualifier.
type Provisioned struct {
	Available int    // initialised, busy or not
	Ready     bool   // all are, of each version that the qualifier names
	Failure   string // why those that are missing are; empty: they are on their way, or none is missing
}

// The states of provisioned concurrency.
const (
	provisionInProgress = "IN_PROGRESS"
	provisionReady      = "READY"
	provisionFailed     = "FAILED"
)

// provisionTime is how the times of provisioned concurrency are written.
const provisionTime = "2006-01-02T15:04:05-0700"

const notProvisionable = "The function resource provided must be an alias or a published version."

// provisionName reads the name of a published version or an alias.
func (s *Service) provisionName(ctx context.Context, name, qualifier, refusal string) (faas.FunctionID, string, error) {
	id, q, err := s.name(ctx, name, &qualifier)
	if err == nil && (q == "" || q == faas.Latest) {
		err = faas.Errorf(faas.Invalid, "%s", refusal)
	}
	return id, q, err
}

// provisionOf finds what is configured for a qualifier that is there; nil is nothing.
func (s *Service) provisionOf(ctx context.Context, name, qualifier string) (*registry.Record, string, *registry.Provision, error) {
	id, q, err := s.provisionName(ctx, name, qualifier, notProvisionable)
	if err != nil {
		return nil, "", nil, err
	}
	if _, err := s.cfg.Functions.Get(id, q); err != nil {
		return nil, "", nil, err
	}
	rec, err := s.cfg.Functions.Get(id, "")
	if err != nil {
		return nil, "", nil, err
	}
	if p, ok := rec.Provisions[q]; ok {
		return rec, q, &p, nil
	}
	return rec, q, nil, nil
}

// PutProvisionedConcurrencyConfig implements api.Service.
func (s *Service) PutProvisionedConcurrencyConfig(ctx context.Context, in *api.PutProvisionedConcurrencyConfigInput) (*api.PutProvisionedConcurrencyConfigOutput, error) {
	id, q, err := s.provisionName(ctx, in.FunctionName, in.Qualifier, "Provisioned Concurrency Configs cannot be applied to unpublished function versions.")
	if err != nil {
		return nil, err
	}
	p, err := s.cfg.Functions.Provision(ctx, id, q, int(in.ProvisionedConcurrentExecutions), s.cfg.Invoker.Concurrency())
	if err != nil {
		return nil, err
	}
	return &api.PutProvisionedConcurrencyConfigOutput{
		RequestedProvisionedConcurrentExecutions: &in.ProvisionedConcurrentExecutions, AllocatedProvisionedConcurrentExecutions: ptr(int32(0)),
		AvailableProvisionedConcurrentExecutions: ptr(int32(0)), Status: ptr(provisionInProgress), LastModified: ptr(p.Modified.UTC().Format(provisionTime)),
	}, nil
}

// provisionItem describes what is configured for a qualifier, and how far it is.
func (s *Service) provisionItem(rec *registry.Record, qualifier string, p registry.Provision) api.ProvisionedConcurrencyConfigListItem {
	now := s.cfg.Provisioned(rec, qualifier)
	status, reason := provisionInProgress, (*string)(nil)
	switch {
	case now.Ready:
		status = provisionReady
	case now.Failure != "":
		status, reason = provisionFailed, &now.Failure
	}
	there := ptr(int32(min(now.Available, p.Count)))
	return api.ProvisionedConcurrencyConfigListItem{
		FunctionArn: ptr(rec.Version.ID.FunctionID.ARN() + ":" + qualifier), RequestedProvisionedConcurrentExecutions: ptr(int32(p.Count)),
		AllocatedProvisionedConcurrentExecutions: there, AvailableProvisionedConcurrentExecutions: there,
		Status: &status, StatusReason: reason, LastModified: ptr(p.Modified.UTC().Format(provisionTime)),
	}
}

// GetProvisionedConcurrencyConfig implements api.Service.
func (s *Service) GetProvisionedConcurrencyConfig(ctx context.Context, in *api.GetProvisionedConcurrencyConfigInput) (*api.GetProvisionedConcurrencyConfigOutput, error) {
	rec, q, p, err := s.provisionOf(ctx, in.FunctionName, in.Qualifier)
	if err != nil {
		return nil, err
	}
	if p == nil {
		return nil, &api.ProvisionedConcurrencyConfigNotFoundException{Type: ptr("User"), Message: ptr("No Provisioned Concurrency Config found for this function")}
	}
	i := s.provisionItem(rec, q, *p)
	return &api.GetProvisionedConcurrencyConfigOutput{
		RequestedProvisionedConcurrentExecutions: i.RequestedProvisionedConcurrentExecutions,
		AllocatedProvisionedConcurrentExecutions: i.AllocatedProvisionedConcurrentExecutions,
		AvailableProvisionedConcurrentExecutions: i.AvailableProvisionedConcurrentExecutions,
		Status:                                   i.Status, StatusReason: i.StatusReason, LastModified: i.LastModified,
	}, nil
}

// DeleteProvisionedConcurrencyConfig implements api.Service.
func (s *Service) DeleteProvisionedConcurrencyConfig(ctx context.Context, in *api.DeleteProvisionedConcurrencyConfigInput) (*api.DeleteProvisionedConcurrencyConfigOutput, error) {
	rec, q, p, err := s.provisionOf(ctx, in.FunctionName, in.Qualifier)
	if err != nil || p == nil {
		return nil, err
	}
	return nil, s.cfg.Functions.Unprovision(ctx, rec.Version.ID.FunctionID, q)
}

// ListProvisionedConcurrencyConfigs implements api.Service. The marker is the last qualifier of the page before.
func (s *Service) ListProvisionedConcurrencyConfigs(ctx context.Context, in *api.ListProvisionedConcurrencyConfigsInput) (*api.ListProvisionedConcurrencyConfigsOutput, error) {
	rec, _, err := s.get(ctx, in.FunctionName, nil)
	if err != nil {
		return nil, err
	}
	if rec, err = s.cfg.Functions.Get(rec.Version.ID.FunctionID, ""); err != nil {
		return nil, err
	}
	out := &api.ListProvisionedConcurrencyConfigsOutput{ProvisionedConcurrencyConfigs: []api.ProvisionedConcurrencyConfigListItem{}}
	last := ""
	for _, q := range slices.Sorted(maps.Keys(rec.Provisions)) {
		if in.Marker != nil && q <= strings.TrimPrefix(*in.Marker, ":") {
			continue
		}
		if len(out.ProvisionedConcurrencyConfigs) == pageSize(in.MaxItems) {
			out.NextMarker = ptr(":" + last)
			break
		}
		out.ProvisionedConcurrencyConfigs = append(out.ProvisionedConcurrencyConfigs, s.provisionItem(rec, q, rec.Provisions[q]))
		last = q
	}
	return out, nil
}
