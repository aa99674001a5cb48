package functionurl

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"unicode/utf8"
)

// response is what a function wants its client to get.
type response struct {
	status int
	header http.Header
	body   []byte
}

// head is the part of a response that precedes its body, as functions write it.
type head struct {
	Status  json.RawMessage            `json:"statusCode"`
	Headers map[string]json.RawMessage `json:"headers"`
	Cookies []string                   `json:"cookies"`
}

const contentJSON = "application/json"

// interpret reads what a function returned. A JSON object with a statusCode is a response; any other JSON value is the body of
// one. The error says what is wrong, for the log: the client is not told.
func interpret(returned []byte) (*response, error) {
	if !json.Valid(returned) || !utf8.Valid(returned) {
		return nil, fmt.Errorf("it is not JSON")
	}
	var r struct {
		head
		Body   json.RawMessage `json:"body"`
		Base64 bool            `json:"isBase64Encoded"`
	}
	trimmed := bytes.TrimSpace(returned)
	if trimmed[0] == '{' {
		if err := json.Unmarshal(trimmed, &r); err != nil && hasStatus(trimmed) {
			return nil, err
		}
	}
	if absent(r.Status) {
		body, err := text(trimmed)
		return &response{status: http.StatusOK, header: http.Header{"Content-Type": {contentJSON}}, body: body}, err
	}
	resp, err := r.response()
	if err != nil {
		return nil, err
	}
	if !absent(r.Body) {
		if resp.body, err = text(r.Body); err != nil {
			return nil, err
		}
	}
	if r.Base64 {
		if resp.body, err = base64.StdEncoding.DecodeString(string(resp.body)); err != nil {
			return nil, fmt.Errorf("body: %w", err)
		}
	}
	return resp, nil
}

func hasStatus(object []byte) bool {
	var o struct {
		Status json.RawMessage `json:"statusCode"`
	}
	return json.Unmarshal(object, &o) == nil && !absent(o.Status)
}

func absent(v json.RawMessage) bool { return len(v) == 0 || string(v) == "null" }

// text is a string's content, and any other value's JSON without blanks.
func text(value json.RawMessage) ([]byte, error) {
	if value[0] == '"' {
		var s string
		err := json.Unmarshal(value, &s)
		return []byte(s), err
	}
	var b bytes.Buffer
	err := json.Compact(&b, value)
	return b.Bytes(), err
}

// own are headers that a function can't set: they say how the message itself is sent.
var own = map[string]bool{"Content-Length": true, "Connection": true, "Keep-Alive": true, "Proxy-Connection": true, "Te": true, "Trailer": true,
	"Transfer-Encoding": true, "Upgrade": true, "X-Amzn-Requestid": true, "X-Amzn-Trace-Id": true}

func (h *head) response() (*response, error) {
	resp := &response{header: http.Header{}}
	number, err := scalar(h.Status)
	if err != nil {
		return nil, fmt.Errorf("statusCode: %w", err)
	}
	if resp.status, err = strconv.Atoi(number); err != nil || resp.status < 200 || resp.status > 599 {
		return nil, fmt.Errorf("statusCode is %.20s; allowed are 200 to 599", number)
	}
	for name, raw := range h.Headers {
		value, err := scalar(raw)
		if err != nil {
			return nil, fmt.Errorf("header %.100q: %w", name, err)
		}
		if !fieldName(name) || !fieldValue(value) {
			return nil, fmt.Errorf("header %.100q is no HTTP header", name)
		}
		if !own[http.CanonicalHeaderKey(name)] {
			resp.header.Add(name, value)
		}
	}
	for _, c := range h.Cookies {
		if !fieldValue(c) {
			return nil, fmt.Errorf("cookie %.100q is no HTTP header", c)
		}
		resp.header.Add("Set-Cookie", c)
	}
	if resp.header.Get("Content-Type") == "" {
		resp.header.Set("Content-Type", contentJSON)
	}
	return resp, nil
}

// scalar is a string, number or boolean as text.
func scalar(raw json.RawMessage) (string, error) {
	if absent(raw) {
		return "", nil
	}
	switch raw[0] {
	case '{', '[':
		return "", fmt.Errorf("a string is needed")
	case '"':
		var s string
		err := json.Unmarshal(raw, &s)
		return strings.TrimSpace(s), err
	}
	return string(raw), nil
}
