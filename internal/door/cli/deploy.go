package cli

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"artesian/internal/door/cli/project"
)

type deployCmd struct {
	remote
	Dir     string            `arg:"" help:"Folder with app.py, package.json, pom.xml, go.mod or bootstrap in it." default:"."`
	Name    string            `help:"Name of the function; the folder's by default."`
	Memory  *int              `help:"Memory in MB, 128 to 10240; CPU grows with it. Default for a new function: 128." placeholder:"MB"`
	Timeout duration          `help:"Longest time for a call, 1s to 15m; a bare number is seconds. Default for a new function: 3s." placeholder:"TIME"`
	Env     map[string]string `help:"Environment variable of the function; given ones replace all it has." placeholder:"K=V" mapsep:"none"`
	Runtime string            `help:"Runtime, for example python3.12; found from the folder by default." placeholder:"NAME"`
	Handler string            `help:"Handler, for example app.handler; found from the folder by default." placeholder:"NAME"`
	Role    string            `help:"Name or ARN of the role to act as; a role by name is made if missing." default:"artesian-default"`
	URL     string            `help:"Answer HTTP requests on a URL: none lets anybody call it, iam only who signs, off takes the URL away. It stays as it is when not given." enum:",none,iam,off" default:"" placeholder:"none|iam|off"`
	Fresh   bool              `help:"Install dependencies anew instead of from the cache."`
}

// deployed is what a deploy did, as --json prints it.
type deployed struct {
	Function string       `json:"function"`
	ARN      string       `json:"arn"`
	Action   string       `json:"action"` // created, updated or unchanged
	Runtime  string       `json:"runtime"`
	Served   string       `json:"served,omitempty"` // the interpreter that runs it
	Handler  string       `json:"handler"`
	CodeHash string       `json:"code_sha256"`
	CodeSize int64        `json:"code_size"`
	URL      string       `json:"url,omitempty"`
	URLAuth  string       `json:"url_auth,omitempty"` // NONE or AWS_IAM
	Changes  []string     `json:"changes,omitempty"`  // settings that the folder changed: runtime python3.11 → python3.13
	Steps    []deployStep `json:"steps"`
}

type deployStep struct {
	Name string  `json:"name"`
	MS   float64 `json:"ms"`
}

// deployment is one run of deploy.
type deployment struct {
	*deployCmd
	s    *session
	cl   *client
	have *functionConfig // nil: it is to be created
	p    project.Project
	kept bool // the handler is the function's, and not the one that is found in the folder
	zip  []byte
	done deployed
}

func (c *deployCmd) Run(s *session) error {
	if err := c.check(); err != nil {
		return &exitError{ExitUsage, err}
	}
	cl, err := c.connect()
	if err != nil {
		return err
	}
	d := &deployment{deployCmd: c, s: s, cl: cl}
	start := time.Now()
	err = d.build()
	if err == nil {
		err = d.publish()
	}
	if err != nil && s.ctx.Err() != nil { // whatever a tool said when it was killed
		return context.Canceled
	}
	if err != nil {
		return err
	}
	if c.JSON {
		return s.json(d.done)
	}
	for _, change := range d.done.Changes {
		if err := s.printf("  %s\n", change); err != nil {
			return err
		}
	}
	runs := d.done.Runtime
	if d.done.Served != "" {
		runs += ", served by " + d.done.Served
	}
	kept := ""
	if d.kept {
		kept = " (kept; --handler names another)"
	}
	err = s.printf("%s %s in %s: runtime %s, handler %s%s, package %s\ncall it: artesian invoke %[2]s -d '{}'\n",
		d.done.Action, d.done.Function, span(time.Since(start)), runs, d.done.Handler, kept, size(d.done.CodeSize))
	if err != nil || d.done.URL == "" {
		return err
	}
	return s.printf("     or: curl %s%s\n", map[bool]string{true: "--aws-sigv4 aws:amz:" + c.Region + ":lambda --user KEY:SECRET "}[d.done.URLAuth == authTypes["iam"]], d.done.URL)
}

// step runs one part, says when it takes long, and notes its time.
func (d *deployment) step(name string, do func() error) error {
	start := time.Now()
	err := d.s.progress(name, do)
	took := time.Since(start)
	d.done.Steps = append(d.done.Steps, deployStep{name, float64(took) / 1e6})
	if err == nil && !d.JSON {
		err = d.s.printf("  %-12s %s\n", name, span(took))
	}
	return err
}

