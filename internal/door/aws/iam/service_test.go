package iam_test

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"artesian/internal/account/identity"
	"artesian/internal/door/aws/iam"
	iamapi "artesian/internal/door/aws/iam/api"
	"artesian/internal/door/aws/sigv4"
	"artesian/internal/door/aws/sts"
	stsapi "artesian/internal/door/aws/sts/api"
	"artesian/internal/door/aws/wire"
	"artesian/internal/engine"
	"artesian/internal/engine/kv"
	"artesian/internal/faas"
)

// platform is a server of IAM and STS on a real engine, behind real signatures.
type platform struct {
	url   string
	creds identity.Credentials
}

func start(t *testing.T) platform {
	t.Helper()
	eng, err := engine.Open(t.Context(), engine.Config{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = eng.Close() })
	store, err := kv.Open(t.Context(), eng)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(store.Close)
	dir := identity.Open(store, time.Now, slog.New(slog.DiscardHandler))
	t.Cleanup(dir.Close)
	creds, err := dir.Bootstrap(t.Context(), faas.DefaultAccount, "")
	if err != nil {
		t.Fatal(err)
	}
	sessions, err := identity.NewSessions(dir, make([]byte, 32))
	if err != nil {
		t.Fatal(err)
	}
	service := iam.New(dir)
	srv := httptest.NewServer(&door{
		verifier: sigv4.New(dir.Secret).WithSessions(sessions.Open),
		services: map[string]*wire.Server{
			"iam": iamapi.New(service, wire.Options{Authorize: authorize, Resource: service.Resource}),
			"sts": stsapi.New(sts.New(dir, sessions, func(context.Context) string { return faas.DefaultRegion }), wire.Options{Authorize: authorize}),
		},
	})
	t.Cleanup(srv.Close)
	return platform{srv.URL, creds}
}

func authorize(ctx context.Context, c wire.Call) error {
	p, _ := identity.FromContext(ctx)
	return identity.Allow(ctx, identity.Request{Principal: p, Action: c.Action, Resource: c.Resource})
}

// door does what the gateway does.
type door struct {
	verifier *sigv4.Verifier
	services map[string]*wire.Server
}

func (d *door) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	signature := sigv4.Read(r)
	scope, _ := signature.Scope()
	s := d.services[scope.Service]
	if s == nil {
		http.Error(w, "no service "+scope.Service, http.StatusForbidden)
		return
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, s.Limit(r)))
	if err != nil {
		s.Refuse(w, r, err)
		return
	}
	who, err := d.verifier.Verify(r, &signature, body, time.Now(), sigv4.Query)
	if err != nil {
		s.Refuse(w, r, err)
		return
	}
	s.Serve(w, r.WithContext(identity.NewContext(r.Context(), who.Principal)), body)
}

// environ is this process's environment with the platform's AWS settings in place of its own.
func (p platform) environ() []string {
	clean := slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "AWS_") })
	return append(clean, "AWS_ENDPOINT_URL="+p.url, "AWS_ACCESS_KEY_ID="+p.creds.AccessKeyID, "AWS_SECRET_ACCESS_KEY="+p.creds.SecretAccessKey,
		"AWS_REGION=us-east-1", "AWS_DEFAULT_REGION=us-east-1", "AWS_EC2_METADATA_DISABLED=true", "AWS_CONFIG_FILE=/dev/null",
		"AWS_SHARED_CREDENTIALS_FILE=/dev/null", "AWS_PAGER=", "NO_PROXY=*")
}

