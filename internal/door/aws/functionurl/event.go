package functionurl

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// event is a request in payload format 2.0. Members that AWS leaves out of a URL's events are left out.
type event struct {
	Version        string            `json:"version"`
	RouteKey       string            `json:"routeKey"`
	RawPath        string            `json:"rawPath"`
	RawQuery       string            `json:"rawQueryString"`
	Cookies        []string          `json:"cookies,omitempty"`
	Headers        map[string]string `json:"headers"`
	Query          map[string]string `json:"queryStringParameters,omitempty"`
	RequestContext requestContext    `json:"requestContext"`
	Body           *string           `json:"body,omitempty"`
	Base64         bool              `json:"isBase64Encoded"`
}

type requestContext struct {
	AccountID    string      `json:"accountId"`
	APIID        string      `json:"apiId"`
	Authorizer   *authorizer `json:"authorizer,omitempty"`
	DomainName   string      `json:"domainName"`
	DomainPrefix string      `json:"domainPrefix"`
	HTTP         httpContext `json:"http"`
	RequestID    string      `json:"requestId"`
	RouteKey     string      `json:"routeKey"`
	Stage        string      `json:"stage"`
	Time         string      `json:"time"`
	TimeEpoch    int64       `json:"timeEpoch"`
}

type authorizer struct {
	IAM iamContext `json:"iam"`
}

type iamContext struct {
	AccessKey       string  `json:"accessKey"`
	AccountID       string  `json:"accountId"`
	CallerID        string  `json:"callerId"`
	CognitoIdentity *string `json:"cognitoIdentity"` // not used by URLs
	PrincipalOrgID  *string `json:"principalOrgId"`  // there are no organisations
	UserARN         string  `json:"userArn"`
	UserID          string  `json:"userId"`
}

type httpContext struct {
	Method    string `json:"method"`
	Path      string `json:"path"`
	Protocol  string `json:"protocol"`
	SourceIP  string `json:"sourceIp"`
	UserAgent string `json:"userAgent"`
}

// Signer is who signed a request.
type Signer struct {
	Account, ARN, UserID, AccessKeyID string
}

// arrival is all that an event is made of.
type arrival struct {
	r      *http.Request
	body   []byte
	to     Address
	signer *Signer // nil: the URL asks for no signature
	id     string  // of the request
	trace  string
	at     time.Time
}

