package iam

import (
	"context"
	"reflect"
	"strings"

	"artesian/internal/account/identity"
	"artesian/internal/door/aws/iam/api"
)

// Resource returns the ARN that an operation is about, for authorisation: the role where one is named, else the policy or
// the user; * for what lists policies
// (https://docs.aws.amazon.com/service-authorization/latest/reference/list_awsidentityandaccessmanagementiam.html).
func (s *Service) Resource(ctx context.Context, _ string, in any) string {
	acct := account(ctx)
	switch in := in.(type) {
	case *api.CreateRoleInput:
		return (&identity.Role{Account: acct, Path: path(in.Path), Name: in.RoleName}).ARN()
	case *api.CreatePolicyInput:
		return (&identity.Policy{Account: acct, Path: path(in.Path), Name: in.PolicyName}).ARN()
	case *api.ListRolesInput:
		return "arn:aws:iam::" + acct + ":role" + path(in.PathPrefix)
	case *api.GetUserInput:
		if in.UserName == nil {
			p, _ := identity.FromContext(ctx)
			return p.ARN
		}
		return (&identity.User{Account: acct, Path: "/", Name: *in.UserName}).ARN()
	}
	if name := text(in, "RoleName"); name != "" {
		if r, err := s.dir.Role(acct, name); err == nil {
			return r.ARN()
		}
		return (&identity.Role{Account: acct, Path: "/", Name: name}).ARN()
	}
	if arn := text(in, "PolicyArn"); strings.HasPrefix(arn, "arn:") {
		return arn
	}
	return "*"
}

func path(p *string) string {
	if p == nil {
		return "/"
	}
	return *p
}

// text returns a field of a generated input; those of one name have one meaning in the whole service.
func text(in any, field string) string {
	v := reflect.ValueOf(in).Elem().FieldByName(field)
	if !v.IsValid() || v.Kind() != reflect.String {
		return ""
	}
	return v.String()
}
