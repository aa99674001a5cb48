package app_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"artesian/internal/app"
	"artesian/internal/door/gateway/admin"
)

// provisioned is what GetProvisionedConcurrencyConfig answers.
type provisioned struct {
	Requested int `json:"RequestedProvisionedConcurrentExecutions"`
	Allocated int `json:"AllocatedProvisionedConcurrentExecutions"`
	Available int `json:"AvailableProvisionedConcurrentExecutions"`
	Status    string
	Reason    string `json:"StatusReason"`
}

func provisionPath(name, qualifier string) string {
	return "/2019-09-30/functions/" + name + "/provisioned-concurrency?Qualifier=" + qualifier
}

func (p *platform) call(method, path, body string, want int) string {
	p.t.Helper()
	resp, answer := p.read(p.send(method, "lambda", path, "application/json", []byte(body)))
	if resp.StatusCode != want {
		p.t.Fatalf("%s %s: %s: %s", method, path, resp.Status, answer)
	}
	return answer
}

func (p *platform) provision(name, qualifier string, n int) {
	p.t.Helper()
	p.call("PUT", provisionPath(name, qualifier), fmt.Sprintf(`{"ProvisionedConcurrentExecutions":%d}`, n), http.StatusAccepted)
}

// provisionIs waits for the state of a function's provisioned concurrency.
func (p *platform) provisionIs(name, qualifier, status string) (now provisioned) {
	p.t.Helper()
	eventually(p.t, name+":"+qualifier+" is "+status, func() bool {
		now = provisioned{}
		if err := json.Unmarshal([]byte(p.call("GET", provisionPath(name, qualifier), "", http.StatusOK)), &now); err != nil {
			p.t.Fatal(err)
		}
		return now.Status == status
	})
	return now
}

// tells answers its version and how its instance was made, slowly where it is the first call of an instance.
func tells(slow string) map[string]string {
	return map[string]string{"app.py": "import os, time\ntime.sleep(" + slow + ")\ndef handler(e, c):\n" +
		"  time.sleep(e.get('takes', 0))\n  return [c.function_version, os.environ['AWS_LAMBDA_INITIALIZATION_TYPE']]\n"}
}

// TestCLIProvisioned types what the developer guide does with provisioned concurrency
// (https://docs.aws.amazon.com/lambda/latest/dg/provisioned-concurrency.html).
func TestCLIProvisioned(t *testing.T) {
	t.Parallel()
	needsCLI(t)
	p := start(t)
	p.role()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "two.zip"), zipOf(t, tells("0.1")), 0o600); err != nil {
		t.Fatal(err)
	}
	p.create("hello", tells("0"), spec{"Publish": true})
	const put, get = `aws lambda put-provisioned-concurrency-config --function-name hello `, `aws lambda get-provisioned-concurrency-config --function-name hello `
	const three = `[RequestedProvisionedConcurrentExecutions,AllocatedProvisionedConcurrentExecutions,AvailableProvisionedConcurrentExecutions,Status]`
	kept := map[string]string{}
	for _, s := range []typed{
		{line: put + `--qualifier '$LATEST' --provisioned-concurrent-executions 1`, fail: true, has: []string{"(InvalidParameterValueException)", "cannot be applied to unpublished function versions"}},
		{line: put + `--qualifier 1 --provisioned-concurrent-executions 2 --query '` + three + `' --output text`, is: "2\t0\t0\tIN_PROGRESS"},
		{line: `until ` + get + `--qualifier 1 --query Status --output text | grep -q READY; do :; done`},
		{line: get + `--qualifier 1 --query '` + three + `' --output text`, is: "2\t2\t2\tREADY"},
		{line: `aws lambda invoke --function-name hello:1 --payload '{}' out.json --query ExecutedVersion --output text && cat out.json`, is: "1\n" + `["1", "provisioned-concurrency"]`},
		{line: `aws lambda invoke --function-name hello --payload '{}' out.json --query ExecutedVersion --output text && cat out.json`, is: "$LATEST\n" + `["$LATEST", "on-demand"]`},
		{line: `aws lambda get-account-settings --query 'AccountLimit.UnreservedConcurrentExecutions'`, is: "998"},

		// on an alias and its version
		{line: `aws lambda create-alias --function-name hello --name live --function-version 1 --query Name --output text`, is: "live"},
		{line: put + `--qualifier live --provisioned-concurrent-executions 1`, fail: true, has: []string{"(ResourceConflictException)", "on an already Provisioned version"}},
		{line: `aws lambda delete-provisioned-concurrency-config --function-name hello --qualifier 1`},
		{line: get + `--qualifier 1`, fail: true, has: []string{"(ProvisionedConcurrencyConfigNotFoundException)", "No Provisioned Concurrency Config found for this function"}},
		{line: put + `--qualifier live --provisioned-concurrent-executions 3 --query Status --output text`, is: "IN_PROGRESS"},
		{line: put + `--qualifier 1 --provisioned-concurrent-executions 1`, fail: true, has: []string{"(ResourceConflictException)", "Version is pointed by a Provisioned Concurrency alias"}},
		{line: `aws lambda update-alias --function-name hello --name live --function-version '$LATEST'`, fail: true, has: []string{"(InvalidParameterValueException)", "unpublished"}},
		{line: `until ` + get + `--qualifier live --query Status --output text | grep -q READY; do :; done`},
		{line: `aws lambda list-provisioned-concurrency-configs --function-name hello --query 'ProvisionedConcurrencyConfigs[].[FunctionArn,RequestedProvisionedConcurrentExecutions,Status]' --output text`,
			is: helloARN + ":live\t3\tREADY"},

		// limits
		{line: `aws lambda put-function-concurrency --function-name hello --reserved-concurrent-executions 2`, fail: true, has: []string{"total provisioned concurrency [3]"}},
		{line: `aws lambda put-function-concurrency --function-name hello --reserved-concurrent-executions 5 --query ReservedConcurrentExecutions`, is: "5"},
		{line: put + `--qualifier live --provisioned-concurrent-executions 6`, fail: true, has: []string{"(InvalidParameterValueException)", "should not be greater than the reservedConcurrentExecution"}},
		{line: `aws lambda delete-function-concurrency --function-name hello`},
		{line: put + `--qualifier live --provisioned-concurrent-executions 901`, fail: true, has: []string{"(InvalidParameterValueException)", "below its minimum value of [100]"}},
		{line: put + `--qualifier live --provisioned-concurrent-executions 2000`, fail: true, has: []string{"(InvalidParameterValueException)", "greater than account's unreserved concurrency"}},
		{line: put + `--qualifier live --provisioned-concurrent-executions 0`, fail: true, has: []string{"rovisioned"}},

		// weights, and the end
		{line: `aws lambda update-function-code --function-name hello --zip-file fileb://two.zip --publish --query Version --output text`, is: "2"},
		{line: `aws lambda update-alias --function-name hello --name live --routing-config 'AdditionalVersionWeights={2=0.5}' --query Name --output text`, is: "live"},
		{line: put + `--qualifier live --provisioned-concurrent-executions 2`, fail: true, has: []string{"(InvalidParameterValueException)", "Alias with weights can not be used with Provisioned Concurrency"}},
		{line: `until ` + get + `--qualifier live --query Status --output text | grep -q READY; do :; done`},
		{line: `aws lambda delete-alias --function-name hello --name live`},
		{line: `aws lambda list-provisioned-concurrency-configs --function-name hello --query 'length(ProvisionedConcurrencyConfigs)'`, is: "0"},
	} {
		p.typed(dir, s, kept)
	}
	eventually(t, "nothing is kept of an alias that is gone", func() bool { return p.held("hello") == 0 })
}

