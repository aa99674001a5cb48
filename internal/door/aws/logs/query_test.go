package logs_test

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// TestQuery runs a query as the AWS CLI does: start, ask until it is complete, read the rows.
func TestQuery(t *testing.T) {
	p := start(t)
	for _, g := range []string{"g", "h"} {
		p.ok(t, "CreateLogGroup", object{"logGroupName": g})
		p.ok(t, "CreateLogStream", object{"logGroupName": g, "logStreamName": "s"})
	}
	now := time.Now()
	put := func(group string, from, n int) {
		var events []object
		for i := range n {
			events = append(events, object{"timestamp": now.UnixMilli() + int64(i), "message": fmt.Sprintf(`{"n":%d}`, from+i)})
		}
		p.ok(t, "PutLogEvents", object{"logGroupName": group, "logStreamName": "s", "logEvents": events})
	}
	put("g", 0, 30)
	put("h", 100, 5)
	run := func(in object) object {
		t.Helper()
		in["startTime"], in["endTime"] = now.Unix()-60, now.Unix()+60
		id := p.ok(t, "StartQuery", in)["queryId"]
		for end := time.Now().Add(20 * time.Second); ; time.Sleep(5 * time.Millisecond) { // the condition is polled
			if out := p.ok(t, "GetQueryResults", object{"queryId": id}); out["status"] == "Complete" {
				out["id"] = id
				return out
			} else if time.Now().After(end) {
				t.Fatalf("%v", out)
			}
		}
	}
	out := run(object{"logGroupNames": []string{"g", "h"}, "queryString": "filter n > 20 | stats count(*) as c, max(n) as m by @log | sort c desc"})
	if got, want := fmt.Sprint(out["results"]), "[[map[field:@log value:000000000000:g] map[field:c value:9] map[field:m value:29]] "+
		"[map[field:@log value:000000000000:h] map[field:c value:5] map[field:m value:104]]]"; got != want {
		t.Errorf("%s\nwant %s", got, want)
	}
	if s := out["statistics"].(object); s["recordsScanned"] != 35.0 || s["recordsMatched"] != 14.0 || s["logGroupsScanned"] != 2.0 || s["resultCount"] != 2.0 || s["bytesScanned"].(float64) < 200 {
		t.Errorf("%v", s)
	}
	out = run(object{"logGroupName": "g", "queryString": "fields n", "limit": 4})
	rows := out["results"].([]any)
	if len(rows) != 4 || fmt.Sprint(rows[0].([]any)[0]) != "map[field:n value:29]" || rows[0].([]any)[1].(object)["field"] != "@ptr" {
		t.Errorf("%v", rows)
	}
	page := p.ok(t, "GetQueryResults", object{"queryId": out["id"], "maxItems": 3})
	next := p.ok(t, "GetQueryResults", object{"queryId": out["id"], "maxItems": 3, "nextToken": page["nextToken"]})
	if len(page["results"].([]any)) != 3 || len(next["results"].([]any)) != 1 || next["nextToken"] != nil {
		t.Errorf("%v\n%v", page, next)
	}
	all := p.ok(t, "DescribeQueries", object{})["queries"].([]any)
	if len(all) != 2 || all[0].(object)["queryString"] != "fields n" || all[0].(object)["userIdentity"] != "arn:aws:iam::000000000000:user/test" {
		t.Errorf("%v", all)
	}
	if some := p.ok(t, "DescribeQueries", object{"logGroupName": "g", "status": "Complete"})["queries"].([]any); len(some) != 1 {
		t.Errorf("%v", some)
	}
	if status, out := p.do(t, "StopQuery", object{"queryId": out["id"]}); status != 400 || out["__type"] != "InvalidParameterException" {
		t.Errorf("%d %v", status, out)
	}
}

func TestQueryRefused(t *testing.T) {
	p := start(t)
	p.ok(t, "CreateLogGroup", object{"logGroupName": "g"})
	for _, c := range []struct {
		in         object
		code, says string
	}{
		{object{"logGroupName": "g", "queryString": "fields a | pattern b"}, "MalformedQueryException", `the command "pattern" is not supported here`},
		{object{"logGroupName": "g", "queryString": "fields a", "queryLanguage": "SQL"}, "InvalidParameterException", "queryLanguage SQL is not supported"},
		{object{"logGroupName": "none", "queryString": "fields a"}, "ResourceNotFoundException", "log group does not exist"},
		{object{"queryString": "fields a"}, "InvalidParameterException", "Exactly one of"},
		{object{"logGroupName": "g", "logGroupNames": []string{"g"}, "queryString": "fields a"}, "InvalidParameterException", "Exactly one of"},
		{object{"logGroupName": "g", "queryString": "fields a", "startTime": 9, "endTime": 8}, "InvalidParameterException", "startTime"},
	} {
		if c.in["startTime"] == nil {
			c.in["startTime"], c.in["endTime"] = 0, 9
		}
		status, out := p.do(t, "StartQuery", c.in)
		if status != 400 || out["__type"] != c.code || !strings.Contains(fmt.Sprint(out["message"]), c.says) {
			t.Errorf("%v: %d %v", c.in, status, out)
		}
		if c.code == "MalformedQueryException" && fmt.Sprint(out["queryCompileError"].(object)["location"]) != "map[endCharOffset:18 startCharOffset:11]" {
			t.Errorf("%v", out)
		}
	}
	if status, out := p.do(t, "GetQueryResults", object{"queryId": "nothing"}); status != 400 || out["__type"] != "ResourceNotFoundException" {
		t.Errorf("%d %v", status, out)
	}
}
