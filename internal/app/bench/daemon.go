package main

import (
	"archive/zip"
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"artesian/internal/door/gateway/admin"
)

// daemon is a started artesian process.
type daemon struct {
	cmd      *exec.Cmd
	data     string
	endpoint string
	creds    aws.Credentials
	ready    time.Duration // from exec until the health check answered 200
	client   *http.Client
}

// startDaemon starts the daemon on an empty or used directory of the run's.
func startDaemon(l lab, name string, args ...string) (*daemon, error) {
	data := filepath.Join(l.dir, name)
	d := &daemon{data: data, client: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 512}}}
	if err := os.MkdirAll(data, 0o700); err != nil {
		return nil, err
	}
	if err := os.WriteFile(filepath.Join(data, "config.json"), []byte(`{"registries": {"pypi": "", "npm": ""}, "memory_mb": 65536, "egress_allow": ["`+outsideAddr+`"]}`), 0o600); err != nil {
		return nil, err // what is measured needs no pack but Java's; 200 idle instances of 128 MB are admitted whatever the machine has
	}
	d.cmd = exec.Command(l.bin, append([]string{"up", "--data", data, "--listen", "127.0.0.1:0", "--json", "--log", "error"}, args...)...)
	d.cmd.Stderr = &errorsOnly{left: 5}
	d.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}
	out, err := d.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	begin := time.Now()
	if err := d.cmd.Start(); err != nil {
		return nil, err
	}
	var ready struct{ Endpoint string }
	if err := json.NewDecoder(bufio.NewReader(out)).Decode(&ready); err != nil {
		_ = d.cmd.Wait()
		return nil, fmt.Errorf("read ready line: %w", err)
	}
	d.endpoint = ready.Endpoint
	resp, err := d.client.Get(d.endpoint + "/_artesian/health")
	if err != nil {
		return nil, d.fail(err)
	}
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, d.fail(fmt.Errorf("health: %s", resp.Status))
	}
	d.ready = time.Since(begin)
	b, err := os.ReadFile(filepath.Join(data, "credentials"))
	if err != nil {
		return nil, d.fail(err)
	}
	var c struct {
		ID     string `json:"access_key_id"`
		Secret string `json:"secret_access_key"`
	}
	if err := json.Unmarshal(b, &c); err != nil {
		return nil, d.fail(err)
	}
	d.creds = aws.Credentials{AccessKeyID: c.ID, SecretAccessKey: c.Secret}
	return d, nil
}

// errorsOnly passes on the first things that a daemon says, but for its farewell.
type errorsOnly struct{ left int }

func (e *errorsOnly) Write(b []byte) (int, error) {
	if e.left > 0 && !strings.HasPrefix(string(b), "artesian: stopping") {
		e.left--
		return os.Stderr.Write(b)
	}
	return len(b), nil
}

func (d *daemon) fail(err error) error { d.stop(); return err }

func (d *daemon) stop() {
	_ = d.cmd.Process.Signal(syscall.SIGTERM)
	_ = d.cmd.Wait()
}

func (d *daemon) pid() int { return d.cmd.Process.Pid }

// rss is the daemon's resident memory in bytes.
func (d *daemon) rss() int64 { return sizeIn(fmt.Sprintf("/proc/%d/status", d.pid()), "VmRSS:") }

// language is what serves functions of one: the identifier of the runtime and the interpreter's path.
type language struct{ runtime, path string }

// language waits for the newest interpreter whose identifier begins so.
func (d *daemon) language(prefix string) (found language, err error) {
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		var list admin.Runtimes
		if err := d.own(admin.RuntimesPath, &list); err != nil {
			return found, err
		}
		newest := -1
		for _, r := range list.Runtimes {
			version := leading(strings.TrimPrefix(r.Name, prefix))
			if strings.HasPrefix(r.Name, prefix) && r.Path != "" && r.Note == "" && version > newest {
				newest, found = version, language{r.Name, r.Path}
			}
		}
		if len(list.Asking) == 0 && newest >= 0 {
			return found, nil
		}
		if time.Now().After(deadline) {
			return found, fmt.Errorf("an interpreter for %s: %w", prefix, errNoTool)
		}
	}
}

