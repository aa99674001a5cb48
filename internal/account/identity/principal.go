// Package identity knows who calls: the access keys of an account's users, the temporary ones of its roles, the roles and
// policies of IAM, and the one place where a call is allowed or denied.
package identity

import (
	"context"
	"strings"

	"artesian/internal/faas"
)

// Principal is who makes a request, established by its signature.
type Principal struct {
	Account     string // 12 digits
	ARN         string // for example arn:aws:iam::000000000000:user/admin
	UserID      string // unique id, for example AIDA…
	AccessKeyID string // the key that signed
	Role        string `json:",omitempty"` // ARN of the role that was taken on; empty for a user
}

// Temporary reports whether the caller signed with temporary credentials.
func (p Principal) Temporary() bool { return strings.HasPrefix(p.AccessKeyID, prefixSession) }

type contextKey struct{}

// calling is a context that carries the caller, in one piece of memory.
type calling struct {
	context.Context
	caller Principal
}

func (c *calling) Value(key any) any {
	if key == (contextKey{}) {
		return &c.caller
	}
	return c.Context.Value(key)
}

// NewContext returns a context that carries the caller.
func NewContext(ctx context.Context, p Principal) context.Context { return &calling{ctx, p} }

// FromContext returns the caller that NewContext put in.
func FromContext(ctx context.Context) (Principal, bool) {
	p, ok := ctx.Value(contextKey{}).(*Principal)
	if !ok {
		return Principal{}, false
	}
	return *p, true
}

// Request is one question to the authorisation seam: may the principal perform the action on the resource.
type Request struct {
	Principal Principal
	Action    string // the IAM action, for example lambda:InvokeFunction
	Resource  string // the ARN acted on, or * for an action that concerns no single resource
}

// Allow answers a request with nil, or with an error of kind faas.Denied. The keys of an account may do everything with
// what belongs to that account, may read what AWS owns (policies under arn:aws:iam::aws:), and nothing else.
func Allow(_ context.Context, r Request) error {
	if r.Principal.Account == "" || r.Action == "" {
		return denied(r, "the caller is not known")
	}
	if r.Resource == "*" {
		return nil
	}
	owner, ok := arnAccount(r.Resource)
	if !ok {
		return denied(r, "the resource is not an ARN that names an account")
	}
	if owner == r.Principal.Account || owner == awsOwned && readOnly(r.Action) {
		return nil
	}
	return denied(r, "it belongs to another account")
}

func denied(r Request, because string) error {
	return faas.Errorf(faas.Denied, "User: %s is not authorized to perform: %s on resource: %s because %s",
		r.Principal.ARN, r.Action, r.Resource, because)
}

// awsOwned stands for the account in the ARN of what AWS itself manages.
const awsOwned = "aws"

// arnAccount returns the fifth part of arn:partition:service:region:account:resource.
func arnAccount(arn string) (string, bool) {
	rest, ok := strings.CutPrefix(arn, "arn:")
	if !ok {
		return "", false
	}
	for range 3 { // partition, service, region
		_, rest, _ = strings.Cut(rest, ":")
	}
	account, resource, _ := strings.Cut(rest, ":")
	if account == "" || resource == "" {
		return "", false
	}
	return account, true
}

// readOnly reports whether an action only reads, by the verbs that AWS names such actions with. Attaching a managed
// policy acts on the role, so it asks for the role and is not concerned.
func readOnly(action string) bool {
	_, verb, _ := strings.Cut(action, ":")
	return strings.HasPrefix(verb, "Get") || strings.HasPrefix(verb, "List")
}
