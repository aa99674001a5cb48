// Package logs answers Amazon CloudWatch Logs' API on the log of the installation.
//
// Rules, limits and texts are those of the API reference
// (https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_Operations.html), where it states them.
package logs

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"strings"
	"time"

	"artesian/internal/door/aws/logs/api"
	"artesian/internal/faas"
	"artesian/internal/observe/logs"
	"artesian/internal/observe/logs/insights"
	"artesian/internal/observe/logs/subscribe"
)

// Service implements api.Service.
type Service struct {
	store   *logs.Store
	queries *insights.Runner
	cfg     Config
	now     func() time.Time
}

// Config is what the service needs of others.
type Config struct {
	Store   *logs.Store
	Queries *insights.Runner
	// Destinations are what log events may be handed on to.
	Destinations subscribe.Destinations
	Caller       func(context.Context) (arn string, scope faas.Scope) // who asks, for which account and region
	Now          func() time.Time
}

// New returns the service.
func New(cfg Config) *Service {
	return &Service{store: cfg.Store, queries: cfg.Queries, cfg: cfg, now: cfg.Now}
}

func (s *Service) scope(ctx context.Context) faas.Scope {
	_, scope := s.cfg.Caller(ctx)
	return scope
}

func (s *Service) caller(ctx context.Context) string {
	arn, _ := s.cfg.Caller(ctx)
	return arn
}

var _ api.Service = (*Service)(nil)

func (s *Service) group(ctx context.Context, name string) logs.GroupID {
	return logs.GroupID{Scope: s.scope(ctx), Name: name}
}

// either returns the group that one of two members names: a name, or a name or ARN.
func (s *Service) either(ctx context.Context, name, identifier *string) (logs.GroupID, error) {
	switch {
	case name != nil && identifier != nil:
		return logs.GroupID{}, faas.Errorf(faas.Invalid, "logGroupName and logGroupIdentifier must not both be given.")
	case name != nil:
		return s.group(ctx, *name), nil
	case identifier != nil:
		return s.identified(ctx, "logGroupIdentifier", *identifier)
	}
	return logs.GroupID{}, faas.Errorf(faas.Invalid, "Either logGroupName or logGroupIdentifier must be given.")
}

// identified returns the group of a name or an ARN.
func (s *Service) identified(ctx context.Context, member, text string) (logs.GroupID, error) {
	if !strings.HasPrefix(text, "arn:") {
		return s.group(ctx, text), nil
	}
	return s.arn(ctx, member, text)
}

// arn returns the group of an ARN. A group of another account or region does not exist here.
func (s *Service) arn(ctx context.Context, member, text string) (logs.GroupID, error) {
	id := s.group(ctx, "")
	p := strings.SplitN(text, ":", 7)
	if len(p) != 7 || p[0] != "arn" || p[2] != "logs" || p[5] != "log-group" || p[6] == "" || strings.Contains(p[6], ":") {
		return id, faas.Errorf(faas.Invalid, "%s %q is not the ARN of a log group, like %s.", member, text, s.group(ctx, "NAME").ARN())
	}
	if p[3] != id.Region || p[4] != id.Account {
		return id, &faas.Error{Kind: faas.NotFound, Op: "find log group", Message: "The specified log group does not exist."}
	}
	id.Name = p[6]
	return id, nil
}

// Resource returns the ARN that an operation is about, for authorisation: a stream of a group, with an empty name where the
// operation names none; for tags the group itself
// (https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazoncloudwatchlogs.html).
func (s *Service) Resource(ctx context.Context, _ string, input any) string {
	var name, identifier, stream *string
	switch in := input.(type) {
	case *api.CreateLogGroupInput:
		name = &in.LogGroupName
	case *api.DeleteLogGroupInput:
		name = &in.LogGroupName
	case *api.CreateLogStreamInput:
		name, stream = &in.LogGroupName, &in.LogStreamName
	case *api.DeleteLogStreamInput:
		name, stream = &in.LogGroupName, &in.LogStreamName
	case *api.DescribeLogStreamsInput:
		name, identifier = in.LogGroupName, in.LogGroupIdentifier
	case *api.PutLogEventsInput:
		name, stream = &in.LogGroupName, &in.LogStreamName
	case *api.GetLogEventsInput:
		name, identifier, stream = in.LogGroupName, in.LogGroupIdentifier, &in.LogStreamName
	case *api.FilterLogEventsInput:
		name, identifier = in.LogGroupName, in.LogGroupIdentifier
	case *api.PutSubscriptionFilterInput:
		name = &in.LogGroupName
	case *api.DescribeSubscriptionFiltersInput:
		name = &in.LogGroupName
	case *api.DeleteSubscriptionFilterInput:
		name = &in.LogGroupName
	case *api.StartQueryInput:
		if groups, err := s.queried(ctx, in); err != nil || len(groups) != 1 {
			return "*" // about several, all of the caller's account; or refused by the operation itself
		} else {
			name = &groups[0]
		}
	case *api.PutRetentionPolicyInput:
		name = &in.LogGroupName
	case *api.DeleteRetentionPolicyInput:
		name = &in.LogGroupName
	case *api.TagResourceInput:
		return in.ResourceArn
	case *api.UntagResourceInput:
		return in.ResourceArn
	case *api.ListTagsForResourceInput:
		return in.ResourceArn
	default: // about no single group
		name = new("")
	}
	id, err := s.either(ctx, name, identifier)
	if err != nil {
		return "*" // the operation itself refuses the name
	}
	return id.ARN() + ":log-stream:" + value(stream)
}

func value[T any](p *T) (v T) {
	if p != nil {
		v = *p
	}
	return v
}

// or is what p points to, or another value.
func or[T any](p *T, other T) T {
	if p != nil {
		return *p
	}
	return other
}

// ms is nil for no time: the API leaves out what there is not.
func ms(t time.Time) *int64 {
	if t.IsZero() {
		return nil
	}
	return new(t.UnixMilli())
}

// sealToken makes a token of what the next page needs to know.
func sealToken(v any) (*string, error) {
	b, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	return new(base64.RawURLEncoding.EncodeToString(b)), nil
}

// openToken reads a token, when there is one, into v.
func openToken(token *string, v any) error {
	if token == nil {
		return nil
	}
	b, err := base64.RawURLEncoding.DecodeString(*token)
	if err == nil {
		err = json.Unmarshal(b, v)
	}
	if err != nil {
		return &faas.Error{Kind: faas.Invalid, Op: "read token", Message: "The specified nextToken is invalid.", Cause: err}
	}
	return nil
}