// held counts a function's instances that are kept ready.
func (p *platform) held(name string) (n int) {
	var ps admin.PS
	p.get(admin.PSPath, &ps)
	for _, i := range ps.Instances {
		if i.Function == name && i.Provisioned {
			n++
		}
	}
	return n
}

// TestAliasMovesWithoutAGap: while an alias goes from one version to the next, no call meets an instance that was not ready.
func TestAliasMovesWithoutAGap(t *testing.T) {
	p := start(t)
	p.role()
	p.create("f", tells("0"), spec{"Publish": true, "MemorySize": 1769})
	p.call("POST", functionsPath+"/f/aliases", `{"Name":"live","FunctionVersion":"1"}`, http.StatusCreated)
	p.provision("f", "live", 2)
	p.provisionIs("f", "live", "READY")
	p.update("f", tells("1"))
	p.call("POST", functionsPath+"/f/versions", `{}`, http.StatusCreated)
	p.call("PUT", functionsPath+"/f/aliases/live", `{"FunctionVersion":"2"}`, http.StatusOK)
	var answers []string
	eventually(t, "calls go to the new version", func() bool {
		a := p.invoke("f:live", `{}`)
		answers = append(answers, a.body)
		return strings.Contains(a.body, `["2",`)
	})
	if !strings.Contains(answers[0], `["1",`) {
		t.Errorf("the first call after the update was answered by %s: the new version can't have been ready", answers[0])
	}
	for _, a := range answers {
		if !strings.Contains(a, "provisioned-concurrency") {
			t.Errorf("%s of %d answers", a, len(answers))
		}
	}
	eventually(t, "the old version's instances are gone", func() bool { return p.held("f") == 2 })

	// half of the calls each
	p.update("f", tells("0.5"))
	p.call("POST", functionsPath+"/f/versions", `{}`, http.StatusCreated)
	p.call("PUT", functionsPath+"/f/aliases/live", `{"RoutingConfig":{"AdditionalVersionWeights":{"3":0.5}}}`, http.StatusOK)
	versions := map[string]bool{}
	eventually(t, "calls go to both", func() bool {
		a := p.invoke("f:live", `{}`)
		if !strings.Contains(a.body, "provisioned-concurrency") {
			t.Errorf("%s", a.body)
		}
		versions[a.body] = true
		return len(versions) == 2
	})
}

