package iam

import (
	"context"
	"strings"

	"artesian/internal/account/identity"
	"artesian/internal/door/aws/iam/api"
)

// roleOut is a role as ListRoles shows it.
func roleOut(r *identity.Role) api.Role {
	trust, session := escape(r.Trust), int32(r.MaxSession)
	return api.Role{Arn: r.ARN(), AssumeRolePolicyDocument: &trust, CreateDate: r.Created, Description: optional(r.Description),
		MaxSessionDuration: &session, Path: r.Path, RoleId: r.ID, RoleName: r.Name}
}

// wholeRole has what only operations on a single role show.
func wholeRole(r *identity.Role) *api.Role {
	out := roleOut(r)
	if len(r.Tags) > 0 {
		out.Tags = tagsOut(r.Tags)
	}
	return &out
}

// CreateRole implements api.Service.
func (s *Service) CreateRole(ctx context.Context, in *api.CreateRoleInput) (*api.CreateRoleOutput, error) {
	r, err := s.dir.CreateRole(ctx, account(ctx), identity.NewRole{Name: in.RoleName, Path: value(in.Path), Description: value(in.Description),
		Trust: in.AssumeRolePolicyDocument, MaxSession: int(value(in.MaxSessionDuration)), Tags: tagsIn(in.Tags)})
	if err != nil {
		return nil, err
	}
	return &api.CreateRoleOutput{Role: wholeRole(r)}, nil
}

// GetRole implements api.Service.
func (s *Service) GetRole(ctx context.Context, in *api.GetRoleInput) (*api.GetRoleOutput, error) {
	r, err := s.dir.Role(account(ctx), in.RoleName)
	if err != nil {
		return nil, err
	}
	out := wholeRole(r)
	out.RoleLastUsed = &api.RoleLastUsed{} // empty: never used
	return &api.GetRoleOutput{Role: out}, nil
}

// ListRoles implements api.Service.
func (s *Service) ListRoles(ctx context.Context, in *api.ListRolesInput) (*api.ListRolesOutput, error) {
	var found []*identity.Role
	for _, r := range s.dir.Roles(account(ctx)) {
		if strings.HasPrefix(r.Path, value(in.PathPrefix)) {
			found = append(found, r)
		}
	}
	part, truncated, next, err := page(found, roleKey, in.Marker, in.MaxItems)
	if err != nil {
		return nil, err
	}
	out := &api.ListRolesOutput{IsTruncated: truncated, Marker: next}
	for _, r := range part {
		out.Roles = append(out.Roles, roleOut(r))
	}
	return out, nil
}

func roleKey(r *identity.Role) string { return strings.ToLower(r.Name) }

// UpdateRole implements api.Service.
func (s *Service) UpdateRole(ctx context.Context, in *api.UpdateRoleInput) (*api.UpdateRoleOutput, error) {
	_, err := s.dir.ChangeRole(ctx, account(ctx), in.RoleName, func(r *identity.Role) error {
		if in.Description != nil {
			r.Description = *in.Description
		}
		if in.MaxSessionDuration != nil {
			r.MaxSession = int(*in.MaxSessionDuration)
		}
		return nil
	})
	return nil, err
}

// UpdateRoleDescription implements api.Service.
func (s *Service) UpdateRoleDescription(ctx context.Context, in *api.UpdateRoleDescriptionInput) (*api.UpdateRoleDescriptionOutput, error) {
	r, err := s.dir.ChangeRole(ctx, account(ctx), in.RoleName, func(r *identity.Role) error {
		r.Description = in.Description
		return nil
	})
	if err != nil {
		return nil, err
	}
	return &api.UpdateRoleDescriptionOutput{Role: wholeRole(r)}, nil
}

// UpdateAssumeRolePolicy implements api.Service.
func (s *Service) UpdateAssumeRolePolicy(ctx context.Context, in *api.UpdateAssumeRolePolicyInput) (*api.UpdateAssumeRolePolicyOutput, error) {
	_, err := s.dir.ChangeRole(ctx, account(ctx), in.RoleName, func(r *identity.Role) error {
		r.Trust = in.PolicyDocument
		return nil
	})
	return nil, err
}

// DeleteRole implements api.Service.
func (s *Service) DeleteRole(ctx context.Context, in *api.DeleteRoleInput) (*api.DeleteRoleOutput, error) {
	return nil, s.dir.DeleteRole(ctx, account(ctx), in.RoleName)
}

// TagRole implements api.Service.
func (s *Service) TagRole(ctx context.Context, in *api.TagRoleInput) (*api.TagRoleOutput, error) {
	return nil, s.dir.TagRole(ctx, account(ctx), in.RoleName, tagsIn(in.Tags))
}

// UntagRole implements api.Service.
func (s *Service) UntagRole(ctx context.Context, in *api.UntagRoleInput) (*api.UntagRoleOutput, error) {
	return nil, s.dir.UntagRole(ctx, account(ctx), in.RoleName, in.TagKeys)
}

// ListRoleTags implements api.Service.
func (s *Service) ListRoleTags(ctx context.Context, in *api.ListRoleTagsInput) (*api.ListRoleTagsOutput, error) {
	r, err := s.dir.Role(account(ctx), in.RoleName)
	if err != nil {
		return nil, err
	}
	part, truncated, next, err := page(tagsOut(r.Tags), tagKey, in.Marker, in.MaxItems)
	if err != nil {
		return nil, err
	}
	return &api.ListRoleTagsOutput{Tags: part, IsTruncated: truncated, Marker: next}, nil
}

// ListInstanceProfilesForRole answers that there are none: instance profiles are for machines that AWS starts.
func (s *Service) ListInstanceProfilesForRole(ctx context.Context, in *api.ListInstanceProfilesForRoleInput) (*api.ListInstanceProfilesForRoleOutput, error) {
	if _, err := s.dir.Role(account(ctx), in.RoleName); err != nil {
		return nil, err
	}
	none, truncated, next, err := page([]api.InstanceProfile{}, func(p api.InstanceProfile) string { return p.InstanceProfileName }, in.Marker, in.MaxItems)
	if err != nil {
		return nil, err
	}
	return &api.ListInstanceProfilesForRoleOutput{InstanceProfiles: none, IsTruncated: truncated, Marker: next}, nil
}
