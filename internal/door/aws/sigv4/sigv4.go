// Package sigv4 establishes who sent an HTTP request from its AWS Signature Version 4, in the Authorization header or
// in the query string of a presigned URL.
// The rules are https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html.
package sigv4

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"net/http"
	"strings"
	"sync"
	"time"

	"artesian/internal/account/identity"
	"artesian/internal/faas"
)

// Limits of a signature's age.
const (
	MaxSkew    = 5 * time.Minute    // between the client's clock and ours, either way
	MaxExpires = 7 * 24 * time.Hour // of a presigned URL
)

// Lookup returns the secret and the owner of an access key. It is called once per request and must not block.
type Lookup func(keyID string) (secret string, owner identity.Principal, ok bool)

// Open returns the temporary credentials of an access key and a session token, expired or not. It is called once per
// request that has a token and must not block.
type Open func(keyID, token string) (identity.Temporary, bool)

// Identity is what a valid signature establishes.
type Identity struct {
	identity.Principal
	Region    string // from the credential scope
	Service   string // signing name, for example lambda; the door serves the request to this service only
	Presigned bool
}

// Verifier checks signatures. It is safe for concurrent use.
type Verifier struct {
	lookup  Lookup
	open    Open // nil: there are no temporary credentials
	keys    keyCache
	buffers sync.Pool // of *[]byte: canonical requests
}

// New returns a Verifier of the keys that lookup knows.
func New(lookup Lookup) *Verifier {
	return &Verifier{lookup: lookup, buffers: sync.Pool{New: func() any { return new(make([]byte, 0, 1024)) }}}
}

// WithSessions lets temporary credentials sign too.
func (v *Verifier) WithSessions(open Open) *Verifier {
	v.open = open
	return v
}

// Signature is what a request says about its own signature. Nothing about it is verified.
type Signature struct {
	auth auth
	fail *failure
}

// Read reads the signature of a request, so that a door can find the service before the body is read.
func Read(r *http.Request) (s Signature) {
	s.auth, s.fail = parse(r)
	return s
}

// Scope is the signature's scope; false for a request that carries no well-formed signature.
func (s *Signature) Scope() (Scope, bool) {
	a := &s.auth
	return Scope{KeyID: a.keyID, Region: a.region, Service: a.service, Token: a.token}, s.fail == nil
}

// Verify returns who signed r, whose signature is s and whose body is body, at the time now. The errors are *faas.Error: of kind
// Invalid where the signature is incomplete (HTTP 400), otherwise Unauthenticated (403), with the code of the dialect d. r is not
// modified.
func (v *Verifier) Verify(r *http.Request, s *Signature, body []byte, now time.Time, d Dialect) (Identity, error) {
	a, fail := &s.auth, s.fail
	if fail == nil {
		fail = a.checkTime(now)
	}
	if fail == nil {
		fail = a.checkHeaders(r)
	}
	if fail != nil {
		return Identity{}, fail.as(d)
	}
	secret, owner, fail := v.key(a, now)
	if fail != nil {
		return Identity{}, fail.as(d)
	}
	payload, fail := a.payload(body)
	if fail != nil {
		return Identity{}, fail.as(d)
	}
	if fail := v.match(r, a, secret, payload); fail != nil {
		return Identity{}, fail.as(d)
	}
	owner.AccessKeyID = a.keyID
	return Identity{Principal: owner, Region: a.region, Service: a.service, Presigned: a.presigned}, nil
}

// key finds the secret and the owner of the key that signed. One that came with a token is temporary, all others are not.
func (v *Verifier) key(a *auth, now time.Time) (string, identity.Principal, *failure) {
	if !a.withToken {
		secret, owner, known := v.lookup(a.keyID)
		if !known {
			return "", identity.Principal{}, failUnknownKey
		}
		return secret, owner, nil
	}
	if v.open == nil {
		return "", identity.Principal{}, failUnknownKey
	}
	t, known := v.open(a.keyID, a.token)
	switch {
	case !known:
		return "", identity.Principal{}, failUnknownKey
	case !now.Before(t.Expires):
		return "", identity.Principal{}, failEnded
	}
	return t.SecretAccessKey, t.Owner, nil
}

// Scope is the part of a signature that tells whose key made it and which service and region a request is for. Nothing about it is verified.
type Scope struct {
	KeyID, Region, Service string
	Token                  string // the session token, if there is one
}

// match compares the signature with the one that the secret gives. Signers differ on paths with empty or dot segments
// and on query strings in unusual encodings; each form covers the whole request, so any of them proves the sender.
func (v *Verifier) match(r *http.Request, a *auth, secret string, payload []byte) *failure {
	var given [sha256.Size]byte
	if len(a.signature) != hex.EncodedLen(len(given)) {
		return failMismatch
	}
	if _, err := hex.Decode(given[:], []byte(a.signature)); err != nil {
		return failMismatch
	}
	key, cached := v.keys.derive(a, secret)
	buf := v.buffers.Get().(*[]byte)
	defer v.buffers.Put(buf)
	path, query := rawPath(r), r.URL.RawQuery
	for form := range canonicalForms {
		var ok bool
		if *buf, ok = a.appendCanonical((*buf)[:0], r, form, path, query, payload); !ok {
			continue
		}
		want := a.sign(key, sha256.Sum256(*buf))
		if subtle.ConstantTimeCompare(want[:], given[:]) == 1 {
			if !cached {
				v.keys.store(a, secret, key)
			}
			return nil
		}
	}
	return failMismatch
}

// rawPath is the path as it was sent, still encoded.
func rawPath(r *http.Request) string {
	path := r.URL.EscapedPath()
	if strings.HasPrefix(r.RequestURI, "/") {
		path, _, _ = strings.Cut(r.RequestURI, "?")
	}
	if path == "" {
		return "/"
	}
	return path
}

// payload returns the hash of the body that goes into the canonical request, after checking the one the client states.
func (a *auth) payload(body []byte) ([]byte, *failure) {
	const unsigned = "UNSIGNED-PAYLOAD"
	stated := a.bodyHash
	switch {
	case stated == unsigned && a.service == serviceS3, stated == "" && a.presigned && a.service == serviceS3:
		return []byte(unsigned), nil
	case stated == unsigned:
		return nil, failUnsignedPayload
	case strings.HasPrefix(stated, "STREAMING-"):
		return nil, failStreaming
	}
	sum := sha256.Sum256(body)
	text := hex.AppendEncode(nil, sum[:])
	if stated != "" && stated != string(text) {
		return nil, failBodyHash
	}
	return text, nil
}

const serviceS3 = "s3" // the one service whose path is encoded once and whose payload may be unsigned

// Dialect selects the error codes of a protocol family.
type Dialect uint8

// The dialects.
const (
	JSON  Dialect = iota // restJson1, awsJson1.x, rpcv2Cbor
	Query                // awsQuery, ec2Query, restXml
)

// failure is one way for a signature to be refused, with its code in each dialect.
type failure struct {
	kind    faas.Kind
	code    [2]string
	message string
}

func (f *failure) as(d Dialect) error {
	return &faas.Error{Kind: f.kind, Code: f.code[d], Message: f.message, Op: "verify signature"}
}
