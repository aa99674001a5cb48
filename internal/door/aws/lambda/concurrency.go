package lambda

import (
	"context"

	"artesian/internal/door/aws/lambda/api"
	"artesian/internal/faas"
)

// Reservations is the book of functions, as far as it is about reserved concurrency.
type Reservations interface {
	Reserve(ctx context.Context, id faas.FunctionID, n *int, total int) error
	Reserved(scope faas.Scope) int
	Reservation(id faas.FunctionID) (int, bool)
}

// PutFunctionConcurrency implements api.Service.
func (s *Service) PutFunctionConcurrency(ctx context.Context, in *api.PutFunctionConcurrencyInput) (*api.PutFunctionConcurrencyOutput, error) {
	id, err := s.unqualified(ctx, in.FunctionName)
	if err != nil {
		return nil, err
	}
	n := int(in.ReservedConcurrentExecutions)
	if err := s.cfg.Functions.Reserve(ctx, id, &n, s.cfg.Invoker.Concurrency()); err != nil {
		return nil, err
	}
	return &api.PutFunctionConcurrencyOutput{ReservedConcurrentExecutions: &in.ReservedConcurrentExecutions}, nil
}

// GetFunctionConcurrency implements api.Service.
func (s *Service) GetFunctionConcurrency(ctx context.Context, in *api.GetFunctionConcurrencyInput) (*api.GetFunctionConcurrencyOutput, error) {
	id, err := s.unqualified(ctx, in.FunctionName)
	if err != nil {
		return nil, err
	}
	if _, err := s.cfg.Functions.Get(id, ""); err != nil {
		return nil, err
	}
	return &api.GetFunctionConcurrencyOutput{ReservedConcurrentExecutions: s.reservation(id)}, nil
}

// reservation is a function's reserved concurrency; nil is none.
func (s *Service) reservation(id faas.FunctionID) *int32 {
	if n, ok := s.cfg.Functions.Reservation(id); ok {
		return ptr(int32(n))
	}
	return nil
}

// DeleteFunctionConcurrency implements api.Service.
func (s *Service) DeleteFunctionConcurrency(ctx context.Context, in *api.DeleteFunctionConcurrencyInput) (*api.DeleteFunctionConcurrencyOutput, error) {
	id, err := s.unqualified(ctx, in.FunctionName)
	if err != nil {
		return nil, err
	}
	return nil, s.cfg.Functions.Reserve(ctx, id, nil, s.cfg.Invoker.Concurrency())
}
