package logs

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"artesian/internal/door/aws/logs/api"
	"artesian/internal/faas"
	"artesian/internal/observe/logs"
)

// standard is the one class of log groups there is here.
const standard = "STANDARD"

// CreateLogGroup implements api.Service.
func (s *Service) CreateLogGroup(ctx context.Context, in *api.CreateLogGroupInput) (*api.CreateLogGroupOutput, error) {
	if strings.HasPrefix(strings.ToLower(in.LogGroupName), "aws/") {
		return nil, faas.Errorf(faas.Invalid, "Log groups starting with AWS/ are reserved for AWS.")
	}
	if class := or(in.LogGroupClass, standard); class != standard {
		return nil, faas.Errorf(faas.Unsupported, "logGroupClass %s is not supported here; only %s is.", class, standard)
	}
	return nil, s.store.CreateGroup(ctx, s.group(ctx, in.LogGroupName), in.Tags)
}

// DeleteLogGroup implements api.Service.
func (s *Service) DeleteLogGroup(ctx context.Context, in *api.DeleteLogGroupInput) (*api.DeleteLogGroupOutput, error) {
	return nil, s.store.DeleteGroup(ctx, s.group(ctx, in.LogGroupName))
}

// groupToken is what the next page of DescribeLogGroups needs.
type groupToken struct {
	After string `json:"after"`
}

const pageSize = 50 // of descriptions, where the caller asks for no fewer

// DescribeLogGroups implements api.Service.
func (s *Service) DescribeLogGroups(ctx context.Context, in *api.DescribeLogGroupsInput) (*api.DescribeLogGroupsOutput, error) {
	pass, err := s.groupFilter(ctx, in)
	if err != nil {
		return nil, err
	}
	var token groupToken
	if err := openToken(in.NextToken, &token); err != nil {
		return nil, err
	}
	groups, more := s.store.Groups(s.scope(ctx), pass, token.After, int(or(in.Limit, pageSize)))
	out := &api.DescribeLogGroupsOutput{LogGroups: []api.LogGroup{}}
	for _, g := range groups {
		d, err := s.describe(ctx, &g, in.LogGroupNamePattern != nil)
		if faas.KindOf(err) == faas.NotFound { // deleted meanwhile
			continue
		}
		if err != nil {
			return nil, err
		}
		out.LogGroups = append(out.LogGroups, d)
	}
	if more {
		out.NextToken, err = sealToken(groupToken{groups[len(groups)-1].ID.Name})
	}
	return out, err
}

// groupFilter returns what the names of the groups asked for have in common.
func (s *Service) groupFilter(ctx context.Context, in *api.DescribeLogGroupsInput) (func(string) bool, error) {
	prefix, pattern := value(in.LogGroupNamePrefix), value(in.LogGroupNamePattern)
	if prefix != "" && pattern != "" {
		return nil, faas.Errorf(faas.Invalid, "LogGroup name prefix and LogGroup name pattern are mutually exclusive parameters.")
	}
	class := or(in.LogGroupClass, standard) == standard
	if len(in.LogGroupIdentifiers) == 0 {
		return func(name string) bool {
			return class && strings.HasPrefix(name, prefix) && strings.Contains(name, pattern)
		}, nil
	}
	if prefix != "" || pattern != "" || in.LogGroupClass != nil {
		return nil, faas.Errorf(faas.Invalid, "logGroupIdentifiers cannot be combined with another filter.")
	}
	var names []string
	for i, text := range in.LogGroupIdentifiers {
		id, err := s.identified(ctx, fmt.Sprintf("logGroupIdentifiers[%d]", i), text)
		if err != nil {
			return nil, err
		}
		names = append(names, id.Name)
	}
	return func(name string) bool { return slices.Contains(names, name) }, nil
}

// describe returns what the API says of a group: less of it when groups are searched by a pattern.
func (s *Service) describe(ctx context.Context, g *logs.Group, brief bool) (api.LogGroup, error) {
	arn := g.ID.ARN()
	d := api.LogGroup{LogGroupName: &g.ID.Name, Arn: new(arn + ":*"), CreationTime: ms(g.Created)}
	if brief {
		return d, nil
	}
	size, err := s.store.StoredBytes(ctx, g.ID)
	if err != nil {
		return d, err
	}
	d.LogGroupArn, d.StoredBytes, d.LogGroupClass, d.MetricFilterCount = &arn, &size, &g.Class, new(int32(0))
	d.DeletionProtectionEnabled = new(false)
	if g.RetentionDays > 0 {
		d.RetentionInDays = new(int32(g.RetentionDays))
	}
	return d, nil
}

// retentions are the numbers of days that PutRetentionPolicy takes
// (https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_PutRetentionPolicy.html).
func retentions() []int32 {
	return []int32{1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653}
}

// PutRetentionPolicy implements api.Service.
func (s *Service) PutRetentionPolicy(ctx context.Context, in *api.PutRetentionPolicyInput) (*api.PutRetentionPolicyOutput, error) {
	if !slices.Contains(retentions(), in.RetentionInDays) {
		allowed := strings.ReplaceAll(strings.Trim(fmt.Sprint(retentions()), "[]"), " ", ", ")
		return nil, faas.Errorf(faas.Invalid, "1 validation error detected: Value '%d' at 'retentionInDays' failed to satisfy constraint: "+
			"Member must satisfy enum value set: [%s]", in.RetentionInDays, allowed)
	}
	return nil, s.store.SetRetention(ctx, s.group(ctx, in.LogGroupName), int(in.RetentionInDays))
}

// DeleteRetentionPolicy implements api.Service.
func (s *Service) DeleteRetentionPolicy(ctx context.Context, in *api.DeleteRetentionPolicyInput) (*api.DeleteRetentionPolicyOutput, error) {
	return nil, s.store.SetRetention(ctx, s.group(ctx, in.LogGroupName), 0)
}

// TagResource implements api.Service.
func (s *Service) TagResource(ctx context.Context, in *api.TagResourceInput) (*api.TagResourceOutput, error) {
	id, err := s.arn(ctx, "resourceArn", in.ResourceArn)
	if err != nil {
		return nil, err
	}
	return nil, s.store.Tag(ctx, id, in.Tags)
}

// UntagResource implements api.Service.
func (s *Service) UntagResource(ctx context.Context, in *api.UntagResourceInput) (*api.UntagResourceOutput, error) {
	id, err := s.arn(ctx, "resourceArn", in.ResourceArn)
	if err != nil {
		return nil, err
	}
	return nil, s.store.Untag(ctx, id, in.TagKeys)
}

// ListTagsForResource implements api.Service.
func (s *Service) ListTagsForResource(ctx context.Context, in *api.ListTagsForResourceInput) (*api.ListTagsForResourceOutput, error) {
	id, err := s.arn(ctx, "resourceArn", in.ResourceArn)
	if err != nil {
		return nil, err
	}
	g, err := s.store.Group(id)
	if err != nil {
		return nil, err
	}
	tags := g.Tags
	if tags == nil {
		tags = map[string]string{}
	}
	return &api.ListTagsForResourceOutput{Tags: tags}, nil
}
