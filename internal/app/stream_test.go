package app_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"

	"artesian/internal/faas"
)

// sdk is AWS's client for Go.
func (p *platform) sdk() *lambda.Client {
	return lambda.New(lambda.Options{BaseEndpoint: &p.url, Region: "us-east-1", RetryMaxAttempts: 1,
		Credentials: credentials.NewStaticCredentialsProvider(p.creds.AccessKeyID, p.creds.SecretAccessKey, "")})
}

// streamed is a streamed answer as AWS's client for Go saw it.
type streamed struct {
	body   string
	pieces int
	done   *types.InvokeWithResponseStreamCompleteEvent
}

func (p *platform) stream(t *testing.T, in *lambda.InvokeWithResponseStreamInput, each func(piece []byte)) streamed {
	t.Helper()
	out, err := p.sdk().InvokeWithResponseStream(t.Context(), in)
	if err != nil {
		t.Fatal(err)
	}
	events := out.GetStream()
	defer events.Close()
	var s streamed
	var body strings.Builder
	for e := range events.Events() {
		switch e := e.(type) {
		case *types.InvokeWithResponseStreamResponseEventMemberPayloadChunk:
			s.pieces++
			body.Write(e.Value.Payload)
			if each != nil {
				each(e.Value.Payload)
			}
		case *types.InvokeWithResponseStreamResponseEventMemberInvokeComplete:
			s.done = &e.Value
		}
	}
	if err := events.Err(); err != nil {
		t.Fatal(err)
	}
	if s.done == nil {
		t.Fatal("the stream ended without its last event")
	}
	s.body = body.String()
	return s
}

