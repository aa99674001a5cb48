package cli

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"artesian/internal/door/gateway/admin"
)

// fake is a daemon with just enough behind it: functions in a map, roles in a set.
type fake struct {
	*httptest.Server
	data string

	mu        sync.Mutex
	functions map[string]*functionConfig
	envs      map[string]map[string]string
	roles     map[string]bool
	invoke    http.HandlerFunc
	own       map[string]any // answers of the daemon's own API by path
	silent    bool           // no group has events
	groupless bool           // there are no groups
	fails     string         // why functions that are Pending become Failed; empty: they become Active
	answers   []string       // of GetQueryResults, one after the other
	sent      []string       // to CloudWatch Logs
	asked     []string       // method and path of every request
}

func newFake(t *testing.T) *fake {
	t.Helper()
	f := &fake{data: t.TempDir(), functions: map[string]*functionConfig{}, envs: map[string]map[string]string{}, roles: map[string]bool{},
		own: map[string]any{admin.RuntimesPath: admin.Runtimes{Runtimes: []admin.Runtime{
			{Name: "python3.9", Version: "3.9.2", Path: "/no/python3.9"}, {Name: "python3.12", Version: "3.12.1", Path: "/no/python3.12"},
			{Name: "python3.14", Version: "3.14.0", Path: "/no/python3.14", Note: "cannot be read"}, {Name: "provided.al2023"}}}}}
	f.Server = httptest.NewServer(http.HandlerFunc(f.serve))
	t.Cleanup(f.Close)
	f.write(t, admin.DaemonFile, admin.Daemon{Endpoint: f.URL, PID: os.Getpid()})
	f.write(t, admin.CredentialsFile, admin.Credentials{AccessKeyID: "AKIATEST", SecretAccessKey: "sec/ret"})
	return f
}

func (f *fake) write(t *testing.T, name string, v any) {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(f.data, name), b, 0o600); err != nil {
		t.Fatal(err)
	}
}

func (f *fake) serve(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.asked = append(f.asked, r.Method+" "+r.URL.Path)
	scope := "us-east-1/lambda/aws4_request"
	path, isFunction := strings.CutPrefix(r.URL.Path, functionsPath+"/")
	ofURL, isURL := strings.CutPrefix(r.URL.Path, "/2021-10-31/functions/")
	answer, isOwn := f.own[r.URL.Path]
	switch {
	case isFunction || isURL || r.URL.Path == functionsPath:
	case strings.HasPrefix(r.URL.Path, "/_artesian/"):
		scope = "us-east-1/artesian/aws4_request"
	case strings.HasPrefix(r.Header.Get("X-Amz-Target"), "Logs_20140328."):
		scope = "us-east-1/logs/aws4_request"
	default:
		scope = "us-east-1/iam/aws4_request"
	}
	if a := r.Header.Get("Authorization"); !strings.Contains(a, "Credential=AKIATEST/") || !strings.Contains(a, scope) {
		fail(w, 403, "InvalidSignatureException", "not signed for "+scope+": "+a)
		return
	}
	switch {
	case isURL:
		f.url(w, r, strings.TrimSuffix(ofURL, "/url"))
	case isOwn:
		_ = json.NewEncoder(w).Encode(answer)
	case strings.HasSuffix(scope, "artesian/aws4_request"):
		w.WriteHeader(404)
		_ = json.NewEncoder(w).Encode(admin.Error{Code: "NotFound", Message: "no such thing"})
	case r.URL.Path == functionsPath:
		f.create(w, r)
	case isFunction && path == "":
		f.list(w, r)
	case isFunction:
		name, rest, _ := strings.Cut(path, "/")
		f.function(w, r, name, rest)
	case strings.Contains(scope, "logs"):
		f.logs(w, r)
	default:
		f.iam(w, r)
	}
}

// url keeps a function's URL in the list that the daemon's own API shows.
func (f *fake) url(w http.ResponseWriter, r *http.Request, name string) {
	if r.Method == http.MethodDelete {
		f.own[admin.URLsPath] = admin.URLs{}
		w.WriteHeader(204)
		return
	}
	var in struct{ AuthType string }
	_ = json.NewDecoder(r.Body).Decode(&in)
	u := admin.URL{Function: name, URL: "http://id.lambda-url.us-east-1.localhost/", Auth: in.AuthType}
	f.own[admin.URLsPath] = admin.URLs{URLs: []admin.URL{{Function: name, Qualifier: "live", URL: "http://other/"}, u}}
	_ = json.NewEncoder(w).Encode(map[string]string{"FunctionUrl": u.URL, "AuthType": u.Auth})
}

func fail(w http.ResponseWriter, status int, code, message string) {
	w.Header().Set("X-Amzn-Errortype", code)
	w.WriteHeader(status)
	fmt.Fprintf(w, `{"Type":"User","Message":%q}`, message)
}

type settings struct {
	FunctionName, Runtime, Handler, Role string
	MemorySize, Timeout                  int
	Environment                          *environment
	Code                                 struct{ ZipFile []byte }
	ZipFile                              []byte
}

func (f *fake) create(w http.ResponseWriter, r *http.Request) {
	var in settings
	_ = json.NewDecoder(r.Body).Decode(&in)
	c := &functionConfig{FunctionName: in.FunctionName, MemorySize: 128, Timeout: 3, State: "Pending"}
	f.functions[in.FunctionName] = c
	f.apply(c, in, in.Code.ZipFile)
	w.WriteHeader(201)
	_ = json.NewEncoder(w).Encode(c)
}

