package faas

import "context"

type requestIDKey struct{}

// request is a context that carries a request's id, in one piece of memory.
type request struct {
	context.Context
	id string
}

func (r *request) Value(key any) any {
	if key == (requestIDKey{}) {
		return &r.id
	}
	return r.Context.Value(key)
}

// WithRequestID returns a context that carries the id under which a request is answered and logged.
func WithRequestID(ctx context.Context, id string) context.Context { return &request{ctx, id} }

// RequestID returns the id that ctx carries, or nothing.
func RequestID(ctx context.Context) string {
	if id, ok := ctx.Value(requestIDKey{}).(*string); ok {
		return *id
	}
	return ""
}