// boto runs a script and returns what it put into out.
func (p platform) boto(t *testing.T, script string, out any) {
	t.Helper()
	if msg, err := exec.Command("python3", "-c", "import boto3").CombinedOutput(); err != nil {
		t.Skipf("python3 with boto3 is missing: %v: %s", err, msg)
	}
	const head = `
import boto3, json
from botocore.config import Config
from botocore.exceptions import ClientError
iam, sts = (boto3.client(n, config=Config(parameter_validation=False, retries={"total_max_attempts": 1})) for n in ("iam", "sts"))
trust = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}]}
allow = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": ["logs:*"], "Resource": "arn:aws:logs:*:*:a+b c%2F\u00e9*"}]}
basic = "arn:aws:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole"
def failure(call, **args):
    try:
        call(**args)
    except ClientError as e:
        return " ".join([str(e.response["ResponseMetadata"]["HTTPStatusCode"]), e.response["Error"]["Code"], e.response["Error"]["Message"]])
out = {}
`
	cmd := exec.Command("python3", "-c", head+script+"\nprint(json.dumps(out, default=str))")
	cmd.Env = p.environ()
	var stderr strings.Builder
	cmd.Stderr = &stderr
	printed, err := cmd.Output()
	if err != nil {
		t.Fatalf("run script: %v\n%s", err, stderr.String())
	}
	if err := json.Unmarshal(printed, out); err != nil {
		t.Fatalf("decode %s: %v", printed, err)
	}
}

// compare checks each key of want against what a script put out, as JSON.
func compare(t *testing.T, got map[string]any, want map[string]string) {
	t.Helper()
	for key, w := range want {
		b, err := json.Marshal(got[key])
		if err != nil {
			t.Fatal(err)
		}
		var a, c any
		if json.Unmarshal(b, &a) != nil || json.Unmarshal([]byte(w), &c) != nil {
			t.Fatalf("%s: %s is not JSON", key, w)
		}
		canonical, _ := json.Marshal(c)
		if string(b) != string(canonical) {
			t.Errorf("%s:\n got %s\nwant %s", key, b, canonical)
		}
	}
}

