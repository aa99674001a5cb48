package logs_test

import (
	"fmt"
	"testing"
	"time"
)

// TestFilterPattern filters stored events, page by page, and tries patterns on messages given.
func TestFilterPattern(t *testing.T) {
	p := start(t)
	p.ok(t, "CreateLogGroup", object{"logGroupName": "g"})
	p.ok(t, "CreateLogStream", object{"logGroupName": "g", "logStreamName": "s"})
	now := time.Now().UnixMilli()
	var events []object
	for i := range 20 {
		events = append(events, object{"timestamp": now + int64(i), "message": fmt.Sprintf(`{"n":%d,"level":"%s"}`, i, []string{"INFO", "WARN"}[i%2])})
	}
	p.ok(t, "PutLogEvents", object{"logGroupName": "g", "logStreamName": "s", "logEvents": events})
	var got []string
	in := object{"logGroupName": "g", "filterPattern": `{ $.level = "WARN" && $.n > 4 }`, "limit": 3}
	pages := 0
	for token := any(nil); pages == 0 || token != nil; pages++ {
		if token != nil {
			in["nextToken"] = token
		}
		out := p.ok(t, "FilterLogEvents", in)
		for _, e := range out["events"].([]any) {
			got = append(got, e.(object)["message"].(string))
		}
		token = out["nextToken"]
	}
	if len(got) != 8 || got[0] != `{"n":5,"level":"WARN"}` || got[7] != `{"n":19,"level":"WARN"}` || pages < 3 {
		t.Errorf("%d pages: %q", pages, got)
	}
	out := p.ok(t, "TestMetricFilter", object{"filterPattern": "[level, code=4*]", "logEventMessages": []string{"ERROR 500", "ERROR 404"}})
	want := `[map[eventMessage:ERROR 404 eventNumber:2 extractedValues:map[$code:404 $level:ERROR]]]`
	if fmt.Sprint(out["matches"]) != want {
		t.Errorf("%v\nwant %s", out["matches"], want)
	}
}
