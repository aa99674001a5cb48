package app_test

import (
	"archive/zip"
	"bytes"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"
	"testing"

	"artesian/internal/door/gateway/admin"
)

// bad is a request that must be turned down: with AWS's code, in words that name what is wrong.
type bad struct {
	name   string
	do     func() (*http.Response, string)
	status int
	code   string
	has    []string
}

// refused runs requests that must change nothing: not the list of functions, with their revisions, nor what is stored of code.
func (p *platform) refused(t *testing.T, list []bad) {
	for _, c := range list {
		t.Run(c.name, func(t *testing.T) {
			before := p.written(t)
			resp, body := c.do()
			if resp.StatusCode != c.status {
				t.Errorf("status %d, want %d: %.500s", resp.StatusCode, c.status, body)
			}
			code := resp.Header.Get("X-Amzn-Errortype")
			if code == "" {
				_, code, _ = strings.Cut(body, "<Code>")
				code, _, _ = strings.Cut(code, "</Code>")
			}
			if code != c.code {
				t.Errorf("code %q, want %q: %.500s", code, c.code, body)
			}
			if len(resp.Header.Get("X-Amzn-Requestid")) != 36 {
				t.Errorf("no request id")
			}
			mustContain(t, "answer", body, c.has...)
			if after := p.written(t); after != before {
				t.Errorf("something was written:\n%s\nbefore:\n%s", after, before)
			}
		})
	}
}

