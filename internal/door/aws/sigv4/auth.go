package sigv4

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"artesian/internal/faas"
)

const algorithm = "AWS4-HMAC-SHA256"

// auth is what a request says about its own signature.
type auth struct {
	presigned     bool
	credential    string // keyID/date/region/service/aws4_request
	keyID         string
	date          string // YYYYMMDD
	region        string
	service       string
	scope         string // date/region/service/aws4_request
	signedHeaders string // lower case, sorted, joined by ;
	signature     string // hexadecimal
	timestamp     string // in ISO 8601's basic form, as it is signed
	at            time.Time
	expires       time.Duration // of a presigned URL; 0 if it does not say
	bodyHash      string        // x-amz-content-sha256, may be empty
	withToken     bool          // carries a session token
	token         string
	unsignedToken bool // it came in the query string, where a client may have put it after signing
}

// parse reads the signature of a request from its header or its query string.
func parse(r *http.Request) (auth, *failure) {
	header := r.Header["Authorization"]
	presigned := strings.Contains(r.URL.RawQuery, "X-Amz-Algorithm=")
	var a auth
	var fail *failure
	switch {
	case len(header) > 1 || len(header) == 1 && presigned:
		return auth{}, failTwoWays
	case len(header) == 1:
		fail = a.fromHeader(r, header[0])
	case presigned:
		fail = a.fromQuery(r)
	default:
		return auth{}, failMissing
	}
	if fail != nil {
		return auth{}, fail
	}
	return a, a.splitCredential()
}

func (a *auth) fromHeader(r *http.Request, value string) *failure {
	scheme, rest, _ := strings.Cut(value, " ")
	if strings.HasPrefix(scheme, "AWS4-") && scheme != algorithm {
		return incomplete("The signing algorithm '%s' is not supported: use '%s'.", scheme, algorithm)
	}
	for part := range strings.SplitSeq(rest, ",") {
		name, val, _ := strings.Cut(strings.TrimSpace(part), "=")
		var field *string
		switch name {
		case "Credential":
			field = &a.credential
		case "SignedHeaders":
			field = &a.signedHeaders
		case "Signature":
			field = &a.signature
		default:
			continue
		}
		if *field != "" {
			return incomplete("Authorization header has the '%s' parameter twice.", name)
		}
		*field = val
	}
	if fail := a.timeFromHeader(r); fail != nil {
		return fail
	}
	if a.credential == "" || a.signedHeaders == "" || a.signature == "" || a.timestamp == "" {
		return missingParts(a)
	}
	a.bodyHash = r.Header.Get("X-Amz-Content-Sha256")
	if v := r.Header["X-Amz-Security-Token"]; len(v) > 1 {
		return incomplete("There must be one X-Amz-Security-Token, not %d.", len(v))
	} else if len(v) == 1 {
		a.withToken, a.token = true, v[0]
	}
	return nil
}

// timeFromHeader prefers X-Amz-Date to Date, as the specification does.
func (a *auth) timeFromHeader(r *http.Request) *failure {
	if v := r.Header["X-Amz-Date"]; len(v) > 0 {
		return a.setTime(v[0])
	}
	v := r.Header.Get("Date")
	if v == "" {
		return nil
	}
	if t, err := http.ParseTime(v); err == nil {
		return a.setTime(t.UTC().Format(basicISO))
	}
	return a.setTime(v)
}

func (a *auth) setTime(s string) *failure {
	at, err := time.Parse(basicISO, s)
	if err != nil || len(s) != len(basicISO) {
		return incomplete("Date must be in ISO-8601 'basic format'. Got '%s'. See http://en.wikipedia.org/wiki/ISO_8601", s)
	}
	a.timestamp, a.at = s, at
	return nil
}

