package app

import (
	"context"
	"strings"
	"time"

	"artesian/internal/faas"
	"artesian/internal/observe/logs"
)

// destinations lets log subscriptions call functions.
type destinations struct{ *App }

// function reads arn:aws:lambda:REGION:ACCOUNT:function:NAME[:QUALIFIER].
func function(arn string) (faas.FunctionID, string, error) {
	p := strings.Split(arn, ":")
	if len(p) != 7 && len(p) != 8 || p[2] != "lambda" || p[5] != "function" {
		return faas.FunctionID{}, "", faas.Errorf(faas.Invalid, "%.200s is not the ARN of a function", arn)
	}
	qualifier := ""
	if len(p) == 8 {
		qualifier = p[7]
	}
	return faas.FunctionID{Scope: faas.Scope{Account: p[4], Region: p[3]}, Name: p[6]}, qualifier, nil
}

// LogGroup implements subscribe.Destinations.
func (d destinations) LogGroup(arn string) (logs.GroupID, error) {
	id, qualifier, err := function(arn)
	if err != nil {
		return logs.GroupID{}, err
	}
	v, err := d.functions.Resolve(id, qualifier, 0)
	if err != nil {
		return logs.GroupID{}, err
	}
	return logs.GroupID{Scope: id.Scope, Name: v.Logging.Group}, nil
}

// Call implements subscribe.Destinations.
func (d destinations) Call(ctx context.Context, arn string, payload []byte) (string, error) {
	id, qualifier, err := function(arn)
	if err != nil {
		return "", err
	}
	var v verdict
	err = d.invoker.Invoke(ctx, faas.Invocation{ID: faas.NewUUID(), Function: id, Qualifier: qualifier, Payload: payload,
		Caller: "logs." + id.Region + ".amazonaws.com", Received: time.Now()}, &v)
	return v.failure, err
}

// verdict is a sink that keeps only how a call ended.
type verdict struct{ failure string }

func (*verdict) Begin(faas.Head) error       { return nil }
func (*verdict) Write(b []byte) (int, error) { return len(b), nil }
func (v *verdict) End(t faas.Tail) error     { v.failure = t.FunctionError; return nil }
