package sigv4

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"artesian/internal/account/identity"
	"artesian/internal/faas"
)

// TestRefused takes a signed request and spoils it in every way that has an answer of its own.
func TestRefused(t *testing.T) {
	const prefix = "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/lambda/aws4_request, "
	set := func(name, value string) func(*http.Request) {
		return func(r *http.Request) { r.Header.Set(name, value) }
	}
	edit := func(from, to string) func(*http.Request) {
		return func(r *http.Request) {
			r.Header.Set("Authorization", strings.Replace(r.Header.Get("Authorization"), from, to, 1))
		}
	}
	for _, c := range []struct {
		name    string
		change  func(*http.Request)
		at      time.Duration
		kind    faas.Kind
		code    string
		message string
	}{
		{"no signature", func(r *http.Request) { r.Header.Del("Authorization") }, 0, faas.Unauthenticated,
			"MissingAuthenticationTokenException", "Missing Authentication Token"},
		{"another scheme", set("Authorization", "Basic YTpi"), 0, faas.Invalid, "IncompleteSignatureException",
			"Authorization header requires 'Credential' parameter. Authorization header requires 'Signature' parameter. " +
				"Authorization header requires 'SignedHeaders' parameter."},
		{"another algorithm", edit("AWS4-HMAC-SHA256", "AWS4-ECDSA-P256-SHA256"), 0, faas.Invalid, "IncompleteSignatureException",
			"The signing algorithm 'AWS4-ECDSA-P256-SHA256' is not supported: use 'AWS4-HMAC-SHA256'."},
		{"parameter twice", edit("Signature=", "Signature=00, Signature="), 0, faas.Invalid, "IncompleteSignatureException",
			"Authorization header has the 'Signature' parameter twice."},
		{"no date", func(r *http.Request) { r.Header.Del("X-Amz-Date") }, 0, faas.Invalid, "IncompleteSignatureException",
			"Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header."},
		{"bad date", set("X-Amz-Date", "2015-08-30T12:36:00Z"), 0, faas.Invalid, "IncompleteSignatureException",
			"Date must be in ISO-8601 'basic format'. Got '2015-08-30T12:36:00Z'. See http://en.wikipedia.org/wiki/ISO_8601"},
		{"other date in scope", edit("/20150830/", "/20150831/"), 0, faas.Unauthenticated, "InvalidSignatureException",
			"Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: '20150831' != '20150830', from '20150830T123600Z'."},
		{"bad terminator", edit("aws4_request", "aws5_request"), 0, faas.Unauthenticated, "InvalidSignatureException",
			"Credential should be scoped with a valid terminator: 'aws4_request', not 'aws5_request'."},
		{"bad region", edit("us-east-1", "US_EAST"), 0, faas.Unauthenticated, "InvalidSignatureException",
			"Credential should be scoped to a valid region."},
		{"short scope", edit("/lambda/", "/"), 0, faas.Invalid, "IncompleteSignatureException",
			"Credential must have exactly 5 slash-delimited elements, e.g. keyid/date/region/service/term, got 'AKIDEXAMPLE/20150830/us-east-1/aws4_request'"},
		{"too old", nil, 5*time.Minute + time.Second, faas.Unauthenticated, "InvalidSignatureException",
			"Signature expired: 20150830T123600Z is now earlier than 20150830T123601Z (20150830T124101Z - 5 min.)"},
		{"too new", nil, -5*time.Minute - time.Second, faas.Unauthenticated, "InvalidSignatureException",
			"Signature not yet current: 20150830T123600Z is still later than 20150830T123559Z (20150830T123059Z + 5 min.)"},
		{"unknown key", edit("AKIDEXAMPLE", "AKIDSOMEONE"), 0, faas.Unauthenticated, "UnrecognizedClientException",
			"The security token included in the request is invalid."},
		{"host not signed", set("Authorization", prefix+"SignedHeaders=x-amz-date, Signature=00"), 0, faas.Unauthenticated, "InvalidSignatureException",
			"'Host' or ':authority' must be a 'SignedHeader' in the AWS Authorization."},
		{"unsorted", set("Authorization", prefix+"SignedHeaders=x-amz-date;host, Signature=00"), 0, faas.Unauthenticated, "InvalidSignatureException",
			"SignedHeaders must be lower case, sorted and without repetition."},
		{"header not signed", set("X-Amz-Client-Context", "e30="), 0, faas.Unauthenticated, "InvalidSignatureException",
			"'x-amz-client-context' must be a 'SignedHeader' in the AWS Authorization."},
		{"two mechanisms", func(r *http.Request) { r.URL.RawQuery = "X-Amz-Algorithm=AWS4-HMAC-SHA256" }, 0, faas.Invalid,
			"IncompleteSignatureException", failTwoWays.message},
		{"wrong signature", edit("Signature=", "Signature=0"), 0, faas.Unauthenticated, "InvalidSignatureException", failMismatch.message},
		{"not a signature", set("Authorization", prefix+"SignedHeaders=host;x-amz-date, Signature="+strings.Repeat("zz", 32)), 0,
			faas.Unauthenticated, "InvalidSignatureException", failMismatch.message},
	} {
		r := smallCall(t, smallBody)
		if c.change != nil {
			c.change(r)
		}
		_, err := verify(New(lookup), r, []byte(smallBody), testNow.Add(c.at), JSON)
		checkError(t, c.name, err, c.kind, c.code, c.message)
	}
}

