package sigv4

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"artesian/internal/account/identity"
	"artesian/internal/faas"
)

const tempKey, tempToken = "ASIAEXAMPLE", "to/ken+with=odd=="

func openSession(keyID, token string) (identity.Temporary, bool) {
	return identity.Temporary{SecretAccessKey: "temporary", Expires: testNow.Add(2 * time.Minute),
		Owner: identity.Principal{Account: "000000000000", Role: "role"}}, keyID == tempKey && token == tempToken
}

// sessionCall is a request signed by the SDK with what token says; it is added without a signature where it says so.
func sessionCall(t *testing.T, token string, presign, unsigned bool) *http.Request {
	t.Helper()
	creds := aws.Credentials{AccessKeyID: tempKey, SecretAccessKey: "temporary"}
	if !unsigned {
		creds.SessionToken = token
	}
	r := httptest.NewRequest("POST", "http://127.0.0.1:4566/2015-03-31/functions/hello/invocations?Qualifier=1", strings.NewReader(smallBody))
	sum := sha256.Sum256([]byte(smallBody))
	hash := hex.EncodeToString(sum[:])
	if !presign {
		if err := v4.NewSigner().SignHTTP(context.Background(), creds, r, hash, "lambda", "us-east-1", testNow); err != nil {
			t.Fatal(err)
		}
		if unsigned {
			r.Header.Set("X-Amz-Security-Token", token)
		}
		return r
	}
	signed, headers, err := v4.NewSigner().PresignHTTP(context.Background(), creds, r, hash, "lambda", "us-east-1", testNow)
	if err != nil {
		t.Fatal(err)
	}
	if unsigned {
		signed += "&X-Amz-Security-Token=" + url.QueryEscape(token)
	}
	r = httptest.NewRequest("POST", signed, strings.NewReader(smallBody))
	r.Header = headers
	return r
}

// TestSessions signs with temporary credentials in the four ways that AWS takes them: in the header or the query string,
// with the token signed or added afterwards.
func TestSessions(t *testing.T) {
	v := New(lookup).WithSessions(openSession)
	for name, how := range map[string]struct{ presign, unsigned bool }{
		"header": {false, false}, "header, token not signed": {false, true}, "query": {true, false}, "query, token not signed": {true, true},
	} {
		t.Run(name, func(t *testing.T) {
			call := func(token string, at time.Duration, d Dialect) error {
				id, err := verify(v, sessionCall(t, token, how.presign, how.unsigned), []byte(smallBody), testNow.Add(at), d)
				if err == nil && (id.Role != "role" || id.AccessKeyID != tempKey || id.Presigned != how.presign) {
					t.Errorf("%+v", id)
				}
				return err
			}
			for _, at := range []time.Duration{-time.Minute, 0, 2*time.Minute - 1} {
				if err := call(tempToken, at, JSON); err != nil {
					t.Errorf("%v: %v", at, err)
				}
			}
			checkError(t, "expired", call(tempToken, 2*time.Minute, JSON), faas.Unauthenticated, "ExpiredTokenException", failEnded.message)
			checkError(t, "expired", call(tempToken, 2*time.Minute, Query), faas.Unauthenticated, "ExpiredToken", failEnded.message)
			checkError(t, "another token", call("other", 0, JSON), faas.Unauthenticated, "UnrecognizedClientException", failUnknownKey.message)
			checkError(t, "another token", call("other", 0, Query), faas.Unauthenticated, "InvalidClientTokenId", failUnknownKey.message)
			checkError(t, "skew", call(tempToken, 20*time.Minute, JSON), faas.Unauthenticated, "InvalidSignatureException",
				"Signature expired: 20150830T123600Z is now earlier than 20150830T125100Z (20150830T125600Z - 5 min.)")
			changed := sessionCall(t, tempToken, how.presign, how.unsigned)
			changed.URL.RawQuery = strings.Replace(changed.URL.RawQuery, "Qualifier=1", "Qualifier=2", 1)
			_, err := verify(v, changed, []byte(smallBody), testNow, JSON)
			checkError(t, "changed", err, faas.Unauthenticated, "InvalidSignatureException", failMismatch.message)
		})
	}
}

// TestSessionsMixed: a token and a key that do not belong together sign nothing.
func TestSessionsMixed(t *testing.T) {
	without := sessionCall(t, tempToken, false, true)
	without.Header.Del("X-Amz-Security-Token")
	lasting := smallCall(t, smallBody)
	lasting.Header.Set("X-Amz-Security-Token", tempToken)
	empty := smallCall(t, smallBody)
	empty.Header.Set("X-Amz-Security-Token", "")
	for name, r := range map[string]*http.Request{"a temporary key without its token": without, "a user's key with a token": lasting, "an empty token": empty} {
		_, err := verify(New(lookup).WithSessions(openSession), r, []byte(smallBody), testNow, JSON)
		checkError(t, name, err, faas.Unauthenticated, "UnrecognizedClientException", failUnknownKey.message)
	}
	_, err := verify(New(lookup), sessionCall(t, tempToken, false, false), []byte(smallBody), testNow, JSON)
	checkError(t, "where there are no sessions", err, faas.Unauthenticated, "UnrecognizedClientException", failUnknownKey.message)
	two := sessionCall(t, tempToken, false, false)
	two.Header.Add("X-Amz-Security-Token", "second")
	_, err = verify(New(lookup).WithSessions(openSession), two, []byte(smallBody), testNow, JSON)
	checkError(t, "two tokens", err, faas.Invalid, "IncompleteSignatureException", "There must be one X-Amz-Security-Token, not 2.")
	if s, ok := scopeOf(sessionCall(t, tempToken, true, true)); !ok || s.Token != tempToken || s.KeyID != tempKey {
		t.Errorf("%+v", s)
	}
}