func (a *auth) fromQuery(r *http.Request) *failure {
	a.presigned = true
	var alg, date, expires string
	for pair := range strings.SplitSeq(r.URL.RawQuery, "&") {
		name, raw, _ := strings.Cut(pair, "=")
		var field *string
		switch name {
		case "X-Amz-Algorithm":
			field = &alg
		case "X-Amz-Credential":
			field = &a.credential
		case "X-Amz-Date":
			field = &date
		case "X-Amz-Expires":
			field = &expires
		case "X-Amz-SignedHeaders":
			field = &a.signedHeaders
		case "X-Amz-Signature":
			field = &a.signature
		case "X-Amz-Content-Sha256":
			field = &a.bodyHash
		case "X-Amz-Security-Token":
			a.withToken, a.unsignedToken = true, true
			field = &a.token
		default:
			continue
		}
		val, err := url.QueryUnescape(raw)
		if err != nil || *field != "" {
			return failQueryParts
		}
		*field = val
	}
	if alg != algorithm || a.credential == "" || a.signedHeaders == "" || a.signature == "" || date == "" {
		return failQueryParts
	}
	if v := r.Header.Get("X-Amz-Content-Sha256"); v != "" {
		a.bodyHash = v
	}
	if fail := a.setTime(date); fail != nil {
		return fail
	}
	return a.setExpires(expires)
}

func (a *auth) setExpires(s string) *failure {
	if s == "" {
		return nil
	}
	seconds, err := strconv.Atoi(s)
	if err != nil || seconds < 1 || seconds > int(MaxExpires/time.Second) {
		return failExpires
	}
	a.expires = time.Duration(seconds) * time.Second
	return nil
}

func (a *auth) splitCredential() *failure {
	if strings.Count(a.credential, "/") != 4 {
		return incomplete("Credential must have exactly 5 slash-delimited elements, e.g. keyid/date/region/service/term, got '%s'", a.credential)
	}
	a.keyID, a.scope, _ = strings.Cut(a.credential, "/")
	date, rest, _ := strings.Cut(a.scope, "/")
	region, rest, _ := strings.Cut(rest, "/")
	service, term, _ := strings.Cut(rest, "/")
	switch {
	case date != a.timestamp[:8]:
		return invalid("Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: '%s' != '%s', from '%s'.",
			date, a.timestamp[:8], a.timestamp)
	case term != "aws4_request":
		return invalid("Credential should be scoped with a valid terminator: 'aws4_request', not '%s'.", term)
	case !faas.ValidRegion(region):
		return invalid("Credential should be scoped to a valid region.")
	case a.keyID == "" || service == "":
		return incomplete("Credential must name an access key and a service.")
	}
	a.date, a.region, a.service = date, region, service
	return nil
}

// checkTime refuses a signature that is too old or not yet valid.
func (a *auth) checkTime(now time.Time) *failure {
	now = now.UTC()
	allowed := MaxSkew
	if a.expires > 0 {
		allowed = a.expires
	}
	if a.at.Before(now.Add(-allowed)) {
		return expired(a.at, now, allowed)
	}
	if a.at.After(now.Add(MaxSkew)) {
		return early(a.at, now)
	}
	return nil
}

// checkHeaders requires that the host and every x-amz-* header of the request are signed. A session token need not be: it
// names the key that signs, and opens with no other.
func (a *auth) checkHeaders(r *http.Request) *failure {
	last, host, signed := "", false, 0
	for name := range strings.SplitSeq(a.signedHeaders, ";") {
		if name <= last || strings.ToLower(name) != name {
			return invalid("SignedHeaders must be lower case, sorted and without repetition.")
		}
		last = name
		if name == "host" {
			host = true
		}
		if strings.HasPrefix(name, amzPrefix) && name != tokenHeader && headerValues(r, name) != nil {
			signed++
		}
	}
	if !host {
		return invalid("'Host' or ':authority' must be a 'SignedHeader' in the AWS Authorization.")
	}
	for name := range r.Header {
		if isAmz(name) && !strings.EqualFold(name, tokenHeader) {
			signed--
		}
	}
	if signed == 0 {
		return nil
	}
	return a.unsignedHeader(r)
}

// unsignedHeader names a header that should have been signed.
func (a *auth) unsignedHeader(r *http.Request) *failure {
	list := ";" + a.signedHeaders + ";"
	first := ""
	for name := range r.Header {
		name = strings.ToLower(name)
		if strings.HasPrefix(name, amzPrefix) && name != tokenHeader && !strings.Contains(list, ";"+name+";") && (first == "" || name < first) {
			first = name
		}
	}
	return invalid("'%s' must be a 'SignedHeader' in the AWS Authorization.", first)
}

const (
	amzPrefix   = "x-amz-"
	tokenHeader = "x-amz-security-token"
)

func isAmz(name string) bool {
	return len(name) >= len(amzPrefix) && strings.EqualFold(name[:len(amzPrefix)], amzPrefix)
}
