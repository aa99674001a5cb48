package iam

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"artesian/internal/account/identity"
	"artesian/internal/door/aws/iam/api"
)

// policyOut is a policy as ListPolicies shows it.
func policyOut(p *identity.Policy, attachments int) api.Policy {
	return api.Policy{Arn: new(p.ARN()), AttachmentCount: new(int32(attachments)), CreateDate: &p.Created,
		DefaultVersionId: new(identity.PolicyVersion{Number: p.Default}.ID()), IsAttachable: new(true), Path: &p.Path,
		PermissionsBoundaryUsageCount: new(int32(0)), PolicyId: &p.ID, PolicyName: &p.Name, UpdateDate: &p.Updated}
}

// policyKey orders policies by name; AWS's own and a customer's may have the same.
func policyKey(p *identity.Policy) string { return strings.ToLower(p.Name) + " " + p.ARN() }

// CreatePolicy implements api.Service.
func (s *Service) CreatePolicy(ctx context.Context, in *api.CreatePolicyInput) (*api.CreatePolicyOutput, error) {
	p, err := s.dir.CreatePolicy(ctx, account(ctx), identity.NewPolicy{Name: in.PolicyName, Path: value(in.Path),
		Description: value(in.Description), Document: in.PolicyDocument, Tags: tagsIn(in.Tags)})
	if err != nil {
		return nil, err
	}
	out := policyOut(p, 0)
	if len(p.Tags) > 0 {
		out.Tags = tagsOut(p.Tags)
	}
	return &api.CreatePolicyOutput{Policy: &out}, nil
}

// GetPolicy implements api.Service.
func (s *Service) GetPolicy(ctx context.Context, in *api.GetPolicyInput) (*api.GetPolicyOutput, error) {
	p, err := s.dir.Policy(account(ctx), in.PolicyArn)
	if err != nil {
		return nil, err
	}
	out := policyOut(p, s.dir.Attachments(account(ctx))[in.PolicyArn])
	out.Description, out.Tags = optional(p.Description), tagsOut(p.Tags)
	return &api.GetPolicyOutput{Policy: &out}, nil
}

// ListPolicies implements api.Service.
func (s *Service) ListPolicies(ctx context.Context, in *api.ListPoliciesInput) (*api.ListPoliciesOutput, error) {
	var all []*identity.Policy
	scope := value(in.Scope)
	if scope != "AWS" {
		all = append(all, s.dir.Policies(account(ctx))...)
	}
	if scope != "Local" {
		all = slices.AppendSeq(all, maps.Values(s.dir.Builtin()))
	}
	attachments := s.dir.Attachments(account(ctx))
	all = slices.DeleteFunc(all, func(p *identity.Policy) bool {
		return !strings.HasPrefix(p.Path, value(in.PathPrefix)) || value(in.OnlyAttached) && attachments[p.ARN()] == 0
	})
	if value(in.PolicyUsageFilter) == "PermissionsBoundary" {
		all = nil // no policy serves as one
	}
	part, truncated, next, err := page(all, policyKey, in.Marker, in.MaxItems)
	if err != nil {
		return nil, err
	}
	out := &api.ListPoliciesOutput{Policies: []api.Policy{}, IsTruncated: truncated, Marker: next}
	for _, p := range part {
		out.Policies = append(out.Policies, policyOut(p, attachments[p.ARN()]))
	}
	return out, nil
}

// DeletePolicy implements api.Service.
func (s *Service) DeletePolicy(ctx context.Context, in *api.DeletePolicyInput) (*api.DeletePolicyOutput, error) {
	return nil, s.dir.DeletePolicy(ctx, account(ctx), in.PolicyArn)
}

// versionOut is a version without its document.
func versionOut(v identity.PolicyVersion, inForce bool) api.PolicyVersion {
	return api.PolicyVersion{CreateDate: &v.Created, IsDefaultVersion: &inForce, VersionId: new(v.ID())}
}