// written is what requests may leave behind.
func (p *platform) written(t *testing.T) string {
	t.Helper()
	_, list := p.read(p.send("GET", "lambda", "/2015-03-31/functions", "", nil))
	err := filepath.WalkDir(filepath.Join(p.data, "blobs"), func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			list += "\n" + path
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return list
}

const functionsPath = "/2015-03-31/functions"

// TestBadInput turns down what Lambda turns down (https://docs.aws.amazon.com/lambda/latest/api/API_CreateFunction.html,
// …/API_Invoke.html, …/CommonErrors.html) and what this platform does not do.
func TestBadInput(t *testing.T) {
	t.Parallel()
	p := start(t)
	p.role()
	f := refusals{p, zipOf(t, map[string]string{"app.py": "def handler(e, c): return e\n"})}
	p.create("there", map[string]string{"app.py": "def handler(e, c): return e\n"}, spec{"Publish": true})

	t.Run("configuration", f.badConfigurations)
	t.Run("what is not built", f.unbuilt)
	t.Run("package", f.badPackages)
	t.Run("package of 50 MB", f.largePackage)
	t.Run("requests", f.badRequests)
	t.Run("invocations", f.badInvocations)
	t.Run("signatures", func(t *testing.T) { p.badSignatures(t) })
}

// refusals makes requests that must be turned down, about a good package unless they say otherwise.
type refusals struct {
	*platform
	good []byte
}

func (p refusals) with(name string, change spec, status int, code string, has ...string) bad {
	return bad{"create with " + name, func() (*http.Response, string) { return p.tryCreate("new", p.good, change) }, status, code, has}
}

func (p refusals) invalid(name string, change spec, has ...string) bad {
	return p.with(name, change, 400, "InvalidParameterValueException", has...)
}

func (p refusals) violates(name string, change spec, has ...string) bad {
	return p.with(name, change, 400, "ValidationException", has...)
}

func (p refusals) request(name, method, path, body string, status int, code string, has ...string) bad {
	return bad{name, func() (*http.Response, string) {
		return p.read(p.send(method, "lambda", path, "application/json", []byte(body)))
	}, status, code, has}
}

func (p refusals) badConfigurations(t *testing.T) {
	p.role2(t)
	p.refused(t, []bad{
		p.violates("a bad name", spec{"FunctionName": "no spaces"}, "'no spaces' at 'functionName'"),
		p.violates("a long name", spec{"FunctionName": strings.Repeat("n", 65)}, "'functionName'"),
		p.violates("no name", spec{"FunctionName": nil}, "'functionName'", "must not be null"),
		p.violates("a version in its name", spec{"FunctionName": "new:1"}, "'functionName'"),
		p.invalid("no runtime", spec{"Runtime": nil}, "Runtime"),
		p.invalid("an own tag that is not known", spec{"Tags": spec{"artesian:inet": "off"}}, "artesian:inet", "artesian:fork", "artesian:internet"),
		p.invalid("an unknown runtime", spec{"Runtime": "cobol85"}, "cobol85", "'runtime'", "python3.11", "provided.al2023"),
		p.invalid("a runtime that is not built", spec{"Runtime": "dotnet8"}, "dotnet8", "python3.11", "provided.al2023"),
		p.invalid("no handler", spec{"Handler": nil}, "Handler", "python3.11"),
		p.violates("a handler with a space", spec{"Handler": "app handler"}, "'handler'"),
		p.violates("little memory", spec{"MemorySize": 127}, "'127' at 'memorySize'", "greater than or equal to 128"),
		p.violates("much memory", spec{"MemorySize": 10241}, "'10241' at 'memorySize'", "less than or equal to 10240"),
		p.violates("no timeout", spec{"Timeout": 0}, "'0' at 'timeout'", "greater than or equal to 1"),
		p.violates("a long timeout", spec{"Timeout": 901}, "'901' at 'timeout'", "less than or equal to 900"),
		p.violates("little /tmp", spec{"EphemeralStorage": spec{"Size": 511}}, "'511' at 'ephemeralStorage.size'", "greater than or equal to 512"),
		p.violates("much /tmp", spec{"EphemeralStorage": spec{"Size": 10241}}, "'ephemeralStorage.size'", "less than or equal to 10240"),
		p.violates("two mistakes", spec{"Timeout": 0, "MemorySize": 1}, "2 validation errors detected", "'timeout'", "'memorySize'"),
		p.violates("no role", spec{"Role": nil}, "'role'", "must not be null"),
		p.violates("a bad role", spec{"Role": "test"}, "'test' at 'role'"),
		p.invalid("an unknown role", spec{"Role": rolePath + "2"}, "cannot be assumed by Lambda", "test2", "cannot be found"),
		p.invalid("another account's role", spec{"Role": "arn:aws:iam::123456789012:role/test"}, "cannot be assumed by Lambda", "123456789012"),
		p.invalid("a role that trusts others", spec{"Role": "arn:aws:iam::000000000000:role/ec2"}, "cannot be assumed by Lambda", "trust policy", "lambda.amazonaws.com"),
		p.violates("a long description", spec{"Description": strings.Repeat("d", 257)}, "'description'", "less than or equal to 256"),
		p.invalid("a reserved variable", env("AWS_REGION", "x"), "AWS_REGION", "reserved"),
		p.violates("a variable that is no name", env("1A", "x"), "'environment.variables'", "[a-zA-Z]"),
		p.invalid("large variables", env("LARGE", strings.Repeat("x", 4092)), "environment variables", "4KB", "4097"),
		p.with("a variable that is no text", spec{"Environment": spec{"Variables": spec{"AB": 1}}}, 400, "SerializationException", "Variables"),
		p.with("memory that is text", spec{"MemorySize": "128"}, 400, "SerializationException", "MemorySize"),
		p.invalid("51 tags", spec{"Tags": tags(51)}, "Tags", "50"),
		p.invalid("a tag of AWS's", spec{"Tags": spec{"aws:x": "y"}}, "Tags", "aws:"),
		p.invalid("levels of text", spec{"LoggingConfig": spec{"LogFormat": "Text", "SystemLogLevel": "WARN"}}, "LoggingConfig", "JSON"),
		p.violates("an unknown log format", spec{"LoggingConfig": spec{"LogFormat": "XML"}}, "'loggingConfig.logFormat'", "JSON, Text"),
		p.invalid("an unknown member", spec{"Memory": 128}, "Memory"),
	})
	p.tooNew(t, p.with)
}

func (p refusals) unbuilt(t *testing.T) {
	other := map[string]string{"x86_64": "arm64", "arm64": "x86_64"}[jsonArchitecture(t, p.platform)]
	var list []bad
	for member, value := range map[string]any{
		"VpcConfig":            spec{"SubnetIds": []string{"subnet-1"}},
		"FileSystemConfigs":    []spec{{"Arn": "arn:aws:elasticfilesystem:us-east-1:000000000000:access-point/fsap-0123456789abcdef0", "LocalMountPath": "/mnt/x"}},
		"KMSKeyArn":            "arn:aws:kms:us-east-1:000000000000:key/k",
		"ImageConfig":          spec{"Command": []string{"x"}},
		"PackageType":          "Image",
		"Architectures":        []string{other},
		"DeadLetterConfig":     spec{"TargetArn": "arn:aws:sqs:us-east-1:000000000000:q"},
		"Code.ImageUri":        "000000000000.dkr.ecr.us-east-1.amazonaws.com/i:1",
		"Code.S3Bucket":        "bucket",
		"CodeSigningConfigArn": "arn:aws:lambda:us-east-1:000000000000:code-signing-config:csc-0123456789abcdef0",
		"Code.SourceKMSKeyArn": "arn:aws:kms:us-east-1:000000000000:key/k",
		"DurableConfig":        spec{"ExecutionTimeout": 60},
		"Code.S3ObjectVersion": "1",
		"RuntimeConfig":        spec{"X": 1},
	} {
		outer, inner, nested := strings.Cut(member, ".")
		change := spec{outer: value}
		if nested {
			change = spec{outer: spec{inner: value}}
		}
		list = append(list, p.invalid(member, change, outer, inner))
	}
	p.refused(t, list)
	// What tools send for "none" means nothing.
	if resp, body := p.tryCreate("none", p.good, spec{"Layers": []string{}, "VpcConfig": spec{"SubnetIds": []string{}, "SecurityGroupIds": []string{}},
		"SnapStart": spec{"ApplyOn": "None"}, "KMSKeyArn": "", "DeadLetterConfig": spec{"TargetArn": ""}, "TracingConfig": spec{"Mode": "PassThrough"}}); resp.StatusCode != 201 {
		t.Errorf("none: %d %s", resp.StatusCode, body)
	}
}

func (p refusals) badPackages(t *testing.T) {
	zipped := func(name string, zip []byte, has ...string) bad {
		return bad{name, func() (*http.Response, string) { return p.tryCreate("new", zip, nil) }, 400, "InvalidParameterValueException", has}
	}
	entry := func(name, file string, mode fs.FileMode, has ...string) bad {
		return zipped(name, zipEntry(t, file, "/etc/passwd", mode), append(has, "Could not unzip uploaded file", file)...)
	}
	p.refused(t, []bad{
		zipped("empty", nil, "ZipFile"),
		zipped("not a zip", []byte("#!/bin/sh\n"), "Could not unzip uploaded file"),
		zipped("cut short", p.good[:len(p.good)-30], "Could not unzip uploaded file"),
		zipped("damaged", damaged(p.good), "Could not unzip uploaded file"),
		zipped("no files", zipOf(t, nil), "non-empty zip"),
		entry("outside", "../escape.py", 0o644, "outside"),
		entry("outside, deeper", "a/../../escape.py", 0o644, "outside"),
		entry("absolute", "/etc/cron.d/x", 0o644, "absolute"),
		entry("link to outside", "link", fs.ModeSymlink|0o777, "symbolic link"),
		entry("device", "null", fs.ModeDevice|fs.ModeCharDevice|0o666, "device"),
		zipped("unpacked too large", zipOf(t, map[string]string{"zero": strings.Repeat("\x00", 250<<20), "one": "1"}), "Unzipped size must be smaller than 262144000 bytes"),
		zipped("zipped too large", make([]byte, 50<<20+1), "Zipped size must be smaller than 52428800 bytes"),
		{"request too large", func() (*http.Response, string) { return p.tryCreate("new", make([]byte, 52<<20), nil) }, 413, "RequestEntityTooLargeException",
			[]string{"Request must be smaller than 70167211 bytes for the CreateFunction operation"}},
		p.with("no code", spec{"Code": nil}, 400, "ValidationException", "'code'"),
		p.invalid("empty code", spec{"Code": spec{}}, "ZipFile"),
		p.with("code that is not base64", spec{"Code": spec{"ZipFile": "*"}}, 400, "SerializationException", "ZipFile"),
	})
}

func (p refusals) largePackage(t *testing.T) {
	if resp, body := p.tryCreate("large", zipOfSize(t, 50<<20), nil); resp.StatusCode != http.StatusCreated || jsonField(t, body, "CodeSize") != float64(50<<20) {
		t.Errorf("%d %.300s", resp.StatusCode, body)
	}
}

func (p refusals) badRequests(t *testing.T) {
	there := functionsPath + "/there"
	p.refused(t, []bad{
		p.with("a name that is taken", spec{"FunctionName": "there"}, 409, "ResourceConflictException", "Function already exist: there"),
		p.request("not JSON", "POST", functionsPath, `{"FunctionName":`, 400, "InvalidRequestContentException", "Could not parse request body into json"),
		p.request("no object", "POST", functionsPath, `[]`, 400, "SerializationException", ""),
		p.request("nothing", "POST", functionsPath, ``, 400, "ValidationException", "'functionName'"),
		p.request("unknown function", "GET", functionsPath+"/nobody", ``, 404, "ResourceNotFoundException", "Function not found: arn:aws:lambda:us-east-1:000000000000:function:nobody"),
		p.request("unknown version", "GET", there+"?Qualifier=2", ``, 404, "ResourceNotFoundException", "function:there:2"),
		p.request("alias", "GET", there+"?Qualifier=live", ``, 404, "ResourceNotFoundException", "function:there:live"),
		p.request("bad name in path", "GET", functionsPath+"/a%20b", ``, 400, "ValidationException", "'functionName'"),
		p.request("another region's", "GET", functionsPath+"/arn%3Aaws%3Alambda%3Aeu-west-1%3A000000000000%3Afunction%3Athere", ``, 404, "ResourceNotFoundException", "eu-west-1", "us-east-1"),
		p.request("another account's", "GET", functionsPath+"/123456789012%3Afunction%3Athere", ``, 403, "AccessDeniedException", "lambda:GetFunction", "another account"),
		p.request("page of nothing", "GET", functionsPath+"?MaxItems=0", ``, 400, "ValidationException", "'maxItems'"),
		p.request("page size that is no number", "GET", functionsPath+"?MaxItems=x", ``, 400, "SerializationException", "MaxItems"),
		p.request("change of a version", "PUT", there+"%3A1/configuration", `{"Timeout":5}`, 400, "InvalidParameterValueException", "published version"),
		p.request("bad change", "PUT", there+"/configuration", `{"Timeout":5,"MemorySize":1}`, 400, "ValidationException", "'memorySize'"),
		p.request("change to a runtime that isn't there", "PUT", there+"/configuration", `{"Timeout":5,"Runtime":"ruby3.3"}`, 400, "InvalidParameterValueException", "ruby3.3", "python3.11"),
		p.request("change to a role that isn't there", "PUT", there+"/configuration", `{"Role":"arn:aws:iam::000000000000:role/nobody"}`, 400, "InvalidParameterValueException", "nobody"),
		p.request("code that is no zip", "PUT", there+"/code", `{"ZipFile":"eA=="}`, 400, "InvalidParameterValueException", "Could not unzip uploaded file"),
		p.request("code in a bucket", "PUT", there+"/code", `{"S3Bucket":"b","S3Key":"k"}`, 400, "InvalidParameterValueException", "S3Bucket"),
		p.request("no code", "PUT", there+"/code", `{}`, 400, "InvalidParameterValueException", "ZipFile"),
		p.request("stale revision", "PUT", there+"/configuration", `{"Timeout":5,"RevisionId":"x"}`, 412, "PreconditionFailedException", "Revision Id"),
		p.request("wrong code hash", "POST", there+"/versions", `{"CodeSha256":"`+shaOf([]byte("x"))+`"}`, 400, "InvalidParameterValueException", "CodeSHA256"),
		p.request("no hash", "POST", there+"/versions", `{"CodeSha256":"x"}`, 400, "InvalidParameterValueException", "CodeSha256"),
		p.request("deletion of $LATEST", "DELETE", there+"?Qualifier=%24LATEST", ``, 400, "InvalidParameterValueException", "$LATEST"),
		p.request("deletion of no version", "DELETE", there+"?Qualifier=9", ``, 404, "ResourceNotFoundException", "there:9"),
		p.request("unbuilt operation", "POST", "/2015-03-31/event-source-mappings", `{"FunctionName":"there"}`, 501, "NotImplementedException", "CreateEventSourceMapping"),
		p.request("the older way of events", "POST", "/2014-11-13/functions/there/invoke-async", `{}`, 501, "NotImplementedException", "InvokeAsync"),
		p.request("unknown path", "GET", "/2099-01-01/everything", ``, 404, "UnknownOperationException", ""),
		{"unbuilt operation of another service", func() (*http.Response, string) {
			return p.read(p.send("POST", "iam", "/", "application/x-www-form-urlencoded", []byte("Action=CreateUser&Version=2010-05-08&UserName=u")))
		}, 501, "NotImplemented", []string{"CreateUser"}},
		{"unbuilt service", func() (*http.Response, string) { return p.read(p.send("GET", "s3", "/bucket", "", nil)) }, 501, "UnknownService", []string{"s3"}},
	})
}

func (p refusals) badInvocations(t *testing.T) {
	invoke := func(name, function, payload string, status int, code string, has string, header ...string) bad {
		return bad{name, func() (*http.Response, string) {
			return p.read(p.send("POST", "lambda", functionsPath+"/"+function+"/invocations", "application/json", []byte(payload), header...))
		}, status, code, []string{has}}
	}
	p.refused(t, []bad{
		invoke("unknown function", "nobody", `{}`, 404, "ResourceNotFoundException", "function:nobody"),
		invoke("unknown version", "there%3A9", `{}`, 404, "ResourceNotFoundException", "there:9"),
		invoke("not JSON", "there", `{"a"`, 400, "InvalidRequestContentException", "Could not parse request body into json"),
		invoke("payload too large", "there", `"`+strings.Repeat("x", 6<<20)+`"`, 413, "RequestEntityTooLargeException", "6291456"),
		invoke("event", "there", `{}`, 400, "InvalidParameterValueException", "InvocationType", "X-Amz-Invocation-Type", "Event"),
		invoke("unknown type", "there", `{}`, 400, "ValidationException", "'invocationType'", "X-Amz-Invocation-Type", "Later"),
		invoke("unknown log type", "there", `{}`, 400, "ValidationException", "'logType'", "X-Amz-Log-Type", "Head"),
		invoke("context that is no base64", "there", `{}`, 400, "InvalidRequestContentException", "Client context", "X-Amz-Client-Context", "*"),
		invoke("large context", "there", `{}`, 400, "InvalidParameterValueException", "3583", "X-Amz-Client-Context", strings.Repeat("A", 3584)),
	})
}

// tooNew asks for a version of Python that is newer than what is here, if there is one: the answer says what is here.
func (p *platform) tooNew(t *testing.T, create func(string, spec, int, string, ...string) bad) {
	var d admin.Doctor
	p.get(admin.DoctorPath, &d)
	for _, r := range d.Runtimes {
		if r.Name == "python3.14" {
			t.Skip("needs a machine without Python 3.14")
		}
	}
	p.refused(t, []bad{create("a runtime newer than all that is here", spec{"Runtime": "python3.14"}, 400, "InvalidParameterValueException",
		"python3.14", d.Runtimes[0].Version, "artesian runtime add")})
}

// role2 makes a role that trusts another service.
func (p *platform) role2(t *testing.T) {
	t.Helper()
	q := url.Values{"Action": {"CreateRole"}, "Version": {"2010-05-08"}, "RoleName": {"ec2"}, "AssumeRolePolicyDocument": {
		`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"ec2.amazonaws.com"},"Action":"sts:AssumeRole"}]}`}}
	if resp, body := p.read(p.send("POST", "iam", "/", "application/x-www-form-urlencoded", []byte(q.Encode()))); resp.StatusCode != http.StatusOK {
		t.Fatal(body)
	}
}

func jsonArchitecture(t *testing.T, p *platform) string {
	t.Helper()
	_, body := p.read(p.send("GET", "lambda", functionsPath+"/there/configuration", "", nil))
	return jsonField(t, body, "Architectures").([]any)[0].(string)
}

func env(name, value string) spec {
	return spec{"Environment": spec{"Variables": spec{name: value}}}
}

func tags(n int) spec {
	s := spec{}
	for i := range n {
		s[fmt.Sprint("k", i)] = ""
	}
	return s
}

func zipEntry(t *testing.T, name, content string, mode fs.FileMode) []byte {
	t.Helper()
	var buf bytes.Buffer
	zw := zip.NewWriter(&buf)
	h := &zip.FileHeader{Name: name}
	h.SetMode(mode)
	w, err := zw.CreateHeader(h)
	if err == nil {
		_, err = io.WriteString(w, content)
	}
	if err == nil {
		err = zw.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

// zipOfSize makes a package of exactly that many bytes.
func zipOfSize(t *testing.T, size int) []byte {
	t.Helper()
	const name = "filling"
	rest := size - len(zipEntry(t, name, "", 0o644))
	return zipEntry(t, name, strings.Repeat("x", rest), 0o644)
}

// damaged changes one byte of the first file's content.
func damaged(zip []byte) []byte {
	b := bytes.Clone(zip)
	b[len("PK\x03\x04")+26+len("app.py")+3] ^= 0xff
	return b
}
