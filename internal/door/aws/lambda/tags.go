package lambda

import (
	"context"
	"maps"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"artesian/internal/door/aws/lambda/api"
	"artesian/internal/faas"
)

// ListTags implements api.Service.
func (s *Service) ListTags(ctx context.Context, in *api.ListTagsInput) (*api.ListTagsOutput, error) {
	id, err := s.tagged(ctx, in.Resource)
	if err != nil {
		return nil, err
	}
	rec, err := s.cfg.Functions.Get(id, "")
	if err != nil {
		return nil, err
	}
	return &api.ListTagsOutput{Tags: maps.Clone(rec.Tags)}, nil
}

// TagResource implements api.Service.
func (s *Service) TagResource(ctx context.Context, in *api.TagResourceInput) (*api.TagResourceOutput, error) {
	id, err := s.tagged(ctx, in.Resource)
	if err != nil {
		return nil, err
	}
	rec, err := s.cfg.Functions.Get(id, "")
	if err != nil {
		return nil, err
	}
	err = s.cfg.Functions.Tag(ctx, id, func(tags map[string]string) error {
		maps.Copy(tags, in.Tags)
		if err := s.checkTags(tags); err != nil {
			return err
		}
		return checkShared(&rec.Version, tags[faas.ConcurrencyTag])
	})
	if err != nil {
		return nil, err
	}
	return &api.TagResourceOutput{}, nil
}

// UntagResource implements api.Service.
func (s *Service) UntagResource(ctx context.Context, in *api.UntagResourceInput) (*api.UntagResourceOutput, error) {
	id, err := s.tagged(ctx, in.Resource)
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

// tagged reads the ARN of what has tags: a function. Other resources that AWS tags (code signing configurations, event source
// mappings, capacity providers) there are none of.
func (s *Service) tagged(ctx context.Context, arn string) (faas.FunctionID, error) {
	if p := strings.SplitN(arn, ":", 7); len(p) == 7 && p[0] == "arn" && p[2] == "lambda" && slices.Contains([]string{"code-signing-config", "event-source-mapping", "capacity-provider"}, p[5]) {
		return faas.FunctionID{}, faas.Errorf(faas.NotFound, "The resource you requested does not exist: %s", arn)
	}
	id, q, err := s.name(ctx, arn, nil)
	if err == nil && q != "" {
		err = faas.Errorf(faas.Invalid, "Tags on function aliases and versions are not supported. Please specify either a function name or an unqualified function ARN.")
	}
	return id, err
}

// ownTags are the tags that are settings.
var ownTags = []string{faas.ConcurrencyTag, faas.ForkTag, faas.InternetTag}

// checkTags holds AWS's limits of tags: 50 of them, keys of 1 to 128 and values of up to 256 characters, and no key that
// begins as AWS's own do (https://docs.aws.amazon.com/lambda/latest/dg/configuration-tags.html).
func (s *Service) checkTags(tags map[string]string) error {
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
		if len(k) >= len(faas.OwnTags) && strings.EqualFold(k[:len(faas.OwnTags)], faas.OwnTags) && !slices.Contains(ownTags, k) {
			return faas.Errorf(faas.Invalid, "Tags: %q is not known; of those that begin with %s there are only %s", k, faas.OwnTags, strings.Join(ownTags, ", "))
		}
	}
	if value, given := tags[faas.ForkTag]; given && value != faas.On && value != faas.Off {
		return faas.Errorf(faas.Invalid, "Tags: the value of %s is %q; it must be %s or %s", faas.ForkTag, value, faas.On, faas.Off)
	}
	if value, given := tags[faas.ConcurrencyTag]; given {
		if n, err := strconv.Atoi(value); err != nil || strconv.Itoa(n) != value || n < 1 || n > faas.MaxConcurrency {
			return faas.Errorf(faas.Invalid, "Tags: the value of %s is %q; it must be a number from 1 to %d", faas.ConcurrencyTag, value, faas.MaxConcurrency)
		}
	}
	return s.checkInternet(tags)
}

// checkShared refuses several calls at once for an instance whose runtime takes one after the other. The runtime of a function that
// brings its own is told the number, and asks for as many events as it takes.
func checkShared(v *faas.Version, concurrency string) error {
	if concurrency == "" || concurrency == "1" || strings.HasPrefix(v.Runtime, "provided") {
		return nil
	}
	return faas.Errorf(faas.Invalid, "Tags: %s is %s: instances of %s take one call after the other; only those of provided.al2023, provided.al2 and "+
		"provided take several at once", faas.ConcurrencyTag, concurrency, v.Runtime)
}

// checkInternet holds the tag that says whether a function has the internet to its values, and to what this node can do.
func (s *Service) checkInternet(tags map[string]string) error {
	value, given := tags[faas.InternetTag]
	if !given {
		return nil
	}
	if value != faas.On && value != faas.Off {
		return faas.Errorf(faas.Invalid, "Tags: the value of %s is %q; it must be %s or %s", faas.InternetTag, value, faas.On, faas.Off)
	}
	if err := s.cfg.Internet(value); err != nil {
		return faas.Errorf(faas.Invalid, "Tags: %s is %s: %s", faas.InternetTag, value, faas.Message(err))
	}
	return nil
}
