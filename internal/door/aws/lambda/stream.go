package lambda

import (
	"context"
	"encoding/base64"

	"artesian/internal/door/aws/lambda/api"
	"artesian/internal/door/aws/wire"
	"artesian/internal/faas"
)

type responseStream = wire.Stream[api.InvokeWithResponseStreamOutput, api.InvokeWithResponseStreamResponseEvent]

// InvokeWithResponseStream implements api.Service. An answer that the function does not stream comes in pieces too.
func (s *Service) InvokeWithResponseStream(ctx context.Context, in *api.InvokeWithResponseStreamInput, to responseStream) error {
	inv, err := s.invocation(ctx, &api.InvokeInput{FunctionName: in.FunctionName, Qualifier: in.Qualifier, Payload: in.Payload,
		ClientContext: in.ClientContext, LogType: in.LogType, TenantId: in.TenantId})
	if err != nil {
		return err
	}
	if value(in.InvocationType) == "DryRun" {
		if _, err := s.cfg.Functions.Get(inv.Function, inv.Qualifier); err != nil {
			return err
		}
		return to.Begin(&api.InvokeWithResponseStreamOutput{StatusCode: ptr(int32(204))})
	}
	inv.Stream = true
	return s.cfg.Invoker.Invoke(ctx, inv, &streamed{to: to, tail: inv.Tail})
}

// streamed is a Sink that passes an answer on, event by event.
type streamed struct {
	to   responseStream
	tail bool // the caller wants the log
}

func (s *streamed) Begin(h faas.Head) error {
	return s.to.Begin(&api.InvokeWithResponseStreamOutput{StatusCode: ptr(int32(200)), ExecutedVersion: &h.ExecutedVersion})
}

func (s *streamed) Write(p []byte) (int, error) {
	return len(p), s.to.Send(&api.InvokeWithResponseStreamResponseEvent{PayloadChunk: &api.InvokeResponseStreamUpdate{Payload: p}})
}

func (s *streamed) End(t faas.Tail) error {
	done := &api.InvokeWithResponseStreamCompleteEvent{}
	if t.FunctionError != "" {
		done.ErrorCode, done.ErrorDetails = &t.FunctionError, ptr(string(t.Failure))
	}
	if s.tail {
		done.LogResult = ptr(base64.StdEncoding.EncodeToString(t.Log))
	}
	return s.to.Send(&api.InvokeWithResponseStreamResponseEvent{InvokeComplete: done})
}
