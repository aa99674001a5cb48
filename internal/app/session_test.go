package app_test

import (
	"encoding/json"
	"encoding/xml"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"artesian/internal/app"
	"artesian/internal/compute/sandbox"
	"artesian/internal/door/gateway/admin"
)

// clientScript calls the platform with nothing configured, as a function on Lambda would.
const clientScript = `
import json, time, urllib.error, urllib.request
import boto3
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.exceptions import ClientError
def node(path):
    s = boto3.Session()
    r = AWSRequest('GET', s.client('sts').meta.endpoint_url + path)
    SigV4Auth(s.get_credentials(), 'artesian', s.region_name).add_auth(r)
    try:
        with urllib.request.urlopen(urllib.request.Request(r.url, headers=dict(r.headers))) as got:
            return [got.status, got.read().decode()]
    except urllib.error.HTTPError as err:
        return [err.code, err.read().decode()]
def handler(e, c):
    who = boto3.client('sts').get_caller_identity()
    functions = boto3.client('lambda').list_functions()['Functions']
    answer = boto3.client('lambda').invoke(FunctionName='other', Payload=json.dumps({'n': 20}))
    logs = boto3.client('logs')
    logs.create_log_group(logGroupName='made-inside')
    logs.create_log_stream(logGroupName='made-inside', logStreamName='s')
    logs.put_log_events(logGroupName='made-inside', logStreamName='s', logEvents=[{'timestamp': int(time.time() * 1000), 'message': 'from inside'}])
    try:
        boto3.client('sts').get_session_token()
    except ClientError as err:
        refused = str(err)
    return {'arn': who['Arn'], 'account': who['Account'], 'id': who['UserId'], 'functions': sorted(f['FunctionName'] for f in functions),
        'answer': json.load(answer['Payload']), 'groups': [g['logGroupName'] for g in logs.describe_log_groups()['logGroups']], 'refused': refused,
        'doctor': node('DOCTOR'), 'ps': node('PS')}
`

