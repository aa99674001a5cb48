// Package sts answers AWS Security Token Service's API.
package sts

import (
	"context"
	"time"

	"artesian/internal/account/identity"
	"artesian/internal/door/aws/sts/api"
	"artesian/internal/faas"
)

// Service implements api.Service.
type Service struct {
	dir      *identity.Directory
	sessions *identity.Sessions
	region   func(context.Context) string // that the caller asked
}

// New returns the service.
func New(dir *identity.Directory, sessions *identity.Sessions, region func(context.Context) string) *Service {
	return &Service{dir, sessions, region}
}

var _ api.Service = (*Service)(nil)

func caller(ctx context.Context) (identity.Principal, error) {
	p, ok := identity.FromContext(ctx)
	if !ok {
		return p, faas.Errorf(faas.Unauthenticated, "The security token included in the request is invalid.")
	}
	return p, nil
}

// GetCallerIdentity tells the caller who they are; it needs no permission.
func (*Service) GetCallerIdentity(ctx context.Context, _ *api.GetCallerIdentityInput) (*api.GetCallerIdentityOutput, error) {
	p, err := caller(ctx)
	if err != nil {
		return nil, err
	}
	return &api.GetCallerIdentityOutput{Account: &p.Account, Arn: &p.ARN, UserId: &p.UserID}, nil
}

// AssumeRole gives credentials of a role to a caller whom its trust policy names.
func (s *Service) AssumeRole(ctx context.Context, in *api.AssumeRoleInput) (*api.AssumeRoleOutput, error) {
	p, err := caller(ctx)
	if err != nil {
		return nil, err
	}
	ask := identity.Assume{Role: in.RoleArn, Session: in.RoleSessionName, Life: seconds(in.DurationSeconds), Region: s.region(ctx)}
	if in.ExternalId != nil {
		ask.ExternalID = *in.ExternalId
	}
	t, _, err := s.sessions.Assume(p, ask)
	if err != nil {
		return nil, err
	}
	return &api.AssumeRoleOutput{Credentials: credentials(t), AssumedRoleUser: &api.AssumedRoleUser{Arn: t.Owner.ARN, AssumedRoleId: t.Owner.UserID}}, nil
}

// GetSessionToken gives a user temporary credentials of their own.
func (s *Service) GetSessionToken(ctx context.Context, in *api.GetSessionTokenInput) (*api.GetSessionTokenOutput, error) {
	p, err := caller(ctx)
	if err != nil {
		return nil, err
	}
	t, err := s.sessions.UserSession(p, seconds(in.DurationSeconds))
	if err != nil {
		return nil, err
	}
	return &api.GetSessionTokenOutput{Credentials: credentials(t)}, nil
}

// GetAccessKeyInfo tells the account of an access key.
func (s *Service) GetAccessKeyInfo(_ context.Context, in *api.GetAccessKeyInfoInput) (*api.GetAccessKeyInfoOutput, error) {
	account, err := s.dir.KeyAccount(in.AccessKeyId)
	if err != nil {
		return nil, err
	}
	return &api.GetAccessKeyInfoOutput{Account: &account}, nil
}

func seconds(n *int32) time.Duration {
	if n == nil {
		return 0
	}
	return time.Duration(*n) * time.Second
}

func credentials(t identity.Temporary) *api.Credentials {
	return &api.Credentials{AccessKeyId: t.AccessKeyID, SecretAccessKey: t.SecretAccessKey, SessionToken: t.Token, Expiration: t.Expires}
}
