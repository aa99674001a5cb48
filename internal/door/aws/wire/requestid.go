package wire

import (
	"context"

	"artesian/internal/faas"
)

type requestKey struct{}

// WithRequestID gives a request its id before it reaches a Server, which makes one otherwise.
func WithRequestID(ctx context.Context, id string) context.Context {
	return context.WithValue(ctx, requestKey{}, id)
}

// RequestID returns the id of the request that an operation serves: the one its answer and the log carry.
func RequestID(ctx context.Context) string {
	id, _ := ctx.Value(requestKey{}).(string)
	return id
}

func requestID(ctx context.Context) (context.Context, string) {
	if id := RequestID(ctx); id != "" {
		return ctx, id
	}
	id := faas.NewUUID()
	return WithRequestID(ctx, id), id
}
