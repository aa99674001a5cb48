package app_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

const layersPath = "/2018-10-31/layers"

// layer publishes one version of a layer and returns its ARN.
func (p *platform) layer(name string, files map[string]string) string {
	p.t.Helper()
	resp, body := p.tryLayer(name, zipOf(p.t, files), nil)
	if resp.StatusCode != http.StatusCreated {
		p.t.Fatalf("publish layer %s: %s: %s", name, resp.Status, body)
	}
	return jsonField(p.t, body, "LayerVersionArn").(string)
}

func (p *platform) tryLayer(name string, zip []byte, more spec) (*http.Response, string) {
	p.t.Helper()
	in := spec{"Content": spec{"ZipFile": base64.StdEncoding.EncodeToString(zip)}}
	for k, v := range more {
		in[k] = v
	}
	b, err := json.Marshal(in)
	if err != nil {
		p.t.Fatal(err)
	}
	return p.read(p.send("POST", "lambda", layersPath+"/"+name+"/versions", "application/json", b))
}

func (p *platform) configure(name string, change spec) (*http.Response, string) {
	p.t.Helper()
	b, err := json.Marshal(change)
	if err != nil {
		p.t.Fatal(err)
	}
	return p.read(p.send("PUT", "lambda", functionsPath+"/"+name+"/configuration", "application/json", b))
}

// whatIsThere answers what a function sees of its layers.
const whatIsThere = `
import os, subprocess, sys
import shared, only
def read(p):
  try: return open(p).read()
  except OSError as e: return type(e).__name__
def handler(e, c):
  try:
    open("/opt/new", "w"); wrote = True
  except OSError: wrote = False
  return {"shared": shared.value, "only": only.value, "minor": __import__("minor").value, "file": read("/opt/file"),
          "tool": subprocess.run(["tool"], capture_output=True, text=True).stdout.strip(), "wrote": wrote, "wrapped": os.environ.get("WRAPPED"),
          "path": [p for p in sys.path if p.startswith("/opt")], "argv": sys.argv}
`

// TestLayers: a function sees its layers at /opt, later ones over earlier ones, and goes on when they are deleted.
func TestLayers(t *testing.T) {
	p := start(t)
	p.role()
	first := p.layer("first", map[string]string{"python/shared.py": "value = 1\n", "python/only.py": "value = 1\n", "file": "1",
		"bin/tool": "#!/bin/sh\necho tool of the first\n"})
	second := p.layer("second", map[string]string{"python/shared.py": "value = 2\n", "python/lib/python3.11/site-packages/minor.py": "value = 2\n", "file": "2",
		"wrap": "#!/bin/bash\nexport WRAPPED=yes\nexec \"$@\"\n"})
	p.create("f", map[string]string{"app.py": whatIsThere}, spec{"Layers": []string{first, second},
		"Environment": spec{"Variables": spec{"AWS_LAMBDA_EXEC_WRAPPER": "/opt/wrap"}}, "Publish": true})
	const want = `{"shared": 2, "only": 1, "minor": 2, "file": "2", "tool": "tool of the first", "wrote": false, "wrapped": "yes", ` +
		`"path": ["/opt/python/lib/python3.11/site-packages", "/opt/python"], "argv": ["/var/runtime/bootstrap.py"]}`
	if a := p.invoke("f", "{}"); a.body != want {
		t.Errorf("%s\n%s", a.body, a.log)
	}

	_, body := p.read(p.send("GET", "lambda", functionsPath+"/f/configuration", "", nil))
	mustContain(t, "configuration", body, first, second, `"CodeSize"`)
	for _, arn := range []string{"first/versions/1", "second/versions/1"} {
		if resp, body := p.read(p.send("DELETE", "lambda", layersPath+"/"+arn, "", nil)); resp.StatusCode != http.StatusNoContent {
			t.Fatalf("delete %s: %s", arn, body)
		}
	}
	if again := p.layer("first", map[string]string{"a": ""}); !strings.HasSuffix(again, ":first:2") {
		t.Errorf("a number is used again: %s", again)
	}
	p.update("f", map[string]string{"app.py": whatIsThere + "# new instances\n"})
	for _, name := range []string{"f", "f:1"} {
		if a := p.invoke(name, "{}"); a.body != want {
			t.Errorf("%s without the layers: %s\n%s", name, a.body, a.log)
		}
	}

	// The other order, then none.
	if resp, body := p.configure("f", spec{"Layers": []string{second}}); resp.StatusCode != http.StatusBadRequest || !strings.Contains(body, "does not exist") {
		t.Errorf("a deleted layer is taken: %s", body)
	}
	third := p.layer("third", map[string]string{"file": "3"})
	if resp, body := p.configure("f", spec{"Layers": []string{third}, "Environment": spec{"Variables": spec{}}}); resp.StatusCode != http.StatusOK {
		t.Fatal(body)
	}
	p.update("f", map[string]string{"app.py": "def handler(e, c): return open('/opt/file').read()\n"})
	if a := p.invoke("f", "{}"); a.body != `"3"` {
		t.Errorf("%+v", a)
	}
	if resp, body := p.configure("f", spec{"Layers": []string{}}); resp.StatusCode != http.StatusOK || strings.Contains(body, "Layers") {
		t.Errorf("no layers: %s", body)
	}
	if a := p.invoke("f", "{}"); !strings.Contains(a.body, "FileNotFoundError") {
		t.Errorf("%+v", a)
	}
}

