package app_test

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const helloARN = "arn:aws:lambda:us-east-1:000000000000:function:hello"

// TestCLIAliases types what the developer guide does with versions and aliases
// (https://docs.aws.amazon.com/lambda/latest/dg/configuration-aliases.html, …/configuring-alias-routing.html,
// …/access-control-resource-based.html, …/configuration-concurrency.html).
func TestCLIAliases(t *testing.T) {
	t.Parallel()
	needsCLI(t)
	p := start(t)
	p.role()
	dir := t.TempDir()
	code := func(n string) map[string]string {
		return map[string]string{"app.py": "def handler(e, c): return [" + n + ", c.function_version, c.invoked_function_arn]\n"}
	}
	p.create("hello", code("1"), spec{"Publish": true})
	if err := os.WriteFile(filepath.Join(dir, "two.zip"), zipOf(t, code("2")), 0o600); err != nil {
		t.Fatal(err)
	}
	arn := helloARN
	invoked := func(how, version, answer string) typed {
		return typed{line: `aws lambda invoke ` + how + ` --query '[StatusCode,ExecutedVersion]' --output text out.json && cat out.json`, is: "200\t" + version + "\n" + answer}
	}
	kept := map[string]string{}
	for _, s := range []typed{
		{line: `aws lambda update-function-code --function-name hello --zip-file fileb://two.zip --publish --query Version --output text`, is: "2"},
		{line: `aws lambda create-alias --function-name hello --name live --function-version 1 --description 'what all use' ` +
			`--query '[AliasArn,Name,FunctionVersion,Description,RoutingConfig]' --output text`, is: arn + ":live\tlive\t1\twhat all use\tNone"},
		{line: `aws lambda create-alias --function-name hello --name newest --function-version '$LATEST' --query FunctionVersion --output text`, is: "$LATEST"},
		{line: `aws lambda get-alias --function-name hello --name live --query RevisionId --output text`, keep: "REV"},

		// everywhere that a qualifier is
		invoked(`--function-name hello --qualifier live`, "1", `[1, "1", "`+arn+`:live"]`),
		invoked(`--function-name hello:live`, "1", `[1, "1", "`+arn+`:live"]`),
		invoked(`--function-name '`+arn+`:newest'`, "$LATEST", `[2, "$LATEST", "`+arn+`:newest"]`),
		{line: `aws lambda get-function --function-name hello --qualifier live --query 'Configuration.[FunctionArn,Version]' --output text`, is: arn + ":live\t1"},

		// weights
		{line: `aws lambda update-alias --function-name hello --name live --routing-config 'AdditionalVersionWeights={2=1}' --revision-id $REV ` +
			`--query 'RoutingConfig.AdditionalVersionWeights."2"' --output text`, is: "1.0"},
		invoked(`--function-name hello:live`, "2", `[2, "2", "`+arn+`:live"]`),
		{line: `aws lambda list-aliases --function-name hello --function-version 2 --query 'Aliases[].Name' --output text`, is: "live"},
		{line: `aws lambda delete-function --function-name hello --qualifier 2`, fail: true, has: []string{"(ResourceConflictException)", "Unable to delete version because the following aliases reference it: [live]"}},

		// permissions
		{line: `aws lambda add-permission --function-name hello --qualifier live --statement-id s3 --action lambda:InvokeFunction --principal s3.amazonaws.com ` +
			`--source-arn arn:aws:s3:::bucket --source-account 123456789012 --query Statement --output text`,
			is: `{"Sid":"s3","Effect":"Allow","Principal":{"Service":"s3.amazonaws.com"},"Action":"lambda:InvokeFunction","Resource":"` + arn + `:live",` +
				`"Condition":{"ArnLike":{"AWS:SourceArn":"arn:aws:s3:::bucket"},"StringEquals":{"AWS:SourceAccount":"123456789012"}}}`},
		{line: `aws lambda get-policy --function-name hello:live --query Policy --output text`, has: []string{`{"Version":"2012-10-17","Id":"default","Statement":[{"Sid":"s3",`}},
		{line: `aws lambda delete-alias --function-name hello --name live && aws lambda delete-alias --function-name hello --name live`},
		{line: `aws lambda get-alias --function-name hello --name live`, fail: true, has: []string{"(ResourceNotFoundException)", "Cannot find alias arn: " + arn + ":live"}},
		{line: `aws lambda create-alias --function-name hello --name live --function-version 2 --query Name --output text`, is: "live"},
		{line: `aws lambda get-policy --function-name hello:live`, fail: true, has: []string{"(ResourceNotFoundException)"}}, // it went with the alias

		// concurrency
		{line: `aws lambda put-function-concurrency --function-name hello --reserved-concurrent-executions 300 --query ReservedConcurrentExecutions`, is: "300"},
		{line: `aws lambda get-account-settings --query 'AccountLimit.[ConcurrentExecutions,UnreservedConcurrentExecutions]' --output text`, is: "1000\t700"},
		{line: `aws lambda put-function-concurrency --function-name hello --reserved-concurrent-executions 0 --query ReservedConcurrentExecutions`, is: "0"},
		{line: `aws lambda invoke --function-name hello out.json`, fail: true, has: []string{"(TooManyRequestsException)", "Rate Exceeded."}},
		{line: `aws lambda delete-function-concurrency --function-name hello`},
		{line: `aws lambda get-function-concurrency --function-name hello --output text`, is: "\n"},
		invoked(`--function-name hello:live`, "2", `[2, "2", "`+arn+`:live"]`),

		// what is stored for later
		{line: `aws lambda put-function-event-invoke-config --function-name hello --qualifier live --maximum-retry-attempts 0 --maximum-event-age-in-seconds 60 ` +
			`--destination-config 'OnFailure={Destination=arn:aws:sqs:us-east-1:000000000000:q}' --query '[FunctionArn,MaximumRetryAttempts,MaximumEventAgeInSeconds]' --output text`, is: arn + ":live\t0\t60"},
		{line: `aws lambda list-function-event-invoke-configs --function-name hello --query 'FunctionEventInvokeConfigs[].FunctionArn' --output text`, is: arn + ":live"},
		{line: `aws lambda get-function-recursion-config --function-name hello --query RecursiveLoop --output text`, is: "Terminate"},
	} {
		p.typed(dir, s, kept)
	}
}

