// Package iam answers AWS Identity and Access Management's API on the directory of identities.
package iam

import (
	"cmp"
	"context"
	"encoding/base64"
	"net/url"
	"slices"
	"strings"

	"artesian/internal/account/identity"
	"artesian/internal/door/aws/iam/api"
	"artesian/internal/faas"
)

// Service implements api.Service.
type Service struct{ dir *identity.Directory }

// New returns the service.
func New(dir *identity.Directory) *Service { return &Service{dir} }

var _ api.Service = (*Service)(nil)

// account is the caller's; what an operation names belongs to it.
func account(ctx context.Context) string {
	p, _ := identity.FromContext(ctx)
	return p.Account
}

// defaultItems is the length of a page where the caller does not choose.
const defaultItems = 100

// page cuts the part of items out that a marker and a length ask for. Items are in the order of their keys, and the
// marker has the last key of the page before, so that what is made or deleted meanwhile moves nothing.
func page[T any](items []T, key func(T) string, marker *string, length *int32) (part []T, truncated *bool, next *string, err error) {
	slices.SortStableFunc(items, func(a, b T) int { return cmp.Compare(key(a), key(b)) })
	if marker != nil {
		after, err := base64.RawURLEncoding.DecodeString(*marker)
		if err != nil || len(after) == 0 {
			return nil, nil, nil, faas.Errorf(faas.Invalid, "Invalid Marker.")
		}
		i, found := slices.BinarySearchFunc(items, string(after), func(item T, k string) int { return cmp.Compare(key(item), k) })
		if found {
			i++
		}
		items = items[i:]
	}
	n := defaultItems
	if length != nil {
		n = int(*length)
	}
	if len(items) <= n {
		return items, new(false), nil, nil
	}
	last := base64.RawURLEncoding.EncodeToString([]byte(key(items[n-1])))
	return items[:n], new(true), &last, nil
}

// escape writes a policy document as IAM does in its answers: URL encoded by RFC 3986.
func escape(document string) string { return strings.ReplaceAll(url.QueryEscape(document), "+", "%20") }

func value[T any](p *T) (v T) {
	if p != nil {
		v = *p
	}
	return v
}

// optional is nil for an empty string: IAM leaves out what was never given.
func optional(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

func tagsIn(tags []api.Tag) []identity.Tag {
	out := make([]identity.Tag, 0, len(tags))
	for _, t := range tags {
		out = append(out, identity.Tag{Key: t.Key, Value: t.Value})
	}
	return out
}

func tagsOut(tags []identity.Tag) []api.Tag {
	out := make([]api.Tag, 0, len(tags))
	for _, t := range tags {
		out = append(out, api.Tag{Key: t.Key, Value: t.Value})
	}
	return out
}

func tagKey(t api.Tag) string { return t.Key }

// GetUser returns the named user, or the caller.
func (s *Service) GetUser(ctx context.Context, in *api.GetUserInput) (*api.GetUserOutput, error) {
	p, _ := identity.FromContext(ctx)
	name := value(in.UserName)
	if name == "" && p.Role != "" {
		return nil, faas.Errorf(faas.Invalid, "Must specify userName when calling with non-User credentials")
	}
	if name == "" {
		name = p.ARN[strings.LastIndexByte(p.ARN, '/')+1:]
	}
	u, err := s.dir.User(p.Account, name)
	if err != nil {
		return nil, err
	}
	return &api.GetUserOutput{User: &api.User{Arn: u.ARN(), CreateDate: u.Created, Path: u.Path, UserId: u.ID, UserName: u.Name}}, nil
}
