package app_test

import (
	"archive/zip"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"artesian/internal/app"
	"artesian/internal/compute/lang/fetch"
	"artesian/internal/compute/lang/host/hosttest"
	"artesian/internal/compute/sandbox"
	"artesian/internal/door/gateway/admin"
	"artesian/internal/engine"
)

// platform is a started daemon of a test, and a client of it.
type platform struct {
	t     *testing.T
	app   *app.App
	url   string
	data  string
	creds aws.Credentials
}

// start brings a daemon up in the test's own process and directory, on a free port.
func start(t *testing.T, change ...func(*app.Config)) *platform {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root: the isolation level container is made with it")
	}
	cfg := app.DefaultConfig(filepath.Join(t.TempDir(), "data"))
	cfg.Listen = "127.0.0.1:0"
	cfg.Registries = fetch.Registries{} // no test downloads unless it is about that
	cfg.Logger = slog.New(slog.NewTextHandler(testLog{t}, &slog.HandlerOptions{Level: slog.LevelWarn}))
	for _, c := range change {
		c(&cfg)
	}
	experienced(t, cfg.Data)
	a, err := app.Start(t.Context(), cfg)
	if err != nil {
		t.Fatalf("start: %v", err)
	}
	p := &platform{t: t, app: a, url: a.Endpoint(), data: cfg.Data}
	t.Cleanup(func() { p.stop() })
	p.creds = readCredentials(t, cfg.Data)
	return p
}

// experienced makes a data directory, unless there is one, whose daemon knows the interpreters of this machine.
func experienced(t *testing.T, data string) {
	t.Helper()
	if _, err := os.Stat(filepath.Join(data, "format.json")); err == nil {
		return
	}
	eng, err := engine.Open(t.Context(), engine.Config{Dir: data})
	if err != nil {
		t.Fatal(err)
	}
	if err := eng.Close(); err != nil {
		t.Fatal(err)
	}
	hosttest.Remember(t, filepath.Join(data, "runtimes"))
}

func readCredentials(t *testing.T, data string) aws.Credentials {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(data, admin.CredentialsFile))
	if err != nil {
		t.Fatal(err)
	}
	var c admin.Credentials
	if err := json.Unmarshal(b, &c); err != nil {
		t.Fatal(err)
	}
	return aws.Credentials{AccessKeyID: c.AccessKeyID, SecretAccessKey: c.SecretAccessKey}
}

func (p *platform) stop() {
	if p.app == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := p.app.Stop(ctx); err != nil {
		p.t.Errorf("stop: %v", err)
	}
	p.app = nil
}

type testLog struct{ t *testing.T }

func (l testLog) Write(b []byte) (int, error) {
	if l.t.Context().Err() == nil {
		l.t.Log(strings.TrimSpace(string(b)))
	}
	return len(b), nil
}

// send makes one signed request.
func (p *platform) send(method, service, path, contentType string, body []byte, header ...string) *http.Response {
	p.t.Helper()
	return send(p.t, p.url, p.creds, "us-east-1", method, service, path, contentType, body, header...)
}

func send(t *testing.T, url string, creds aws.Credentials, region, method, service, path, contentType string, body []byte, header ...string) *http.Response {
	t.Helper()
	req, err := signed(t, url, creds, region, method, service, path, contentType, body, header...)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	return resp
}

// signed makes a request with a signature.
func signed(t *testing.T, url string, creds aws.Credentials, region, method, service, path, contentType string, body []byte, header ...string) (*http.Request, error) {
	req, err := http.NewRequestWithContext(t.Context(), method, url+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	if contentType != "" {
		req.Header.Set("Content-Type", contentType)
	}
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	sum := sha256.Sum256(body)
	return req, v4.NewSigner().SignHTTP(t.Context(), creds, req, hex.EncodeToString(sum[:]), service, region, time.Now())
}

const rolePath = "arn:aws:iam::000000000000:role/test"

// role makes the role that functions of tests have.
func (p *platform) role() {
	p.t.Helper()
	resp := p.send("POST", "iam", "/", "application/x-www-form-urlencoded", []byte("Action=CreateRole&Version=2010-05-08&RoleName=test&AssumeRolePolicyDocument="+
		"%7B%22Version%22%3A%222012-10-17%22%2C%22Statement%22%3A%5B%7B%22Effect%22%3A%22Allow%22%2C%22Principal%22%3A%7B%22Service%22%3A%22lambda.amazonaws.com%22%7D%2C%22Action%22%3A%22sts%3AAssumeRole%22%7D%5D%7D"))
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		b, _ := io.ReadAll(resp.Body)
		p.t.Fatalf("create role: %s: %s", resp.Status, b)
	}
}

// spec is what a test says of a function; the rest has defaults.
type spec map[string]any

func zipOf(t *testing.T, files map[string]string) []byte {
	t.Helper()
	var buf bytes.Buffer
	zw := zip.NewWriter(&buf)
	for name, content := range files {
		h := &zip.FileHeader{Name: name, Method: zip.Deflate}
		h.SetMode(0o755)
		w, err := zw.CreateHeader(h)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, content); err != nil {
			t.Fatal(err)
		}
	}
	if err := zw.Close(); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

