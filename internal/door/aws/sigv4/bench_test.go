package sigv4

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"artesian/internal/account/identity"
)

const (
	testKey    = "AKIDEXAMPLE"
	testSecret = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
)

var testNow = time.Date(2015, 8, 30, 12, 36, 0, 0, time.UTC)

func lookup(keyID string) (string, identity.Principal, bool) {
	return testSecret, identity.Principal{Account: "000000000000"}, keyID == testKey
}

func smallCall(tb testing.TB, body string) *http.Request {
	tb.Helper()
	r := httptest.NewRequest("POST", "http://127.0.0.1:4566/2015-03-31/functions/hello/invocations", strings.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("User-Agent", "aws-cli/2")
	sum := sha256.Sum256([]byte(body))
	if err := v4.NewSigner().SignHTTP(context.Background(), aws.Credentials{AccessKeyID: testKey, SecretAccessKey: testSecret},
		r, hex.EncodeToString(sum[:]), "lambda", "us-east-1", testNow); err != nil {
		tb.Fatal(err)
	}
	return r
}

func verify(v *Verifier, r *http.Request, body []byte, now time.Time, d Dialect) (Identity, error) {
	s := Read(r)
	return v.Verify(r, &s, body, now, d)
}

func scopeOf(r *http.Request) (Scope, bool) {
	s := Read(r)
	return s.Scope()
}

const smallBody = `{"name":"Ada Lovelace","n":[1,2,3,4,5]}`

func BenchmarkVerify(b *testing.B) {
	r, v, body := smallCall(b, smallBody), New(lookup), []byte(smallBody)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := verify(v, r, body, testNow, JSON); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkResign is the alternative that Verify is measured against: signing anew with the SDK's signer.
func BenchmarkResign(b *testing.B) {
	r, s := smallCall(b, smallBody), v4.NewSigner()
	want := r.Header.Get("Authorization")
	b.ReportAllocs()
	for b.Loop() {
		c := r.Clone(context.Background())
		sum := sha256.Sum256([]byte(smallBody))
		if err := s.SignHTTP(context.Background(), aws.Credentials{AccessKeyID: testKey, SecretAccessKey: testSecret},
			c, hex.EncodeToString(sum[:]), "lambda", "us-east-1", testNow); err != nil {
			b.Fatal(err)
		}
		if c.Header.Get("Authorization") != want {
			b.Fatal("another signature")
		}
	}
}
