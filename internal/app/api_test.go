package app_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"

	"artesian/internal/app"
	"artesian/internal/door/gateway/admin"
)

// tenant is an account in a region, seen through its own key.
type tenant struct {
	p               *platform
	creds           aws.Credentials
	account, region string
}

func (n tenant) call(method, service, path, contentType, body string, header ...string) (*http.Response, string) {
	n.p.t.Helper()
	return n.p.read(send(n.p.t, n.p.url, n.creds, n.region, method, service, path, contentType, []byte(body), header...))
}

func (n tenant) must(status int, method, service, path, body string) string {
	n.p.t.Helper()
	contentType := "application/json"
	if service == "iam" {
		contentType = "application/x-www-form-urlencoded"
	}
	resp, answer := n.call(method, service, path, contentType, body)
	if resp.StatusCode != status {
		n.p.t.Fatalf("%s %s in %s %s: %d: %s", method, path, n.account, n.region, resp.StatusCode, answer)
	}
	return answer
}

func (n tenant) arn(name string) string {
	return "arn:aws:lambda:" + n.region + ":" + n.account + ":function:" + name
}

// functions lists the ARNs of what a tenant sees.
func (n tenant) functions() []string {
	n.p.t.Helper()
	var list struct {
		Functions []struct{ FunctionArn string }
	}
	if err := json.Unmarshal([]byte(n.must(200, "GET", "lambda", functionsPath, "")), &list); err != nil {
		n.p.t.Fatal(err)
	}
	var arns []string
	for _, f := range list.Functions {
		arns = append(arns, f.FunctionArn)
	}
	return arns
}

// TestScopesApart: the same name in two regions and in another account is three functions, of which nobody sees another's.
func TestScopesApart(t *testing.T) {
	const other = "111122223333"
	p := start(t)
	first := p.creds
	p.stop()
	data := p.data
	p = start(t, func(c *app.Config) { c.Data, c.Account = data, other })
	east := tenant{p, first, "000000000000", "us-east-1"}
	west := tenant{p, first, "000000000000", "eu-west-1"}
	away := tenant{p, p.creds, other, "us-east-1"}

	const trust = "&AssumeRolePolicyDocument=%7B%22Version%22%3A%222012-10-17%22%2C%22Statement%22%3A%5B%7B%22Effect%22%3A%22Allow%22%2C%22Principal%22%3A%7B%22Service%22%3A%22lambda.amazonaws.com%22%7D%2C%22Action%22%3A%22sts%3AAssumeRole%22%7D%5D%7D"
	west.must(200, "POST", "iam", "/", "Action=CreateRole&Version=2010-05-08&RoleName=test"+trust) // roles are of no region
	zip := base64.StdEncoding.EncodeToString(zipOf(t, map[string]string{"app.py": "import os\ndef handler(e, c):\n  return [os.environ['WHERE'], os.environ['AWS_REGION'], c.invoked_function_arn]\n"}))
	function := func(n tenant, where string) string {
		b, _ := json.Marshal(spec{"FunctionName": "same", "Runtime": "python3.11", "Handler": "app.handler", "Role": "arn:aws:iam::" + n.account + ":role/test",
			"Code": spec{"ZipFile": zip}, "Environment": spec{"Variables": spec{"WHERE": where}}})
		return string(b)
	}
	if resp, body := away.call("POST", "lambda", functionsPath, "application/json", function(away, "away")); resp.StatusCode != 400 {
		t.Errorf("another account's role of the same name served: %d %s", resp.StatusCode, body)
	}
	away.must(200, "POST", "iam", "/", "Action=CreateRole&Version=2010-05-08&RoleName=test"+trust)
	all := map[string]tenant{"east": east, "west": west, "away": away}
	ids := map[string]string{}
	for where, n := range all {
		n.must(201, "POST", "lambda", functionsPath, function(n, where))
	}
	for where, n := range all {
		resp, body := n.call("POST", "lambda", functionsPath+"/same/invocations", "application/json", "{}")
		if want := fmt.Sprintf("[%q, %q, %q]", where, n.region, n.arn("same")); body != want {
			t.Errorf("got %s, want %s", body, want)
		}
		ids[where] = resp.Header.Get("X-Amzn-Requestid")
		if got := n.functions(); !slices.Equal(got, []string{n.arn("same")}) {
			t.Errorf("%s sees %v", where, got)
		}
	}
	for where, n := range all {
		for of, id := range ids {
			want := map[bool]int{true: 200, false: 404}[of == where]
			status := 0
			eventually(t, "receipts are there", func() bool {
				resp, _ := n.call("GET", admin.Service, admin.ReceiptsPath+id, "", "")
				status = resp.StatusCode
				return status == want
			})
		}
		var ps admin.PS
		if err := json.Unmarshal([]byte(n.must(200, "GET", admin.Service, admin.PSPath, "")), &ps); err != nil || len(ps.Instances) != 1 {
			t.Errorf("%s sees the instances %+v, %v", where, ps, err)
		}
		groups := ""
		eventually(t, "a log group", func() bool {
			_, groups = n.call("POST", "logs", "/", "application/x-amz-json-1.1", "{}", "X-Amz-Target", "Logs_20140328.DescribeLogGroups")
			return strings.Contains(groups, "arn:aws:logs:"+n.region+":"+n.account+":log-group:/aws/lambda/same")
		})
		if strings.Count(groups, `"logGroupName"`) != 1 {
			t.Errorf("%s sees the log groups %s", where, groups)
		}
	}
	if resp, body := away.call("POST", "lambda", functionsPath+"/"+strings.ReplaceAll(east.arn("same"), ":", "%3A")+"/invocations", "", "{}"); resp.StatusCode != 403 {
		t.Errorf("another account's function was called: %d %s", resp.StatusCode, body)
	}
	west.must(204, "DELETE", "lambda", functionsPath+"/same", "")
	if e, w, a := east.functions(), west.functions(), away.functions(); len(e) != 1 || len(w) != 0 || len(a) != 1 {
		t.Errorf("after the deletion in one region: %v %v %v", e, w, a)
	}
}

