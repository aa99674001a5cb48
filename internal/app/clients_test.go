package app_test

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// typed is a line as a user types it, and what it prints. $NAME is what an earlier line kept.
type typed struct {
	line string
	is   string   // all that it prints, less blanks at the ends; empty says nothing about it
	has  []string // parts of what it prints
	fail bool     // its exit code says so
	keep string   // name under which what it printed is kept
}

// TestCLI is a user's way with the AWS CLI, as typed. Sources: the commands' reference
// (https://docs.aws.amazon.com/cli/latest/reference/lambda/) and the developer guide's walk through
// (https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-awscli.html).
func TestCLI(t *testing.T) {
	t.Parallel()
	needsCLI(t)
	p := start(t)
	dir := t.TempDir()
	code := func(n string) string {
		return "import os\nprint('loading')\ndef handler(e, c):\n  print('hello from', c.function_version)\n" +
			"  return [" + n + ", e.get('name'), os.environ.get('GREETING')]\n"
	}
	first, second := zipOf(t, map[string]string{"app.py": code("1")}), zipOf(t, map[string]string{"app.py": code("2")})
	for name, content := range map[string]string{
		"f.zip": string(first), "g.zip": string(second), "event.json": `{"name":"Ada"}`,
		"trust.json": `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"lambda.amazonaws.com"},"Action":"sts:AssumeRole"}]}`,
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	const arn = "arn:aws:lambda:us-east-1:000000000000:function:hello"
	invoked := func(how, answer, version string) typed {
		return typed{line: `aws lambda invoke ` + how + ` --payload fileb://event.json --query '[StatusCode,FunctionError,ExecutedVersion]' --output text out.json && cat out.json`,
			is: "200\tNone\t" + version + "\n" + answer}
	}
	kept := map[string]string{}
	for _, s := range []typed{
		{line: `aws sts get-caller-identity --query '[Account,Arn]' --output text`, is: "000000000000\tarn:aws:iam::000000000000:user/admin"},
		{line: `aws iam create-role --role-name hello-role --assume-role-policy-document file://trust.json --query Role.Arn --output text`,
			is: "arn:aws:iam::000000000000:role/hello-role", keep: "ROLE"},
		{line: `aws iam attach-role-policy --role-name hello-role --policy-arn arn:aws:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole`},
		{line: `aws lambda get-account-settings --query '[AccountLimit.ConcurrentExecutions,AccountUsage.FunctionCount]' --output text`, is: "1000\t0"},

		{line: `aws lambda create-function --function-name hello --runtime python3.11 --handler app.handler --role $ROLE --zip-file fileb://f.zip ` +
			`--timeout 10 --memory-size 256 --description 'says hello' --environment 'Variables={GREETING=hi}' --tags team=a ` +
			`--query '[FunctionArn,Version,Runtime,Handler,Role,Timeout,MemorySize,Description,CodeSha256,CodeSize,PackageType,Environment.Variables.GREETING]' --output text`,
			is: strings.Join([]string{arn, "$LATEST", "python3.11", "app.handler", "arn:aws:iam::000000000000:role/hello-role", "10", "256", "says hello",
				shaOf(first), sizeOf(first), "Zip", "hi"}, "\t")},
		{line: `aws lambda wait function-active-v2 --function-name hello`, is: "\n"},
		{line: `aws lambda invoke --function-name hello --payload fileb://event.json --log-type Tail --query LogResult --output text out.json | base64 -d && cat out.json`,
			has: []string{"loading\nSTART RequestId: ", " Version: $LATEST\nhello from $LATEST\nEND RequestId: ", "Memory Size: 256 MB", `[1, "Ada", "hi"]`}},
		{line: `aws lambda get-function --function-name hello --query Code.Location --output text`, keep: "LOCATION", has: []string{"http://127.0.0.1:"}},
		{line: `aws lambda get-function --function-name hello --query '[Configuration.State,Configuration.LastUpdateStatus,Code.RepositoryType,Tags.team]' --output text`,
			is: "Active\tSuccessful\tS3\ta"},
		{line: `aws lambda get-function-configuration --function-name hello --query RevisionId --output text`, keep: "REV"},

		// code
		{line: `aws lambda update-function-code --function-name hello --zip-file fileb://g.zip --dry-run --query CodeSha256 --output text`, is: shaOf(second)},
		{line: `aws lambda get-function-configuration --function-name hello --query '[CodeSha256,RevisionId]' --output text`, is: shaOf(first) + "\t$REV"},
		{line: `aws lambda update-function-code --function-name hello --zip-file fileb://g.zip --revision-id nonsense`, fail: true,
			has: []string{"(PreconditionFailedException)", "UpdateFunctionCode", "Revision Id"}},
		{line: `aws lambda update-function-code --function-name hello --zip-file fileb://g.zip --revision-id $REV --publish --query '[Version,FunctionArn,CodeSha256]' --output text`,
			is: "1\t" + arn + ":1\t" + shaOf(second)},
		{line: `aws lambda update-function-code --function-name hello --zip-file fileb://g.zip --revision-id $REV`, fail: true, has: []string{"(PreconditionFailedException)"}},

		// configuration and versions
		{line: `aws lambda update-function-configuration --function-name hello --environment 'Variables={GREETING=ho}' --timeout 20 --query '[Timeout,MemorySize,Environment.Variables.GREETING]' --output text`,
			is: "20\t256\tho"},
		{line: `aws lambda wait function-updated-v2 --function-name hello`, is: "\n"},
		{line: `aws lambda publish-version --function-name hello --description two --query '[Version,Description,FunctionArn]' --output text`, is: "2\ttwo\t" + arn + ":2"},
		{line: `aws lambda publish-version --function-name hello --query Version --output text`, is: "2"}, // nothing has changed
		{line: `aws lambda list-versions-by-function --function-name hello --query 'Versions[].[Version,Timeout]' --output text`, is: "$LATEST\t20\n1\t10\n2\t20"},

		// the ways to name a function
		invoked(`--function-name hello`, `[2, "Ada", "ho"]`, "$LATEST"),
		invoked(`--function-name hello --qualifier 1`, `[2, "Ada", "hi"]`, "1"),
		invoked(`--function-name hello:2`, `[2, "Ada", "ho"]`, "2"),
		invoked(`--function-name '`+arn+`:1'`, `[2, "Ada", "hi"]`, "1"),
		invoked(`--function-name 000000000000:function:hello`, `[2, "Ada", "ho"]`, "$LATEST"),
		{line: `aws lambda invoke --function-name hello --qualifier 7 out.json`, fail: true, has: []string{"(ResourceNotFoundException)", "Function not found: " + arn + ":7"}},

		// tags
		{line: `aws lambda tag-resource --resource ` + arn + ` --tags team=b,stage=test`},
		{line: `aws lambda untag-resource --resource ` + arn + ` --tag-keys team`},
		{line: `aws lambda list-tags --resource ` + arn + ` --query Tags --output json`, is: "{\n    \"stage\": \"test\"\n}"},

		// the end
		{line: `aws lambda delete-function --function-name hello --qualifier 1`},
		{line: `aws lambda get-function --function-name hello --qualifier 1`, fail: true, has: []string{"(ResourceNotFoundException)"}},
		{line: `aws lambda delete-function --function-name hello`},
		{line: `aws lambda get-function --function-name hello`, fail: true, has: []string{"(ResourceNotFoundException)", "Function not found: " + arn}},
	} {
		p.typed(dir, s, kept)
		if s.keep == "LOCATION" {
			sameDownload(t, kept["LOCATION"], first)
		}
	}
}

// needsCLI skips without an AWS CLI that heeds AWS_ENDPOINT_URL.
func needsCLI(t *testing.T) {
	t.Helper()
	out, err := exec.Command("aws", "--version").CombinedOutput()
	var major, minor int
	if err == nil {
		_, err = fmt.Sscanf(string(out), "aws-cli/%d.%d", &major, &minor)
	}
	if err != nil || major == 1 && minor < 29 || major == 2 && minor < 13 {
		t.Skipf("needs the AWS CLI, 1.29, 2.13 or newer; scripts/setup installs it in .venv; here is %q, %v", out, err)
	}
}

var variable = regexp.MustCompile(`\$[A-Z]+`)

// typed runs one line in a shell and compares what it prints.
func (p *platform) typed(dir string, s typed, kept map[string]string) {
	p.t.Helper()
	expand := func(text string) string {
		return variable.ReplaceAllStringFunc(text, func(name string) string {
			if v, ok := kept[name[1:]]; ok {
				return v
			}
			return name // $LATEST
		})
	}
	cmd := exec.CommandContext(p.t.Context(), "sh", "-c", expand(s.line))
	cmd.Dir, cmd.Env = dir, p.environment()
	b, err := cmd.CombinedOutput()
	out := strings.TrimSpace(string(b))
	if (err != nil) != s.fail {
		p.t.Fatalf("%s\n%v\n%s", s.line, err, out)
	}
	if s.is != "" && out != strings.TrimSpace(expand(s.is)) {
		p.t.Errorf("%s\ngot  %q\nwant %q", s.line, out, strings.TrimSpace(expand(s.is)))
	}
	mustContain(p.t, s.line, out, s.has...)
	if s.keep != "" {
		kept[s.keep] = out
	}
}

func shaOf(b []byte) string {
	sum := sha256.Sum256(b)
	return base64.StdEncoding.EncodeToString(sum[:])
}

func sizeOf(b []byte) string { return strconv.Itoa(len(b)) }

// sameDownload fetches a package's URL as anybody can who has it, and not when it was tampered with.
func sameDownload(t *testing.T, url string, want []byte) {
	t.Helper()
	get := func(url string) (int, []byte) {
		resp, err := http.Get(url)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		b, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return resp.StatusCode, b
	}
	if status, b := get(url); status != http.StatusOK || string(b) != string(want) {
		t.Errorf("%s: %d, %d bytes instead of %d", url, status, len(b), len(want))
	}
	if status, _ := get(strings.Replace(url, "expires=", "expires=9", 1)); status != http.StatusForbidden {
		t.Errorf("a changed URL: %d", status)
	}
}

// TestBoto runs AWS's Python client through the same: the script stops at what is not as AWS documents it.
func TestBoto(t *testing.T) {
	t.Parallel()
	if msg, err := exec.Command("python3", "-c", "import boto3").CombinedOutput(); err != nil {
		t.Skipf("needs python3 with boto3; scripts/setup installs it in .venv: %v: %s", err, msg)
	}
	p := start(t)
	p.role()
	p.many(120)
	if out, err := p.client("testdata", "python3", "boto.py"); err != nil || strings.TrimSpace(out) != "ok" {
		t.Fatalf("%v: %s", err, out)
	}
	needsCLI(t)
	for _, s := range []typed{
		{line: `aws lambda list-functions --query 'length(Functions)'`, is: "120"},
		{line: `aws lambda list-functions --page-size 7 --query 'Functions[].FunctionName' --output text | tr '\t' '\n' | sort -u | grep -c ^many-`, is: "120"},
		{line: `aws lambda list-functions --no-paginate --query 'length(Functions)'`, is: "50"},
		{line: `aws lambda list-functions --max-items 30 --page-size 20 --query 'Functions[].FunctionName' --output text | tr '\t' '\n' | grep ^many- | tail -1`, is: "many-029"},
	} {
		p.typed(t.TempDir(), s, nil)
	}
}

// many makes functions many-000 and on, a few at a time.
func (p *platform) many(n int) {
	p.t.Helper()
	zip := zipOf(p.t, map[string]string{"app.py": "def handler(e, c): pass\n"})
	var wg sync.WaitGroup
	next := make(chan int)
	for range 8 {
		wg.Go(func() {
			for i := range next {
				if resp, body := p.tryCreate(fmt.Sprintf("many-%03d", i), zip, nil); resp.StatusCode != http.StatusCreated {
					p.t.Errorf("%d: %s", i, body)
				}
			}
		})
	}
	for i := range n {
		next <- i
	}
	close(next)
	wg.Wait()
}
