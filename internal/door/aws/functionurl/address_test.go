package functionurl

import (
	"strings"
	"testing"
)

func TestAddresses(t *testing.T) {
	for host, want := range map[string]struct {
		a    Address
		user bool
	}{
		"abc.lambda-url.us-east-1.localhost":         {Address{ID: "abc", Region: "us-east-1", Domain: "localhost"}, true},
		"abc.lambda-url.us-east-1.localhost.":        {Address{ID: "abc", Region: "us-east-1", Domain: "localhost"}, true},
		"abc.lambda-url.eu-west-1.cloud.example.org": {Address{ID: "abc", Region: "eu-west-1", Domain: "cloud.example.org"}, true},
		"abc.lambda-url.us-east-1.10.0.0.1":          {user: true},
		"abc.lambda-url.us-east-1":                   {user: true},
		"abc.lambda-url.nowhere.localhost":           {user: true},
		"a.abc.lambda-url.us-east-1.localhost":       {user: true},
		"lambda-url.us-east-1.localhost":             {user: true},
		".lambda-url.us-east-1.localhost":            {user: true},
		"a_b.lambda-url.us-east-1.localhost":         {user: true},
		"abc.lambda-url.us-east-1.lambda-url.evil":   {Address{ID: "abc", Region: "us-east-1", Domain: "lambda-url.evil"}, true},
		"localhost":                       {},
		"":                                {},
		"lambda-urls.us-east-1.localhost": {},
		"127.0.0.1":                       {},
		strings.Repeat("a", 64) + ".lambda-url.us-east-1.localhost": {user: true},
	} {
		if a, user := ParseHost(host); a != want.a || user != want.user {
			t.Errorf("%s: %+v %v", host, a, user)
		}
	}
	for path, want := range map[string]Address{
		"/_artesian/url/abc": {ID: "abc", Path: "/_artesian/url/abc"}, "/_artesian/url/abc/": {ID: "abc", Path: "/_artesian/url/abc"},
		"/_artesian/url/abc/x/y": {ID: "abc", Path: "/_artesian/url/abc"}, "/_artesian/url/": {}, "/_artesian/url/a%2Fb": {}, "/_artesian/url/../api/ps": {},
	} {
		if a, user := ParsePath(path); a != want || !user {
			t.Errorf("%s: %+v %v", path, a, user)
		}
	}
	for _, path := range []string{"/", "/_artesian/url", "/_artesian/urls/abc", "/2015-03-31/functions"} {
		if a, user := ParsePath(path); user || a != (Address{}) {
			t.Errorf("%s: %+v", path, a)
		}
	}
}

func TestLocation(t *testing.T) {
	for base, want := range map[string]string{
		"http://127.0.0.1:4566":         "http://abc.lambda-url.us-east-1.localhost:4566/",
		"http://[::1]:4566":             "http://abc.lambda-url.us-east-1.localhost:4566/",
		"http://localhost:4566":         "http://abc.lambda-url.us-east-1.localhost:4566/",
		"http://api.localhost":          "http://abc.lambda-url.us-east-1.localhost/",
		"https://cloud.example.org":     "https://abc.lambda-url.us-east-1.cloud.example.org/",
		"https://cloud.example.org:444": "https://abc.lambda-url.us-east-1.cloud.example.org:444/",
		"http://10.0.0.1:4566":          "http://10.0.0.1:4566/_artesian/url/abc/",
		"http://[fd00::1]:4566":         "http://[fd00::1]:4566/_artesian/url/abc/",
	} {
		if got := Location(base, "abc", "us-east-1"); got != want {
			t.Errorf("%s: %s", base, got)
		}
	}
}

// FuzzAddress: a name with the label of URLs is theirs, whatever else is in it, and no other is.
func FuzzAddress(f *testing.F) {
	f.Add("abc.lambda-url.us-east-1.localhost", "/_artesian/url/abc/x")
	f.Add("lambda-url", "/_artesian/url/%2e%2e/")
	f.Fuzz(func(t *testing.T, host, path string) {
		a, user := ParseHost(host)
		has := false
		for l := range strings.SplitSeq(host, ".") {
			has = has || l == label
		}
		if user != has || a != (Address{}) && (!user || strings.TrimSuffix(host, ".") != a.ID+"."+label+"."+a.Region+"."+a.Domain) {
			t.Errorf("%q: %+v %v", host, a, user)
		}
		if a, user := ParsePath(path); a != (Address{}) && (!user || !strings.HasPrefix(path, a.Path) || strings.Count(a.Path, "/") != 3 || strings.Contains(a.ID, "%")) {
			t.Errorf("%q: %+v %v", path, a, user)
		}
	})
}
