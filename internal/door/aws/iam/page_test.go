package iam

import (
	"encoding/base64"
	"log/slog"
	"net/url"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"artesian/internal/account/identity"
	"artesian/internal/door/aws/iam/api"
	"artesian/internal/engine"
	"artesian/internal/engine/kv"
	"artesian/internal/faas"
)

// TestPages walks lists while others add and remove items: every item that is there all the time comes exactly once, in
// order, and no page is longer than asked.
func TestPages(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		name := rapid.StringMatching(`[a-f]{1,3}`)
		stay := rapid.SliceOfDistinct(name, rapid.ID[string]).Draw(t, "stay")
		length := rapid.Int32Range(1, 5).Draw(t, "length")
		var seen []string
		var marker *string
		for range len(stay)*2 + 50 {
			passing := rapid.SliceOfN(name, 0, 3).Draw(t, "passing")
			part, truncated, next, err := page(slices.Concat(stay, passing), func(s string) string { return s }, marker, &length)
			if err != nil || len(part) > int(length) || *truncated != (next != nil) {
				t.Fatal(part, *truncated, next, err)
			}
			seen = append(seen, part...)
			if marker = next; marker == nil {
				break
			}
		}
		if marker != nil || !slices.IsSorted(seen) {
			t.Fatal("no end, or no order", seen)
		}
		for _, s := range stay {
			if !slices.Contains(seen, s) {
				t.Fatalf("%s is not among %v", s, seen)
			}
		}
	})
}

func TestBadMarkers(t *testing.T) {
	for _, m := range []string{"", "!", "a b", base64.RawURLEncoding.EncodeToString(nil)} {
		if _, _, _, err := page([]string{"a"}, func(s string) string { return s }, &m, nil); faas.KindOf(err) != faas.Invalid {
			t.Errorf("%q: %v", m, err)
		}
	}
}

func TestEscape(t *testing.T) {
	const document = "{ \"a+b\": \"%2F é\n*~\" }"
	got := escape(document)
	if got != `%7B%20%22a%2Bb%22%3A%20%22%252F%20%C3%A9%0A%2A~%22%20%7D` {
		t.Error(got)
	}
	if back, err := url.QueryUnescape(got); back != document || err != nil {
		t.Error(back, err)
	}
}

func TestResource(t *testing.T) {
	eng, err := engine.Open(t.Context(), engine.Config{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer eng.Close()
	store, err := kv.Open(t.Context(), eng)
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	dir := identity.Open(store, time.Now, slog.New(slog.DiscardHandler))
	defer dir.Close()
	const user = "arn:aws:iam::000000000000:user/admin"
	ctx := identity.NewContext(t.Context(), identity.Principal{Account: faas.DefaultAccount, ARN: user})
	trust := `{"Statement":{"Effect":"Allow","Principal":{"Service":"lambda.amazonaws.com"},"Action":"sts:AssumeRole"}}`
	if _, err := dir.CreateRole(ctx, faas.DefaultAccount, identity.NewRole{Name: "r", Path: "/p/", Trust: trust}); err != nil {
		t.Fatal(err)
	}
	s, path, name := New(dir), "/x/", "bob"
	for _, c := range []struct {
		in   any
		want string
	}{
		{&api.CreateRoleInput{RoleName: "n", Path: &path}, "arn:aws:iam::000000000000:role/x/n"},
		{&api.CreateRoleInput{RoleName: "n"}, "arn:aws:iam::000000000000:role/n"},
		{&api.GetRoleInput{RoleName: "r"}, "arn:aws:iam::000000000000:role/p/r"},
		{&api.GetRoleInput{RoleName: "none"}, "arn:aws:iam::000000000000:role/none"},
		{&api.AttachRolePolicyInput{RoleName: "r", PolicyArn: "arn:aws:iam::aws:policy/P"}, "arn:aws:iam::000000000000:role/p/r"},
		{&api.ListRolesInput{}, "arn:aws:iam::000000000000:role/"},
		{&api.ListRolesInput{PathPrefix: &path}, "arn:aws:iam::000000000000:role/x/"},
		{&api.CreatePolicyInput{PolicyName: "P", Path: &path}, "arn:aws:iam::000000000000:policy/x/P"},
		{&api.GetPolicyInput{PolicyArn: "arn:aws:iam::aws:policy/P"}, "arn:aws:iam::aws:policy/P"},
		{&api.GetPolicyInput{PolicyArn: "nonsense"}, "*"},
		{&api.ListPoliciesInput{}, "*"},
		{&api.GetUserInput{}, user},
		{&api.GetUserInput{UserName: &name}, "arn:aws:iam::000000000000:user/bob"},
	} {
		if got := s.Resource(ctx, "", c.in); got != c.want {
			t.Errorf("%T: %s, want %s", c.in, got, c.want)
		}
	}
}
