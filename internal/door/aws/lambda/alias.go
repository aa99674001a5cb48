package lambda

import (
	"context"
	"regexp"

	"artesian/internal/door/aws/lambda/api"
	"artesian/internal/faas"
)

// Aliases is the book of functions, as far as it is about aliases.
type Aliases interface {
	Alias(id faas.FunctionID, name string) (faas.Alias, error)
	Aliases(id faas.FunctionID) ([]faas.Alias, error)
	CreateAlias(ctx context.Context, id faas.FunctionID, a faas.Alias) (faas.Alias, error)
	UpdateAlias(ctx context.Context, id faas.FunctionID, name, revision string, mutate func(*faas.Alias) error) (faas.Alias, error)
	DeleteAlias(ctx context.Context, id faas.FunctionID, name string) error
}

var digits = regexp.MustCompile(`^[0-9]+$`)

// checkAliasName holds the model's pattern, which looks ahead: a name is never all digits.
func checkAliasName(name string) error {
	if word(name, 128) && !digits.MatchString(name) {
		return nil
	}
	return &faas.Error{Kind: faas.Invalid, Code: "ValidationException", Message: "1 validation error detected: Value '" + name +
		"' at 'name' failed to satisfy constraint: Member must satisfy regular expression pattern: (?!^[0-9]+$)([a-zA-Z0-9-_]+)"}
}

// CreateAlias implements api.Service.
func (s *Service) CreateAlias(ctx context.Context, in *api.CreateAliasInput) (*api.CreateAliasOutput, error) {
	id, err := s.unqualified(ctx, in.FunctionName)
	if err != nil {
		return nil, err
	}
	if err := checkAliasName(in.Name); err != nil {
		return nil, err
	}
	a := faas.Alias{Name: in.Name, Version: in.FunctionVersion, Description: value(in.Description)}
	if err := route(&a, in.RoutingConfig); err != nil {
		return nil, err
	}
	if a, err = s.cfg.Functions.CreateAlias(ctx, id, a); err != nil {
		return nil, err
	}
	return alias(id, a), nil
}

// GetAlias implements api.Service.
func (s *Service) GetAlias(ctx context.Context, in *api.GetAliasInput) (*api.GetAliasOutput, error) {
	id, err := s.unqualified(ctx, in.FunctionName)
	if err != nil {
		return nil, err
	}
	a, err := s.cfg.Functions.Alias(id, in.Name)
	if err != nil {
		return nil, err
	}
	return alias(id, a), nil
}

// UpdateAlias implements api.Service.
func (s *Service) UpdateAlias(ctx context.Context, in *api.UpdateAliasInput) (*api.UpdateAliasOutput, error) {
	id, err := s.unqualified(ctx, in.FunctionName)
	if err != nil {
		return nil, err
	}
	a, err := s.cfg.Functions.UpdateAlias(ctx, id, in.Name, value(in.RevisionId), func(a *faas.Alias) error {
		set(&a.Version, in.FunctionVersion)
		set(&a.Description, in.Description)
		return route(a, in.RoutingConfig)
	})
	if err != nil {
		return nil, err
	}
	return alias(id, a), nil
}

// DeleteAlias implements api.Service.
func (s *Service) DeleteAlias(ctx context.Context, in *api.DeleteAliasInput) (*api.DeleteAliasOutput, error) {
	id, err := s.unqualified(ctx, in.FunctionName)
	if err != nil {
		return nil, err
	}
	return nil, s.cfg.Functions.DeleteAlias(ctx, id, in.Name)
}

// ListAliases implements api.Service. The marker is the last name of the page before.
func (s *Service) ListAliases(ctx context.Context, in *api.ListAliasesInput) (*api.ListAliasesOutput, error) {
	id, err := s.unqualified(ctx, in.FunctionName)
	if err != nil {
		return nil, err
	}
	all, err := s.cfg.Functions.Aliases(id)
	if err != nil {
		return nil, err
	}
	size, out := pageSize(in.MaxItems), &api.ListAliasesOutput{Aliases: []api.AliasConfiguration{}}
	for _, a := range all {
		if a.Name <= value(in.Marker) || in.FunctionVersion != nil && !a.Serves(*in.FunctionVersion) {
			continue
		}
		if len(out.Aliases) == size {
			out.NextMarker = out.Aliases[size-1].Name
			break
		}
		out.Aliases = append(out.Aliases, *alias(id, a))
	}
	return out, nil
}

// route writes an alias's routing into a; without one, it stays. The rules are AWS's
// (https://docs.aws.amazon.com/lambda/latest/dg/configuring-alias-routing.html).
func route(a *faas.Alias, r *api.AliasRoutingConfiguration) error {
	if r != nil {
		if len(r.AdditionalVersionWeights) > 1 {
			return faas.Errorf(faas.Invalid, "Number of items in AdditionalVersionWeights cannot be greater than 1")
		}
		a.Other, a.Share = "", 0
		for v, w := range r.AdditionalVersionWeights {
			a.Other, a.Share = v, w
		}
	}
	switch {
	case a.Version == "$LATEST.PUBLISHED":
		return refused("FunctionVersion", a.Version, "a published version or $LATEST")
	case a.Other == "":
		return nil
	case a.Version == faas.Latest:
		return faas.Errorf(faas.Invalid, "$LATEST is not supported for an alias pointing to more than 1 version")
	case a.Other == a.Version:
		return faas.Errorf(faas.Invalid, "Invalid function version %s. Function version %s is already included in routing configuration.", a.Other, a.Other)
	}
	return nil
}

func alias(id faas.FunctionID, a faas.Alias) *api.AliasConfiguration {
	c := &api.AliasConfiguration{AliasArn: ptr(id.ARN() + ":" + a.Name), Name: ptr(a.Name), FunctionVersion: ptr(a.Version),
		Description: ptr(a.Description), RevisionId: ptr(a.Revision)}
	if a.Other != "" {
		c.RoutingConfig = &api.AliasRoutingConfiguration{AdditionalVersionWeights: map[string]float64{a.Other: a.Share}}
	}
	return c
}

// unqualified accepts a function's name alone.
func (s *Service) unqualified(ctx context.Context, name string) (faas.FunctionID, error) {
	id, q, err := s.name(ctx, name, nil)
	if err == nil && q != "" {
		err = faas.Errorf(faas.Invalid, "This operation is permitted on Lambda functions only. Aliases and versions do not support this "+
			"operation. Please specify either a function name or an unqualified function ARN.")
	}
	return id, err
}
