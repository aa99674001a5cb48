package sigv4

import (
	"bufio"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// vector is a line of what testdata/generate.py prints.
type vector struct {
	Name, Service, Method, Target, Host, Body string
	Headers                                   [][2]string
	Presigned                                 bool
}

var vectorNow = time.Date(2026, 2, 3, 4, 5, 6, 0, time.UTC)

// received returns a request as the HTTP server would hand it over.
func received(tb testing.TB, method, target, host string, headers [][2]string, body []byte) *http.Request {
	tb.Helper()
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s HTTP/1.1\r\nHost: %s\r\n", method, target, host)
	for _, h := range headers {
		fmt.Fprintf(&b, "%s: %s\r\n", h[0], h[1])
	}
	if len(body) > 0 && !strings.Contains(b.String(), "Content-Length") {
		fmt.Fprintf(&b, "Content-Length: %d\r\n", len(body))
	}
	r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(b.String() + "\r\n" + string(body))))
	if err != nil {
		tb.Fatalf("read request: %v\n%s", err, b.String())
	}
	return r
}

func (v vector) request(tb testing.TB) (*http.Request, []byte) {
	tb.Helper()
	body, err := hex.DecodeString(v.Body)
	if err != nil {
		tb.Fatal(err)
	}
	return received(tb, v.Method, v.Target, v.Host, v.Headers, body), body
}

func vectors(tb testing.TB, lines []byte) []vector {
	tb.Helper()
	var all []vector
	for line := range strings.Lines(string(lines)) {
		var v vector
		if err := json.Unmarshal([]byte(line), &v); err != nil {
			tb.Fatalf("decode %q: %v", line, err)
		}
		all = append(all, v)
	}
	if len(all) < 150 {
		tb.Fatalf("only %d vectors", len(all))
	}
	return all
}

func checkVectors(t *testing.T, all []vector) {
	for _, vec := range all {
		r, body := vec.request(t)
		id, err := verify(New(lookup), r, body, vectorNow, JSON)
		if err != nil {
			t.Errorf("%s %s %s: %v", vec.Name, vec.Method, vec.Target, err)
			continue
		}
		if id.Service != vec.Service || id.AccessKeyID != testKey || id.Presigned != vec.Presigned || id.Account != "000000000000" {
			t.Errorf("%s: got %+v", vec.Name, id)
		}
	}
}

func golden(tb testing.TB) []vector {
	tb.Helper()
	lines, err := os.ReadFile("testdata/botocore.jsonl")
	if err != nil {
		tb.Fatal(err)
	}
	return vectors(tb, lines)
}

// TestBotocore verifies what botocore 1.43 signed: odd paths, query strings, header spacing, bodies, by header and in
// URLs, for Lambda's rules and S3's.
func TestBotocore(t *testing.T) { checkVectors(t, golden(t)) }

// TestBotocoreLive does the same with the botocore that is installed here.
func TestBotocoreLive(t *testing.T) {
	if out, err := exec.Command("python3", "-c", "import botocore").CombinedOutput(); err != nil {
		t.Skipf("python3 with botocore is missing: %v: %s", err, out)
	}
	out, err := exec.Command("python3", "testdata/generate.py").Output()
	if err != nil {
		t.Fatalf("sign with botocore: %v", err)
	}
	checkVectors(t, vectors(t, out))
}

// TestTamper changes every signed request a little and expects each change to be noticed.
func TestTamper(t *testing.T) {
	changes := map[string]func(v *vector){
		"method": func(v *vector) { v.Method = "PATCH" },
		"host":   func(v *vector) { v.Host = "localhost:4566" },
		"path":   func(v *vector) { v.Target = strings.Replace(v.Target, "/", "/zz/", 1) },
		"query": func(v *vector) {
			if strings.Contains(v.Target, "?") {
				v.Target += "&extra=1"
			} else {
				v.Target += "?extra=1"
			}
		},
		"body": func(v *vector) {
			if v.Service == serviceS3 && v.Presigned {
				v.Method = "PATCH" // a presigned S3 URL leaves the body open
			}
			v.Body += "00"
		},
		"service": func(v *vector) { v.replace("/"+v.Service+"/", "/sqs/") },
		"region":  func(v *vector) { v.replace("us-east-1", "us-west-2"); v.replace("eu-central-1", "us-west-2") },
		"time":    func(v *vector) { v.replace("20260203T040506Z", "20260203T040507Z") },
		"header":  func(v *vector) { v.Headers = append(v.Headers, [2]string{"X-Amz-Extra", "1"}) },
	}
	for name, change := range changes {
		for _, vec := range golden(t) {
			vec.Headers = append([][2]string{}, vec.Headers...)
			change(&vec)
			r, body := vec.request(t)
			if _, err := verify(New(lookup), r, body, vectorNow, JSON); err == nil {
				t.Errorf("%s: a changed %s went unnoticed", vec.Name, name)
			}
		}
	}
}

