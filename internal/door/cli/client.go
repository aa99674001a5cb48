package cli

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"artesian/internal/door/gateway/admin"
)

// maxAnswer bounds what is read of any answer but a stream: a function's largest response, in base64, and change.
const maxAnswer = 16 << 20

// client sends signed requests to one daemon.
type client struct {
	endpoint string
	creds    admin.Credentials
	region   string
	data     string // for the hint when nobody answers
}

// call is one request.
type call struct {
	service string // signing name
	method  string
	path    string
	query   url.Values
	header  http.Header
	body    []byte
}

// apiError is what the daemon answered instead of a success.
type apiError struct {
	status  int
	code    string // ResourceNotFoundException, NoSuchEntity, …
	message string
	reason  string // of some codes: ReservedFunctionConcurrentInvocationLimitExceeded, …
}

func (e *apiError) Error() string {
	if e.message == "" {
		return fmt.Sprintf("the daemon answered %d %s", e.status, e.code)
	}
	if e.reason != "" {
		return e.message + " (" + e.reason + ")"
	}
	return e.message
}

// isCode reports whether err is the daemon's answer with that code.
func isCode(err error, code string) bool {
	var e *apiError
	return errors.As(err, &e) && e.code == code
}

// open sends a request and returns the answer with its body open. Answers of 300 and above become *apiError.
func (c *client) open(ctx context.Context, r call) (*http.Response, error) {
	req, err := c.sign(ctx, r)
	if err != nil {
		return nil, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, c.unreachable(err)
	}
	if resp.StatusCode < 300 {
		return resp, nil
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err != nil {
		return nil, fmt.Errorf("read answer: %w", err)
	}
	return nil, decodeError(resp, b)
}

func (c *client) sign(ctx context.Context, r call) (*http.Request, error) {
	target := c.endpoint + r.path
	if len(r.query) > 0 {
		target += "?" + r.query.Encode()
	}
	req, err := http.NewRequestWithContext(ctx, r.method, target, bytes.NewReader(r.body))
	if err != nil {
		return nil, fmt.Errorf("make request: %w", err)
	}
	for k, v := range r.header {
		req.Header[k] = v
	}
	sum := sha256.Sum256(r.body)
	creds := aws.Credentials{AccessKeyID: c.creds.AccessKeyID, SecretAccessKey: c.creds.SecretAccessKey, SessionToken: c.creds.SessionToken}
	err = v4.NewSigner().SignHTTP(ctx, creds, req, hex.EncodeToString(sum[:]), r.service, c.region, time.Now())
	if err != nil {
		return nil, fmt.Errorf("sign request: %w", err)
	}
	return req, nil
}

// unreachable turns a connection error into a sentence.
func (c *client) unreachable(err error) error {
	if errors.Is(err, context.Canceled) {
		return context.Canceled
	}
	var op *net.OpError
	if errors.As(err, &op) && op.Op == "dial" {
		return &exitError{ExitNoDaemon, fmt.Errorf("no daemon answers at %s; start one with: artesian up --data %s", c.endpoint, c.data)}
	}
	return &exitError{ExitNoDaemon, fmt.Errorf("the connection to the daemon at %s broke: %w", c.endpoint, err)}
}

// do sends a request and reads the whole answer.
func (c *client) do(ctx context.Context, r call) ([]byte, http.Header, error) {
	resp, err := c.open(ctx, r)
	if err != nil {
		return nil, nil, err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	if err != nil {
		return nil, nil, c.unreachable(err)
	}
	if len(b) > maxAnswer {
		return nil, nil, fmt.Errorf("the daemon's answer is larger than %d MB", maxAnswer>>20)
	}
	return b, resp.Header, nil
}

// exchange sends in as JSON (nil: no body) and decodes the answer into out (nil: not read).
func (c *client) exchange(ctx context.Context, r call, in, out any) error {
	if in != nil {
		b, err := json.Marshal(in)
		if err != nil {
			return fmt.Errorf("encode request: %w", err)
		}
		r.body = b
		if r.header == nil {
			r.header = http.Header{}
		}
		if r.header.Get("Content-Type") == "" {
			r.header.Set("Content-Type", "application/json")
		}
	}
	b, _, err := c.do(ctx, r)
	if err != nil || out == nil {
		return err
	}
	if err := json.Unmarshal(b, out); err != nil {
		return fmt.Errorf("the daemon's answer to %s %s is not what was expected: %w", r.method, r.path, err)
	}
	return nil
}

// own calls the daemon's own API.
func (c *client) own(ctx context.Context, method, path string, query url.Values, in, out any) error {
	return c.exchange(ctx, call{service: admin.Service, method: method, path: path, query: query}, in, out)
}

// decodeError reads the error documents of all protocols in use: JSON (code in a header or in the body) and XML.
func decodeError(resp *http.Response, b []byte) *apiError {
	e := &apiError{status: resp.StatusCode, code: resp.Header.Get("X-Amzn-Errortype")}
	var doc struct {
		Type    string `json:"__type"`
		Code    string `json:"code"`
		Message string `json:"message"` // also decodes "Message": JSON keys match without case
		Reason  string `json:"Reason"`
	}
	if json.Unmarshal(b, &doc) == nil {
		e.message, e.reason = doc.Message, doc.Reason
		for _, code := range []string{doc.Type, doc.Code} {
			if e.code == "" {
				e.code = code
			}
		}
	} else {
		e.code, e.message = decodeXMLError(b)
	}
	e.code, _, _ = strings.Cut(e.code, ":")
	if _, after, ok := strings.Cut(e.code, "#"); ok {
		e.code = after
	}
	return e
}