// create makes a function of the files given.
func (p *platform) create(name string, files map[string]string, more spec) {
	p.t.Helper()
	if resp, body := p.tryCreate(name, zipOf(p.t, files), more); resp.StatusCode != http.StatusCreated {
		p.t.Fatalf("create %s: %s: %s", name, resp.Status, body)
	}
}

func (p *platform) tryCreate(name string, zip []byte, more spec) (*http.Response, string) {
	p.t.Helper()
	in := spec{"FunctionName": name, "Runtime": "python3.11", "Handler": "app.handler", "Role": rolePath,
		"Code": spec{"ZipFile": base64.StdEncoding.EncodeToString(zip)}}
	for k, v := range more {
		in[k] = v
	}
	b, err := json.Marshal(in)
	if err != nil {
		p.t.Fatal(err)
	}
	return p.read(p.send("POST", "lambda", "/2015-03-31/functions", "application/json", b))
}

func (p *platform) read(resp *http.Response) (*http.Response, string) {
	p.t.Helper()
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		p.t.Fatal(err)
	}
	return resp, string(b)
}

// answer is what an invocation gave.
type answer struct {
	status int
	err    string // X-Amz-Function-Error, or the code of a platform's error
	body   string
	log    string
	id     string
}

func (p *platform) invoke(name, payload string, header ...string) answer {
	p.t.Helper()
	resp, body := p.read(p.send("POST", "lambda", "/2015-03-31/functions/"+name+"/invocations", "application/json", []byte(payload),
		append([]string{"X-Amz-Log-Type", "Tail"}, header...)...))
	log, err := base64.StdEncoding.DecodeString(resp.Header.Get("X-Amz-Log-Result"))
	if err != nil {
		p.t.Fatalf("log result: %v", err)
	}
	a := answer{status: resp.StatusCode, body: body, log: string(log), err: resp.Header.Get("X-Amz-Function-Error"), id: resp.Header.Get("X-Amzn-Requestid")}
	if resp.StatusCode >= 300 {
		a.err = resp.Header.Get("X-Amzn-Errortype")
	}
	return a
}

// get reads the daemon's own API.
func (p *platform) get(path string, into any) int {
	p.t.Helper()
	resp, body := p.read(p.send("GET", admin.Service, path, "", nil))
	if resp.StatusCode == http.StatusOK {
		if err := json.Unmarshal([]byte(body), into); err != nil {
			p.t.Fatalf("%s: %v: %s", path, err, body)
		}
	}
	return resp.StatusCode
}

// instances counts a function's instances.
func (p *platform) instances(name string) int {
	p.t.Helper()
	var ps admin.PS
	p.get(admin.PSPath, &ps)
	n := 0
	for _, i := range ps.Instances {
		if i.Function == name {
			n++
		}
	}
	return n
}

// eventually waits for a condition, at most 20 seconds.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !ok(); {
		if time.Now().After(end) {
			t.Fatalf("never happened: %s", what)
		}
		time.Sleep(20 * time.Millisecond) // the condition is polled
	}
}

// environment is what `artesian env` prints, for real clients.
func (p *platform) environment() []string {
	return append(os.Environ(), "AWS_ENDPOINT_URL="+p.url, "AWS_ACCESS_KEY_ID="+p.creds.AccessKeyID,
		"AWS_SECRET_ACCESS_KEY="+p.creds.SecretAccessKey, "AWS_REGION=us-east-1", "AWS_DEFAULT_REGION=us-east-1",
		"AWS_MAX_ATTEMPTS=1", "AWS_PAGER=", "AWS_CONFIG_FILE=/dev/null", "AWS_SHARED_CREDENTIALS_FILE=/dev/null", "AWS_EC2_METADATA_DISABLED=true")
}

// client runs a real client and returns what it printed, together.
func (p *platform) client(dir, name string, args ...string) (string, error) {
	p.t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		p.t.Skipf("needs %s; scripts/setup installs it", name)
	}
	cmd := exec.CommandContext(p.t.Context(), path, args...)
	cmd.Dir, cmd.Env = dir, p.environment()
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func isolation(level sandbox.Level) func(*app.Config) {
	return func(c *app.Config) { c.Isolation = level }
}

func jsonField(t *testing.T, doc, field string) any {
	t.Helper()
	var m map[string]any
	if err := json.Unmarshal([]byte(doc), &m); err != nil {
		t.Fatalf("%v: %s", err, doc)
	}
	return m[field]
}

func mustContain(t *testing.T, what, text string, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if !strings.Contains(text, part) {
			t.Errorf("%s does not contain %q:\n%s", what, part, text)
		}
	}
}

func atoi(t *testing.T, s string) int {
	t.Helper()
	n := 0
	if _, err := fmt.Sscanf(s, "%d", &n); err != nil {
		t.Fatalf("not a number: %q", s)
	}
	return n
}

// update changes a function's code.
func (p *platform) update(name string, files map[string]string) {
	p.t.Helper()
	b, err := json.Marshal(spec{"ZipFile": base64.StdEncoding.EncodeToString(zipOf(p.t, files))})
	if err != nil {
		p.t.Fatal(err)
	}
	if resp, body := p.read(p.send("PUT", "lambda", "/2015-03-31/functions/"+name+"/code", "application/json", b)); resp.StatusCode != http.StatusOK {
		p.t.Fatalf("update %s: %s: %s", name, resp.Status, body)
	}
}