// TestLayerWrapperMissing: a wrapper that isn't there is told in the function's log.
func TestLayerWrapperMissing(t *testing.T) {
	p := start(t)
	p.role()
	p.create("f", map[string]string{"app.py": "def handler(e, c): return 1\n"}, env("AWS_LAMBDA_EXEC_WRAPPER", "/opt/nothing"))
	a := p.invoke("f", "{}")
	mustContain(t, "answer", a.body, "Runtime.ExitError", "exit status 127")
	mustContain(t, "log", a.log, "/opt/nothing", "INIT_REPORT Init Duration: ")
	if strings.Contains(a.log, "Init Duration: 0.00 ms") {
		t.Error("it took no time:", a.log)
	}
}

// TestLayerAsRuntime: a bootstrap in a layer serves a function that has none.
func TestLayerAsRuntime(t *testing.T) {
	p := start(t)
	p.role()
	const bootstrap = `#!/bin/sh
while :; do
  curl -sS -D /tmp/head -o /tmp/event "http://$AWS_LAMBDA_RUNTIME_API/2018-06-01/runtime/invocation/next"
  id=$(grep -i '^lambda-runtime-aws-request-id' /tmp/head | tr -d '\r' | cut -d' ' -f2)
  curl -sS -o /dev/null -d "\"%s of $(cat "$LAMBDA_TASK_ROOT/name")\"" "http://$AWS_LAMBDA_RUNTIME_API/2018-06-01/runtime/invocation/$id/response"
done
`
	one := p.layer("runtime", map[string]string{"bootstrap": strings.Replace(bootstrap, "%s", "one", 1)})
	two := p.layer("runtime", map[string]string{"bootstrap": strings.Replace(bootstrap, "%s", "two", 1)})
	p.create("f", map[string]string{"name": "f"}, spec{"Runtime": "provided.al2023", "Layers": []string{one}})
	if a := p.invoke("f", "{}"); a.body != `"one of f"` {
		t.Fatalf("%+v", a)
	}
	if resp, body := p.configure("f", spec{"Layers": []string{two}}); resp.StatusCode != http.StatusOK {
		t.Fatal(body)
	}
	if a := p.invoke("f", "{}"); a.body != `"two of f"` {
		t.Errorf("%+v", a)
	}
	if resp, body := p.configure("f", spec{"Layers": []string{}}); resp.StatusCode != http.StatusOK {
		t.Fatal(body)
	}
	if a := p.invoke("f", "{}"); !strings.Contains(a.body, "Runtime.InvalidEntrypoint") {
		t.Errorf("%+v", a)
	}
}

