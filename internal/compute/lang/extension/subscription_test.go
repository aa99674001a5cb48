package extension

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"
)

func body(change func(m, buffering, destination map[string]any)) []byte {
	b, d := map[string]any{"maxItems": 1000, "maxBytes": 262144, "timeoutMs": 25}, map[string]any{"protocol": "HTTP", "URI": "http://sandbox.localdomain:8080/x"}
	m := map[string]any{"schemaVersion": "2022-12-13", "types": []string{"platform"}, "buffering": b, "destination": d}
	change(m, b, d)
	out, _ := json.Marshal(m)
	return out
}

func TestParseSubscription(t *testing.T) {
	s, err := parseSubscription(body(func(_, _, _ map[string]any) {}), telemetrySchemas)
	if err != nil || s.port != 8080 || s.items != 1000 || s.bytes != 262144 || s.delay != 25*time.Millisecond || !slices.Equal(s.kinds, []string{"platform"}) {
		t.Fatalf("%+v, %v", s, err)
	}
	s, err = parseSubscription([]byte(`{"types":["function","function"],"destination":{"protocol":"TCP","port":53}}`), logsSchemas)
	if err != nil || s.port != 53 || s.url != "" || s.items != defaultItems || s.bytes != defaultBytes || s.delay != time.Second || len(s.kinds) != 1 {
		t.Fatalf("%+v, %v", s, err)
	}
	type m = map[string]any
	for want, change := range map[string]func(m, m, m){
		"schemaVersion":               func(a, _, _ m) { a["schemaVersion"] = "2020-08-15" },
		"types: at least":             func(a, _, _ m) { a["types"] = []string{} },
		`types: "all"`:                func(a, _, _ m) { a["types"] = []string{"platform", "all"} },
		"maxItems: 999":               func(_, b, _ m) { b["maxItems"] = 999 },
		"maxBytes: 2000000":           func(_, b, _ m) { b["maxBytes"] = 2000000 },
		"timeoutMs: 30001":            func(_, b, _ m) { b["timeoutMs"] = 30001 },
		"destination.protocol":        func(_, _, d m) { d["protocol"] = "UDP" },
		"destination.method":          func(_, _, d m) { d["method"] = "PUT" },
		"destination.encoding":        func(_, _, d m) { d["encoding"] = "XML" },
		"destination.port: 0":         func(_, _, d m) { d["protocol"] = "TCP" },
		"not http://sandbox":          func(_, _, d m) { d["URI"] = "http://example.com:80/" },
		"destination.URI: \"https":    func(_, _, d m) { d["URI"] = "https://sandbox:80/" },
		"destination.URI: \"http://u": func(_, _, d m) { d["URI"] = "http://u@sandbox:80/" },
		"the port \"0\"":              func(_, _, d m) { d["URI"] = "http://sandbox:0/" },
	} {
		if _, err := parseSubscription(body(change), telemetrySchemas); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
		}
	}
}

// FuzzSubscription: whatever is asked for, what is accepted is within bounds and leads to a port of the sandbox's loopback.
func FuzzSubscription(f *testing.F) {
	f.Add(body(func(_, _, _ map[string]any) {}))
	f.Add([]byte(`{"types":["function"],"destination":{"protocol":"TCP","port":53}}`))
	f.Add([]byte(`{"types":["platform"],"destination":{"protocol":"HTTP","URI":"http://[::1]:80"}}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := parseSubscription(b, telemetrySchemas)
		if err != nil {
			return
		}
		if s.port < 1 || s.port > 65535 || s.items < minItems || s.items > maxItems || s.bytes < minBytes || s.bytes > maxBytes ||
			s.delay < minDelay*time.Millisecond || s.delay > maxDelay*time.Millisecond || len(s.kinds) == 0 || len(s.kinds) > 3 {
			t.Fatalf("%q gives %+v", b, s)
		}
		if s.url != "" && !strings.HasPrefix(strings.ToLower(s.url), "http://") {
			t.Fatalf("%q leads to %q", b, s.url)
		}
	})
}
