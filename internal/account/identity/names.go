package identity

import (
	"crypto/rand"
	"encoding/base32"
	"encoding/base64"
	"regexp"
	"strings"
	"unicode/utf8"

	"artesian/internal/account/identity/policy"
	"artesian/internal/faas"
)

// Quotas, as https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html documents them. Where AWS raises
// one on request, this is the value it raises to: templates that were granted more there must work here.
const (
	MaxRoles            = 5000  // of an account
	MaxPolicies         = 5000  // customer managed, of an account
	MaxVersions         = 5     // of a policy
	MaxAttached         = 20    // managed policies of a role
	MaxTags             = 50    // of an entity
	MaxTrustChars       = 4096  // of a trust policy, without white space
	MaxPolicyChars      = 6144  // of a managed policy, without white space
	MaxInlineChars      = 10240 // of all inline policies of a role, without white space
	MaxDescriptionChars = 1000
	MinSession          = 3600  // seconds
	MaxSession          = 43200 // seconds
)

var (
	namePattern = regexp.MustCompile(`^[\w+=,.@-]+$`)
	pathPattern = regexp.MustCompile(`^/([\x21-\x7e]+/)?$`)
	tagPattern  = regexp.MustCompile(`^[\p{L}\p{Z}\p{N}_.:/=+\-@]*$`)
)

// checkName checks a name of at most limit characters; field names it in the message.
func checkName(field, name string, limit int) error {
	if len(name) > limit || !namePattern.MatchString(name) {
		return faas.Errorf(faas.Invalid, "The specified value for %s is invalid. It must have 1 to %d characters, which must be alphanumeric or one of: +=,.@_-", field, limit)
	}
	return nil
}

func checkPath(path string) error {
	if len(path) > 512 || !pathPattern.MatchString(path) {
		return faas.Errorf(faas.Invalid, "The specified value for path is invalid. It must begin and end with / and contain only alphanumeric characters and/or / characters.")
	}
	return nil
}

func checkDescription(s string) error {
	if utf8.RuneCountInString(s) > MaxDescriptionChars {
		return faas.Errorf(faas.Invalid, "The specified value for description is invalid. It must have at most %d characters.", MaxDescriptionChars)
	}
	return nil
}

// checkDocument checks a policy document and its quota of characters.
func checkDocument(text string, kind policy.Kind, quota string, limit int) error {
	if _, err := policy.Parse(text, kind); err != nil {
		return err
	}
	if policy.Len(text) > limit {
		return exceeded(quota, limit)
	}
	return nil
}

func exceeded(quota string, limit int) error {
	return faas.Errorf(faas.LimitExceeded, "Cannot exceed quota for %s: %d", quota, limit)
}

func invalidInput(format string, args ...any) error {
	err := faas.Errorf(faas.Invalid, format, args...)
	err.Code = "InvalidInput"
	return err
}

func deleteConflict(message string) error {
	return &faas.Error{Kind: faas.Conflict, Code: "DeleteConflict", Message: message}
}

// Tag is a label of a role or policy.
type Tag struct {
	Key   string `json:"key"`   // 1 to 128 characters, unique but for case
	Value string `json:"value"` // up to 256 characters
}

// mergeTags returns have with add put in: a key that is there, in whatever case, gets the new value.
func mergeTags(have, add []Tag) ([]Tag, error) {
	merged := append([]Tag{}, have...)
	place, seen := map[string]int{}, map[string]bool{}
	for i, t := range have {
		place[strings.ToLower(t.Key)] = i
	}
	for _, t := range add {
		if err := checkTag(t); err != nil {
			return nil, err
		}
		k := strings.ToLower(t.Key)
		if seen[k] {
			return nil, invalidInput("Duplicate tag keys found. Please note that Tag keys are case insensitive.")
		}
		seen[k] = true
		if i, ok := place[k]; ok {
			merged[i] = t
			continue
		}
		merged = append(merged, t)
	}
	if len(merged) > MaxTags {
		return nil, faas.Errorf(faas.LimitExceeded, "The number of tags has reached the maximum limit: %d", MaxTags)
	}
	return merged, nil
}

func checkTag(t Tag) error {
	switch {
	case t.Key == "" || utf8.RuneCountInString(t.Key) > 128 || !tagPattern.MatchString(t.Key):
		return faas.Errorf(faas.Invalid, "The tag key must have 1 to 128 letters, numbers, spaces or one of: _.:/=+-@")
	case utf8.RuneCountInString(t.Value) > 256 || !tagPattern.MatchString(t.Value):
		return faas.Errorf(faas.Invalid, "The value of tag %s must have at most 256 letters, numbers, spaces or one of: _.:/=+-@", t.Key)
	case strings.HasPrefix(strings.ToLower(t.Key), "aws:"):
		return invalidInput("Tag keys that begin with aws: are reserved: %s", t.Key)
	}
	return nil
}

// dropTags returns have without the keys, whatever their case.
func dropTags(have []Tag, keys []string) []Tag {
	gone := map[string]bool{}
	for _, k := range keys {
		gone[strings.ToLower(k)] = true
	}
	var kept []Tag
	for _, t := range have {
		if !gone[strings.ToLower(t.Key)] {
			kept = append(kept, t)
		}
	}
	return kept
}

// The prefixes of unique ids (https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_identifiers.html).
const (
	prefixKey    = "AKIA"
	prefixUser   = "AIDA"
	prefixRole   = "AROA"
	prefixPolicy = "ANPA"
)

// newID returns a prefix and n random characters of base 32.
func newID(prefix string, n int) string {
	b := make([]byte, (n*5+7)/8)
	_, _ = rand.Read(b) // never returns an error
	return prefix + base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(b)[:n]
}

// newSecret returns 240 random bits as 40 characters.
func newSecret() string {
	b := make([]byte, 30)
	_, _ = rand.Read(b) // never returns an error
	return base64.StdEncoding.EncodeToString(b)
}
