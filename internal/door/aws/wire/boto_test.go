package wire_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"strings"
	"testing"

	"artesian/internal/door/aws/wire"
)

// boto runs a Python script against a server and returns what it printed, as JSON.
func boto(t *testing.T, s *wire.Server, script string) map[string]any {
	t.Helper()
	python, err := exec.LookPath("python3")
	if err != nil {
		t.Skip("python3 is not installed")
	}
	if exec.Command(python, "-c", "import boto3").Run() != nil {
		t.Skip("boto3 is not installed for python3")
	}
	srv := httptest.NewServer(handler(s))
	defer srv.Close()
	const head = `
import boto3, json, sys, io
from botocore.config import Config
from botocore.exceptions import ClientError
out = {}
def client(name):
    return boto3.client(name, endpoint_url=sys.argv[1], region_name="us-east-1", aws_access_key_id="a", aws_secret_access_key="b",
        config=Config(retries={"total_max_attempts": 2, "mode": "standard"}, parameter_validation=False))
def failure(call, **args):
    try:
        call(**args)
    except ClientError as e:
        return [e.response["Error"]["Code"], e.response["Error"]["Message"], e.response["ResponseMetadata"]["HTTPStatusCode"],
            e.response["ResponseMetadata"]["RetryAttempts"]]
`
	cmd := exec.Command(python, "-c", head+script+"\nprint(json.dumps(out, default=str))", srv.URL)
	cmd.Env = append(cmd.Environ(), "AWS_EC2_METADATA_DISABLED=true", "AWS_CONFIG_FILE=/dev/null", "AWS_SHARED_CREDENTIALS_FILE=/dev/null")
	var stderr strings.Builder
	cmd.Stderr = &stderr
	printed, err := cmd.Output()
	if err != nil {
		t.Fatalf("run script: %v\n%s", err, stderr.String())
	}
	var out map[string]any
	if err := json.Unmarshal(printed, &out); err != nil {
		t.Fatalf("parse %s: %v", printed, err)
	}
	return out
}

// handler reads bodies as the gateway does.
func handler(s *wire.Server) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(io.LimitReader(r.Body, s.Limit(r)+1))
		if err != nil {
			s.Refuse(w, r, err)
			return
		}
		s.Serve(w, r, body)
	})
}

func allow(context.Context, wire.Call) error { return nil }

// expect compares what a script printed with what it should have.
func expect(t *testing.T, got map[string]any, want map[string]any) {
	t.Helper()
	for k, w := range want {
		g, _ := json.Marshal(got[k])
		ws, _ := json.Marshal(w)
		if string(g) != string(ws) {
			t.Errorf("%s:\n got  %s\n want %s", k, g, ws)
		}
	}
}