func checkError(t *testing.T, name string, err error, kind faas.Kind, code, message string) {
	t.Helper()
	var e *faas.Error
	if !errors.As(err, &e) || e.Kind != kind || e.Code != code || e.Message != message {
		t.Errorf("%s: got %#v\nwant %v %s: %s", name, e, kind, code, message)
	}
}

func TestSkewWithinFiveMinutes(t *testing.T) {
	for _, at := range []time.Duration{-MaxSkew, 0, MaxSkew} {
		if _, err := verify(New(lookup), smallCall(t, smallBody), []byte(smallBody), testNow.Add(at), JSON); err != nil {
			t.Errorf("%v: %v", at, err)
		}
	}
}

// TestQueryDialect checks the codes that differ for awsQuery.
func TestQueryDialect(t *testing.T) {
	v := New(lookup)
	r := smallCall(t, smallBody)
	_, err := verify(v, r, []byte("{}"), testNow, Query)
	checkError(t, "wrong body", err, faas.Unauthenticated, "SignatureDoesNotMatch", failMismatch.message)
	r.Header.Set("Authorization", strings.Replace(r.Header.Get("Authorization"), testKey, "AKIDSOMEONE", 1))
	_, err = verify(v, r, nil, testNow, Query)
	checkError(t, "unknown key", err, faas.Unauthenticated, "InvalidClientTokenId", failUnknownKey.message)
	_, err = verify(v, httptest.NewRequest("POST", "/", nil), nil, testNow, Query)
	checkError(t, "no signature", err, faas.Unauthenticated, "MissingAuthenticationToken", failMissing.message)
}

