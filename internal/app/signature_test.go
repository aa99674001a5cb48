package app_test

import (
	"crypto/sha256"
	"encoding/hex"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
)

// badSignatures are requests whose sender can't be established.
func (p *platform) badSignatures(t *testing.T) {
	ask := func(name string, change func(*signing), status int, code string, has ...string) bad {
		return bad{name, func() (*http.Response, string) {
			s := signing{creds: p.creds, at: time.Now(), service: "lambda", region: "us-east-1", method: "GET", path: functionsPath}
			change(&s)
			return p.read(s.send(t, p.url))
		}, status, code, has}
	}
	p.refused(t, []bad{
		ask("wrong secret", func(s *signing) { s.creds.SecretAccessKey += "x" }, 403, "InvalidSignatureException", "does not match"),
		ask("unknown key", func(s *signing) { s.creds.AccessKeyID = "AKIAIOSFODNN7EXAMPLE" }, 403, "UnrecognizedClientException", "security token"),
		ask("clock 20 minutes slow", func(s *signing) { s.at = s.at.Add(-20 * time.Minute) }, 403, "InvalidSignatureException", "Signature expired", "5 min"),
		ask("clock 20 minutes fast", func(s *signing) { s.at = s.at.Add(20 * time.Minute) }, 403, "InvalidSignatureException", "not yet current", "5 min"),
		ask("body changed on the way", func(s *signing) { s.method, s.body, s.sent = "POST", `{"FunctionName":"a"}`, `{"FunctionName":"b"}` }, 403, "InvalidSignatureException", ""),
		ask("path changed on the way", func(s *signing) { s.goes = functionsPath + "/there" }, 403, "InvalidSignatureException", "does not match"),
		ask("unsigned", func(s *signing) { s.unsigned = true }, 403, "MissingAuthenticationTokenException", "Missing Authentication Token", "artesian env"),
		ask("unsigned form", func(s *signing) {
			s.unsigned, s.method, s.path, s.body = true, "POST", "/", "Action=ListRoles&Version=2010-05-08"
		}, 403, "MissingAuthenticationToken", "artesian env"),
		ask("presigned for another service", func(s *signing) { s.presign, s.service = true, "sts" }, 400, "InvalidAction", ""),
		ask("presigned for another service, sent to this one", func(s *signing) {
			s.presign, s.service, s.edit = true, "sts", func(q url.Values) {
				q.Set("X-Amz-Credential", strings.Replace(q.Get("X-Amz-Credential"), "/sts/", "/lambda/", 1))
			}
		}, 403, "InvalidSignatureException", "does not match"),
		ask("presigned for another path", func(s *signing) { s.presign, s.goes = true, functionsPath+"/there" }, 403, "InvalidSignatureException", "does not match"),
		ask("presigned, twice as long", func(s *signing) {
			s.presign, s.edit = true, func(q url.Values) { q.Set("X-Amz-Expires", "120") }
		}, 403, "InvalidSignatureException", "does not match"),
		ask("presigned long ago", func(s *signing) { s.presign, s.at = true, s.at.Add(-2*time.Minute) }, 403, "InvalidSignatureException", "expired"),
		ask("region that is none", func(s *signing) { s.region = "everywhere" }, 403, "InvalidSignatureException", "valid region"),
		ask("unknown host", func(s *signing) { s.host = "rebound.example.com" }, 421, "UnknownHost", "rebound.example.com"),
		ask("wrong secret at IAM", func(s *signing) {
			s.service, s.method, s.path, s.body = "iam", "POST", "/", "Action=ListRoles&Version=2010-05-08"
			s.creds.SecretAccessKey += "x"
		}, 403, "SignatureDoesNotMatch", "does not match"),
		ask("unknown key at STS", func(s *signing) {
			s.service, s.method, s.path, s.body = "sts", "POST", "/", "Action=GetCallerIdentity&Version=2011-06-15"
			s.creds.AccessKeyID = "AKIAIOSFODNN7EXAMPLE"
		}, 403, "InvalidClientTokenId", "security token"),
	})
	// The same request with nothing wrong is answered, signed and presigned: the table can fail.
	for _, presign := range []bool{false, true} {
		s := signing{creds: p.creds, at: time.Now(), service: "lambda", region: "us-east-1", method: "GET", path: functionsPath, presign: presign}
		if resp, body := p.read(s.send(t, p.url)); resp.StatusCode != http.StatusOK {
			t.Errorf("presigned %v: %d %s", presign, resp.StatusCode, body)
		}
	}
}

// signing is a request as it is signed, and as it is sent.
type signing struct {
	creds                         aws.Credentials
	at                            time.Time
	service, region, method, path string
	body                          string

	unsigned, presign bool
	host              string           // sent instead
	goes              string           // path that it is sent to instead
	sent              string           // body that is sent instead
	edit              func(url.Values) // changes the query after signing
}

func (s *signing) send(t *testing.T, base string) *http.Response {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), s.method, base+s.path, strings.NewReader(s.body))
	if err != nil {
		t.Fatal(err)
	}
	if strings.HasPrefix(s.body, "Action=") {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	sum := sha256.Sum256([]byte(s.body))
	switch {
	case s.presign:
		q := req.URL.Query()
		q.Set("X-Amz-Expires", "60")
		req.URL.RawQuery = q.Encode()
		signed, _, err := v4.NewSigner().PresignHTTP(t.Context(), s.creds, req, hex.EncodeToString(sum[:]), s.service, s.region, s.at)
		if err != nil {
			t.Fatal(err)
		}
		if req.URL, err = url.Parse(signed); err != nil {
			t.Fatal(err)
		}
	case !s.unsigned:
		if err := v4.NewSigner().SignHTTP(t.Context(), s.creds, req, hex.EncodeToString(sum[:]), s.service, s.region, s.at); err != nil {
			t.Fatal(err)
		}
	}
	if s.edit != nil {
		q := req.URL.Query()
		s.edit(q)
		req.URL.RawQuery = q.Encode()
	}
	if s.goes != "" {
		req.URL.Path = s.goes
	}
	if s.sent != "" {
		req.Body, req.ContentLength = io.NopCloser(strings.NewReader(s.sent)), int64(len(s.sent))
	}
	if s.host != "" {
		req.Host = s.host
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	return resp
}
