package lambda

import (
	"context"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"

	"artesian/internal/door/aws/lambda/api"
	"artesian/internal/faas"
)

// ListTags implements api.Service.
func (s *Service) ListTags(ctx context.Context, in *api.ListTagsInput) (*api.ListTagsOutput, error) {
	rec, _, err := s.get(ctx, in.Resource, nil)
	if err != nil {
		return nil, err
	}
	return &api.ListTagsOutput{Tags: maps.Clone(rec.Tags)}, nil
}

// TagResource implements api.Service.
func (s *Service) TagResource(ctx context.Context, in *api.TagResourceInput) (*api.TagResourceOutput, error) {
	id, err := s.latest(ctx, in.Resource)
	if err != nil {
		return nil, err
	}
	err = s.cfg.Functions.Tag(ctx, id, func(tags map[string]string) error {
		maps.Copy(tags, in.Tags)
		return checkTags(tags)
	})
	if err != nil {
		return nil, err
	}
	return &api.TagResourceOutput{}, nil
}

// UntagResource implements api.Service.
func (s *Service) UntagResource(ctx context.Context, in *api.UntagResourceInput) (*api.UntagResourceOutput, error) {
	id, err := s.latest(ctx, in.Resource)
	if err != nil {
		return nil, err
	}
	err = s.cfg.Functions.Tag(ctx, id, func(tags map[string]string) error {
		maps.DeleteFunc(tags, func(k, _ string) bool { return slices.Contains(in.TagKeys, k) })
		return nil
	})
	if err != nil {
		return nil, err
	}
	return &api.UntagResourceOutput{}, nil
}

// checkTags holds AWS's limits of tags: 50 of them, keys of 1 to 128 and values of up to 256 characters, and no key that
// begins as AWS's own do (https://docs.aws.amazon.com/lambda/latest/dg/configuration-tags.html).
func checkTags(tags map[string]string) error {
	if len(tags) > 50 {
		return faas.Errorf(faas.Invalid, "Tags: %d are given; at most 50 are allowed", len(tags))
	}
	for _, k := range slices.Sorted(maps.Keys(tags)) {
		if n := utf8.RuneCountInString(k); n == 0 || n > 128 || utf8.RuneCountInString(tags[k]) > 256 {
			return faas.Errorf(faas.Invalid, "Tags: a key has 1 to 128 characters and a value up to 256; %q has not", k)
		}
		if len(k) >= 4 && strings.EqualFold(k[:4], "aws:") {
			return faas.Errorf(faas.Invalid, "Tags: %q begins with aws:, which is reserved for AWS's own tags", k)
		}
	}
	return nil
}