func (d *deployment) build() error {
	err := d.look()
	if err != nil {
		return err
	}
	if err := d.detect(); err != nil {
		return err
	}
	if d.p.Warning != "" {
		d.s.note("%s", d.p.Warning)
	}
	b := project.Builder{Fresh: d.Fresh}
	switch d.p.Language {
	case project.Python:
		b.Python, err = d.interpreter()
	case project.Node:
		b.Node, err = d.node()
	case project.Java:
		err = d.java()
	}
	if err != nil {
		return err
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		cache = os.TempDir()
	}
	b.Cache = filepath.Join(cache, "artesian")
	d.zip, err = b.Build(d.s.ctx, d.p, d.step)
	return err
}

// publish creates the function or changes what differs, and waits until that is in force.
func (d *deployment) publish() error {
	var err error
	if d.have == nil {
		d.done.Action = "created"
		err = d.create()
	} else {
		d.done.Action = "unchanged"
		err = d.update(*d.have)
	}
	if err != nil {
		return err
	}
	f, err := d.cl.settled(d.s.ctx, d.Name, "")
	if err != nil {
		return err
	}
	d.done.Function, d.done.ARN, d.done.Runtime, d.done.Handler = f.FunctionName, f.FunctionArn, f.Runtime, f.Handler
	d.done.CodeHash, d.done.CodeSize = f.CodeSha256, f.CodeSize
	if f.StateReason != "" { // it runs, but not with all that it should have
		d.s.note("warning: %s", f.StateReason)
	}
	return d.expose()
}

func (d *deployment) create() error {
	role, err := d.roleARN()
	if err != nil {
		return err
	}
	in := d.settings()
	in["FunctionName"] = d.Name
	in["Runtime"], in["Handler"], in["Role"] = d.p.Runtime, d.p.Handler, role
	in["Code"] = map[string][]byte{"ZipFile": d.zip}
	in["Architectures"] = []string{architecture()}
	return d.step("create", func() error {
		if err := d.cl.lambda(d.s.ctx, http.MethodPost, functionsPath, nil, in, nil); err != nil {
			return err
		}
		_, err := d.cl.settled(d.s.ctx, d.Name, "")
		return err
	})
}

// settings are the options that were given.
func (d *deployment) settings() map[string]any {
	in := map[string]any{}
	if d.Memory != nil {
		in["MemorySize"] = *d.Memory
	}
	if d.Timeout != 0 {
		in["Timeout"] = int(time.Duration(d.Timeout) / time.Second)
	}
	if len(d.Env) > 0 {
		in["Environment"] = environment{d.Env}
	}
	return in
}

func (d *deployment) update(have functionConfig) error {
	if err := d.configure(have); err != nil {
		return err
	}
	sum := sha256.Sum256(d.zip)
	if base64.StdEncoding.EncodeToString(sum[:]) == have.CodeSha256 {
		return nil
	}
	d.done.Action = "updated"
	return d.change("upload", "/code", map[string]any{"ZipFile": d.zip, "Architectures": []string{architecture()}})
}

func (d *deployment) configure(have functionConfig) error {
	in := d.settings()
	if in["MemorySize"] == have.MemorySize {
		delete(in, "MemorySize")
	}
	if in["Timeout"] == have.Timeout {
		delete(in, "Timeout")
	}
	if have.Environment != nil && maps.Equal(have.Environment.Variables, d.Env) {
		delete(in, "Environment")
	}
	if d.p.Runtime != have.Runtime {
		in["Runtime"] = d.p.Runtime
		d.done.Changes = append(d.done.Changes, "runtime "+have.Runtime+" → "+d.p.Runtime)
	}
	if d.p.Handler != have.Handler {
		in["Handler"] = d.p.Handler
		d.done.Changes = append(d.done.Changes, "handler "+have.Handler+" → "+d.p.Handler)
	}
	if d.Role != defaultRole {
		role, err := d.roleARN()
		if err != nil {
			return err
		}
		if role != have.Role {
			in["Role"] = role
		}
	}
	if len(in) == 0 {
		return nil
	}
	d.done.Action = "updated"
	return d.change("configure", "/configuration", in)
}

func (d *deployment) change(step, path string, in any) error {
	return d.step(step, func() error {
		if err := d.cl.lambda(d.s.ctx, http.MethodPut, functionPath(d.Name, path), nil, in, nil); err != nil {
			return err
		}
		_, err := d.cl.settled(d.s.ctx, d.Name, "")
		return err
	})
}

const defaultRole = "artesian-default"

func (d *deployment) roleARN() (arn string, err error) {
	if strings.HasPrefix(d.Role, "arn:") {
		return d.Role, nil
	}
	err = d.step("role", func() error {
		arn, _, err = d.cl.role(d.s.ctx, d.Role)
		return err
	})
	return arn, err
}

// architecture is Lambda's name for this machine's.
func architecture() string {
	if runtime.GOARCH == "arm64" {
		return "arm64"
	}
	return "x86_64"
}
