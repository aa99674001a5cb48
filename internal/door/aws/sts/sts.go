// Package sts answers AWS Security Token Service's API.
package sts

import (
	"context"

	"artesian/internal/account/identity"
	"artesian/internal/door/aws/sts/api"
	"artesian/internal/faas"
)

// Service implements api.Service.
type Service struct{}

// New returns the service.
func New() Service { return Service{} }

var _ api.Service = Service{}

// GetCallerIdentity tells the caller who they are; it needs no permission.
func (Service) GetCallerIdentity(ctx context.Context, _ *api.GetCallerIdentityInput) (*api.GetCallerIdentityOutput, error) {
	p, ok := identity.FromContext(ctx)
	if !ok {
		return nil, faas.Errorf(faas.Unauthenticated, "The security token included in the request is invalid.")
	}
	return &api.GetCallerIdentityOutput{Account: &p.Account, Arn: &p.ARN, UserId: &p.UserID}, nil
}