// TestResponseStream streams from a custom runtime to AWS's clients.
func TestResponseStream(t *testing.T) {
	p := start(t)
	p.role()
	p.custom(t, "stream", bootstrapZip(t), spec{"Timeout": 20})
	p.custom(t, "short", bootstrapZip(t), spec{"Timeout": 1, "Handler": "stream"})
	p.create("whole", map[string]string{"app.py": "def handler(e, c):\n  print('in it')\n  if e: raise ValueError('no')\n  return {'a': 1}\n"}, nil)

	for _, c := range []struct {
		name, function, payload string
		body, code, details     string
	}{
		{"pieces", "stream", `{"Type":"text/plain","Pieces":["one ","two ","three"]}`, "one two three", "", ""},
		{"nothing", "stream", `{}`, "", "", ""},
		{"not streamed", "stream", `{"Whole":true,"Pieces":["\"all\""]}`, `"all"`, "", ""},
		{"error at the end", "stream", `{"Pieces":["part"],"Fail":"midway"}`, "part", "Unhandled", `{"errorMessage":"midway","errorType":"Function.Midway"}`},
		{"exit midway", "stream", `{"Pieces":["part"],"Exit":true}`, "part", "Unhandled", "Runtime.TruncatedResponse"},
		{"breaks off", "stream", `{"Pieces":["part"],"Break":true}`, "part", "Unhandled", "Runtime.TruncatedResponse"},
		{"timeout midway", "short", `{"Pieces":["part"],"Hang":true}`, "part", "Unhandled", "Task timed out after 1.00 seconds"},
		{"a runtime that does not stream", "whole", `0`, `{"a": 1}`, "", ""},
		{"its error", "whole", `1`, `{"errorMessage": "no", "errorType": "ValueError"`, "Unhandled", `"errorType": "ValueError"`},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := p.stream(t, &lambda.InvokeWithResponseStreamInput{FunctionName: &c.function, Payload: []byte(c.payload), LogType: types.LogTypeTail}, nil)
			if s.body != c.body && (c.name != "its error" || !strings.HasPrefix(s.body, c.body)) {
				t.Errorf("%q, want %q", s.body, c.body)
			}
			if got := aws.ToString(s.done.ErrorCode); got != c.code || !strings.Contains(aws.ToString(s.done.ErrorDetails), c.details) {
				t.Errorf("%q %q", got, aws.ToString(s.done.ErrorDetails))
			}
			log, err := base64.StdEncoding.DecodeString(aws.ToString(s.done.LogResult))
			if err != nil || !strings.Contains(string(log), "REPORT RequestId: ") {
				t.Errorf("log %s %v", log, err)
			}
		})
	}

	t.Run("as it comes", func(t *testing.T) {
		p.stream(t, &lambda.InvokeWithResponseStreamInput{FunctionName: aws.String("stream"), Payload: []byte(`{"Pieces":["now","now","now"],"Pause":200}`)}, func(piece []byte) {
			at, err := strconv.ParseInt(strings.TrimSpace(string(piece)), 10, 64)
			if late := time.Since(time.Unix(0, at)); err != nil || late > 150*time.Millisecond { // before the next is written, on any machine
				t.Errorf("%q came %v after it was written: %v", piece, late, err)
			}
		})
	})

	t.Run("large", func(t *testing.T) {
		for size, fits := range map[int]bool{20 << 20: true, faas.MaxStreamBytes: true, faas.MaxStreamBytes + 1: false} {
			n := 0
			out, err := p.sdk().InvokeWithResponseStream(t.Context(), &lambda.InvokeWithResponseStreamInput{FunctionName: aws.String("stream"), Payload: fmt.Appendf(nil, `{"Size":%d}`, size)})
			if err != nil {
				t.Fatal(err)
			}
			code, events := "", out.GetStream()
			for e := range events.Events() {
				switch e := e.(type) {
				case *types.InvokeWithResponseStreamResponseEventMemberPayloadChunk:
					n += len(e.Value.Payload)
				case *types.InvokeWithResponseStreamResponseEventMemberInvokeComplete:
					code = aws.ToString(e.Value.ErrorCode) + aws.ToString(e.Value.ErrorDetails)
				}
			}
			if fits && (n != size || code != "") || !fits && !strings.Contains(code, "Function.ResponseSizeTooLarge") {
				t.Errorf("%d of %d bytes, %s, %v", n, size, code, events.Err())
			}
		}
	})

	t.Run("a caller of whole answers", func(t *testing.T) {
		if a := p.invoke("stream", `{"Type":"text/plain","Pieces":["one ","two"]}`); a.body != "one two" || a.err != "" {
			t.Error(a)
		}
		if a := p.invoke("stream", `{"Pieces":["part"],"Fail":"midway"}`); a.body != `{"errorMessage":"midway","errorType":"Function.Midway"}` || a.err != "Unhandled" {
			t.Error(a)
		}
		if a := p.invoke("stream", `{"Size":7000000}`); a.err != "Unhandled" || !strings.Contains(a.body, "Function.ResponseSizeTooLarge") {
			t.Error(a.err, len(a.body))
		}
	})

	t.Run("a caller who leaves", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		out, err := p.sdk().InvokeWithResponseStream(ctx, &lambda.InvokeWithResponseStreamInput{FunctionName: aws.String("stream"), Payload: []byte(`{"Pieces":["a","left"],"Pause":300,"Size":50000000}`)})
		if err != nil {
			t.Fatal(err)
		}
		<-out.GetStream().Events()
		cancel()
		_ = out.GetStream().Close()
		if a := p.invoke("stream", `{}`); a.err != "" { // the function goes on and is called again
			t.Error(a)
		}
		eventually(t, "all of it was written", func() bool { return strings.Contains(p.logText(t, "stream"), "stream: 202") })
	})

	t.Run("refused", func(t *testing.T) {
		for _, c := range []struct {
			path, body, code string
			status           int
			header           []string
		}{
			{"nobody", `{}`, "ResourceNotFoundException", 404, nil},
			{"stream", `{`, "InvalidRequestContentException", 400, nil},
			{"stream", `{}`, "ValidationException", 400, []string{"X-Amz-Invocation-Type", "Event"}},
			{"stream", `{}`, "ValidationException", 400, []string{"X-Amz-Log-Type", "Head"}},
			{"stream", `"` + strings.Repeat("x", faas.MaxRequestBytes) + `"`, "RequestEntityTooLargeException", 413, nil},
		} {
			resp, body := p.read(p.send("POST", "lambda", "/2021-11-15/functions/"+c.path+"/response-streaming-invocations", "application/json", []byte(c.body), c.header...))
			if resp.StatusCode != c.status || resp.Header.Get("X-Amzn-Errortype") != c.code {
				t.Errorf("%s %.20s %v: %s %s %s", c.path, c.body, c.header, resp.Status, resp.Header.Get("X-Amzn-Errortype"), body)
			}
		}
		resp, _ := p.read(p.send("POST", "lambda", "/2021-11-15/functions/stream/response-streaming-invocations", "application/json", nil, "X-Amz-Invocation-Type", "DryRun"))
		if resp.StatusCode != http.StatusNoContent {
			t.Error(resp.Status)
		}
	})

	t.Run("boto3", func(t *testing.T) { p.script(t, "python3", "testdata/stream.py") })
}

// script runs a program of testdata with AWS's clients for its language; it prints ok.
func (p *platform) script(t *testing.T, name, file string) {
	t.Helper()
	if python, err := filepath.Abs("../../.venv/bin/python3"); name == "python3" && err == nil {
		if _, err := os.Stat(python); err == nil {
			name = python
		}
	}
	cmd := exec.CommandContext(t.Context(), name, file)
	cmd.Env = p.environment()
	out, err := cmd.CombinedOutput()
	if strings.Contains(string(out), "No module named 'boto3'") {
		t.Skip("needs boto3; scripts/setup installs it")
	}
	if err != nil || strings.TrimSpace(string(out)) != "ok" {
		t.Fatalf("%v\n%s", err, out)
	}
}

// logText is all that a function's log has.
func (p *platform) logText(t *testing.T, name string) string {
	t.Helper()
	in, err := json.Marshal(spec{"logGroupName": "/aws/lambda/" + name})
	if err != nil {
		t.Fatal(err)
	}
	resp := p.send("POST", "logs", "/", "application/x-amz-json-1.1", in, "X-Amz-Target", "Logs_20140328.FilterLogEvents")
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
