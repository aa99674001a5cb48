package extension

import (
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// The kinds of what is streamed.
const (
	kindPlatform  = "platform"
	kindFunction  = "function"
	kindExtension = "extension"
)

// The APIs that extensions subscribe by, and the versions of the events that they may ask for: all have what is sent here in common.
// https://docs.aws.amazon.com/lambda/latest/dg/telemetry-api.html, …/runtimes-logs-api.html
var (
	telemetrySchemas = []string{"2022-07-01", "2022-12-13", "2025-01-29"}
	logsSchemas      = []string{"2020-08-15", "2021-03-18"}
)

// The bounds of buffering, and its defaults, as documented.
const (
	minItems, maxItems, defaultItems = 1000, 10000, 10000
	minBytes, maxBytes, defaultBytes = 256 << 10, 1 << 20, 256 << 10
	minDelay, maxDelay, defaultDelay = 25, 30000, 1000
)

// subscription is what one extension wants to have streamed, and where to.
type subscription struct {
	kinds []string
	items int
	bytes int
	delay time.Duration
	url   string // of an HTTP destination
	port  int    // of either
}

// hosts are the names by which a destination is written: all mean the sandbox's loopback.
var hosts = []string{"sandbox.localdomain", "sandbox.local", "sandbox", "localhost", "127.0.0.1"}

// parseSubscription reads a request's body. The error is for its sender.
func parseSubscription(body []byte, schemas []string) (*subscription, error) {
	var in struct {
		Schema    string   `json:"schemaVersion"`
		Types     []string `json:"types"`
		Buffering struct {
			Items *int `json:"maxItems"`
			Bytes *int `json:"maxBytes"`
			Delay *int `json:"timeoutMs"`
		} `json:"buffering"`
		Destination struct {
			Protocol string `json:"protocol"`
			URI      string `json:"URI"`
			Port     int    `json:"port"`
			Method   string `json:"method"`
			Encoding string `json:"encoding"`
		} `json:"destination"`
	}
	if err := json.Unmarshal(body, &in); err != nil {
		return nil, err
	}
	if in.Schema != "" && !slices.Contains(schemas, in.Schema) {
		return nil, fmt.Errorf("schemaVersion: %.40q is none of %s", in.Schema, strings.Join(schemas, ", "))
	}
	if len(in.Types) == 0 {
		return nil, fmt.Errorf("types: at least one of %s, %s, %s is needed", kindPlatform, kindFunction, kindExtension)
	}
	s := &subscription{}
	for _, k := range in.Types {
		if k != kindPlatform && k != kindFunction && k != kindExtension {
			return nil, fmt.Errorf("types: %.40q is none of %s, %s, %s", k, kindPlatform, kindFunction, kindExtension)
		}
		if !slices.Contains(s.kinds, k) {
			s.kinds = append(s.kinds, k)
		}
	}
	var err error
	bound := func(name string, given *int, least, most, otherwise int) int {
		switch {
		case given == nil:
			return otherwise
		case (*given < least || *given > most) && err == nil:
			err = fmt.Errorf("buffering.%s: %d is not between %d and %d", name, *given, least, most)
		}
		return *given
	}
	s.items = bound("maxItems", in.Buffering.Items, minItems, maxItems, defaultItems)
	s.bytes = bound("maxBytes", in.Buffering.Bytes, minBytes, maxBytes, defaultBytes)
	s.delay = time.Duration(bound("timeoutMs", in.Buffering.Delay, minDelay, maxDelay, defaultDelay)) * time.Millisecond
	if err != nil {
		return nil, err
	}
	d := in.Destination
	switch {
	case d.Method != "" && d.Method != "POST":
		return nil, fmt.Errorf("destination.method: %.40q is not supported by this platform; POST is", d.Method)
	case d.Encoding != "" && d.Encoding != "JSON":
		return nil, fmt.Errorf("destination.encoding: %.40q is not supported by this platform; JSON is", d.Encoding)
	case d.Protocol == "HTTP":
		s.url = d.URI
		s.port, err = destination(d.URI)
	case d.Protocol != "TCP":
		err = fmt.Errorf("destination.protocol: %.40q is neither HTTP nor TCP", d.Protocol)
	case d.Port < 1 || d.Port > 65535:
		err = fmt.Errorf("destination.port: %d is not between 1 and 65535", d.Port)
	default:
		s.port = d.Port
	}
	return s, err
}

// destination returns the port of a URI inside.
func destination(uri string) (int, error) {
	u, err := url.Parse(uri)
	if err != nil || u.Scheme != "http" || u.User != nil || !slices.Contains(hosts, strings.ToLower(u.Hostname())) {
		return 0, fmt.Errorf("destination.URI: %.200q is not http://sandbox.localdomain:PORT with a path or without", uri)
	}
	if u.Port() == "" {
		return 80, nil
	}
	port, err := strconv.Atoi(u.Port())
	if err != nil || port < 1 || port > 65535 {
		return 0, fmt.Errorf("destination.URI: the port %.20q is not between 1 and 65535", u.Port())
	}
	return port, nil
}

// has reports whether a kind is wanted.
func (s *subscription) has(kind string) bool { return slices.Contains(s.kinds, kind) }