// payload writes the event.
func (a *arrival) payload() []byte {
	path := a.rawPath()
	host := a.r.Host
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	domain := strings.ToLower(host)
	if a.to.Path != "" {
		domain = a.to.ID + "." + label + "." + a.to.Region + "." + domain
	}
	e := event{
		Version: "2.0", RouteKey: "$default", RawPath: path, RawQuery: a.r.URL.RawQuery,
		Cookies: cookies(a.r.Header["Cookie"]), Headers: a.headers(), Query: query(a.r.URL.RawQuery),
		RequestContext: requestContext{
			AccountID: "anonymous", APIID: a.to.ID, DomainName: domain, DomainPrefix: a.to.ID,
			HTTP:      httpContext{Method: a.r.Method, Path: path, Protocol: a.r.Proto, SourceIP: sourceIP(a.r), UserAgent: a.r.UserAgent()},
			RequestID: a.id, RouteKey: "$default", Stage: "$default",
			Time: a.at.UTC().Format("02/Jan/2006:15:04:05 -0700"), TimeEpoch: a.at.UnixMilli(),
		},
	}
	if s := a.signer; s != nil {
		e.RequestContext.AccountID = s.Account
		e.RequestContext.Authorizer = &authorizer{iamContext{AccessKey: s.AccessKeyID, AccountID: s.Account, CallerID: s.UserID, UserARN: s.ARN, UserID: s.UserID}}
	}
	if len(a.body) > 0 {
		var text string
		if e.Base64 = a.binary(); e.Base64 {
			text = base64.StdEncoding.EncodeToString(a.body)
		} else {
			text = string(a.body)
		}
		e.Body = &text
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(&e); err != nil {
		panic(err) // strings and numbers
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}

// rawPath is the path as the client sent it, escapes included, behind the prefix that found the URL.
func (a *arrival) rawPath() string {
	path := sentPath(a.r)
	path = strings.TrimPrefix(path, a.to.Path)
	if !strings.HasPrefix(path, "/") {
		path = "/" + path
	}
	return path
}

func sentPath(r *http.Request) string {
	if strings.HasPrefix(r.RequestURI, "/") {
		path, _, _ := strings.Cut(r.RequestURI, "?")
		return path
	}
	return r.URL.EscapedPath()
}

// hop are the headers that concern one connection only, and those that the platform answers for.
var hop = map[string]bool{"Connection": true, "Keep-Alive": true, "Proxy-Authenticate": true, "Proxy-Authorization": true, "Proxy-Connection": true,
	"Te": true, "Trailer": true, "Transfer-Encoding": true, "Upgrade": true}

// headers are the request's, in lower case, several values joined by commas. Cookies have a member of their own, and what proves
// a signature is not the function's.
func (a *arrival) headers() map[string]string {
	h := make(map[string]string, len(a.r.Header)+6)
	for name, values := range a.r.Header {
		if hop[name] || name == "Cookie" || a.signer != nil && (name == "Authorization" || name == "X-Amz-Security-Token") {
			continue
		}
		h[strings.ToLower(name)] = strings.Join(values, ",")
	}
	h["host"] = a.r.Host
	if len(a.body) > 0 {
		h["content-length"] = strconv.Itoa(len(a.body))
	}
	proto, port := "http", "80"
	if a.r.TLS != nil || a.r.Header.Get("X-Forwarded-Proto") == "https" {
		proto, port = "https", "443"
	}
	if _, p, err := net.SplitHostPort(a.r.Host); err == nil && p != "" {
		port = p
	}
	h["x-forwarded-proto"], h["x-forwarded-port"] = proto, port
	if before := h["x-forwarded-for"]; before != "" {
		h["x-forwarded-for"] = before + "," + sourceIP(a.r)
	} else {
		h["x-forwarded-for"] = sourceIP(a.r)
	}
	h["x-amzn-trace-id"] = a.trace
	return h
}

func sourceIP(r *http.Request) string {
	if host, _, err := net.SplitHostPort(r.RemoteAddr); err == nil {
		return host
	}
	return r.RemoteAddr
}

func cookies(headers []string) []string {
	var all []string
	for _, h := range headers {
		for c := range strings.SplitSeq(h, ";") {
			if c = strings.TrimSpace(c); c != "" {
				all = append(all, c)
			}
		}
	}
	return all
}

// query are the parameters, decoded, several values of one joined by commas. What can't be decoded stays as it was sent.
func query(raw string) map[string]string {
	if raw == "" {
		return nil
	}
	q := map[string]string{}
	for pair := range strings.SplitSeq(raw, "&") {
		if pair == "" {
			continue
		}
		name, value, _ := strings.Cut(pair, "=")
		name, value = decoded(name), decoded(value)
		if before, ok := q[name]; ok {
			value = before + "," + value
		}
		q[name] = value
	}
	return q
}

func decoded(s string) string {
	if d, err := url.QueryUnescape(s); err == nil {
		return d
	}
	return s
}

// textual are the parts of a content type that say that a body is text.
var textual = []string{"text/", "json", "xml", "javascript"}

// binary reports whether the body goes into the event in base64: all do that are not text by their type and in fact.
func (a *arrival) binary() bool { return binary(a.r.Header.Get("Content-Type"), a.body) }

func binary(contentType string, body []byte) bool {
	contentType = strings.ToLower(contentType)
	text := slices.ContainsFunc(textual, func(part string) bool { return strings.Contains(contentType, part) })
	return !text || !utf8.Valid(body)
}

// size is what the body will take in the event, so that one too large is refused before memory is taken for it: of control
// characters it is six times what was sent.
func (a *arrival) size() int {
	if a.binary() {
		return base64.StdEncoding.EncodedLen(len(a.body))
	}
	n := len(a.body)
	for _, c := range a.body {
		switch {
		case strings.IndexByte("\b\f\n\r\t\"\\", c) >= 0:
			n++
		case c < ' ':
			n += len(`\u0000`) - 1
		}
	}
	return n
}