func (f *fake) apply(c *functionConfig, in settings, zip []byte) {
	if zip != nil {
		sum := sha256.Sum256(zip)
		c.CodeSha256, c.CodeSize = base64.StdEncoding.EncodeToString(sum[:]), int64(len(zip))
	}
	for to, v := range map[*string]string{&c.Runtime: in.Runtime, &c.Handler: in.Handler, &c.Role: in.Role} {
		if v != "" {
			*to = v
		}
	}
	for to, v := range map[*int]int{&c.MemorySize: in.MemorySize, &c.Timeout: in.Timeout} {
		if v != 0 {
			*to = v
		}
	}
	if in.Environment != nil {
		c.Environment = in.Environment
	}
}

func (f *fake) list(w http.ResponseWriter, r *http.Request) {
	names := make([]string, 0, len(f.functions))
	for n := range f.functions {
		names = append(names, n)
	}
	slices.Sort(names)
	var page struct {
		Functions  []*functionConfig
		NextMarker string `json:",omitempty"`
	}
	for _, n := range names { // pages of one
		if n > r.URL.Query().Get("Marker") {
			listed := *f.functions[n]
			listed.State, listed.StateReason = "", "" // a listing does not say
			page.Functions = append(page.Functions, &listed)
			if n != names[len(names)-1] {
				page.NextMarker = n
			}
			break
		}
	}
	_ = json.NewEncoder(w).Encode(page)
}

func (f *fake) function(w http.ResponseWriter, r *http.Request, name, rest string) {
	c := f.functions[name]
	if c == nil {
		fail(w, 404, "ResourceNotFoundException", "Function not found: "+name)
		return
	}
	var in settings
	switch {
	case rest == "invocations":
		f.invoke(w, r)
		return
	case rest == "versions":
		fmt.Fprint(w, `{"Versions":[{"Version":"$LATEST"},{"Version":"1"}]}`)
		return
	case rest == "aliases":
		fmt.Fprint(w, `{"Aliases":[{"Name":"live","FunctionVersion":"1"}]}`)
		return
	case r.Method == http.MethodDelete:
		delete(f.functions, name)
		w.WriteHeader(204)
		return
	case r.Method == http.MethodPut:
		_ = json.NewDecoder(r.Body).Decode(&in)
		f.apply(c, in, in.ZipFile)
	case c.State == "Pending":
		defer func() {
			c.State, c.StateReason = "Active", ""
			if f.fails != "" {
				c.State, c.StateReason = "Failed", f.fails
			}
		}()
	}
	_ = json.NewEncoder(w).Encode(c)
}

func (f *fake) logs(w http.ResponseWriter, r *http.Request) {
	var in struct{ LogGroupName, NextToken, FilterPattern, QueryString, QueryID string }
	_ = json.NewDecoder(r.Body).Decode(&in)
	op := strings.TrimPrefix(r.Header.Get("X-Amz-Target"), "Logs_20140328.")
	f.sent = append(f.sent, strings.Join([]string{op, in.LogGroupName, in.FilterPattern, in.QueryString, in.QueryID}, "|"))
	switch {
	case f.groupless:
		fail(w, 400, "ResourceNotFoundException", "The specified log group does not exist.")
		return
	case op == "DescribeLogGroups":
		fmt.Fprint(w, `{"logGroups":[{"logGroupName":"/aws/lambda/hello"},{"logGroupName":"/own"}]}`)
		return
	case op == "StartQuery":
		fmt.Fprint(w, `{"queryId":"q1"}`)
		return
	case op == "GetQueryResults":
		fmt.Fprint(w, f.answers[0])
		f.answers = f.answers[1:]
		return
	}
	if f.silent {
		fmt.Fprint(w, `{"events":[]}`)
		return
	}
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC).UnixMilli()
	if in.NextToken == "" {
		fmt.Fprintf(w, `{"events":[{"logStreamName":"s","timestamp":%d,"message":"from %s\n"}],"nextToken":"2"}`, at, in.LogGroupName)
	} else {
		fmt.Fprintf(w, `{"events":[{"logStreamName":"s","timestamp":%d,"message":"second"}]}`, at+1)
	}
}

func (f *fake) iam(w http.ResponseWriter, r *http.Request) {
	_ = r.ParseForm()
	action, name := r.Form.Get("Action"), r.Form.Get("RoleName")
	if action == "GetRole" && !f.roles[name] {
		w.WriteHeader(404)
		fmt.Fprint(w, `<ErrorResponse xmlns="https://iam.amazonaws.com/doc/2010-05-08/"><Error><Type>Sender</Type><Code>NoSuchEntity</Code><Message>no role</Message></Error></ErrorResponse>`)
		return
	}
	f.roles[name] = true
	fmt.Fprintf(w, `<%[1]sResponse xmlns="https://iam.amazonaws.com/doc/2010-05-08/"><%[1]sResult><Role><Arn>arn:aws:iam::000000000000:role/%[2]s</Arn></Role></%[1]sResult></%[1]sResponse>`, action, name)
}

// outcome is what a command line did.
type outcome struct {
	status int
	out    string
	err    string
}

// run executes a command line with --data, unless it says otherwise.
func (f *fake) run(t *testing.T, stdin string, args ...string) outcome {
	t.Helper()
	return execute(t, stdin, append(args, "--data", f.data)...)
}

func execute(t *testing.T, stdin string, args ...string) outcome {
	t.Helper()
	var out, errs bytes.Buffer
	p := Program{Version: "1.2.3", Stdin: strings.NewReader(stdin), Stdout: &out, Stderr: &errs,
		Up: func(context.Context, UpOptions, func(Ready)) error { panic("up") }}
	status := p.Run(t.Context(), args)
	return outcome{status, out.String(), errs.String()}
}
