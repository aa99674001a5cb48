package cli

import (
	"slices"
	"strings"
	"testing"
)

func TestURLs(t *testing.T) {
	f := newFake(t)
	dir := folder(t, map[string]string{"app.py": "def handler(event, context):\n    return 1\n"})
	if got := f.run(t, "", "deploy", dir); got.status != 0 || strings.Contains(got.out, "curl") {
		t.Fatalf("%+v", got)
	}
	made := func(method string) bool {
		return slices.Contains(f.asked, method+" /2021-10-31/functions/my-function/url")
	}
	for _, c := range []struct {
		url, method, prints, lists string
	}{
		{"none", "POST", "or: curl http://id.lambda-url.us-east-1.localhost/", `"url_auth": "NONE"`},
		{"none", "", "or: curl http://id.lambda-url.us-east-1.localhost/", `"url_auth": "NONE"`},
		{"", "", "or: curl http://id.lambda-url.us-east-1.localhost/", `"url_auth": "NONE"`},
		{"iam", "PUT", "or: curl --aws-sigv4 aws:amz:us-east-1:lambda --user KEY:SECRET http://id.", `"url_auth": "AWS_IAM"`},
	} {
		f.asked = nil
		args := []string{"deploy", dir}
		if c.url != "" {
			args = append(args, "--url", c.url)
		}
		got := f.run(t, "", args...)
		if got.status != 0 || !strings.Contains(got.out, c.prints) {
			t.Errorf("%s: %+v", c.url, got)
		}
		if made("POST") != (c.method == "POST") || made("PUT") != (c.method == "PUT") {
			t.Errorf("%s asked %v", c.url, f.asked)
		}
		contains(t, f.run(t, "", "functions", "--json").out, c.lists)
	}
	contains(t, f.run(t, "", "functions").out, "URL", "http://id.lambda-url.us-east-1.localhost/")
	got := f.run(t, "", "deploy", dir, "--url", "off")
	if got.status != 0 || !made("DELETE") || strings.Contains(got.out, "curl") || !strings.Contains(got.out, "updated") {
		t.Errorf("off: %+v, asked %v", got, f.asked)
	}
	f.asked = nil
	if got := f.run(t, "", "deploy", dir, "--url", "off"); got.status != 0 || made("DELETE") || !strings.Contains(got.out, "unchanged") {
		t.Errorf("off again: %+v, asked %v", got, f.asked)
	}
	if got := f.run(t, "", "deploy", dir, "--url", "all"); got.status != ExitUsage || !strings.Contains(got.err, "--url") {
		t.Errorf("%+v", got)
	}
}
