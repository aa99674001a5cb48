package logs_test

import (
	"bufio"
	"encoding/json"
	"os/exec"
	"strings"
	"testing"
	"time"

	store "artesian/internal/observe/logs"
)

// TestBoto runs AWS's own client through every operation; the script stops at what is not as AWS documents it.
func TestBoto(t *testing.T) {
	if msg, err := exec.Command("python3", "-c", "import boto3").CombinedOutput(); err != nil {
		t.Skipf("python3 with boto3 is missing: %v: %s", err, msg)
	}
	p := start(t)
	cmd := exec.Command("python3", "testdata/boto.py")
	cmd.Env = p.environ()
	out, err := cmd.CombinedOutput()
	if err != nil || strings.TrimSpace(string(out)) != "ok" {
		t.Fatalf("%v: %s", err, out)
	}
}

// aws2 returns the AWS CLI version 2: version 1 has no `logs tail`.
func aws2(t *testing.T) string {
	t.Helper()
	for _, path := range []string{"aws", "/usr/bin/aws", "/usr/local/bin/aws"} {
		if out, err := exec.Command(path, "--version").CombinedOutput(); err == nil && strings.HasPrefix(string(out), "aws-cli/2") {
			return path
		}
	}
	t.Skip("the AWS CLI version 2 is missing (Debian's package awscli has it)")
	return ""
}

func TestCLITailFollows(t *testing.T) {
	aws := aws2(t)
	p := start(t)
	id := store.GroupID{Scope: scope, Name: "/aws/lambda/hello"}
	w, err := p.store.Writer(id, "2026/11/23/[$LATEST]0123456789abcdef")
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	w.Write(time.Now(), "before\n")
	if err := p.store.Flush(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), aws, "--endpoint-url", p.url, "logs", "tail", "/aws/lambda/hello", "--follow", "--format", "short", "--since", "1h")
	cmd.Env = p.environ()
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	next := func() string {
		for lines.Scan() {
			if s := strings.TrimSpace(lines.Text()); s != "" {
				return s[strings.LastIndexByte(s, ' ')+1:]
			}
		}
		t.Fatalf("the output ended: %s", stderr.String())
		return ""
	}
	if got := next(); got != "before" {
		t.Fatal(got)
	}
	for _, m := range []string{"first", "second", "third"} { // the client polls: what comes meanwhile must come, once
		w.Write(time.Now(), m+"\n")
	}
	for _, want := range []string{"first", "second", "third"} {
		if got := next(); got != want {
			t.Fatalf("%q, want %q", got, want)
		}
	}
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
}

func TestCLIReads(t *testing.T) {
	aws, err := exec.LookPath("aws")
	if err != nil {
		t.Skipf("the AWS CLI is missing: %v", err)
	}
	p := start(t)
	run := func(args ...string) map[string]any {
		t.Helper()
		cmd := exec.Command(aws, append([]string{"--endpoint-url", p.url, "--output", "json", "logs"}, args...)...)
		cmd.Env = p.environ()
		var stderr strings.Builder
		cmd.Stderr = &stderr
		b, err := cmd.Output()
		if err != nil {
			t.Fatalf("aws logs %s: %v: %s", args, err, stderr.String())
		}
		var out map[string]any
		if len(b) > 0 {
			if err := json.Unmarshal(b, &out); err != nil {
				t.Fatal(err)
			}
		}
		return out
	}
	run("create-log-group", "--log-group-name", "g", "--tags", "a=b")
	w, err := p.store.Writer(store.GroupID{Scope: scope, Name: "g"}, "s")
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	const n = 25
	for range n {
		w.Write(time.Now(), "x")
	}
	if out := run("filter-log-events", "--log-group-name", "g", "--page-size", "10"); len(out["events"].([]any)) != n {
		t.Error(out)
	}
	if out := run("get-log-events", "--log-group-name", "g", "--log-stream-name", "s", "--limit", "7"); len(out["events"].([]any)) != 7 {
		t.Error(out)
	}
	if out := run("describe-log-groups"); out["logGroups"].([]any)[0].(map[string]any)["arn"] != "arn:aws:logs:us-east-1:000000000000:log-group:g:*" {
		t.Error(out)
	}
}