// CreatePolicyVersion implements api.Service.
func (s *Service) CreatePolicyVersion(ctx context.Context, in *api.CreatePolicyVersionInput) (*api.CreatePolicyVersionOutput, error) {
	inForce := value(in.SetAsDefault)
	v, err := s.dir.CreatePolicyVersion(ctx, account(ctx), in.PolicyArn, in.PolicyDocument, inForce)
	if err != nil {
		return nil, err
	}
	return &api.CreatePolicyVersionOutput{PolicyVersion: new(versionOut(v, inForce))}, nil
}

// GetPolicyVersion implements api.Service.
func (s *Service) GetPolicyVersion(ctx context.Context, in *api.GetPolicyVersionInput) (*api.GetPolicyVersionOutput, error) {
	p, err := s.dir.Policy(account(ctx), in.PolicyArn)
	if err != nil {
		return nil, err
	}
	v, err := p.Version(in.VersionId)
	if err != nil {
		return nil, err
	}
	out := versionOut(v, v.Number == p.Default)
	out.Document = new(escape(v.Document))
	return &api.GetPolicyVersionOutput{PolicyVersion: &out}, nil
}

// ListPolicyVersions lists the newest version first.
func (s *Service) ListPolicyVersions(ctx context.Context, in *api.ListPolicyVersionsInput) (*api.ListPolicyVersionsOutput, error) {
	p, err := s.dir.Policy(account(ctx), in.PolicyArn)
	if err != nil {
		return nil, err
	}
	newestFirst := func(v identity.PolicyVersion) string { return fmt.Sprintf("%010d", 1<<31-v.Number) }
	part, truncated, next, err := page(slices.Clone(p.Versions), newestFirst, in.Marker, in.MaxItems)
	if err != nil {
		return nil, err
	}
	out := &api.ListPolicyVersionsOutput{Versions: []api.PolicyVersion{}, IsTruncated: truncated, Marker: next}
	for _, v := range part {
		out.Versions = append(out.Versions, versionOut(v, v.Number == p.Default))
	}
	return out, nil
}

// DeletePolicyVersion implements api.Service.
func (s *Service) DeletePolicyVersion(ctx context.Context, in *api.DeletePolicyVersionInput) (*api.DeletePolicyVersionOutput, error) {
	return nil, s.dir.DeletePolicyVersion(ctx, account(ctx), in.PolicyArn, in.VersionId)
}

// SetDefaultPolicyVersion implements api.Service.
func (s *Service) SetDefaultPolicyVersion(ctx context.Context, in *api.SetDefaultPolicyVersionInput) (*api.SetDefaultPolicyVersionOutput, error) {
	return nil, s.dir.SetDefaultPolicyVersion(ctx, account(ctx), in.PolicyArn, in.VersionId)
}

// TagPolicy implements api.Service.
func (s *Service) TagPolicy(ctx context.Context, in *api.TagPolicyInput) (*api.TagPolicyOutput, error) {
	return nil, s.dir.TagPolicy(ctx, account(ctx), in.PolicyArn, tagsIn(in.Tags))
}

// UntagPolicy implements api.Service.
func (s *Service) UntagPolicy(ctx context.Context, in *api.UntagPolicyInput) (*api.UntagPolicyOutput, error) {
	return nil, s.dir.UntagPolicy(ctx, account(ctx), in.PolicyArn, in.TagKeys)
}

// ListPolicyTags implements api.Service.
func (s *Service) ListPolicyTags(ctx context.Context, in *api.ListPolicyTagsInput) (*api.ListPolicyTagsOutput, error) {
	p, err := s.dir.Policy(account(ctx), in.PolicyArn)
	if err != nil {
		return nil, err
	}
	part, truncated, next, err := page(tagsOut(p.Tags), tagKey, in.Marker, in.MaxItems)
	if err != nil {
		return nil, err
	}
	return &api.ListPolicyTagsOutput{Tags: part, IsTruncated: truncated, Marker: next}, nil
}