func TestRolesWithBoto3(t *testing.T) {
	p := start(t)
	var got map[string]any
	p.boto(t, `
made = iam.create_role(RoleName="worker", Path="/team/", Description="caf\u00e9", AssumeRolePolicyDocument=json.dumps(trust), MaxSessionDuration=7200,
    Tags=[{"Key": "k", "Value": "v w"}])["Role"]
read = iam.get_role(RoleName="worker")["Role"]
out["same"] = all(made[k] == read[k] for k in made if k != "ResponseMetadata")
out["role"] = {k: read[k] for k in ("RoleName", "Path", "Arn", "Description", "MaxSessionDuration", "Tags", "RoleLastUsed")}
out["trust"] = read["AssumeRolePolicyDocument"] == trust
iam.get_waiter("role_exists").wait(RoleName="worker", WaiterConfig={"Delay": 1, "MaxAttempts": 1})
iam.put_role_policy(RoleName="worker", PolicyName="inline", PolicyDocument=json.dumps(allow))
out["inline"] = iam.get_role_policy(RoleName="worker", PolicyName="inline")["PolicyDocument"] == allow
out["inlines"] = iam.list_role_policies(RoleName="worker")["PolicyNames"]
iam.attach_role_policy(RoleName="worker", PolicyArn=basic)
out["attached"] = iam.list_attached_role_policies(RoleName="worker")["AttachedPolicies"]
out["elsewhere"] = iam.list_attached_role_policies(RoleName="worker", PathPrefix="/x/")["AttachedPolicies"]
out["count"] = iam.get_policy(PolicyArn=basic)["Policy"]["AttachmentCount"]
entities = iam.list_entities_for_policy(PolicyArn=basic)
out["entities"] = [[r["RoleName"] for r in entities["PolicyRoles"]], entities["PolicyUsers"], entities["PolicyGroups"]]
out["users"] = iam.list_entities_for_policy(PolicyArn=basic, EntityFilter="User")["PolicyRoles"]
iam.update_role(RoleName="worker", Description="", MaxSessionDuration=3600)
iam.update_assume_role_policy(RoleName="worker", PolicyDocument=json.dumps(trust).replace("lambda", "ec2"))
read = iam.get_role(RoleName="worker")["Role"]
out["updated"] = [read.get("Description"), read["MaxSessionDuration"], read["AssumeRolePolicyDocument"]["Statement"][0]["Principal"]["Service"]]
out["described"] = iam.update_role_description(RoleName="worker", Description="again")["Role"]["Description"]
iam.tag_role(RoleName="worker", Tags=[{"Key": "K", "Value": "new"}, {"Key": "b", "Value": ""}])
out["tags"] = iam.list_role_tags(RoleName="worker")["Tags"]
iam.untag_role(RoleName="worker", TagKeys=["k"])
out["untagged"] = iam.list_role_tags(RoleName="worker")["Tags"]
out["profiles"] = iam.list_instance_profiles_for_role(RoleName="worker")["InstanceProfiles"]
out["attached first"] = failure(iam.delete_role, RoleName="worker")
iam.detach_role_policy(RoleName="worker", PolicyArn=basic)
out["inline first"] = failure(iam.delete_role, RoleName="worker")
iam.delete_role_policy(RoleName="worker", PolicyName="inline")
iam.delete_role(RoleName="worker")
out["gone"] = failure(iam.get_role, RoleName="worker")
`, &got)
	compare(t, got, map[string]string{
		"same": `true`,
		"role": `{"RoleName": "worker", "Path": "/team/", "Arn": "arn:aws:iam::000000000000:role/team/worker", "Description": "café",
			"MaxSessionDuration": 7200, "Tags": [{"Key": "k", "Value": "v w"}], "RoleLastUsed": {}}`,
		"trust": `true`, "inline": `true`, "inlines": `["inline"]`, "elsewhere": `[]`, "count": `1`, "users": `[]`, "profiles": `[]`,
		"attached":       `[{"PolicyName": "AWSLambdaBasicExecutionRole", "PolicyArn": "arn:aws:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole"}]`,
		"entities":       `[["worker"], [], []]`,
		"updated":        `[null, 3600, "ec2.amazonaws.com"]`,
		"described":      `"again"`,
		"tags":           `[{"Key": "K", "Value": "new"}, {"Key": "b", "Value": ""}]`,
		"untagged":       `[{"Key": "b", "Value": ""}]`,
		"attached first": `"409 DeleteConflict Cannot delete entity, must detach all policies first."`,
		"inline first":   `"409 DeleteConflict Cannot delete entity, must delete policies first."`,
		"gone":           `"404 NoSuchEntity The role with name worker cannot be found."`,
	})
}