// TestThrottleReason says why a call was turned away, in the member that SDKs read.
func TestThrottleReason(t *testing.T) {
	p := start(t)
	p.role()
	p.create("none", map[string]string{"app.py": "def handler(e, c): pass\n"}, nil)
	if resp, body := p.read(p.send("PUT", "lambda", "/2017-10-31/functions/none/concurrency", "application/json", []byte(`{"ReservedConcurrentExecutions":0}`))); resp.StatusCode != http.StatusOK {
		t.Fatal(body)
	}
	resp, body := p.read(p.send("POST", "lambda", functionsPath+"/none/invocations", "application/json", []byte(`{}`)))
	if resp.StatusCode != http.StatusTooManyRequests || resp.Header.Get("Retry-After") == "" ||
		body != `{"Reason":"ReservedFunctionConcurrentInvocationLimitExceeded","Type":"User","message":"Rate Exceeded."}` {
		t.Errorf("%d %v %s", resp.StatusCode, resp.Header, body)
	}
}

// TestBadAliases turns down what Lambda turns down about aliases, permissions and limits; nothing is written.
func TestBadAliases(t *testing.T) {
	p := start(t)
	p.role()
	p.create("there", map[string]string{"app.py": "def handler(e, c): return e\n"}, spec{"Publish": true})
	const there = functionsPath + "/there"
	for path, body := range map[string]string{there + "/aliases": `{"Name":"live","FunctionVersion":"1"}`, there + "/policy": `{"StatementId":"s","Action":"lambda:InvokeFunction","Principal":"*"}`} {
		if resp, answer := p.read(p.send("POST", "lambda", path, "application/json", []byte(body))); resp.StatusCode != http.StatusCreated {
			t.Fatal(answer)
		}
	}
	request := func(name, method, path, body string, status int, code string, has ...string) bad {
		return bad{name, func() (*http.Response, string) {
			return p.read(p.send(method, "lambda", path, "application/json", []byte(body)))
		}, status, code, has}
	}
	aliased := func(name, body string, status int, code string, has ...string) bad {
		return request(name, "POST", there+"/aliases", body, status, code, has...)
	}
	permit := func(name, more string, status int, code string, has ...string) bad {
		return request(name, "POST", there+"/policy", `{"StatementId":"t","Action":"lambda:InvokeFunction",`+more+`}`, status, code, has...)
	}
	const invalid, violates, missing, conflict = "InvalidParameterValueException", "ValidationException", "ResourceNotFoundException", "ResourceConflictException"
	p.refused(t, []bad{
		aliased("a version that is gone", `{"Name":"a","FunctionVersion":"9"}`, 404, missing, "Function not found: arn:aws:lambda:us-east-1:000000000000:function:there:9"),
		aliased("a second version that is gone", `{"Name":"a","FunctionVersion":"1","RoutingConfig":{"AdditionalVersionWeights":{"9":0.5}}}`, 404, missing, "there:9"),
		aliased("a name of digits", `{"Name":"12","FunctionVersion":"1"}`, 400, violates, "'12' at 'name'"),
		aliased("a name with a dot", `{"Name":"a.b","FunctionVersion":"1"}`, 400, violates, "'a.b' at 'name'"),
		aliased("a long name", `{"Name":"`+strings.Repeat("n", 129)+`","FunctionVersion":"1"}`, 400, violates, "'name'"),
		aliased("no version", `{"Name":"a"}`, 400, violates, "'functionVersion'"),
		aliased("an alias as version", `{"Name":"a","FunctionVersion":"live"}`, 400, violates, "'live' at 'functionVersion'"),
		aliased("another function's", `{"Name":"a","FunctionVersion":"$LATEST.PUBLISHED"}`, 400, invalid, "FunctionVersion"),
		aliased("a taken name", `{"Name":"live","FunctionVersion":"1"}`, 409, conflict, "there:live"),
		aliased("a weight above 1", `{"Name":"a","FunctionVersion":"1","RoutingConfig":{"AdditionalVersionWeights":{"2":1.5}}}`, 400, violates, "dditionalVersionWeights", "less than or equal to 1"),
		aliased("a weight below 0", `{"Name":"a","FunctionVersion":"1","RoutingConfig":{"AdditionalVersionWeights":{"2":-0.1}}}`, 400, violates, "dditionalVersionWeights", "greater than or equal to 0"),
		aliased("two weights", `{"Name":"a","FunctionVersion":"1","RoutingConfig":{"AdditionalVersionWeights":{"2":0.1,"3":0.1}}}`, 400, invalid, "AdditionalVersionWeights cannot be greater than 1"),
		aliased("a weight of itself", `{"Name":"a","FunctionVersion":"1","RoutingConfig":{"AdditionalVersionWeights":{"1":0.1}}}`, 400, invalid, "already included in routing configuration"),
		aliased("a weight of an alias", `{"Name":"a","FunctionVersion":"1","RoutingConfig":{"AdditionalVersionWeights":{"live":0.1}}}`, 400, violates, "dditionalVersionWeights"),
		aliased("a weight beside $LATEST", `{"Name":"a","FunctionVersion":"$LATEST","RoutingConfig":{"AdditionalVersionWeights":{"1":0.1}}}`, 400, invalid, "$LATEST is not supported"),
		request("alias of nobody", "POST", functionsPath+"/nobody/aliases", `{"Name":"a","FunctionVersion":"1"}`, 404, missing, "function:nobody"),
		request("alias of a version", "POST", there+"%3A1/aliases", `{"Name":"a","FunctionVersion":"1"}`, 400, invalid, "unqualified function ARN"),
		request("alias that isn't there", "GET", there+"/aliases/none", ``, 404, missing, "Cannot find alias arn", "there:none"),
		request("change of none", "PUT", there+"/aliases/none", `{"Description":"x"}`, 404, missing, "there:none"),
		request("change to no version", "PUT", there+"/aliases/live", `{"FunctionVersion":"9"}`, 404, missing, "there:9"),
		request("stale alias", "PUT", there+"/aliases/live", `{"RevisionId":"x"}`, 412, "PreconditionFailedException", "Revision Id"),
		request("deletion of what an alias serves", "DELETE", there+"?Qualifier=1", ``, 409, conflict, "[live]"),
		request("deletion of a version by alias", "DELETE", there+"?Qualifier=live", ``, 400, invalid, "Qualifier", "DeleteAlias"),
		request("two qualifiers", "GET", there+"%3A1?Qualifier=live", ``, 400, invalid, "derived qualifier"),
		request("code of an alias", "PUT", there+"%3Alive/code", `{"ZipFile":"eA=="}`, 400, invalid, "live"),
		request("bad ARN", "GET", functionsPath+"/arn%3Aaws%3Alambda%3Aus-east-1%3A12%3Afunction%3Athere", ``, 400, violates, "'functionName'"),

		permit("no principal", `"SourceAccount":"123456789012"`, 400, violates, "'principal'"),
		permit("a principal that is none", `"Principal":"somebody"`, 400, invalid, "principal was invalid"),
		permit("a bad source", `"Principal":"*","SourceArn":"bucket"`, 400, violates, "'bucket' at 'sourceArn'"),
		permit("a bad account", `"Principal":"*","SourceAccount":"12"`, 400, violates, "'sourceAccount'"),
		permit("a bad organisation", `"Principal":"*","PrincipalOrgID":"o-1"`, 400, violates, "'principalOrgID'"),
		permit("a URL's condition on calls", `"Principal":"*","FunctionUrlAuthType":"NONE"`, 400, invalid, "FunctionUrlAuthType"),
		permit("a bad action", `"Principal":"*","Action":"s3:GetObject"`, 400, violates, "'action'"),
		permit("stale policy", `"Principal":"*","RevisionId":"x"`, 412, "PreconditionFailedException", "Revision Id"),
		permit("a taken id", `"Principal":"*","StatementId":"s"`, 409, conflict, "(s)"),
		request("permission of $LATEST", "POST", there+"/policy?Qualifier=%24LATEST", `{"StatementId":"t","Action":"lambda:InvokeFunction","Principal":"*"}`, 400, invalid, "$LATEST"),
		request("permission of no version", "POST", there+"/policy?Qualifier=7", `{"StatementId":"t","Action":"lambda:InvokeFunction","Principal":"*"}`, 404, missing, "there:7"),
		request("end of no statement", "DELETE", there+"/policy/none", ``, 404, missing, "Statement none is not found"),
		request("stale end", "DELETE", there+"/policy/s?RevisionId=x", ``, 412, "PreconditionFailedException", "Revision Id"),
		request("end of no policy", "DELETE", there+"/policy/s?Qualifier=live", ``, 404, missing, "No policy is associated"),

		request("all of the account", "PUT", "/2017-10-31/functions/there/concurrency", `{"ReservedConcurrentExecutions":901}`, 400, invalid, "below its minimum value of [100]"),
		request("less than none", "PUT", "/2017-10-31/functions/there/concurrency", `{"ReservedConcurrentExecutions":-1}`, 400, violates, "'reservedConcurrentExecutions'"),
		request("an alias's own", "PUT", "/2017-10-31/functions/there%3Alive/concurrency", `{"ReservedConcurrentExecutions":1}`, 400, invalid, "Aliases and versions do not support"),
		request("provisioned for $LATEST", "GET", "/2019-09-30/functions/there/provisioned-concurrency?Qualifier=%24LATEST", ``, 400, invalid, "alias or a published version"),
		request("provisioned", "GET", "/2019-09-30/functions/there/provisioned-concurrency?Qualifier=live", ``, 404, "ProvisionedConcurrencyConfigNotFoundException", "No Provisioned Concurrency Config"),

		request("no setting", "PUT", "/2019-09-25/functions/there/event-invoke-config", `{}`, 400, invalid, "at least one of"),
		request("many tries", "PUT", "/2019-09-25/functions/there/event-invoke-config", `{"MaximumRetryAttempts":3}`, 400, violates, "'maximumRetryAttempts'"),
		request("a short life", "PUT", "/2019-09-25/functions/there/event-invoke-config", `{"MaximumEventAgeInSeconds":59}`, 400, violates, "'maximumEventAgeInSeconds'"),
		request("a destination that is none", "PUT", "/2019-09-25/functions/there/event-invoke-config", `{"DestinationConfig":{"OnSuccess":{"Destination":"arn:aws:iam::000000000000:role/x"}}}`, 400, invalid, "DestinationConfig.OnSuccess.Destination"),
		request("itself as destination", "PUT", "/2019-09-25/functions/there/event-invoke-config", `{"DestinationConfig":{"OnFailure":{"Destination":"arn:aws:lambda:us-east-1:000000000000:function:there"}}}`, 400, invalid, "destination for itself"),
		request("change of no setting", "POST", "/2019-09-25/functions/there/event-invoke-config", `{"MaximumRetryAttempts":1}`, 404, missing, "doesn't have an EventInvokeConfig"),
		request("settings of no version", "PUT", "/2019-09-25/functions/there/event-invoke-config?Qualifier=9", `{"MaximumRetryAttempts":1}`, 404, missing, "there:9"),
		request("a runtime of its own", "PUT", "/2021-07-20/functions/there/runtime-management-config", `{"UpdateRuntimeOn":"FunctionUpdate"}`, 400, invalid, "UpdateRuntimeOn"),
		request("tags of an alias", "POST", "/2017-03-31/tags/arn%3Aaws%3Alambda%3Aus-east-1%3A000000000000%3Afunction%3Athere%3Alive", `{"Tags":{"a":"b"}}`, 400, invalid, "aliases and versions"),
		request("an own tag that is not known", "POST", "/2017-03-31/tags/arn%3Aaws%3Alambda%3Aus-east-1%3A000000000000%3Afunction%3Athere", `{"Tags":{"Artesian:inet":"off"}}`, 400, invalid, "Artesian:inet", "artesian:internet"),
		request("tags of a mapping", "GET", "/2017-03-31/tags/arn%3Aaws%3Alambda%3Aus-east-1%3A000000000000%3Aevent-source-mapping%3A11111111-2222-3333-4444-555555555555", ``, 404, missing, "event-source-mapping"),
	})

	t.Run("a policy of 20 KB", func(t *testing.T) {
		said := ""
		for i := 0; i < 200 && said == ""; i++ {
			resp, body := p.read(p.send("POST", "lambda", there+"/policy", "application/json", []byte(`{"StatementId":"`+strings.Repeat("x", 90)+string(rune('a'+i%26))+string(rune('a'+i/26))+
				`","Action":"lambda:InvokeFunction","Principal":"s3.amazonaws.com","SourceArn":"arn:aws:s3:::`+strings.Repeat("b", 200)+`"}`)))
			if resp.StatusCode != http.StatusCreated {
				said = resp.Header.Get("X-Amzn-Errortype") + " " + body
			}
		}
		mustContain(t, "the answer", said, "PolicyLengthExceededException", "bigger than the limit (20480)")
	})
}