// TestDeletionStopsInstances: what was deleted does not run on, idle, published or not; what is running ends well.
func TestDeletionStopsInstances(t *testing.T) {
	p := start(t)
	p.role()
	p.create("f", map[string]string{"app.py": "import time\ndef handler(e, c):\n  time.sleep(e)\n  return c.function_version\n"}, spec{"Publish": true, "Timeout": 10})
	for name, want := range map[string]string{"f": `"$LATEST"`, "f%3A1": `"1"`} {
		if a := p.invoke(name, `0`); a.body != want {
			t.Fatalf("%+v", a)
		}
	}
	if n := p.instances("f"); n != 2 {
		t.Fatalf("%d instances", n)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		if a := p.invoke("f%3A1", `1`); a.body != `"1"` {
			t.Errorf("the call that was running: %+v", a)
		}
	})
	eventually(t, "a running call", func() bool {
		var ps admin.PS
		p.get(admin.PSPath, &ps)
		return slices.ContainsFunc(ps.Instances, func(i admin.Instance) bool { return i.State == "busy" })
	})
	if resp, body := p.read(p.send("DELETE", "lambda", functionsPath+"/f", "", nil)); resp.StatusCode != 204 {
		t.Fatal(body)
	}
	wg.Wait()
	eventually(t, "no instance", func() bool { return p.instances("f") == 0 })
}

