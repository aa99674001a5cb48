package faas_test

import (
	"regexp"
	"testing"

	"artesian/internal/faas"
)

// FuzzForms compares the forms that are checked by hand, on every call, with the expressions that state them.
func FuzzForms(f *testing.F) {
	account := regexp.MustCompile(`^[0-9]{12}$`)
	region := regexp.MustCompile(`^[a-z]{2}(-[a-z]+){1,3}-[0-9]{1,2}$`)
	for _, s := range []string{"", "-", "000000000000", "00000000000a", "us-east-1", "us-gov-west-1", "eu-isoe-west-12", "a-b-1", "us-1", "us--1",
		"us-east-", "us-east-123", "us-a-b-c-d-1", "us-a-b-c-1", "us-east-1-", "-us-east-1", "us-e2st-1", "us-east-1\n"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if got, want := faas.ValidAccount(s), account.MatchString(s); got != want {
			t.Errorf("account %q: %v, want %v", s, got, want)
		}
		if got, want := faas.ValidRegion(s), len(s) <= 32 && region.MatchString(s); got != want {
			t.Errorf("region %q: %v, want %v", s, got, want)
		}
	})
}