// TestLayersBoto goes through the layers' API with AWS's Python client and the AWS CLI.
func TestLayersBoto(t *testing.T) {
	t.Parallel()
	if msg, err := exec.Command("python3", "-c", "import boto3").CombinedOutput(); err != nil {
		t.Skipf("needs python3 with boto3; scripts/setup installs it in .venv: %v: %s", err, msg)
	}
	p := start(t)
	p.role()
	if out, err := p.client("testdata", "python3", "layers.py"); err != nil || strings.TrimSpace(out) != "ok" {
		t.Fatalf("%v: %s", err, out)
	}
	needsCLI(t)
	for _, s := range []typed{
		{line: `aws lambda list-layers --query 'Layers[].[LayerName,LatestMatchingVersion.Version]' --output text`, is: "boto\t3\nother\t1"},
		{line: `aws lambda list-layer-versions --layer-name boto --page-size 1 --query 'LayerVersions[].Version' --output text`, has: []string{"3", "1"}},
		{line: `aws lambda get-layer-version-by-arn --arn arn:aws:lambda:us-east-1:000000000000:layer:boto:3 --query Version`, is: "3"},
	} {
		p.typed(t.TempDir(), s, nil)
	}
}

// TestLayersBadInput turns down what Lambda turns down, and writes nothing.
func TestLayersBadInput(t *testing.T) {
	t.Parallel()
	p := start(t)
	p.role()
	app := map[string]string{"app.py": "def handler(e, c): return e\n"}
	p.create("there", app, nil)
	one := p.layer("one", map[string]string{"a": "1"})
	two := p.layer("one", map[string]string{"a": "2"})
	zeros := func(name string, mb int) map[string]string {
		return map[string]string{name: strings.Repeat("0", mb<<20)}
	}
	large, larger := p.layer("large", zeros("x", 130)), p.layer("larger", zeros("y", 130))
	good := zipOf(t, app)
	arn := func(rest string) string { return "arn:aws:lambda:us-east-1:000000000000:layer:" + rest }

	uses := func(name string, layers []string, status int, code string, has ...string) bad {
		return bad{"function with " + name, func() (*http.Response, string) { return p.tryCreate("new", good, spec{"Layers": layers}) }, status, code, has}
	}
	publish := func(name, layer string, zip []byte, more spec, status int, code string, has ...string) bad {
		return bad{"layer with " + name, func() (*http.Response, string) { return p.tryLayer(layer, zip, more) }, status, code, has}
	}
	request := func(name, method, path, body string, status int, code string, has ...string) bad {
		return bad{name, func() (*http.Response, string) {
			return p.read(p.send(method, "lambda", path, "application/json", []byte(body)))
		}, status, code, has}
	}
	const invalid, violates, none = "InvalidParameterValueException", "ValidationException", "ResourceNotFoundException"
	p.refused(t, []bad{
		uses("six layers", []string{one, arn("b:1"), arn("c:1"), arn("d:1"), arn("e:1"), arn("f:1")}, 400, invalid, "Cannot reference more than 5 layers."),
		uses("no such version", []string{arn("one:3")}, 400, invalid, "Layer version "+arn("one:3")+" does not exist."),
		uses("no such layer", []string{arn("nobody:1")}, 400, invalid, "Layer version "+arn("nobody:1")+" does not exist."),
		uses("two versions of one", []string{one, two}, 400, invalid, "Two different versions of the same layer", one, two),
		uses("a layer twice", []string{one, one}, 400, invalid, "versions of the same layer"),
		uses("another region's", []string{"arn:aws:lambda:eu-west-1:000000000000:layer:one:1"}, 400, invalid, "same region", "us-east-1"),
		uses("another account's", []string{"arn:aws:lambda:us-east-1:123456789012:layer:one:1"}, 403, "AccessDeniedException", "lambda:GetLayerVersion", "no resource-based policy"),
		uses("no ARN", []string{"one"}, 400, violates, "layers"),
		uses("an ARN without a version", []string{arn("one")}, 400, violates, "layers"),
		uses("version 0", []string{arn("one:0")}, 400, invalid, "Layers", arn("one:0")),
		uses("a huge version", []string{arn("one:99999999999999999999")}, 400, invalid, "Layers"),
		uses("layers of 260 MB", []string{large, larger}, 400, invalid, "Layers consume more than the available size of 262144000 bytes"),
		{"layers and code of 260 MB", func() (*http.Response, string) {
			return p.tryCreate("new", zipOf(t, zeros("z", 130)), spec{"Layers": []string{large}})
		}, 400, invalid, []string{"Function code combined with layers exceeds the maximum allowed size of 262144000 bytes. The actual size is 272629760 bytes."}},
		{"change to no such layer", func() (*http.Response, string) {
			return p.configure("there", spec{"Timeout": 5, "Layers": []string{arn("nobody:1")}})
		}, 400, invalid, []string{"does not exist"}},

		publish("no content", "new", nil, nil, 400, invalid, "Content.ZipFile"),
		publish("what is no zip", "new", []byte("x"), nil, 400, invalid, "Could not unzip uploaded file"),
		publish("a path out of it", "new", zipEntry(t, "../x", "", 0o644), nil, 400, invalid, "outside"),
		publish("a bad name", "a%20b", good, nil, 400, violates, "layerName"),
		publish("a long name", strings.Repeat("n", 141), good, nil, 400, violates, "layerName"),
		publish("no runtime", "new", good, spec{"CompatibleRuntimes": []string{"python3.11", "python9"}}, 400, violates, "Value 'python9' at 'compatibleRuntimes.2.member'", "enum value set: [nodejs,"),
		request("layers of no runtime", "GET", layersPath+"?CompatibleRuntime=python9", ``, 400, violates, "'compatibleRuntime'", "enum value set"),
		publish("16 runtimes", "new", good, spec{"CompatibleRuntimes": strings.Split(strings.Repeat("python3.11 ", 15)+"java21", " ")}, 400, violates, "compatibleRuntimes"),
		publish("no architecture", "new", good, spec{"CompatibleArchitectures": []string{"vax"}}, 400, violates, "compatibleArchitectures"),
		publish("a long license", "new", good, spec{"LicenseInfo": strings.Repeat("l", 513)}, 400, violates, "licenseInfo"),
		publish("code in a bucket", "new", nil, spec{"Content": spec{"S3Bucket": "bucket", "S3Key": "k"}}, 400, invalid, "S3Bucket"),
		publish("another account's name", "arn%3Aaws%3Alambda%3Aus-east-1%3A123456789012%3Alayer%3Aone", good, nil, 403, "AccessDeniedException", "PublishLayerVersion"),
		publish("another region's name", "arn%3Aaws%3Alambda%3Aeu-west-1%3A000000000000%3Alayer%3Aone", good, nil, 404, none, "eu-west-1"),

		request("no such version", "GET", layersPath+"/one/versions/3", ``, 404, none, "The resource you requested does not exist."),
		request("version 0", "GET", layersPath+"/one/versions/0", ``, 400, invalid, "Layer Version Cannot be less than 1"),
		request("version that is no number", "GET", layersPath+"/one/versions/x", ``, 400, "SerializationException", "VersionNumber"),
		request("bad marker", "GET", layersPath+"/one/versions?Marker=x", ``, 400, invalid, "Marker"),
		request("another account's version", "GET", layersPath+"/arn%3Aaws%3Alambda%3Aus-east-1%3A123456789012%3Alayer%3Aone/versions/1", ``, 403, "AccessDeniedException", "GetLayerVersion"),
		request("no policy", "GET", layersPath+"/one/versions/1/policy", ``, 404, none, "No policy is associated with the given resource."),
		request("permission of no version", "POST", layersPath+"/one/versions/9/policy", `{"StatementId":"s","Action":"lambda:GetLayerVersion","Principal":"*"}`, 404, none, arn("one:9")),
		request("permission of another action", "POST", layersPath+"/one/versions/1/policy", `{"StatementId":"s","Action":"lambda:Invoke","Principal":"*"}`, 400, violates, "'action'"),
		request("permission for nobody", "POST", layersPath+"/one/versions/1/policy", `{"StatementId":"s","Action":"lambda:GetLayerVersion","Principal":"me"}`, 400, violates, "'principal'"),
		request("organisation of an account", "POST", layersPath+"/one/versions/1/policy", `{"StatementId":"s","Action":"lambda:GetLayerVersion","Principal":"123456789012","OrganizationId":"o-1234567890"}`, 400, invalid, "OrganizationId"),
		request("no such statement", "DELETE", layersPath+"/one/versions/1/policy/s", ``, 404, none, "Statement s is not found"),
	})
	if _, body := p.read(p.send("GET", "lambda", layersPath, "", nil)); strings.Contains(body, `"new"`) {
		t.Errorf("a refused layer is there: %s", body)
	}
}

