package logs

import (
	"cmp"
	"context"
	"regexp"
	"slices"
	"strings"

	"artesian/internal/door/aws/logs/api"
	"artesian/internal/faas"
	"artesian/internal/observe/logs"
	"artesian/internal/observe/logs/pattern"
	"artesian/internal/observe/logs/subscribe"
)

var functionARN = regexp.MustCompile(`^arn:aws:lambda:[a-z0-9-]+:[0-9]{12}:function:[a-zA-Z0-9-_]+(:[a-zA-Z0-9-_$]+)?$`)

// byStream is the one distribution that functions have.
const byStream = "ByLogStream"

// PutSubscriptionFilter implements api.Service.
func (s *Service) PutSubscriptionFilter(ctx context.Context, in *api.PutSubscriptionFilterInput) (*api.PutSubscriptionFilterOutput, error) {
	id := s.group(ctx, in.LogGroupName)
	if _, err := s.store.Group(id); err != nil {
		return nil, err
	}
	if _, err := pattern.Parse(in.FilterPattern); err != nil {
		return nil, err
	}
	if d := or(in.Distribution, byStream); d != byStream {
		return nil, faas.Errorf(faas.Unsupported, "distribution %s is not supported here: it is for streams, and functions are the only destinations.", d)
	}
	if value(in.ApplyOnTransformedLogs) {
		return nil, faas.Errorf(faas.Unsupported, "applyOnTransformedLogs is not supported here: there are no transformers.")
	}
	if !functionARN.MatchString(in.DestinationArn) {
		return nil, faas.Errorf(faas.Unsupported, "destinationArn %s is not supported here: it must be the ARN of a Lambda function.", in.DestinationArn)
	}
	own, err := s.cfg.Destinations.LogGroup(in.DestinationArn)
	if err != nil || own.Scope != id.Scope {
		return nil, faas.Errorf(faas.Invalid, "Could not execute the lambda function. Make sure that it exists in this account and region: %s", in.DestinationArn)
	}
	if subscribe.Loops(id, in.DestinationArn, s.cfg.Destinations, s.subscriptions) {
		return nil, faas.Errorf(faas.Invalid, "What %s logs would come back to the log group %s and call it again, without end.", in.DestinationArn, id.Name)
	}
	return nil, s.store.Subscribe(ctx, id, logs.Subscription{Name: in.FilterName, Pattern: in.FilterPattern, Destination: in.DestinationArn})
}

func (s *Service) subscriptions(id logs.GroupID) []logs.Subscription {
	g, err := s.store.Group(id)
	if err != nil {
		return nil
	}
	return g.Subscriptions
}

// DeleteSubscriptionFilter implements api.Service.
func (s *Service) DeleteSubscriptionFilter(ctx context.Context, in *api.DeleteSubscriptionFilterInput) (*api.DeleteSubscriptionFilterOutput, error) {
	return nil, s.store.Unsubscribe(ctx, s.group(ctx, in.LogGroupName), in.FilterName)
}

// DescribeSubscriptionFilters implements api.Service. A group has so few that there is one page.
func (s *Service) DescribeSubscriptionFilters(ctx context.Context, in *api.DescribeSubscriptionFiltersInput) (*api.DescribeSubscriptionFiltersOutput, error) {
	g, err := s.store.Group(s.group(ctx, in.LogGroupName))
	if err != nil {
		return nil, err
	}
	var token groupToken
	if err := openToken(in.NextToken, &token); err != nil {
		return nil, err
	}
	subs := slices.Clone(g.Subscriptions)
	slices.SortFunc(subs, func(a, b logs.Subscription) int { return cmp.Compare(a.Name, b.Name) })
	out := &api.DescribeSubscriptionFiltersOutput{SubscriptionFilters: []api.SubscriptionFilter{}}
	for _, sub := range subs {
		if !strings.HasPrefix(sub.Name, value(in.FilterNamePrefix)) || sub.Name <= token.After {
			continue
		}
		if len(out.SubscriptionFilters) == int(or(in.Limit, pageSize)) {
			out.NextToken, err = sealToken(groupToken{*out.SubscriptionFilters[len(out.SubscriptionFilters)-1].FilterName})
			break
		}
		out.SubscriptionFilters = append(out.SubscriptionFilters, api.SubscriptionFilter{FilterName: &sub.Name, LogGroupName: &g.ID.Name,
			FilterPattern: &sub.Pattern, DestinationArn: &sub.Destination, Distribution: new(byStream), CreationTime: &sub.Created,
			ApplyOnTransformedLogs: new(false)})
	}
	return out, err
}