// boto packs boto3 as pip installed it, with the models of the services that the test uses.
func boto(t *testing.T) map[string]string {
	t.Helper()
	out, err := exec.Command("python3", "-c", "import boto3, os; print(os.path.dirname(os.path.dirname(boto3.__file__)))").CombinedOutput()
	if err != nil {
		t.Skipf("needs python3 with boto3; scripts/setup installs it in .venv: %v: %s", err, out)
	}
	site := strings.TrimSpace(string(out))
	files := map[string]string{}
	for _, name := range []string{"boto3", "botocore", "s3transfer", "jmespath", "dateutil", "urllib3", "six.py"} {
		err := filepath.WalkDir(filepath.Join(site, name), func(path string, d os.DirEntry, err error) error {
			if err != nil {
				return err
			}
			rel, _ := filepath.Rel(site, path)
			if d.IsDir() {
				if service, ok := strings.CutPrefix(rel, "botocore/data/"); ok && !strings.Contains(service, "/") && service != "sts" && service != "lambda" && service != "logs" {
					return filepath.SkipDir
				}
				return nil
			}
			if strings.HasSuffix(path, ".pyc") {
				return nil
			}
			b, err := os.ReadFile(path)
			files[rel] = string(b)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return files
}

// TestClientInside: AWS's Python client, unconfigured in a sandbox, acts as the function's role.
func TestClientInside(t *testing.T) {
	t.Parallel()
	files := boto(t)
	files["app.py"] = strings.NewReplacer("DOCTOR", admin.DoctorPath, "PS", admin.PSPath).Replace(clientScript)
	for _, level := range []sandbox.Level{sandbox.Container, sandbox.Process} {
		t.Run(string(level), func(t *testing.T) {
			p := start(t, isolation(level))
			p.role()
			p.create("other", map[string]string{"app.py": "def handler(e, c): return e['n'] + 1\n"}, nil)
			p.create("f", files, spec{"Timeout": 60, "MemorySize": 1024})
			a := p.invoke("f", `{}`)
			var got struct {
				ARN, Account, ID, Refused string
				Functions, Groups         []string
				Answer                    int
				Doctor, PS                []any
			}
			if err := json.Unmarshal([]byte(a.body), &got); err != nil || a.err != "" {
				t.Fatalf("%v %+v", err, a)
			}
			if got.ARN != "arn:aws:sts::000000000000:assumed-role/test/f" || got.Account != "000000000000" || !strings.HasPrefix(got.ID, "AROA") || !strings.HasSuffix(got.ID, ":f") {
				t.Errorf("who: %+v", got)
			}
			if strings.Join(got.Functions, " ") != "f other" || got.Answer != 21 {
				t.Errorf("functions: %+v", got)
			}
			mustContain(t, "log groups", strings.Join(got.Groups, " "), "made-inside", "/aws/lambda/other")
			mustContain(t, "refusal", got.Refused, "(AccessDenied)", "Cannot call GetSessionToken with session credentials")
			if len(got.Doctor) != 2 || got.Doctor[0] != 403.0 || len(got.PS) != 2 || got.PS[0] != 200.0 {
				t.Errorf("the node: %v %v", got.Doctor, got.PS)
			}
		})
	}
}

// assume takes a role on and returns its credentials, or the code and message of the refusal.
func (p *platform) assume(creds aws.Credentials, form string) (aws.Credentials, string) {
	p.t.Helper()
	resp, body := p.read(send(p.t, p.url, creds, "us-east-1", "POST", "sts", "/", "application/x-www-form-urlencoded", []byte("Version=2011-06-15&"+form)))
	var out struct {
		Key    string `xml:"AssumeRoleResult>Credentials>AccessKeyId"`
		Secret string `xml:"AssumeRoleResult>Credentials>SecretAccessKey"`
		Token  string `xml:"AssumeRoleResult>Credentials>SessionToken"`
		Code   string `xml:"Error>Code"`
		Says   string `xml:"Error>Message"`
	}
	if err := xml.Unmarshal([]byte(body), &out); err != nil {
		p.t.Fatalf("%v: %s", err, body)
	}
	if resp.StatusCode != http.StatusOK {
		return aws.Credentials{}, out.Code + ": " + out.Says
	}
	return aws.Credentials{AccessKeyID: out.Key, SecretAccessKey: out.Secret, SessionToken: out.Token}, ""
}

// TestSessions: a role is taken on, signs in every way that AWS knows, and ends with its role, also after a restart.
func TestSessions(t *testing.T) {
	p := start(t)
	if status := p.get(admin.DoctorPath, new(admin.Doctor)); status != http.StatusOK {
		t.Errorf("the owner is not told about the node: %d", status)
	}
	iam := func(form string) {
		t.Helper()
		if resp, body := p.read(p.send("POST", "iam", "/", "application/x-www-form-urlencoded", []byte("Version=2010-05-08&"+form))); resp.StatusCode != http.StatusOK {
			t.Fatalf("%s: %s", form, body)
		}
	}
	iam("Action=CreateRole&RoleName=work&AssumeRolePolicyDocument=" + url.QueryEscape(`{"Statement":[{"Effect":"Allow","Principal":{"Service":"lambda.amazonaws.com"},"Action":"sts:AssumeRole"}]}`))
	const ask = "Action=AssumeRole&RoleSessionName=me&RoleArn=arn:aws:iam::000000000000:role/work"
	if _, refused := p.assume(p.creds, ask); !strings.HasPrefix(refused, "AccessDenied: User: arn:aws:iam::000000000000:user/admin is not authorized to perform: sts:AssumeRole") {
		t.Error(refused)
	}
	iam("Action=UpdateAssumeRolePolicy&RoleName=work&PolicyDocument=" + url.QueryEscape(`{"Statement":[{"Effect":"Allow","Principal":{"AWS":"000000000000"},"Action":"sts:AssumeRole","Condition":{"StringEquals":{"sts:ExternalId":"x1"}}}]}`))
	for form, want := range map[string]string{
		"":                                    "AccessDenied: ",
		"&ExternalId=x1&DurationSeconds=7200": "ValidationError: The requested DurationSeconds exceeds the MaxSessionDuration set for this role.",
		"&ExternalId=x1&DurationSeconds=60":   "ValidationError: ",
		"&ExternalId=x1&Policy={}":            "InvalidInput: ",
		"&ExternalId=x1&Tags.member.1.Key=a&Tags.member.1.Value=b": "InvalidInput: ",
		"&ExternalId=x1&SourceIdentity=me":                         "InvalidInput: ",
	} {
		if _, refused := p.assume(p.creds, ask+form); !strings.HasPrefix(refused, want) {
			t.Errorf("%s: %q, want %q", form, refused, want)
		}
	}
	if _, refused := p.assume(p.creds, "Action=AssumeRoleWithWebIdentity&RoleSessionName=me&WebIdentityToken=abcd&RoleArn=arn:aws:iam::000000000000:role/work"); !strings.Contains(refused, "AssumeRoleWithWebIdentity") {
		t.Error(refused)
	}
	creds, refused := p.assume(p.creds, ask+"&ExternalId=x1")
	if refused != "" {
		t.Fatal(refused)
	}
	ok := func(p *platform, what string, change func(*signing), status int, code string) {
		t.Helper()
		s := signing{creds: creds, at: time.Now(), service: "lambda", region: "us-east-1", method: "GET", path: functionsPath}
		change(&s)
		if resp, body := p.read(s.send(t, p.url)); resp.StatusCode != status || code != "" && resp.Header.Get("X-Amzn-Errortype") != code {
			t.Errorf("%s: %d %s", what, resp.StatusCode, body)
		}
	}
	all := func(p *platform, status int, code string) {
		t.Helper()
		ok(p, "header", func(*signing) {}, status, code)
		ok(p, "presigned", func(s *signing) { s.presign = true }, status, code)
		ok(p, "presigned, token added", func(s *signing) {
			s.presign, s.creds.SessionToken = true, ""
			s.edit = func(q url.Values) { q.Set("X-Amz-Security-Token", creds.SessionToken) }
		}, status, code)
	}
	all(p, 200, "")
	ok(p, "without token", func(s *signing) { s.creds.SessionToken = "" }, 403, "UnrecognizedClientException")
	ok(p, "another token", func(s *signing) { s.creds.SessionToken = "AAAA" }, 403, "UnrecognizedClientException")
	ok(p, "admin's key with token", func(s *signing) {
		s.creds.AccessKeyID, s.creds.SecretAccessKey = p.creds.AccessKeyID, p.creds.SecretAccessKey
	}, 403, "UnrecognizedClientException")
	ok(p, "clock 20 minutes slow", func(s *signing) { s.at = s.at.Add(-20 * time.Minute) }, 403, "InvalidSignatureException")
	ok(p, "the node's owner", func(s *signing) {
		s.service, s.path, s.method = admin.Service, admin.RuntimesPath+"?path=/bin/sh", "DELETE"
	}, 403, "")

	data := p.data
	p.stop()
	p = start(t, func(c *app.Config) { c.Data = data })
	all(p, 200, "")
	iam("Action=DeleteRole&RoleName=work")
	all(p, 403, "UnrecognizedClientException")
}
