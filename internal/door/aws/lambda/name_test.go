package lambda

import (
	"strings"
	"testing"

	"artesian/internal/faas"
)

var scope = faas.Scope{Account: faas.DefaultAccount, Region: faas.DefaultRegion}

func TestParseName(t *testing.T) {
	const arn = "arn:aws:lambda:us-east-1:000000000000:function:"
	for _, c := range []struct {
		name, qualifier string
		want            string // account, name and qualifier
		kind            faas.Kind
	}{
		{"f", "", "000000000000 f ", 0},
		{"a-B_9", "", "000000000000 a-B_9 ", 0},
		{"f:3", "", "000000000000 f 3", 0},
		{"f:$LATEST", "", "000000000000 f $LATEST", 0},
		{"f", "live", "000000000000 f live", 0},
		{"f:live", "live", "000000000000 f live", 0},
		{"function:f", "", "000000000000 f ", 0},
		{"function:f:2", "", "000000000000 f 2", 0},
		{"123456789012:function:f", "", "123456789012 f ", 0},
		{"123456789012:function:f:2", "", "123456789012 f 2", 0},
		{arn + "f", "", "000000000000 f ", 0},
		{arn + "f:2", "", "000000000000 f 2", 0},
		{arn + "f:$LATEST", "$LATEST", "000000000000 f $LATEST", 0},
		{strings.Repeat("n", 64), "", "000000000000 " + strings.Repeat("n", 64) + " ", 0},

		{"", "", "", faas.Invalid},
		{strings.Repeat("n", 65), "", "", faas.Invalid},
		{"a b", "", "", faas.Invalid},
		{"a.b", "", "", faas.Invalid},
		{"a/../b", "", "", faas.Invalid},
		{"ü", "", "", faas.Invalid},
		{"f\n", "", "", faas.Invalid},
		{"f:", "", "", faas.Invalid},
		{"f:1:2", "", "", faas.Invalid},
		{"f:$OTHER", "", "", faas.Invalid},
		{"f:1", "2", "", faas.Invalid},
		{"12345:function:f", "", "", faas.Invalid},
		{"arn:aws:lambda:us-east-1:000000000000:layer:l", "", "", faas.Invalid},
		{"arn:aws:s3:::bucket", "", "", faas.Invalid},
		{"arn:", "", "", faas.Invalid},
		{"arn:aws:lambda:eu-west-1:000000000000:function:f", "", "", faas.NotFound},
	} {
		id, qualifier, err := parseName(scope, c.name, c.qualifier)
		if faas.KindOf(err) != c.kind || err == nil && id.Account+" "+id.Name+" "+qualifier != c.want {
			t.Errorf("%q %q: %+v %q %v", c.name, c.qualifier, id, qualifier, err)
		}
		if err != nil && faas.Message(err) == "" {
			t.Errorf("%q: no message", c.name)
		}
	}
}

// FuzzParseName: whatever is accepted names a function in the caller's region, in characters that are safe in keys, and
// its ARN means the same.
func FuzzParseName(f *testing.F) {
	for _, s := range []string{"f", "f:1", "function:f:$LATEST", "123456789012:function:f", "arn:aws:lambda:us-east-1:000000000000:function:f:1", "arn:aws:lambda", ":::", "f:x-y_z"} {
		f.Add(s, "")
		f.Add(s, "1")
	}
	f.Fuzz(func(t *testing.T, name, qualifier string) {
		id, q, err := parseName(scope, name, qualifier)
		if err != nil {
			return
		}
		safe := func(s string) bool {
			return strings.Trim(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_") == ""
		}
		if id.Region != scope.Region || !faas.ValidAccount(id.Account) || id.Name == "" || len(id.Name) > 64 || !safe(id.Name) {
			t.Fatalf("%q: %+v", name, id)
		}
		if q != qualifier && q != faas.Latest && !safe(q) {
			t.Fatalf("%q: qualifier %q", name, q)
		}
		again, q2, err := parseName(scope, id.ARN(), q)
		if err != nil || again != id || q2 != q {
			t.Fatalf("%q became %+v %q, whose ARN became %+v %q, %v", name, id, q, again, q2, err)
		}
	})
}

func TestClientContext(t *testing.T) {
	for encoded, want := range map[string]string{"": "", "e30=": "{}", "eyJhIjoxfQ==": `{"a":1}`} {
		if got, err := clientContext(encoded); err != nil || string(got) != want {
			t.Errorf("%q: %q %v", encoded, got, err)
		}
	}
	for _, encoded := range []string{"*", "e30", "YQ==", strings.Repeat("A", maxClientContext+1)} {
		if _, err := clientContext(encoded); faas.KindOf(err) != faas.Invalid {
			t.Errorf("%q: %v", encoded, err)
		}
	}
}

func TestEnvironment(t *testing.T) {
	for _, name := range []string{"AWS_REGION", "AWS_SECRET_ACCESS_KEY", "_HANDLER", "AWS_LAMBDA_RUNTIME_API", "LAMBDA_TASK_ROOT", "_X_AMZN_TRACE_ID"} {
		if err := checkEnv(map[string]string{name: ""}); !strings.Contains(faas.Message(err), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
	large := func(n int) map[string]string { return map[string]string{"AB": strings.Repeat("x", n-2)} }
	for _, c := range []struct {
		env map[string]string
		ok  bool
	}{
		{nil, true}, {map[string]string{"AB": "", "a_9": "x", "PATH": "/x", "TZ": "UTC"}, true}, {large(faas.MaxEnvBytes), true}, {large(faas.MaxEnvBytes + 1), false},
		{map[string]string{"A": ""}, false}, {map[string]string{"1A": ""}, false}, {map[string]string{"A-B": ""}, false}, {map[string]string{"A=": ""}, false},
		{map[string]string{"AB": "x\x00"}, false},
	} {
		if err := checkEnv(c.env); (err == nil) != c.ok {
			t.Errorf("%.40v: %v", c.env, err)
		}
	}
}