// TestMetadata holds what an invocation's answer says beside its payload.
func TestMetadata(t *testing.T) {
	p := start(t)
	p.role()
	p.create("talk", map[string]string{"app.py": `
import logging, os
log = logging.getLogger()
log.setLevel('DEBUG')
def handler(e, c):
    for i in range(e.get('lines', 0)):
        print('line %06d %s' % (i, 'x' * 80))
    log.warning('warned')
    log.info('told')
    if 'fail' in e:
        raise ValueError(e['fail'])
    return [c.aws_request_id, os.environ['AWS_LAMBDA_FUNCTION_VERSION'], os.environ['_X_AMZN_TRACE_ID'].split('=')[0]]
`}, spec{"Publish": true, "Timeout": 10})
	call := func(header ...string) (*http.Response, string) {
		return p.read(p.send("POST", "lambda", functionsPath+"/talk/invocations", "application/json", []byte(`{"lines":2000}`), header...))
	}

	t.Run("headers", func(t *testing.T) {
		resp, body := call()
		if want := fmt.Sprintf(`[%q, "$LATEST", "Root"]`, resp.Header.Get("X-Amzn-Requestid")); body != want {
			t.Errorf("got %s, want %s", body, want)
		}
		for name, want := range map[string]string{"X-Amz-Executed-Version": "$LATEST", "Content-Type": "application/json", "X-Amz-Function-Error": "", "X-Amz-Log-Result": ""} {
			if got := resp.Header.Get(name); got != want {
				t.Errorf("%s is %q, want %q", name, got, want)
			}
		}
		resp, body = p.read(p.send("POST", "lambda", functionsPath+"/talk%3A1/invocations", "application/json", []byte(`{"fail":"so"}`)))
		if resp.Header.Get("X-Amz-Executed-Version") != "1" || resp.Header.Get("X-Amz-Function-Error") != "Unhandled" || resp.StatusCode != 200 || jsonField(t, body, "errorMessage") != "so" {
			t.Errorf("%v %s", resp.Header, body)
		}
	})

	t.Run("the log's last 4 KiB", func(t *testing.T) {
		resp, _ := call("X-Amz-Log-Type", "Tail")
		log, err := base64.StdEncoding.DecodeString(resp.Header.Get("X-Amz-Log-Result"))
		if err != nil || len(log) > 4096 || len(log) < 3900 {
			t.Fatalf("%d bytes, %v", len(log), err)
		}
		mustContain(t, "log", string(log), "line 001999 ", "told", "END RequestId: ", "\nREPORT RequestId: "+resp.Header.Get("X-Amzn-Requestid"))
		if strings.Contains(string(log), "START RequestId") {
			t.Errorf("the log's beginning is there: %s", log)
		}
		if resp, _ := call("X-Amz-Log-Type", "None"); resp.Header.Get("X-Amz-Log-Result") != "" {
			t.Error("a log that nobody asked for")
		}
	})

	t.Run("the initialisation's log", func(t *testing.T) {
		for _, tail := range []string{"Tail", "None"} {
			name := "slow-init-" + tail
			p.create(name, map[string]string{"app.py": "import time\nprint('begun')\ntime.sleep(0.3)\ndef handler(e, c):\n  print('called')\n"}, nil)
			first := p.invoke(name, `{}`, "X-Amz-Log-Type", tail)
			if want := "begun\nSTART RequestId: " + first.id + " Version: $LATEST\ncalled\n"; tail == "Tail" && !strings.HasPrefix(first.log, want) || tail == "None" && first.log != "" {
				t.Errorf("log %q", first.log)
			}
			if second := p.invoke(name, `{}`); !strings.HasPrefix(second.log, "START RequestId: "+second.id) {
				t.Errorf("log of the second call %q", second.log)
			}
		}
	})

	t.Run("JSON", func(t *testing.T) { p.jsonLogs(t) })
}

// jsonLogs has a function log JSON: the platform's events follow the telemetry schema
// (https://docs.aws.amazon.com/lambda/latest/dg/telemetry-schema-reference.html), and levels are heeded
// (https://docs.aws.amazon.com/lambda/latest/dg/monitoring-cloudwatchlogs-log-level.html).
func (p *platform) jsonLogs(t *testing.T) {
	events := func(logging spec) (types []string, byType map[string]map[string]any, id string) {
		t.Helper()
		b, _ := json.Marshal(spec{"LoggingConfig": logging})
		if resp, body := p.read(p.send("PUT", "lambda", functionsPath+"/talk/configuration", "application/json", b)); resp.StatusCode != 200 {
			t.Fatal(body)
		}
		a := p.invoke("talk", `{}`)
		byType = map[string]map[string]any{}
		for line := range strings.Lines(a.log) {
			var event map[string]any
			if err := json.Unmarshal([]byte(line), &event); err != nil {
				t.Fatalf("not JSON: %s", line)
			}
			kind, ok := event["type"].(string)
			if !ok {
				kind = fmt.Sprint(event["level"], " ", event["message"])
			}
			types, byType[kind] = append(types, kind), event
		}
		return types, byType, a.id
	}
	types, byType, id := events(spec{"LogFormat": "JSON", "LogGroup": "json-logs"})
	if want := []string{"platform.start", "WARNING warned", "INFO told", "platform.report"}; !slices.Equal(types, want) {
		t.Errorf("got %v, want %v", types, want)
	}
	if e := byType["WARNING warned"]; e["requestId"] != id || e["timestamp"] == nil || e["logger"] != "root" {
		t.Errorf("%v", e)
	}
	if r := byType["platform.start"]["record"].(map[string]any); r["requestId"] != id || r["version"] != "$LATEST" {
		t.Errorf("%v", r)
	}
	r := byType["platform.report"]["record"].(map[string]any)
	metrics := r["metrics"].(map[string]any)
	if r["requestId"] != id || r["status"] != "success" || metrics["memorySizeMB"] != 128.0 || metrics["durationMs"].(float64) <= 0 ||
		metrics["billedDurationMs"].(float64) < 1 || metrics["initDurationMs"].(float64) <= 0 || metrics["maxMemoryUsedMB"].(float64) < 1 {
		t.Errorf("%v", r)
	}
	if types, _, _ := events(spec{"LogFormat": "JSON", "SystemLogLevel": "WARN", "ApplicationLogLevel": "WARN"}); !slices.Equal(types, []string{"WARNING warned"}) {
		t.Errorf("from WARN on: %v", types)
	}
	types, _, _ = events(spec{"LogFormat": "JSON", "SystemLogLevel": "DEBUG", "ApplicationLogLevel": "ERROR"})
	if !slices.Contains(types, "platform.runtimeDone") || slices.Contains(types, "WARNING warned") {
		t.Errorf("all of the platform's, errors of the function's: %v", types)
	}
	eventually(t, "events in the group that was named", func() bool {
		_, body := p.read(p.send("POST", "logs", "/", "application/x-amz-json-1.1", []byte(`{"logGroupName":"json-logs"}`), "X-Amz-Target", "Logs_20140328.FilterLogEvents"))
		return strings.Contains(body, "platform.report") && strings.Contains(body, id)
	})
}