// TestKillWhilePublishing kills the daemon while layers are published: what was acknowledged is there whole, with numbers that are
// used once.
func TestKillWhilePublishing(t *testing.T) {
	t.Parallel()
	data := filepath.Join(t.TempDir(), "data")
	var mu sync.Mutex
	acknowledged := map[string]string{} // ARN → hash
	for range 3 {
		c := launch(t, data)
		var wg sync.WaitGroup
		for i := range 3 {
			wg.Go(func() {
				for {
					zip := zipOf(t, map[string]string{"file": fmt.Sprint(rand.Uint64())})
					status, _, answer, err := c.try("POST", "lambda", fmt.Sprintf("%s/l%d/versions", layersPath, i%2), spec{"Content": spec{"ZipFile": base64.StdEncoding.EncodeToString(zip)}})
					if err != nil {
						return
					}
					if status != http.StatusCreated {
						t.Errorf("publish: %d %s", status, answer)
						return
					}
					arn := jsonField(t, string(answer), "LayerVersionArn").(string)
					mu.Lock()
					if acknowledged[arn] != "" {
						t.Errorf("%s was published twice", arn)
					}
					acknowledged[arn] = shaOf(zip)
					mu.Unlock()
				}
			})
		}
		time.Sleep(time.Duration(100+rand.IntN(300)) * time.Millisecond) // the moment of the kill
		c.kill()
		wg.Wait()
	}
	c := launch(t, data)
	for arn, sha := range acknowledged {
		resp, body := c.read(c.send("GET", "lambda", layersPath+"?find=LayerVersion&Arn="+strings.ReplaceAll(arn, ":", "%3A"), "", nil))
		var l struct {
			Content struct{ CodeSha256 string }
		}
		if err := json.Unmarshal([]byte(body), &l); err != nil || resp.StatusCode != http.StatusOK || l.Content.CodeSha256 != sha {
			t.Errorf("%s: %d %s", arn, resp.StatusCode, body)
		}
	}
	if len(acknowledged) == 0 {
		t.Error("nothing was published")
	}
	c.role()
	for arn := range acknowledged {
		c.create("f", map[string]string{"app.py": "def handler(e, c): return len(open('/opt/file').read()) > 0\n"}, spec{"Layers": []string{arn}})
		if a := c.invoke("f", "{}"); a.body != "true" {
			t.Errorf("%+v", a)
		}
		break
	}
}