func (v *vector) replace(from, to string) {
	v.Target = strings.ReplaceAll(v.Target, from, to)
	v.Target = strings.ReplaceAll(v.Target, strings.ReplaceAll(from, "/", "%2F"), strings.ReplaceAll(to, "/", "%2F"))
	for i := range v.Headers {
		v.Headers[i][1] = strings.ReplaceAll(v.Headers[i][1], from, to)
	}
}

// TestAWSSuite verifies requests of AWS's own signing test suite
// (https://github.com/awslabs/aws-c-auth, tests/aws-signing-test-suite/v4, Apache-2.0).
func TestAWSSuite(t *testing.T) {
	for _, c := range []struct{ name, target, headers, signature string }{
		{"get-vanilla", "/", "", "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"},
		{"get-relative-relative-normalized", "/example1/example2/../..", "", "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"},
		{"get-slash-dot-slash-unnormalized", "/./", "", "68714168e6557f8f2de0ef956fc24dc2593a4bd2961f8df51898d8a134695145"},
		{"get-slash-pointless-dot-normalized", "/./example", "", "ef75d96142cf21edca26f06005da7988e4f8dc83a165a80865db7089db637ec5"},
		{"get-slashes-normalized", "//example//", "", "9a624bd73a37c9a373b5312afbebe7a714a789de108f0bdfe846570885f57e84"},
		{"get-slashes-unnormalized", "//example//", "", "87cca117541a147f6df867677d98a7d80dff226d2bfca9e4ffa899665623c7e5"},
		{"get-utf8", "/ሴ", "", "8318018e0b0f223aa2bbf98705b62bb787dc9c0e678f255a891fd03141be5d85"},
		{"get-unreserved", "/-._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz", "", "07ef7494c76fa4850883e2b006601f940f8a34d404d0cfa977f52a65bbf5f24f"},
		{"get-vanilla-empty-query-key", "/?Param1=value1", "", "a67d582fa61cc504c4bae71f336f98b97f1ea3c7a6bfe1b6e45aec72011b9aeb"},
		{"get-vanilla-query-order-encoded", "/?Param-3=Value3&Param=Value2&%E1%88%B4=Value1", "", "371d3713e185cc334048618a97f809c9ffe339c62934c032af5a0e595648fcac"},
		{"get-vanilla-query-order-key-case", "/?Param2=value2&Param1=value1", "", "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500"},
		{"get-vanilla-utf8-query", "/?ሴ=bar", "", "2cdec8eed098649ff3a119c94853b13c643bcf08f8b0a1d91e12c9027818dd04"},
		{"get-header-key-duplicate", "/", "value2|value2|value1", "c9d5ea9f3f72853aea855b47ea873832890dbdd183b4468f858259531a5138ea"},
		{"get-header-value-order", "/", "value4|value1|value3|value2", "08c7e5a9acfcfeb3ab6b2185e75ce8b1deb5e634ec47601a50643f830c755c01"},
	} {
		headers, signed := [][2]string{}, "host;x-amz-date"
		if c.headers != "" {
			signed = "host;my-header1;x-amz-date"
			for v := range strings.SplitSeq(c.headers, "|") {
				headers = append(headers, [2]string{"My-Header1", v})
			}
		}
		checkSuite(t, c.name, "GET", c.target, signed, c.signature, headers, "")
	}
	checkSuite(t, "get-header-value-trim", "GET", "/", "host;my-header1;my-header2;x-amz-date",
		"acc3ed3afb60bb290fc8d2dd0098b9911fcaa05412b367055dee359757a9c736",
		[][2]string{{"My-Header1", " value1"}, {"My-Header2", `"a   b   c"`}}, "")
	checkSuite(t, "post-vanilla-query", "POST", "/?Param1=value1", "host;x-amz-date",
		"28038455d6de14eafc1f9222cf5aa6f1a96197d7deb8263271d420d138af7f11", nil, "")
	checkSuite(t, "post-x-www-form-urlencoded", "POST", "/", "content-length;content-type;host;x-amz-content-sha256;x-amz-date",
		"d3875051da38690788ef43de4db0d8f280229d82040bfac253562e56c3f20e0b",
		[][2]string{{"Content-Type", "application/x-www-form-urlencoded"}, {"Content-Length", "13"},
			{"x-amz-content-sha256", "9095672bbd1f56dfc5b65f3e153adc8731a4a654192329106275f4c7b24d0b6e"}}, "Param1=value1")
}

func checkSuite(t *testing.T, name, method, target, signed, signature string, headers [][2]string, body string) {
	t.Helper()
	headers = append(headers, [2]string{"X-Amz-Date", "20150830T123600Z"}, [2]string{"Authorization",
		"AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, SignedHeaders=" + signed + ", Signature=" + signature})
	r := received(t, method, target, "example.amazonaws.com", headers, []byte(body))
	if _, err := verify(New(lookup), r, []byte(body), testNow, JSON); err != nil {
		t.Errorf("%s: %v", name, err)
	}
}