// leading is the number that a text begins with.
func leading(s string) int {
	end := strings.IndexFunc(s, func(r rune) bool { return r < '0' || r > '9' })
	if end < 0 {
		end = len(s)
	}
	n, _ := strconv.Atoi(s[:end])
	return n
}

// own asks the daemon's own API.
func (d *daemon) own(path string, into any) error {
	b, err := d.do("GET", admin.Service, path, "", nil)
	if err != nil {
		return err
	}
	return json.Unmarshal(b, into)
}

// request makes a signed request, good for five minutes of reuse.
func (d *daemon) request(method, service, path, contentType string, body []byte) (*http.Request, error) {
	req, err := http.NewRequest(method, d.endpoint+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	if contentType != "" {
		req.Header.Set("Content-Type", contentType)
	}
	sum := sha256.Sum256(body)
	err = v4.NewSigner().SignHTTP(context.Background(), d.creds, req, hex.EncodeToString(sum[:]), service, "us-east-1", time.Now())
	return req, err
}

func (d *daemon) do(method, service, path, contentType string, body []byte) ([]byte, error) {
	req, err := d.request(method, service, path, contentType, body)
	if err != nil {
		return nil, err
	}
	resp, err := d.client.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode >= 300 {
		err = fmt.Errorf("%s %s: %s: %s", method, path, resp.Status, b)
	}
	if err == nil && resp.Header.Get("X-Amz-Function-Error") != "" {
		err = fmt.Errorf("%s: function error: %s", path, b)
	}
	return b, err
}

const roleARN = "arn:aws:iam::000000000000:role/bench"

func (d *daemon) createRole() error {
	_, err := d.do("POST", "iam", "/", "application/x-www-form-urlencoded", []byte("Action=CreateRole&Version=2010-05-08&RoleName=bench&AssumeRolePolicyDocument="+
		"%7B%22Version%22%3A%222012-10-17%22%2C%22Statement%22%3A%5B%7B%22Effect%22%3A%22Allow%22%2C%22Principal%22%3A%7B%22Service%22%3A%22lambda.amazonaws.com%22%7D%2C%22Action%22%3A%22sts%3AAssumeRole%22%7D%5D%7D"))
	return err
}

func (d *daemon) create(name, runtime, handler string, memory int, files map[string][]byte) error {
	var buf bytes.Buffer
	zw := zip.NewWriter(&buf)
	for n, b := range files {
		h := &zip.FileHeader{Name: n, Method: zip.Deflate}
		h.SetMode(0o755)
		w, err := zw.CreateHeader(h)
		if err != nil {
			return err
		}
		if _, err := w.Write(b); err != nil {
			return err
		}
	}
	if err := zw.Close(); err != nil {
		return err
	}
	body, err := json.Marshal(map[string]any{"FunctionName": name, "Runtime": runtime, "Handler": handler, "Role": roleARN, "MemorySize": memory,
		"Timeout": 60, "Code": map[string]string{"ZipFile": base64.StdEncoding.EncodeToString(buf.Bytes())}})
	if err != nil {
		return err
	}
	_, err = d.do("POST", "lambda", "/2015-03-31/functions", "application/json", body)
	return err
}

// call invokes a function and returns its answer and how long that took.
func (d *daemon) call(name, payload string) ([]byte, time.Duration, error) {
	begin := time.Now()
	b, err := d.do("POST", "lambda", invokePath(name), "application/json", []byte(payload))
	return b, time.Since(begin), err
}

// renew gives a function a new revision, so that its next call is a cold one.
func (d *daemon) renew(name string, n int) error {
	_, err := d.do("PUT", "lambda", "/2015-03-31/functions/"+name+"/configuration", "application/json", fmt.Appendf(nil, `{"Description":"%d"}`, n))
	return err
}

func invokePath(name string) string { return "/2015-03-31/functions/" + name + "/invocations" }
