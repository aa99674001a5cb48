package sigv4

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
)

// FuzzVerify feeds whole requests. Nothing may panic, and without the secret nothing may verify.
func FuzzVerify(f *testing.F) {
	for _, v := range golden(f)[:40] {
		var b strings.Builder
		r, _ := v.request(f)
		if err := r.Write(&b); err != nil {
			f.Fatal(err)
		}
		f.Add(b.String())
	}
	f.Add("GET /?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Signature=%zz HTTP/1.1\r\nHost: a\r\n\r\n")
	f.Fuzz(func(t *testing.T, raw string) {
		r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(raw)))
		if err != nil {
			return
		}
		v := New(lookup)
		first, err := verify(v, r, nil, vectorNow, JSON)
		if strings.Contains(raw, testKey) && err == nil {
			if again, err := verify(v, r, nil, vectorNow, JSON); err != nil || again != first {
				t.Errorf("with a cached key: %+v %v", again, err)
			}
			r.Method += "X"
			if _, err := verify(v, r, nil, vectorNow, JSON); err == nil {
				t.Error("verified under another method")
			}
		}
	})
}

// FuzzSDK signs arbitrary requests with the AWS SDK for Go, by header and in the URL, and expects them to verify.
func FuzzSDK(f *testing.F) {
	f.Add("/2015-03-31/functions/a%2Fb/invocations", "b=2&a=1&a=0", "x  y ", []byte("{}"), true, false)
	f.Add("//a/../b//", "sp=a%20b&p=a+b&u=%E1%88%B4", "\" a\"", []byte(nil), false, true)
	f.Fuzz(func(t *testing.T, path, query, header string, body []byte, s3, presign bool) {
		r, service, ok := outgoing(path, query, header, body, s3)
		if !ok {
			return
		}
		sum := sha256.Sum256(body)
		hash := hex.EncodeToString(sum[:])
		if err := sdkSign(r, hash, service, presign); err != nil {
			return // the SDK cannot parse the URL that it made of an odd path
		}
		var wire strings.Builder
		if err := r.Write(&wire); err != nil {
			return
		}
		got, err := http.ReadRequest(bufio.NewReader(strings.NewReader(wire.String())))
		if err != nil {
			return
		}
		if _, err := verify(New(lookup), got, body, testNow, JSON); err != nil {
			t.Errorf("%v\n%s", err, wire.String())
		}
	})
}

func sdkSign(r *http.Request, hash, service string, presign bool) error {
	creds := aws.Credentials{AccessKeyID: testKey, SecretAccessKey: testSecret}
	option := func(o *v4.SignerOptions) { o.DisableURIPathEscaping = service == serviceS3 }
	if !presign {
		return v4.NewSigner().SignHTTP(context.Background(), creds, r, hash, service, "us-east-1", testNow, option)
	}
	q := "X-Amz-Expires=600"
	if r.URL.RawQuery != "" {
		q = r.URL.RawQuery + "&" + q
	}
	r.URL.RawQuery = q
	if service == serviceS3 {
		hash = "UNSIGNED-PAYLOAD"
	}
	signed, headers, err := v4.NewSigner().PresignHTTP(context.Background(), creds, r, hash, service, "us-east-1", testNow, option)
	if err != nil {
		return err
	}
	r.Header = headers
	r.URL, err = url.Parse(signed)
	return err
}

// outgoing builds a request as an SDK would; it reports false for what no client sends: tabs inside a header, and query
// strings that Go's parser drops parts of, which the SDK's signer then leaves unsigned.
func outgoing(path, query, header string, body []byte, s3 bool) (*http.Request, string, bool) {
	if _, err := url.ParseQuery(query); err != nil || strings.Contains(query, "X-Amz-") || strings.ContainsAny(header, "\t\r\n\x00") {
		return nil, "", false
	}
	if strings.ContainsFunc(header, func(r rune) bool { return r < ' ' || r > '~' }) {
		return nil, "", false
	}
	r, err := http.NewRequest("POST", "http://127.0.0.1:4566/"+strings.TrimPrefix(path, "/"), strings.NewReader(string(body)))
	if err != nil || r.URL.RawQuery != "" || r.URL.Fragment != "" || r.URL.ForceQuery {
		return nil, "", false
	}
	r.URL.RawQuery = query
	r.Header.Set("My-Header", header)
	r.Header.Set("X-Amz-Target", "Logs")
	if s3 {
		return r, "s3", true
	}
	return r, "lambda", true
}
