package lambda

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"

	"artesian/internal/door/aws/lambda/api"
	"artesian/internal/faas"
)

// Invoke implements api.Service.
func (s *Service) Invoke(ctx context.Context, in *api.InvokeInput) (*api.InvokeOutput, error) {
	inv, err := s.invocation(ctx, in)
	if err != nil {
		return nil, err
	}
	switch kind := value(in.InvocationType); kind {
	case "", "RequestResponse":
	case "DryRun":
		if _, err := s.cfg.Functions.Get(inv.Function, inv.Qualifier); err != nil {
			return nil, err
		}
		return &api.InvokeOutput{StatusCode: ptr(int32(204))}, nil
	default:
		return nil, &faas.Error{Kind: faas.Unsupported, Op: "invoke",
			Message: "InvocationType: " + kind + " is not built yet, because an event is only acknowledged once it is durable; allowed are RequestResponse and DryRun"}
	}
	var sink answer
	if err := s.cfg.Invoker.Invoke(ctx, inv, &sink); err != nil {
		return nil, err
	}
	out := &api.InvokeOutput{StatusCode: ptr(int32(200)), ExecutedVersion: ptr(sink.head.ExecutedVersion), Payload: sink.body.Bytes()}
	if sink.tail.FunctionError != "" {
		out.FunctionError = ptr(sink.tail.FunctionError)
	}
	if value(in.LogType) == "Tail" {
		out.LogResult = ptr(base64.StdEncoding.EncodeToString(sink.tail.Log))
	}
	return out, nil
}

// invocation is what a request to invoke asks for.
func (s *Service) invocation(ctx context.Context, in *api.InvokeInput) (faas.Invocation, error) {
	received := s.cfg.Now()
	id, qualifier, err := s.name(ctx, in.FunctionName, in.Qualifier)
	if err != nil {
		return faas.Invocation{}, err
	}
	payload := in.Payload
	if len(payload) > faas.MaxRequestBytes {
		return faas.Invocation{}, &faas.Error{Kind: faas.TooLarge, Code: "RequestTooLargeException", Message: "Request must be smaller than 6291456 bytes for the InvokeFunction operation"}
	}
	if len(payload) == 0 {
		payload = []byte("{}")
	} else if !json.Valid(payload) {
		var v any
		return faas.Invocation{}, &faas.Error{Kind: faas.Invalid, Code: "InvalidRequestContentException",
			Message: "Could not parse request body into json: " + json.Unmarshal(payload, &v).Error()}
	}
	client, err := clientContext(value(in.ClientContext))
	if err != nil {
		return faas.Invocation{}, err
	}
	arn, _ := s.cfg.Caller(ctx)
	return faas.Invocation{
		ID:            faas.RequestID(ctx),
		Function:      id,
		Qualifier:     qualifier,
		Payload:       payload,
		ClientContext: client,
		Caller:        arn,
		Tenant:        value(in.TenantId),
		Trace:         s.cfg.Trace(ctx),
		Tail:          value(in.LogType) == "Tail",
		Received:      received,
	}, nil
}

// maxClientContext is the most bytes of base64 that a client context may have, as AWS documents.
const maxClientContext = 3583

func clientContext(encoded string) ([]byte, error) {
	if encoded == "" {
		return nil, nil
	}
	if len(encoded) > maxClientContext {
		return nil, faas.Errorf(faas.Invalid, "ClientContext: %d bytes of base64 are given; at most %d are allowed", len(encoded), maxClientContext)
	}
	b, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil || !json.Valid(b) {
		return nil, &faas.Error{Kind: faas.Invalid, Code: "InvalidRequestContentException", Message: "Client context must be a valid Base64-encoded JSON object."}
	}
	return b, nil
}

// answer is a Sink that keeps a buffered answer.
type answer struct {
	head faas.Head
	body bytes.Buffer
	tail faas.Tail
}

func (a *answer) Begin(h faas.Head) error     { a.head = h; return nil }
func (a *answer) Write(p []byte) (int, error) { return a.body.Write(p) }

func (a *answer) End(t faas.Tail) error {
	if a.tail = t; t.Broken != nil {
		a.body = *bytes.NewBuffer(t.Broken)
	}
	return nil
}

// parseCodeSHA turns the API's base64 hash into the store's hexadecimal.
func parseCodeSHA(s string) (string, error) {
	if s == "" {
		return "", nil
	}
	b, err := base64.StdEncoding.DecodeString(s)
	if err != nil || len(b) != 32 {
		return "", faas.Errorf(faas.Invalid, "CodeSha256: %q is not the base64 of a SHA-256", s)
	}
	return hex.EncodeToString(b), nil
}