func TestPoliciesWithBoto3(t *testing.T) {
	p := start(t)
	var got map[string]any
	p.boto(t, `
made = iam.create_policy(PolicyName="P", Path="/x/", Description="d", PolicyDocument=json.dumps(allow), Tags=[{"Key": "k", "Value": "v"}])["Policy"]
arn = made["Arn"]
read = iam.get_policy(PolicyArn=arn)["Policy"]
out["policy"] = {k: read[k] for k in ("PolicyName", "Arn", "Path", "DefaultVersionId", "AttachmentCount", "IsAttachable", "Description", "Tags")}
out["id"] = made["PolicyId"] == read["PolicyId"] and len(read["PolicyId"]) == 21
other = json.dumps(allow, indent=2).replace("Allow", "Deny")
out["v2"] = iam.create_policy_version(PolicyArn=arn, PolicyDocument=other, SetAsDefault=True)["PolicyVersion"]["VersionId"]
out["versions"] = [[v["VersionId"], v["IsDefaultVersion"]] for v in iam.list_policy_versions(PolicyArn=arn)["Versions"]]
out["document"] = iam.get_policy_version(PolicyArn=arn, VersionId="v2")["PolicyVersion"]["Document"] == json.loads(other)
iam.set_default_policy_version(PolicyArn=arn, VersionId="v1")
out["default"] = iam.get_policy(PolicyArn=arn)["Policy"]["DefaultVersionId"]
out["in force"] = failure(iam.delete_policy_version, PolicyArn=arn, VersionId="v1")
out["more versions"] = failure(iam.delete_policy, PolicyArn=arn)
iam.delete_policy_version(PolicyArn=arn, VersionId="v2")
out["no version"] = failure(iam.get_policy_version, PolicyArn=arn, VersionId="v2")
iam.tag_policy(PolicyArn=arn, Tags=[{"Key": "a", "Value": "b"}])
iam.untag_policy(PolicyArn=arn, TagKeys=["k"])
out["tags"] = iam.list_policy_tags(PolicyArn=arn)["Tags"]
out["local"] = [q["Arn"] for q in iam.list_policies(Scope="Local")["Policies"]]
out["prefix"] = [q["Arn"] for q in iam.list_policies(PathPrefix="/x/")["Policies"]]
out["attached"] = iam.list_policies(OnlyAttached=True)["Policies"]
out["boundaries"] = iam.list_policies(PolicyUsageFilter="PermissionsBoundary")["Policies"]
out["aws"] = len([q for page in iam.get_paginator("list_policies").paginate(Scope="AWS") for q in page["Policies"]]) > 100
out["basic"] = iam.get_policy_version(PolicyArn=basic, VersionId="v1")["PolicyVersion"]["Document"]["Statement"][0]["Action"]
iam.delete_policy(PolicyArn=arn)
out["gone"] = failure(iam.get_policy, PolicyArn=arn)
out["local after"] = iam.list_policies(Scope="Local")["Policies"]
`, &got)
	const arn = "arn:aws:iam::000000000000:policy/x/P"
	compare(t, got, map[string]string{
		"policy": `{"PolicyName": "P", "Arn": "` + arn + `", "Path": "/x/", "DefaultVersionId": "v1", "AttachmentCount": 0,
			"IsAttachable": true, "Description": "d", "Tags": [{"Key": "k", "Value": "v"}]}`,
		"id": `true`, "v2": `"v2"`, "versions": `[["v2", true], ["v1", false]]`, "document": `true`, "default": `"v1"`,
		"in force": `"409 DeleteConflict Cannot delete the default version of a policy."`,
		"more versions": `"409 DeleteConflict This policy has more than one version. Before you delete a policy, you must delete the policy's versions. ` +
			`The default version is deleted with the policy."`,
		"no version": `"404 NoSuchEntity Policy ` + arn + ` version v2 does not exist or is not attachable."`,
		"tags":       `[{"Key": "a", "Value": "b"}]`, "local": `["` + arn + `"]`, "prefix": `["` + arn + `"]`, "attached": `[]`, "boundaries": `[]`,
		"aws": `true`, "basic": `["logs:CreateLogGroup", "logs:CreateLogStream", "logs:PutLogEvents"]`,
		"gone": `"404 NoSuchEntity Policy ` + arn + ` was not found."`, "local after": `[]`,
	})
}

