package lambda

import (
	"context"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"

	"artesian/internal/compute/registry"
	"artesian/internal/door/aws/lambda/api"
	"artesian/internal/faas"
)

// Policies is the book of functions, as far as it is about who may use them.
type Policies interface {
	Permit(ctx context.Context, id faas.FunctionID, qualifier, revision string, mutate func(*registry.Policy) error) error
}

// maxPolicy is the largest policy of one qualifier, in bytes
// (https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html).
const maxPolicy = 20480

// statement is a permission in the policy language, as Lambda writes it.
type statement struct {
	Sid       string                       `json:"Sid"`
	Effect    string                       `json:"Effect"`
	Principal any                          `json:"Principal"`
	Action    string                       `json:"Action"`
	Resource  string                       `json:"Resource"`
	Condition map[string]map[string]string `json:"Condition,omitempty"`
}

// AddPermission implements api.Service.
func (s *Service) AddPermission(ctx context.Context, in *api.AddPermissionInput) (*api.AddPermissionOutput, error) {
	id, q, err := s.name(ctx, in.FunctionName, in.Qualifier)
	if err != nil {
		return nil, err
	}
	if q == faas.Latest {
		return nil, faas.Errorf(faas.Invalid, "We currently do not support adding policies for $LATEST.")
	}
	if in.FunctionUrlAuthType != nil && in.Action != "lambda:InvokeFunctionUrl" {
		return nil, faas.Errorf(faas.Invalid, "FunctionUrlAuthType is only supported for lambda:InvokeFunctionUrl action")
	}
	who, err := principal(in.Principal)
	if err != nil {
		return nil, err
	}
	doc, err := json.Marshal(statement{Sid: in.StatementId, Effect: "Allow", Principal: who, Action: in.Action, Resource: invokedARN(id, q), Condition: conditions(in)})
	if err != nil {
		return nil, fmt.Errorf("encode statement: %w", err)
	}
	err = s.cfg.Functions.Permit(ctx, id, q, value(in.RevisionId), func(p *registry.Policy) error {
		if slices.ContainsFunc(p.Statements, func(s registry.Statement) bool { return s.ID == in.StatementId }) {
			return &faas.Error{Kind: faas.Conflict, Op: "add permission", Message: "The statement id (" + in.StatementId +
				") provided already exists. Please provide a new statement id, or remove the existing statement."}
		}
		p.Statements = append(p.Statements, registry.Statement{ID: in.StatementId, Document: doc})
		if n := len(policy(*p)); n > maxPolicy {
			return &faas.Error{Kind: faas.LimitExceeded, Op: "add permission", Code: "PolicyLengthExceededException",
				Message: fmt.Sprintf("The final policy size (%d) is bigger than the limit (%d).", n, maxPolicy)}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return &api.AddPermissionOutput{Statement: ptr(string(doc))}, nil
}

var (
	servicePrincipal = regexp.MustCompile(`^[a-zA-Z0-9.-]+\.amazon(aws)?\.com(\.cn)?$`)
	arnPrincipal     = regexp.MustCompile(`^arn:aws[a-zA-Z-]*:(iam|sts)::[0-9]{12}:.+$`)
)

// principal writes who is permitted: a service, an account, an ARN or everybody.
func principal(p string) (any, error) {
	switch {
	case p == "*":
		return p, nil
	case faas.ValidAccount(p):
		return map[string]string{"AWS": "arn:aws:iam::" + p + ":root"}, nil
	case arnPrincipal.MatchString(p):
		return map[string]string{"AWS": p}, nil
	case servicePrincipal.MatchString(p):
		return map[string]string{"Service": p}, nil
	}
	return nil, faas.Errorf(faas.Invalid, "The provided principal was invalid. Please check the principal and try again.")
}

// conditions are under what a permission holds.
func conditions(in *api.AddPermissionInput) map[string]map[string]string {
	out := map[string]map[string]string{}
	add := func(operator, key string, v *string) {
		if v == nil {
			return
		}
		if out[operator] == nil {
			out[operator] = map[string]string{}
		}
		out[operator][key] = *v
	}
	add("StringEquals", "AWS:SourceAccount", in.SourceAccount)
	add("StringEquals", "lambda:EventSourceToken", in.EventSourceToken)
	add("StringEquals", "lambda:FunctionUrlAuthType", in.FunctionUrlAuthType)
	add("StringEquals", "aws:PrincipalOrgID", in.PrincipalOrgID)
	add("ArnLike", "AWS:SourceArn", in.SourceArn)
	if in.InvokedViaFunctionUrl != nil {
		add("Bool", "lambda:InvokedViaFunctionUrl", ptr(fmt.Sprint(*in.InvokedViaFunctionUrl)))
	}
	return out
}

// policy writes a policy as one document.
func policy(p registry.Policy) string {
	all := make([]json.RawMessage, len(p.Statements))
	for i, s := range p.Statements {
		all[i] = s.Document
	}
	b, _ := json.Marshal(struct { // of documents that were encoded before
		Version   string
		ID        string `json:"Id"`
		Statement []json.RawMessage
	}{"2012-10-17", "default", all})
	return string(b)
}

// RemovePermission implements api.Service.
func (s *Service) RemovePermission(ctx context.Context, in *api.RemovePermissionInput) (*api.RemovePermissionOutput, error) {
	id, q, err := s.name(ctx, in.FunctionName, in.Qualifier)
	if err != nil {
		return nil, err
	}
	return nil, s.cfg.Functions.Permit(ctx, id, q, value(in.RevisionId), func(p *registry.Policy) error {
		if len(p.Statements) == 0 {
			return faas.Errorf(faas.NotFound, "No policy is associated with the given resource.")
		}
		n := len(p.Statements)
		p.Statements = slices.DeleteFunc(p.Statements, func(s registry.Statement) bool { return s.ID == in.StatementId })
		if len(p.Statements) == n {
			return faas.Errorf(faas.NotFound, "Statement %s is not found in resource policy.", in.StatementId)
		}
		return nil
	})
}

// GetPolicy implements api.Service.
func (s *Service) GetPolicy(ctx context.Context, in *api.GetPolicyInput) (*api.GetPolicyOutput, error) {
	id, q, err := s.name(ctx, in.FunctionName, in.Qualifier)
	if err != nil {
		return nil, err
	}
	if _, err := s.cfg.Functions.Get(id, q); err != nil {
		return nil, err
	}
	rec, err := s.cfg.Functions.Get(id, "")
	if err != nil {
		return nil, err
	}
	p, ok := rec.Policies[q]
	if !ok {
		return nil, faas.Errorf(faas.NotFound, "The resource you requested does not exist.")
	}
	return &api.GetPolicyOutput{Policy: ptr(policy(p)), RevisionId: ptr(p.Revision)}, nil
}