// TestLayersOfLanguages: Node.js and Java find what layers have for them.
func TestLayersOfLanguages(t *testing.T) {
	t.Parallel()
	t.Run("node", func(t *testing.T) {
		p := start(t)
		p.role()
		layer := p.layer("node", map[string]string{"nodejs/node_modules/words/index.js": "exports.greeting = 'hello'\n"})
		resp, body := p.tryCreate("f", zipOf(t, map[string]string{"index.js": "exports.handler = async () => require('words').greeting\n"}),
			spec{"Runtime": "nodejs20.x", "Handler": "index.handler", "Layers": []string{layer}})
		if resp.StatusCode != http.StatusCreated {
			t.Skipf("needs Node.js 20 or newer: %s", body)
		}
		eventually(t, "it is active", func() bool { return p.standing("f").State == "Active" })
		if a := p.invoke("f", `{}`); a.body != `"hello"` {
			t.Errorf("%+v", a)
		}
	})
	t.Run("java", func(t *testing.T) {
		files := javaFunction(t)
		p := start(t, withJava(t))
		p.role()
		layer := p.layer("java", map[string]string{"java/lib/app.jar": string(zipOf(t, files))})
		resp, body := p.tryCreate("f", zipOf(t, map[string]string{"empty": ""}), spec{"Runtime": "java17", "Handler": "odd.App::person", "MemorySize": 512, "Timeout": 20,
			"Layers": []string{layer}})
		if resp.StatusCode != http.StatusCreated {
			t.Skipf("needs Java 17 or newer: %s", body)
		}
		eventually(t, "it is active", func() bool { return p.standing("f").State == "Active" })
		if a := p.invoke("f", `{"name": "Ada", "age": 3}`); !strings.HasPrefix(a.body, `"Ada is 3`) {
			t.Errorf("%+v", a)
		}
	})
}
