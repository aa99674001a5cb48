package lambda

import (
	"context"
	"encoding/json"
	"slices"

	"artesian/internal/compute/registry"
	"artesian/internal/door/aws/lambda/api"
	"artesian/internal/faas"
)

// maxLayerPolicy is the most bytes that the policy of a layer version may have, as AWS documents for functions and layers.
const maxLayerPolicy = 20 << 10

// layerStatement is one permission in the form of a policy.
type layerStatement struct {
	Sid       string                       `json:"Sid"`
	Effect    string                       `json:"Effect"`
	Principal any                          `json:"Principal"`
	Action    string                       `json:"Action"`
	Resource  string                       `json:"Resource"`
	Condition map[string]map[string]string `json:"Condition,omitempty"`
}

func statementOf(id faas.LayerID, g registry.Grant) layerStatement {
	s := layerStatement{Sid: g.ID, Effect: "Allow", Principal: g.Principal, Action: g.Action, Resource: id.ARN()}
	switch {
	case g.Principal == "*":
	case faas.ValidAccount(g.Principal):
		s.Principal = map[string]string{"AWS": "arn:aws:iam::" + g.Principal + ":root"}
	default:
		s.Principal = map[string]string{"AWS": g.Principal}
	}
	if g.Organization != "" {
		s.Condition = map[string]map[string]string{"StringEquals": {"aws:PrincipalOrgID": g.Organization}}
	}
	return s
}

func layerPolicy(id faas.LayerID, grants []registry.Grant) string {
	statements := make([]layerStatement, len(grants))
	for i, g := range grants {
		statements[i] = statementOf(id, g)
	}
	return document(map[string]any{"Version": "2012-10-17", "Id": "default", "Statement": statements})
}

// document is v, which has text and maps of text only, as JSON.
func document(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return string(b)
}

// AddLayerVersionPermission implements api.Service.
func (s *Service) AddLayerVersionPermission(ctx context.Context, in *api.AddLayerVersionPermissionInput) (*api.AddLayerVersionPermissionOutput, error) {
	id, err := s.ownVersion(ctx, "AddLayerVersionPermission", in.LayerName, in.VersionNumber)
	if err != nil {
		return nil, err
	}
	g := registry.Grant{ID: in.StatementId, Action: in.Action, Principal: in.Principal, Organization: value(in.OrganizationId)}
	if g.Organization != "" && g.Principal != "*" {
		return nil, faas.Errorf(faas.Invalid, "OrganizationId: it is allowed with the Principal * only")
	}
	l, err := s.cfg.Layers.GrantLayer(ctx, id, value(in.RevisionId), func(have []registry.Grant) ([]registry.Grant, error) {
		if slices.ContainsFunc(have, func(h registry.Grant) bool { return h.ID == g.ID }) {
			return nil, faas.Errorf(faas.Conflict, "The statement id (%s) provided already exists. Please provide a new statement id, or remove the existing statement.", g.ID)
		}
		all := append(slices.Clone(have), g)
		if len(layerPolicy(id, all)) > maxLayerPolicy {
			return nil, &faas.Error{Kind: faas.Invalid, Code: "PolicyLengthExceededException", Message: "The final policy size is bigger than the limit (20480)."}
		}
		return all, nil
	})
	if err != nil {
		return nil, layerMissing(err, id)
	}
	return &api.AddLayerVersionPermissionOutput{Statement: ptr(document(statementOf(id, g))), RevisionId: ptr(l.Revision)}, nil
}

// layerMissing names the layer version that is not there.
func layerMissing(err error, id faas.LayerID) error {
	if faas.KindOf(err) == faas.NotFound && faas.Message(err) == "The resource you requested does not exist." {
		return faas.Errorf(faas.NotFound, "Layer version %s does not exist.", id.ARN())
	}
	return err
}

// RemoveLayerVersionPermission implements api.Service.
func (s *Service) RemoveLayerVersionPermission(ctx context.Context, in *api.RemoveLayerVersionPermissionInput) (*api.RemoveLayerVersionPermissionOutput, error) {
	id, err := s.ownVersion(ctx, "RemoveLayerVersionPermission", in.LayerName, in.VersionNumber)
	if err != nil {
		return nil, err
	}
	_, err = s.cfg.Layers.GrantLayer(ctx, id, value(in.RevisionId), func(have []registry.Grant) ([]registry.Grant, error) {
		rest := slices.DeleteFunc(slices.Clone(have), func(g registry.Grant) bool { return g.ID == in.StatementId })
		if len(rest) == len(have) {
			return nil, faas.Errorf(faas.NotFound, "Statement %s is not found in resource policy.", in.StatementId)
		}
		return rest, nil
	})
	if err != nil {
		return nil, layerMissing(err, id)
	}
	return &api.RemoveLayerVersionPermissionOutput{}, nil
}

// GetLayerVersionPolicy implements api.Service.
func (s *Service) GetLayerVersionPolicy(ctx context.Context, in *api.GetLayerVersionPolicyInput) (*api.GetLayerVersionPolicyOutput, error) {
	id, err := s.ownVersion(ctx, "GetLayerVersionPolicy", in.LayerName, in.VersionNumber)
	if err != nil {
		return nil, err
	}
	l, err := s.cfg.Layers.Layer(id)
	if err != nil {
		return nil, layerMissing(err, id)
	}
	if len(l.Grants) == 0 {
		return nil, faas.Errorf(faas.NotFound, "No policy is associated with the given resource.")
	}
	return &api.GetLayerVersionPolicyOutput{Policy: ptr(layerPolicy(id, l.Grants)), RevisionId: ptr(l.Revision)}, nil
}
