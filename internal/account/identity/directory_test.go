package identity

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"artesian/internal/account/identity/policy"
	"artesian/internal/engine"
	"artesian/internal/engine/kv"
	"artesian/internal/faas"
)

const (
	acct      = "000000000000"
	trustDoc  = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"lambda.amazonaws.com"},"Action":"sts:AssumeRole"}]}`
	allowDoc  = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"logs:*","Resource":"*"}]}`
	basicRole = "arn:aws:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole"
)

var testTime = time.Date(2026, 2, 3, 4, 5, 6, 7, time.UTC)

// openDirectory opens a directory on a real engine in dir; close it before opening it again.
func openDirectory(t *testing.T, dir string) (d *Directory, closeAll func()) {
	t.Helper()
	eng, err := engine.Open(t.Context(), engine.Config{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	store, err := kv.Open(t.Context(), eng)
	if err != nil {
		t.Fatal(err)
	}
	d = Open(store, func() time.Time { return testTime }, slog.New(slog.DiscardHandler))
	closeAll = sync.OnceFunc(func() {
		d.Close()
		store.Close()
		if err := eng.Close(); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(closeAll)
	return d, closeAll
}

func newDirectory(t *testing.T) *Directory {
	t.Helper()
	d, _ := openDirectory(t, t.TempDir())
	return d
}

// wants checks an error's kind, code and message; want is the whole message.
func wants(t *testing.T, err error, kind faas.Kind, code, want string) {
	t.Helper()
	var e *faas.Error
	if !errors.As(err, &e) || e.Kind != kind || e.Code != code || e.Message != want {
		t.Errorf("got %v\nwant %v %q: %s", err, kind, code, want)
	}
}

func must[T any](t *testing.T) func(v T, err error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func ok(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func role(t *testing.T, d *Directory, name string) *Role {
	t.Helper()
	return must[*Role](t)(d.CreateRole(t.Context(), acct, NewRole{Name: name, Trust: trustDoc}))
}

func TestBootstrap(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "credentials")
	d, closeAll := openDirectory(t, dir)
	c := must[Credentials](t)(d.Bootstrap(t.Context(), acct, file))
	if !regexp.MustCompile(`^AKIA[A-Z2-7]{16}$`).MatchString(c.AccessKeyID) || len(c.SecretAccessKey) != 40 || c.User != "admin" || c.Account != acct {
		t.Errorf("%+v", c)
	}
	check := func(d *Directory) {
		t.Helper()
		secret, p, ok := d.Secret(c.AccessKeyID)
		u := must[*User](t)(d.User(acct, Admin))
		if !ok || secret != c.SecretAccessKey || p != (Principal{Account: acct, ARN: "arn:aws:iam::000000000000:user/admin", UserID: u.ID, AccessKeyID: c.AccessKeyID}) {
			t.Errorf("%q %+v %v", secret, p, ok)
		}
		if !regexp.MustCompile(`^AIDA[A-Z2-7]{17}$`).MatchString(u.ID) || !u.Created.Equal(testTime.Truncate(time.Second)) {
			t.Errorf("%+v", u)
		}
	}
	check(d)
	if _, _, ok := d.Secret("AKIAUNKNOWN"); ok {
		t.Error("an unknown key is known")
	}
	closeAll()

	d, _ = openDirectory(t, dir)
	check(d)
	for _, spoil := range []func(){
		func() {},
		func() { ok(t, os.Remove(file)) },
		func() { ok(t, os.WriteFile(file, []byte("{}"), 0o600)) },
		func() { ok(t, os.Chmod(file, 0o644)) },
		func() { ok(t, os.Remove(file)); ok(t, os.Symlink("/dev/null", file)) },
	} {
		spoil()
		if again := must[Credentials](t)(d.Bootstrap(t.Context(), acct, file)); again != c {
			t.Errorf("another key: %+v", again)
		}
		var inFile Credentials
		ok(t, json.Unmarshal(must[[]byte](t)(os.ReadFile(file)), &inFile))
		if st := must[os.FileInfo](t)(os.Lstat(file)); inFile != c || st.Mode() != 0o600 {
			t.Errorf("%+v, mode %v", inFile, st.Mode())
		}
	}
}

// TestTwoAccounts: each account has keys and names of its own, and no key reaches into another.
func TestTwoAccounts(t *testing.T) {
	d := newDirectory(t)
	one := must[Credentials](t)(d.Bootstrap(t.Context(), acct, ""))
	two := must[Credentials](t)(d.Bootstrap(t.Context(), "111111111111", ""))
	if one.AccessKeyID == two.AccessKeyID {
		t.Error("one key for both")
	}
	role(t, d, "r")
	if _, err := d.Role("111111111111", "r"); faas.KindOf(err) != faas.NotFound {
		t.Error(err)
	}
	_, p, _ := d.Secret(two.AccessKeyID)
	err := Allow(t.Context(), Request{p, "iam:GetRole", "arn:aws:iam::000000000000:role/r"})
	wants(t, err, faas.Denied, "", "User: arn:aws:iam::111111111111:user/admin is not authorized to perform: iam:GetRole on resource: "+
		"arn:aws:iam::000000000000:role/r because it belongs to another account")
	_, err = d.Bootstrap(t.Context(), "1", "")
	wants(t, err, faas.Invalid, "", `the account must have 12 digits, not "1"`)
}

func TestAllow(t *testing.T) {
	p := Principal{Account: acct, ARN: "arn:aws:iam::000000000000:user/admin"}
	for _, c := range []struct {
		action, resource string
		ok               bool
	}{
		{"lambda:InvokeFunction", "arn:aws:lambda:us-east-1:000000000000:function:f", true},
		{"lambda:InvokeFunction", "arn:aws:lambda:us-east-1:000000000001:function:f", false},
		{"lambda:ListFunctions", "*", true},
		{"iam:GetPolicy", basicRole, true},
		{"iam:DeletePolicy", basicRole, false},
		{"s3:GetObject", "arn:aws:s3:::bucket/key", false},
		{"lambda:GetFunction", "f", false},
		{"", "*", false},
	} {
		if err := Allow(t.Context(), Request{p, c.action, c.resource}); (err == nil) != c.ok || err != nil && faas.KindOf(err) != faas.Denied {
			t.Errorf("%s on %s: %v", c.action, c.resource, err)
		}
	}
	if Allow(t.Context(), Request{Principal{}, "lambda:ListFunctions", "*"}) == nil {
		t.Error("nobody may do something")
	}
	if got, ok := FromContext(NewContext(t.Context(), p)); got != p || !ok {
		t.Error(got, ok)
	}
}

func TestRoleLifeSurvivesRestart(t *testing.T) {
	dir := t.TempDir()
	d, closeAll := openDirectory(t, dir)
	ctx := t.Context()
	r := must[*Role](t)(d.CreateRole(ctx, acct, NewRole{Name: "Worker", Path: "/team/a/", Description: "does", Trust: trustDoc, MaxSession: 7200,
		Tags: []Tag{{"k", "v"}}}))
	if r.ARN() != "arn:aws:iam::000000000000:role/team/a/Worker" || !regexp.MustCompile(`^AROA[A-Z2-7]{17}$`).MatchString(r.ID) {
		t.Errorf("%+v", r)
	}
	ok(t, d.PutRolePolicy(ctx, acct, "Worker", "inline", allowDoc))
	ok(t, d.AttachRolePolicy(ctx, acct, "Worker", basicRole))
	ok(t, d.AttachRolePolicy(ctx, acct, "Worker", basicRole))
	ok(t, d.TagRole(ctx, acct, "Worker", []Tag{{"K", "new"}, {"other", ""}}))
	p := must[*Policy](t)(d.CreatePolicy(ctx, acct, NewPolicy{Name: "P", Document: allowDoc}))
	ok(t, d.AttachRolePolicy(ctx, acct, "Worker", p.ARN()))
	closeAll()

	d, _ = openDirectory(t, dir)
	got := must[*Role](t)(d.Role(acct, "Worker"))
	if got.ID != r.ID || got.Trust != trustDoc || got.MaxSession != 7200 || got.Description != "does" || got.Inline["inline"] != allowDoc ||
		!slices.Equal(got.Attached, []string{p.ARN(), basicRole}) || !slices.Equal(got.Tags, []Tag{{"K", "new"}, {"other", ""}}) {
		t.Errorf("%+v", got)
	}
	if n := d.Attachments(acct)[basicRole]; n != 1 {
		t.Errorf("%d attachments", n)
	}
	wants(t, d.DeletePolicy(ctx, acct, p.ARN()), faas.Conflict, "DeleteConflict", "Cannot delete a policy attached to entities.")
	wants(t, d.DeleteRole(ctx, acct, "Worker"), faas.Conflict, "DeleteConflict", "Cannot delete entity, must detach all policies first.")
	ok(t, d.DetachRolePolicy(ctx, acct, "Worker", basicRole))
	wants(t, d.DetachRolePolicy(ctx, acct, "Worker", basicRole), faas.NotFound, "", "Policy "+basicRole+" was not found.")
	ok(t, d.DetachRolePolicy(ctx, acct, "Worker", p.ARN()))
	wants(t, d.DeleteRole(ctx, acct, "Worker"), faas.Conflict, "DeleteConflict", "Cannot delete entity, must delete policies first.")
	ok(t, d.DeleteRolePolicy(ctx, acct, "Worker", "inline"))
	wants(t, d.DeleteRolePolicy(ctx, acct, "Worker", "inline"), faas.NotFound, "", "The role policy with name inline cannot be found.")
	ok(t, d.UntagRole(ctx, acct, "Worker", []string{"OTHER", "absent"}))
	if got = must[*Role](t)(d.Role(acct, "Worker")); !slices.Equal(got.Tags, []Tag{{"K", "new"}}) {
		t.Errorf("%+v", got.Tags)
	}
	ok(t, d.DeleteRole(ctx, acct, "Worker"))
	ok(t, d.DeletePolicy(ctx, acct, p.ARN()))
	wants(t, d.DeleteRole(ctx, acct, "Worker"), faas.NotFound, "", "The role with name Worker cannot be found.")
	if again := role(t, d, "Worker"); again.ID == r.ID {
		t.Error("a new role has the old one's id")
	}
}

func TestRoleRefusals(t *testing.T) {
	d := newDirectory(t)
	ctx := t.Context()
	role(t, d, "taken")
	for _, c := range []struct {
		n    NewRole
		kind faas.Kind
		code string
		want string
	}{
		{NewRole{Name: "Taken", Trust: trustDoc}, faas.Conflict, "", "Role with name Taken already exists."},
		{NewRole{Name: "a b", Trust: trustDoc}, faas.Invalid, "", "The specified value for roleName is invalid."},
		{NewRole{Name: strings.Repeat("x", 65), Trust: trustDoc}, faas.Invalid, "", "The specified value for roleName is invalid."},
		{NewRole{Name: "a", Path: "team", Trust: trustDoc}, faas.Invalid, "", "The specified value for path is invalid."},
		{NewRole{Name: "a", Trust: trustDoc, MaxSession: 3599}, faas.Invalid, "", "The specified value for maxSessionDuration is invalid."},
		{NewRole{Name: "a", Trust: trustDoc, MaxSession: 43201}, faas.Invalid, "", "The specified value for maxSessionDuration is invalid."},
		{NewRole{Name: "a", Trust: trustDoc, Description: strings.Repeat("x", 1001)}, faas.Invalid, "", "The specified value for description is invalid."},
		{NewRole{Name: "a", Trust: allowDoc}, faas.Invalid, "MalformedPolicyDocument", "AssumeRole policy may only specify STS AssumeRole actions"},
		{NewRole{Name: "a", Trust: strings.Replace(trustDoc, "lambda", strings.Repeat("x", MaxTrustChars), 1)}, faas.LimitExceeded, "", "Cannot exceed quota for ACLSizePerRole: 4096"},
		{NewRole{Name: "a", Trust: trustDoc, Tags: []Tag{{"k", ""}, {"K", ""}}}, faas.Invalid, "InvalidInput", "Duplicate tag keys found."},
		{NewRole{Name: "a", Trust: trustDoc, Tags: []Tag{{"aws:x", ""}}}, faas.Invalid, "InvalidInput", "Tag keys that begin with aws: are reserved"},
		{NewRole{Name: "a", Trust: trustDoc, Tags: []Tag{{"", ""}}}, faas.Invalid, "", "The tag key must have"},
		{NewRole{Name: "a", Trust: trustDoc, Tags: []Tag{{"k", "!"}}}, faas.Invalid, "", "The value of tag k must have"},
		{NewRole{Name: "a", Trust: trustDoc, Tags: manyTags(51)}, faas.LimitExceeded, "", "The number of tags has reached the maximum limit: 50"},
	} {
		_, err := d.CreateRole(ctx, acct, c.n)
		var e *faas.Error
		if !errors.As(err, &e) || e.Kind != c.kind || e.Code != c.code || !strings.HasPrefix(e.Message, c.want) {
			t.Errorf("%.80v: got %v, want %v %s %s", c.n, err, c.kind, c.code, c.want)
		}
	}
	if n := len(d.Roles(acct)); n != 1 {
		t.Errorf("%d roles", n)
	}
	if _, err := d.Role(acct, "TAKEN"); faas.KindOf(err) != faas.NotFound {
		t.Error(err)
	}
	_, err := d.ChangeRole(ctx, acct, "taken", func(r *Role) error { r.Trust = "{"; return nil })
	if must[*Role](t)(d.Role(acct, "taken")).Trust != trustDoc || faas.KindOf(err) != faas.Invalid {
		t.Error("a refused change is there", err)
	}
	wants(t, d.AttachRolePolicy(ctx, acct, "taken", "arn:aws:iam::aws:policy/Nothing"), faas.NotFound, "",
		"Policy arn:aws:iam::aws:policy/Nothing does not exist or is not attachable.")
	wants(t, d.AttachRolePolicy(ctx, acct, "taken", "arn:aws:iam::111111111111:policy/P"), faas.NotFound, "",
		"Policy arn:aws:iam::111111111111:policy/P does not exist or is not attachable.")
	wants(t, d.AttachRolePolicy(ctx, acct, "taken", "arn:aws:iam::aws:role/x/yyyyy"), faas.Invalid, "InvalidInput", "ARN arn:aws:iam::aws:role/x/yyyyy is not valid.")
	big := strings.Replace(allowDoc, "logs", strings.Repeat("x", MaxInlineChars), 1)
	wants(t, d.PutRolePolicy(ctx, acct, "taken", "p", big), faas.LimitExceeded, "", "Maximum policy size of 10240 bytes exceeded for role taken")
}

func manyTags(n int) (tags []Tag) {
	for i := range n {
		tags = append(tags, Tag{fmt.Sprint("k", i), ""})
	}
	return tags
}

func TestPolicyVersions(t *testing.T) {
	d := newDirectory(t)
	ctx := t.Context()
	p := must[*Policy](t)(d.CreatePolicy(ctx, acct, NewPolicy{Name: "P", Path: "/x/", Document: allowDoc}))
	arn := p.ARN()
	_, err := d.CreatePolicy(ctx, acct, NewPolicy{Name: "p", Document: allowDoc})
	wants(t, err, faas.Conflict, "", "A policy called p already exists. Duplicate names are not allowed.")
	for i := 2; i <= 5; i++ {
		if v := must[PolicyVersion](t)(d.CreatePolicyVersion(ctx, acct, arn, allowDoc, i == 3)); v.Number != i {
			t.Errorf("version %d, want %d", v.Number, i)
		}
	}
	_, err = d.CreatePolicyVersion(ctx, acct, arn, allowDoc, false)
	wants(t, err, faas.LimitExceeded, "", "A managed policy can have up to 5 versions. Before you create a new version, you must delete an existing version.")
	if p = must[*Policy](t)(d.Policy(acct, arn)); p.Default != 3 {
		t.Errorf("default v%d", p.Default)
	}
	wants(t, d.DeletePolicyVersion(ctx, acct, arn, "v3"), faas.Conflict, "DeleteConflict", "Cannot delete the default version of a policy.")
	wants(t, d.SetDefaultPolicyVersion(ctx, acct, arn, "v9"), faas.NotFound, "", "Policy "+arn+" version v9 does not exist or is not attachable.")
	wants(t, d.DeletePolicy(ctx, acct, arn), faas.Conflict, "DeleteConflict", "This policy has more than one version. Before you delete a policy, "+
		"you must delete the policy's versions. The default version is deleted with the policy.")
	ok(t, d.SetDefaultPolicyVersion(ctx, acct, arn, "v1"))
	for _, id := range []string{"v2", "v3", "v4", "v5"} {
		ok(t, d.DeletePolicyVersion(ctx, acct, arn, id))
	}
	if v := must[PolicyVersion](t)(d.CreatePolicyVersion(ctx, acct, arn, allowDoc, false)); v.Number != 6 {
		t.Errorf("a version's number is given again: %d", v.Number)
	}
	ok(t, d.DeletePolicyVersion(ctx, acct, arn, "v6"))
	ok(t, d.DeletePolicy(ctx, acct, arn))
	_, err = d.Policy(acct, arn)
	wants(t, err, faas.NotFound, "", "Policy "+arn+" was not found.")
	big := strings.Replace(allowDoc, "logs", strings.Repeat("x", MaxPolicyChars), 1)
	_, err = d.CreatePolicy(ctx, acct, NewPolicy{Name: "big", Document: big})
	wants(t, err, faas.LimitExceeded, "", "Cannot exceed quota for PolicySize: 6144")
}

func TestAttachedQuota(t *testing.T) {
	d := newDirectory(t)
	role(t, d, "r")
	n := 0
	for arn := range d.Builtin() {
		err := d.AttachRolePolicy(t.Context(), acct, "r", arn)
		if n++; n > MaxAttached {
			wants(t, err, faas.LimitExceeded, "", "Cannot exceed quota for PoliciesPerRole: 20")
			return
		}
		ok(t, err)
	}
}

// TestBuiltin reads every policy of AWS that is shipped.
func TestBuiltin(t *testing.T) {
	d := newDirectory(t)
	all := d.Builtin()
	if len(all) < 100 {
		t.Errorf("%d policies", len(all))
	}
	for arn, p := range all {
		if _, err := policy.Parse(p.Versions[0].Document, policy.Identity); err != nil || p.Created.IsZero() || len(p.ID) != 21 || p.ARN() != arn {
			t.Errorf("%s: %v %v %s %s", arn, err, p.Created, p.ID, p.ARN())
		}
	}
	for _, name := range []string{"service-role/AWSLambdaBasicExecutionRole", "AWSLambda_FullAccess", "AdministratorAccess",
		"service-role/AWSLambdaVPCAccessExecutionRole", "AWSXRayDaemonWriteAccess", "service-role/AmazonAPIGatewayPushToCloudWatchLogs"} {
		if p := must[*Policy](t)(d.Policy(acct, "arn:aws:iam::aws:policy/"+name)); p == nil {
			t.Error(name)
		}
	}
}

func TestAssumable(t *testing.T) {
	d := newDirectory(t)
	role(t, d, "r")
	ec2 := strings.Replace(trustDoc, "lambda", "ec2", 1)
	must[*Role](t)(d.CreateRole(t.Context(), acct, NewRole{Name: "e", Path: "/p/", Trust: ec2}))
	for _, c := range []struct {
		arn  string
		kind faas.Kind
	}{
		{"arn:aws:iam::000000000000:role/e", faas.NotFound},
		{"arn:aws:iam::000000000000:role/p/e", faas.Denied},
		{"arn:aws:iam::000000000000:role/none", faas.NotFound},
		{"arn:aws:iam::111111111111:role/r", faas.Invalid},
		{"r", faas.Invalid},
	} {
		if err := d.Assumable(acct, c.arn, "lambda.amazonaws.com"); faas.KindOf(err) != c.kind {
			t.Errorf("%s: %v", c.arn, err)
		}
	}
	ok(t, d.Assumable(acct, "arn:aws:iam::000000000000:role/r", "lambda.amazonaws.com"))
}

// TestConcurrentChanges: changes of one role at a time from many callers are all kept, and of many callers who make one
// name, one succeeds.
func TestConcurrentChanges(t *testing.T) {
	d := newDirectory(t)
	role(t, d, "r")
	var wg sync.WaitGroup
	var mu sync.Mutex
	made := 0
	for i := range 16 {
		wg.Go(func() {
			if err := d.TagRole(context.Background(), acct, "r", []Tag{{fmt.Sprint("k", i), "v"}}); err != nil {
				t.Error(err)
			}
			if _, err := d.CreateRole(context.Background(), acct, NewRole{Name: "one", Trust: trustDoc}); err == nil {
				mu.Lock()
				made++
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	if n := len(must[*Role](t)(d.Role(acct, "r")).Tags); n != 16 || made != 1 {
		t.Errorf("%d tags, %d made", n, made)
	}
}

// TestLostCompareAndSet: another owner of the store changed the role between reading and writing.
func TestLostCompareAndSet(t *testing.T) {
	d := newDirectory(t)
	role(t, d, "r")
	_, err := d.ChangeRole(t.Context(), acct, "r", func(r *Role) error {
		old, _ := d.roles.get(acct, "r")
		return d.roles.update(t.Context(), acct, "r", old, r)
	})
	wants(t, err, faas.Conflict, "ConcurrentModification", "The role r was changed by another request. Submit your request again.")
}
