package app_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
)

// logsAPI calls CloudWatch Logs.
func (p *platform) logsAPI(op string, in spec) (int, string) {
	p.t.Helper()
	b, err := json.Marshal(in)
	if err != nil {
		p.t.Fatal(err)
	}
	resp, body := p.read(p.send("POST", "logs", "/", "application/x-amz-json-1.1", b, "X-Amz-Target", "Logs_20140328."+op))
	return resp.StatusCode, body
}

// TestSubscription: what one function logs calls another, which decodes it as functions on AWS do.
func TestSubscription(t *testing.T) {
	p := start(t)
	p.role()
	p.create("source", map[string]string{"app.py": "def handler(e, c):\n  print(e['say'])\n"}, nil)
	p.create("sink", map[string]string{"app.py": `
import base64, gzip, json
def handler(e, c):
    data = json.loads(gzip.decompress(base64.b64decode(e['awslogs']['data'])))
    for event in data['logEvents']:
        print('seen', data['messageType'], data['owner'], data['logGroup'], data['subscriptionFilters'], event['message'].strip())
`}, nil)
	p.invoke("source", `{"say":"INFO hello"}`)
	const arn = "arn:aws:lambda:us-east-1:000000000000:function:"
	put := func(name, group, destination string, more spec) (int, string) {
		in := spec{"logGroupName": "/aws/lambda/" + group, "filterName": name, "filterPattern": "ERROR", "destinationArn": destination}
		for k, v := range more {
			in[k] = v
		}
		return p.logsAPI("PutSubscriptionFilter", in)
	}
	eventually(t, "a log group", func() bool { status, _ := put("s", "source", arn+"sink", nil); return status == http.StatusOK })
	seen := ""
	eventually(t, "the delivery", func() bool {
		p.invoke("source", `{"say":"ERROR it broke"}`)
		p.invoke("source", `{"say":"INFO it works"}`)
		_, seen = p.logsAPI("FilterLogEvents", spec{"logGroupName": "/aws/lambda/sink", "filterPattern": "seen"})
		return strings.Contains(seen, "it broke")
	})
	mustContain(t, "what the function saw", seen, "seen DATA_MESSAGE 000000000000 /aws/lambda/source ['s'] ERROR it broke")
	if strings.Contains(seen, "INFO") {
		t.Error("what does not match was delivered")
	}
	for name, c := range map[string]struct {
		group, destination string
		more               spec
		code, says         string
	}{
		"its own log":     {"sink", arn + "sink", nil, "InvalidParameterException", "without end"},
		"a circle":        {"sink", arn + "source", nil, "InvalidParameterException", "without end"},
		"no function":     {"source", arn + "none", nil, "InvalidParameterException", "Could not execute the lambda function"},
		"a stream":        {"source", "arn:aws:kinesis:us-east-1:000000000000:stream/x", nil, "InvalidParameterException", "must be the ARN of a Lambda function"},
		"another account": {"source", "arn:aws:lambda:us-east-1:999999999999:function:sink", nil, "InvalidParameterException", "Could not execute"},
		"random":          {"source", arn + "sink", spec{"distribution": "Random"}, "InvalidParameterException", "distribution Random"},
		"a role":          {"source", arn + "sink", spec{"roleArn": rolePath}, "InvalidParameterException", "roleArn"},
		"no pattern":      {"source", arn + "sink", spec{"filterPattern": "a.b"}, "InvalidParameterException", "Invalid character(s) in term"},
		"no group":        {"none", arn + "sink", nil, "ResourceNotFoundException", "does not exist"},
	} {
		if status, body := put(name, c.group, c.destination, c.more); status != http.StatusBadRequest || !strings.Contains(body, c.code) || !strings.Contains(body, c.says) {
			t.Errorf("%s: %d %s", name, status, body)
		}
	}
	if status, body := put("second", "source", arn+"sink:$LATEST", spec{"distribution": "ByLogStream", "applyOnTransformedLogs": false}); status != http.StatusOK {
		t.Errorf("%d %s", status, body)
	}
	if _, body := put("third", "source", arn+"sink", nil); !strings.Contains(body, "LimitExceededException") {
		t.Error(body)
	}
	_, body := p.logsAPI("DescribeSubscriptionFilters", spec{"logGroupName": "/aws/lambda/source", "filterNamePrefix": "s", "limit": 1})
	mustContain(t, "the first page", body, `"filterName":"s"`, `"destinationArn":"`+arn+`sink"`, `"distribution":"ByLogStream"`, "nextToken")
	for _, status := range []int{http.StatusOK, http.StatusBadRequest} {
		if got, body := p.logsAPI("DeleteSubscriptionFilter", spec{"logGroupName": "/aws/lambda/source", "filterName": "s"}); got != status {
			t.Errorf("%d %s", got, body)
		}
	}
}