// TestPayloadStated covers x-amz-content-sha256 values that a service does not take.
func TestPayloadStated(t *testing.T) {
	for _, c := range []struct{ service, stated, message string }{
		{"lambda", "UNSIGNED-PAYLOAD", failUnsignedPayload.message},
		{"lambda", strings.Repeat("0", 64), failBodyHash.message},
		{"s3", strings.Repeat("0", 64), failBodyHash.message},
		{"s3", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD", failStreaming.message},
		{"s3", "UNSIGNED-PAYLOAD", failMismatch.message},
	} {
		a := &auth{service: c.service, bodyHash: c.stated}
		_, fail := a.payload([]byte("{}"))
		if fail == nil {
			fail = failMismatch // accepted here, to fail by its signature
		}
		if fail.message != c.message {
			t.Errorf("%s %s: %s", c.service, c.stated, fail.message)
		}
	}
}

func TestPresignedLife(t *testing.T) {
	var vec vector
	for _, v := range golden(t) {
		if v.Name == "presigned 0" {
			vec = v
		}
	}
	verify := func(at time.Duration) error {
		r, body := vec.request(t)
		_, err := verify(New(lookup), r, body, vectorNow.Add(at), JSON)
		return err
	}
	for _, at := range []time.Duration{-MaxSkew, 0, 599 * time.Second, 600 * time.Second} {
		if err := verify(at); err != nil {
			t.Errorf("%v: %v", at, err)
		}
	}
	checkError(t, "expired", verify(601*time.Second), faas.Unauthenticated, "InvalidSignatureException",
		"Signature expired: 20260203T040506Z is now earlier than 20260203T040507Z (20260203T041507Z - 10 min.)")
	for _, expires := range []string{"0", "-1", "604801", "x", "9999999999999999999999"} {
		old := vec.Target
		vec.Target = strings.Replace(vec.Target, "X-Amz-Expires=600", "X-Amz-Expires="+expires, 1)
		checkError(t, expires, verify(0), faas.Invalid, "IncompleteSignatureException", failExpires.message)
		vec.Target = old
	}
	vec.Target += "&X-Amz-Signature=00"
	checkError(t, "two signatures", verify(0), faas.Invalid, "IncompleteSignatureException", failQueryParts.message)
}

// TestRotatedSecret: a cached signing key dies with its secret.
func TestRotatedSecret(t *testing.T) {
	secret := testSecret
	v := New(func(string) (string, identity.Principal, bool) { return secret, identity.Principal{}, true })
	for range 2 {
		if _, err := verify(v, smallCall(t, smallBody), []byte(smallBody), testNow, JSON); err != nil {
			t.Fatal(err)
		}
	}
	if len(v.keys.keys) != 1 {
		t.Fatalf("%d cached keys", len(v.keys.keys))
	}
	secret = "another"
	if _, err := verify(v, smallCall(t, smallBody), []byte(smallBody), testNow, JSON); err == nil {
		t.Fatal("the old secret still verifies")
	}
	if len(v.keys.keys) != 1 {
		t.Fatalf("%d cached keys after a refusal", len(v.keys.keys))
	}
}

func TestKeyCacheIsBounded(t *testing.T) {
	var c keyCache
	for i := range 3 * maxKeys {
		c.store(&auth{keyID: time.Duration(i).String()}, "s", [32]byte{})
		if len(c.keys) > maxKeys {
			t.Fatalf("%d keys", len(c.keys))
		}
	}
}

func TestScopeOf(t *testing.T) {
	s, ok := scopeOf(smallCall(t, smallBody))
	if !ok || s != (Scope{KeyID: testKey, Region: "us-east-1", Service: "lambda"}) {
		t.Error(s, ok)
	}
	if s, ok := scopeOf(httptest.NewRequest("GET", "/", nil)); ok {
		t.Error(s)
	}
}

// TestDateHeader takes the time from Date when X-Amz-Date is absent.
func TestDateHeader(t *testing.T) {
	a := auth{}
	r := httptest.NewRequest("GET", "/", nil)
	r.Header.Set("Date", "Sun, 30 Aug 2015 12:36:00 GMT")
	if fail := a.timeFromHeader(r); fail != nil || a.timestamp != "20150830T123600Z" || !a.at.Equal(testNow) {
		t.Error(fail, a)
	}
}

// TestParallel shares one verifier among callers, for the race detector.
func TestParallel(t *testing.T) {
	v := New(lookup)
	all := golden(t)
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() {
			for _, vec := range all[i*20:] {
				r, body := vec.request(t)
				if _, err := verify(v, r, body, vectorNow, JSON); err != nil {
					t.Errorf("%s: %v", vec.Name, err)
				}
			}
		})
	}
	wg.Wait()
}