func TestRefusalsWithBoto3(t *testing.T) {
	p := start(t)
	var got map[string]any
	p.boto(t, `
text = json.dumps(trust)
def create(**more):
    return failure(iam.create_role, **{"RoleName": "a", "AssumeRolePolicyDocument": text, **more})
iam.create_role(RoleName="taken", AssumeRolePolicyDocument=text)
out["taken"] = create(RoleName="TAKEN")
out["name"] = create(RoleName="a b")
out["session"] = create(MaxSessionDuration=60)
out["json"] = create(AssumeRolePolicyDocument="{")
out["resource"] = create(AssumeRolePolicyDocument=text.replace('"Effect"', '"Resource": "*", "Effect"'))
out["boundary"] = create(PermissionsBoundary=basic)
out["action"] = failure(iam.put_role_policy, RoleName="taken", PolicyName="p", PolicyDocument=json.dumps(allow).replace("logs:*", "logs"))
out["attach"] = failure(iam.attach_role_policy, RoleName="taken", PolicyArn="arn:aws:iam::aws:policy/Nothing")
out["aws's"] = failure(iam.delete_policy, PolicyArn=basic)
out["another's"] = failure(iam.get_policy, PolicyArn="arn:aws:iam::111111111111:policy/p")
out["arn"] = failure(iam.get_policy, PolicyArn="arn:aws:iam::000000000000:role/p")
out["user"] = failure(iam.get_user, UserName="nobody")
out["marker"] = failure(iam.list_roles, Marker="!")
out["not built"] = failure(iam.create_user, UserName="u")
out["left"] = [r["RoleName"] for r in iam.list_roles()["Roles"]]
mine = boto3.Session().get_credentials()
def stranger(name, key=mine.access_key, secret=mine.secret_key, token=None):
    return boto3.client(name, aws_access_key_id=key, aws_secret_access_key=secret, aws_session_token=token, config=iam.meta.config)
out["key"] = failure(stranger("iam", key="AKIAQQQQQQQQQQQQQQQQ").list_roles)
out["secret"] = failure(stranger("iam", secret="wrong").list_roles)
out["token"] = failure(stranger("sts", token="t").get_caller_identity)
`, &got)
	for key, want := range map[string]string{
		"taken":     "409 EntityAlreadyExists Role with name TAKEN already exists.",
		"name":      "400 ValidationError 1 validation error detected: Value 'a b' at 'roleName' failed to satisfy constraint:",
		"session":   "400 ValidationError 1 validation error detected: Value '60' at 'maxSessionDuration' failed to satisfy constraint:",
		"json":      "400 MalformedPolicyDocument Syntax errors in policy: the document: not JSON near byte 1.",
		"resource":  "400 MalformedPolicyDocument Has prohibited field Resource at Statement[0]",
		"boundary":  "400 InvalidInput ",
		"action":    `400 MalformedPolicyDocument Actions/Conditions must be prefaced by a vendor, e.g., iam, sdb, ec2, etc.: Statement[0].Action[0] is "logs"`,
		"attach":    "404 NoSuchEntity Policy arn:aws:iam::aws:policy/Nothing does not exist or is not attachable.",
		"aws's":     "403 AccessDenied User: arn:aws:iam::000000000000:user/admin is not authorized to perform: iam:DeletePolicy on resource: arn:aws:iam::aws:policy/",
		"another's": "403 AccessDenied User: arn:aws:iam::000000000000:user/admin is not authorized to perform: iam:GetPolicy on resource: arn:aws:iam::111111111111:",
		"arn":       "400 InvalidInput ARN arn:aws:iam::000000000000:role/p is not valid.",
		"user":      "404 NoSuchEntity The user with name nobody cannot be found.",
		"marker":    "400 ValidationError Invalid Marker.",
		"not built": "501 NotImplemented Operation CreateUser is not built.",
		"key":       "403 InvalidClientTokenId The security token included in the request is invalid.",
		"secret":    "403 SignatureDoesNotMatch The request signature we calculated does not match the signature you provided.",
		"token":     "403 InvalidClientTokenId The security token included in the request is invalid.",
	} {
		if s, _ := got[key].(string); !strings.HasPrefix(s, want) {
			t.Errorf("%s:\n got %v\nwant %s…", key, got[key], want)
		}
	}
	compare(t, got, map[string]string{"left": `["taken"]`})
}

