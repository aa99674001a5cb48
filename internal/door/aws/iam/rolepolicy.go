package iam

import (
	"context"
	"maps"
	"slices"
	"strings"

	"artesian/internal/account/identity"
	"artesian/internal/door/aws/iam/api"
)

// PutRolePolicy implements api.Service.
func (s *Service) PutRolePolicy(ctx context.Context, in *api.PutRolePolicyInput) (*api.PutRolePolicyOutput, error) {
	return nil, s.dir.PutRolePolicy(ctx, account(ctx), in.RoleName, in.PolicyName, in.PolicyDocument)
}

// GetRolePolicy implements api.Service.
func (s *Service) GetRolePolicy(ctx context.Context, in *api.GetRolePolicyInput) (*api.GetRolePolicyOutput, error) {
	document, err := s.dir.RolePolicy(account(ctx), in.RoleName, in.PolicyName)
	if err != nil {
		return nil, err
	}
	return &api.GetRolePolicyOutput{RoleName: in.RoleName, PolicyName: in.PolicyName, PolicyDocument: escape(document)}, nil
}

// DeleteRolePolicy implements api.Service.
func (s *Service) DeleteRolePolicy(ctx context.Context, in *api.DeleteRolePolicyInput) (*api.DeleteRolePolicyOutput, error) {
	return nil, s.dir.DeleteRolePolicy(ctx, account(ctx), in.RoleName, in.PolicyName)
}

// ListRolePolicies implements api.Service.
func (s *Service) ListRolePolicies(ctx context.Context, in *api.ListRolePoliciesInput) (*api.ListRolePoliciesOutput, error) {
	r, err := s.dir.Role(account(ctx), in.RoleName)
	if err != nil {
		return nil, err
	}
	names := slices.Collect(maps.Keys(r.Inline))
	part, truncated, next, err := page(names, func(n string) string { return n }, in.Marker, in.MaxItems)
	if err != nil {
		return nil, err
	}
	return &api.ListRolePoliciesOutput{PolicyNames: part, IsTruncated: truncated, Marker: next}, nil
}

// AttachRolePolicy implements api.Service.
func (s *Service) AttachRolePolicy(ctx context.Context, in *api.AttachRolePolicyInput) (*api.AttachRolePolicyOutput, error) {
	return nil, s.dir.AttachRolePolicy(ctx, account(ctx), in.RoleName, in.PolicyArn)
}

// DetachRolePolicy implements api.Service.
func (s *Service) DetachRolePolicy(ctx context.Context, in *api.DetachRolePolicyInput) (*api.DetachRolePolicyOutput, error) {
	return nil, s.dir.DetachRolePolicy(ctx, account(ctx), in.RoleName, in.PolicyArn)
}

// ListAttachedRolePolicies implements api.Service.
func (s *Service) ListAttachedRolePolicies(ctx context.Context, in *api.ListAttachedRolePoliciesInput) (*api.ListAttachedRolePoliciesOutput, error) {
	r, err := s.dir.Role(account(ctx), in.RoleName)
	if err != nil {
		return nil, err
	}
	var found []*identity.Policy
	for _, arn := range r.Attached {
		p, err := s.dir.Policy(account(ctx), arn)
		if err != nil {
			return nil, err
		}
		if strings.HasPrefix(p.Path, value(in.PathPrefix)) {
			found = append(found, p)
		}
	}
	part, truncated, next, err := page(found, policyKey, in.Marker, in.MaxItems)
	if err != nil {
		return nil, err
	}
	out := &api.ListAttachedRolePoliciesOutput{AttachedPolicies: []api.AttachedPolicy{}, IsTruncated: truncated, Marker: next}
	for _, p := range part {
		out.AttachedPolicies = append(out.AttachedPolicies, api.AttachedPolicy{PolicyArn: new(p.ARN()), PolicyName: &p.Name})
	}
	return out, nil
}

// ListEntitiesForPolicy lists the roles that a policy is attached to. There are no groups, users have no policies, and
// no policy serves as a permissions boundary.
func (s *Service) ListEntitiesForPolicy(ctx context.Context, in *api.ListEntitiesForPolicyInput) (*api.ListEntitiesForPolicyOutput, error) {
	if _, err := s.dir.Policy(account(ctx), in.PolicyArn); err != nil {
		return nil, err
	}
	var found []*identity.Role
	for _, r := range s.dir.Roles(account(ctx)) {
		_, attached := slices.BinarySearch(r.Attached, in.PolicyArn)
		if attached && strings.HasPrefix(r.Path, value(in.PathPrefix)) {
			found = append(found, r)
		}
	}
	if f := value(in.EntityFilter); f != "" && f != "Role" || value(in.PolicyUsageFilter) == "PermissionsBoundary" {
		found = nil
	}
	part, truncated, next, err := page(found, roleKey, in.Marker, in.MaxItems)
	if err != nil {
		return nil, err
	}
	out := &api.ListEntitiesForPolicyOutput{PolicyGroups: []api.PolicyGroup{}, PolicyUsers: []api.PolicyUser{}, PolicyRoles: []api.PolicyRole{},
		IsTruncated: truncated, Marker: next}
	for _, r := range part {
		out.PolicyRoles = append(out.PolicyRoles, api.PolicyRole{RoleId: &r.ID, RoleName: &r.Name})
	}
	return out, nil
}