// TestConcurrentChanges lets many change one function at once: of those that name the same revision one wins, and what it
// said is what is there.
func TestConcurrentChanges(t *testing.T) {
	p := start(t)
	p.role()
	p.create("f", map[string]string{"app.py": "def handler(e, c): return e\n"}, nil)
	_, body := p.read(p.send("GET", "lambda", functionsPath+"/f/configuration", "", nil))
	revision := jsonField(t, body, "RevisionId").(string)
	for _, c := range []struct {
		name     string
		more     spec
		least    int
		most     int
		losers   []string
		parallel int
	}{
		{"with the same revision", spec{"RevisionId": revision}, 1, 1, []string{"PreconditionFailedException", "ResourceConflictException"}, 24},
		{"without a revision", nil, 1, 24, []string{"ResourceConflictException"}, 24},
	} {
		t.Run(c.name, func(t *testing.T) {
			var wg sync.WaitGroup
			var mu sync.Mutex
			won := map[string]string{} // revision → description
			for i := range c.parallel {
				wg.Go(func() {
					in := spec{"Description": fmt.Sprint(i)}
					maps.Copy(in, c.more)
					b, _ := json.Marshal(in)
					resp, body := p.read(p.send("PUT", "lambda", functionsPath+"/f/configuration", "application/json", b))
					mu.Lock()
					defer mu.Unlock()
					if resp.StatusCode == http.StatusOK {
						won[jsonField(t, body, "RevisionId").(string)] = fmt.Sprint(i)
					} else if code := resp.Header.Get("X-Amzn-Errortype"); !slices.Contains(c.losers, code) {
						t.Errorf("%d %s: %s", resp.StatusCode, code, body)
					}
				})
			}
			wg.Wait()
			_, body := p.read(p.send("GET", "lambda", functionsPath+"/f/configuration", "", nil))
			if len(won) < c.least || len(won) > c.most {
				t.Errorf("%d won", len(won))
			}
			if d := jsonField(t, body, "Description"); d != won[jsonField(t, body, "RevisionId").(string)] {
				t.Errorf("there is %v; won have %v", d, won)
			}
		})
	}
	t.Run("creation", func(t *testing.T) {
		var wg sync.WaitGroup
		var mu sync.Mutex
		statuses := map[int]int{}
		for range 12 {
			wg.Go(func() {
				resp, _ := p.tryCreate("once", zipOf(t, map[string]string{"app.py": "x = 1\n"}), nil)
				mu.Lock()
				defer mu.Unlock()
				statuses[resp.StatusCode]++
			})
		}
		wg.Wait()
		if statuses[201] != 1 || statuses[409] != 11 {
			t.Errorf("%v", statuses)
		}
	})
}