func TestPaginationAndCallerWithBoto3(t *testing.T) {
	p := start(t)
	var got map[string]any
	p.boto(t, `
for i in range(7):
    iam.create_role(RoleName=f"R{i}", Path="/even/" if i % 2 == 0 else "/odd/", AssumeRolePolicyDocument=json.dumps(trust))
first = iam.list_roles(MaxItems=3)
out["first"] = [[r["RoleName"] for r in first["Roles"]], first["IsTruncated"], "Marker" in first, "Tags" in first["Roles"][0]]
iam.delete_role(RoleName="R2")
iam.create_role(RoleName="r1a", AssumeRolePolicyDocument=json.dumps(trust))
rest = iam.list_roles(MaxItems=1000, Marker=first["Marker"])
out["rest"] = [[r["RoleName"] for r in rest["Roles"]], rest["IsTruncated"], "Marker" in rest]
out["pages"] = [len(p["Roles"]) for p in iam.get_paginator("list_roles").paginate(PaginationConfig={"PageSize": 3})]
out["odd"] = [r["RoleName"] for r in iam.list_roles(PathPrefix="/odd")["Roles"]]
me = sts.get_caller_identity()
user = iam.get_user()["User"]
out["caller"] = [me["Account"], me["Arn"]]
out["user"] = [user["UserName"], user["Path"], user["Arn"] == me["Arn"], user["UserId"] == me["UserId"], iam.get_user(UserName="admin")["User"] == user]
`, &got)
	compare(t, got, map[string]string{
		"first":  `[["R0", "R1", "R2"], true, true, false]`,
		"rest":   `[["R3", "R4", "R5", "R6"], false, false]`,
		"pages":  `[3, 3, 1]`,
		"odd":    `["R1", "R3", "R5"]`,
		"caller": `["000000000000", "arn:aws:iam::000000000000:user/admin"]`,
		"user":   `["admin", "/", true, true, true]`,
	})
}

// TestAWSCLI makes a role the way people do before their first function.
func TestAWSCLI(t *testing.T) {
	aws, err := exec.LookPath("aws")
	if err != nil {
		t.Skip("the AWS CLI is missing")
	}
	p := start(t)
	run := func(args ...string) string {
		t.Helper()
		cmd := exec.Command(aws, args...)
		cmd.Env = p.environ()
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("aws %s: %v\n%s", strings.Join(args, " "), err, out)
		}
		return strings.TrimSpace(string(out))
	}
	trust := `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"lambda.amazonaws.com"},"Action":"sts:AssumeRole"}]}`
	arn := run("iam", "create-role", "--role-name", "hello", "--assume-role-policy-document", trust, "--query", "Role.Arn", "--output", "text")
	if arn != "arn:aws:iam::000000000000:role/hello" {
		t.Errorf("ARN %s", arn)
	}
	run("iam", "attach-role-policy", "--role-name", "hello", "--policy-arn", "arn:aws:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole")
	var role struct {
		Role struct {
			AssumeRolePolicyDocument json.RawMessage
			CreateDate               time.Time
		}
	}
	if err := json.Unmarshal([]byte(run("iam", "get-role", "--role-name", "hello")), &role); err != nil {
		t.Fatal(err)
	}
	var a, b any
	if json.Unmarshal(role.Role.AssumeRolePolicyDocument, &a) != nil || json.Unmarshal([]byte(trust), &b) != nil {
		t.Fatalf("trust policy %s", role.Role.AssumeRolePolicyDocument)
	}
	ga, _ := json.Marshal(a)
	gb, _ := json.Marshal(b)
	if string(ga) != string(gb) || time.Since(role.Role.CreateDate) > time.Minute {
		t.Errorf("%s made %v", ga, role.Role.CreateDate)
	}
	if who := run("sts", "get-caller-identity", "--query", "Arn", "--output", "text"); who != "arn:aws:iam::000000000000:user/admin" {
		t.Errorf("caller %s", who)
	}
	cmd := exec.Command(aws, "iam", "get-role", "--role-name", "none")
	cmd.Env = p.environ()
	if out, err := cmd.CombinedOutput(); err == nil || !strings.Contains(string(out),
		"An error occurred (NoSuchEntity) when calling the GetRole operation: The role with name none cannot be found.") {
		t.Errorf("%v: %s", err, out)
	}
}