// TestProvisionedSurvivesKill: what was asked for is there again after a daemon that was killed.
func TestProvisionedSurvivesKill(t *testing.T) {
	t.Parallel()
	data := filepath.Join(t.TempDir(), "data")
	c := launch(t, data)
	c.role()
	c.create("f", tells("0"), spec{"Publish": true})
	c.provision("f", "1", 3)
	c.kill()
	c = launch(t, data)
	defer c.cleanUp()
	if now := c.provisionIs("f", "1", "READY"); now.Requested != 3 || now.Available != 3 || now.Allocated != 3 {
		t.Errorf("%+v", now)
	}
	c.kill()
	c = launch(t, data)
	c.provisionIs("f", "1", "READY")
	if a := c.invoke("f:1", `{}`); a.body != `["1", "provisioned-concurrency"]` {
		t.Errorf("%+v", a)
	}
	c.call("DELETE", provisionPath("f", "1"), "", http.StatusNoContent)
	c.kill()
	c = launch(t, data)
	c.call("GET", provisionPath("f", "1"), "", http.StatusNotFound)
	c.cleanUp()
}

// TestProvisionedIsBilled: memory that is kept ready is in the bill for as long as it is there and not longer, and what it serves has
// its own price.
func TestProvisionedIsBilled(t *testing.T) {
	p := start(t)
	p.role()
	p.create("f", tells("0"), spec{"Publish": true})
	p.provision("f", "1", 2)
	p.provisionIs("f", "1", "READY")
	if a := p.invoke("f:1", `{}`); !strings.Contains(a.body, "provisioned-concurrency") {
		t.Fatalf("%+v", a)
	}
	p.call("DELETE", provisionPath("f", "1"), "", http.StatusNoContent)
	eventually(t, "they are gone", func() bool { return p.held("f") == 0 })
	var cost admin.Cost
	calls, kept := int64(1), 0.0
	eventually(t, "the bill has what was kept, and no more with every call", func() bool {
		p.invoke("f:1", `{}`) // on demand
		calls++
		eventually(t, "the call is in the bill", func() bool { p.get(admin.CostPath, &cost); return cost.Total.Calls == calls })
		before := kept
		kept = cost.Total.Provisioned
		return kept > 0 && kept == before
	})
	if len(cost.Rows) != 1 || cost.Rows[0].Function != "f" || cost.Rows[0].Provisioned != kept || cost.Total.GBSeconds <= 0 {
		t.Errorf("%+v", cost)
	}
}

// TestProvisionedThatFails says why, and what is there is used.
func TestProvisionedThatFails(t *testing.T) {
	p := start(t, func(c *app.Config) { c.MemoryMB = 512 })
	p.role()
	p.create("broken", map[string]string{"app.py": "raise ValueError('no')\n"}, spec{"Publish": true})
	p.provision("broken", "1", 1)
	if now := p.provisionIs("broken", "1", "FAILED"); now.Reason != "FUNCTION_ERROR_INIT_FAILURE" || now.Available != 0 {
		t.Errorf("%+v", now)
	}
	p.call("DELETE", functionsPath+"/broken", "", http.StatusNoContent)
	p.create("large", tells("0"), spec{"Publish": true, "MemorySize": 200})
	p.provision("large", "1", 3)
	if now := p.provisionIs("large", "1", "FAILED"); !strings.Contains(now.Reason, "memory") || now.Available != 2 {
		t.Errorf("%+v", now)
	}
	if a := p.invoke("large:1", `{}`); a.body != `["1", "provisioned-concurrency"]` {
		t.Errorf("%+v", a)
	}
	p.provision("large", "1", 2)
	p.provisionIs("large", "1", "READY")
	p.call("DELETE", functionsPath+"/large", "", http.StatusNoContent)
	eventually(t, "a deleted function keeps nothing", func() bool { return p.instances("large") == 0 })
}

// TestSpillover: calls beyond what is ready are served on demand, and what is ready stays.
func TestSpillover(t *testing.T) {
	p := start(t)
	p.role()
	p.create("f", tells("0"), spec{"Publish": true})
	p.provision("f", "1", 1)
	p.provisionIs("f", "1", "READY")
	answers := make(chan string)
	for range 2 {
		go func() { answers <- p.invoke("f:1", `{"takes":1}`).body }()
	}
	got := []string{<-answers, <-answers}
	slices.Sort(got)
	if got[0] != `["1", "on-demand"]` || got[1] != `["1", "provisioned-concurrency"]` {
		t.Errorf("%v", got)
	}
	if n := p.held("f"); n != 1 {
		t.Errorf("%d are kept ready", n)
	}
	p.metrics(t, map[string]bool{
		"# TYPE artesian_provisioned_invocations_total counter\nartesian_provisioned_invocations_total 1\n": true,
		"artesian_provisioned_spillover_total 1\n":                                                          true,
		`artesian_provisioned_instances{state="wanted"} 1`:                                                  true,
		`artesian_provisioned_instances{state="busy"} 0`:                                                    true,
	})
}
