package app_test

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"artesian/internal/door/gateway/admin"
)

// TestWhyACallWasCold: receipts say how each instance came to be and why there was none, and metrics count it for whoever has the token.
func TestWhyACallWasCold(t *testing.T) {
	p := start(t)
	p.role()
	p.create("f", map[string]string{"app.py": "import time\ndef handler(e, c):\n  time.sleep(e)\n  return e\n"}, nil)
	receipt := func(a answer) (r admin.Receipt) {
		t.Helper()
		eventually(t, "a receipt", func() bool { return p.get(admin.ReceiptsPath+a.id, &r) == 200 })
		return r
	}
	first := receipt(p.invoke("f", "0"))
	if c := first.Cold; c == nil || c.Way == "" || !strings.HasPrefix(c.Why, "no instance: the first one of this revision since the daemon started") || first.Instance == "" || first.Runtime != "python3.11" {
		t.Errorf("the first call: %+v %+v", first, c)
	}
	second := receipt(p.invoke("f", "0"))
	if second.Cold != nil || second.Instance != first.Instance || second.Idle <= 0 || second.TraceID == first.TraceID {
		t.Errorf("the second call: %+v", second)
	}
	var long answer
	var wg sync.WaitGroup
	wg.Go(func() { long = p.invoke("f", "1") })
	eventually(t, "the instance is busy", func() bool {
		var ps admin.PS
		p.get(admin.PSPath, &ps)
		return len(ps.Instances) == 1 && ps.Instances[0].State == "busy"
	})
	third := receipt(p.invoke("f", "0"))
	if c := third.Cold; c == nil || !strings.HasPrefix(c.Why, "no idle instance: 1 busy") {
		t.Errorf("a call beside another: %+v", c)
	}
	wg.Wait()
	var trace admin.Trace
	if status := p.get(admin.TracesPath+receipt(long).TraceID, &trace); status != 200 || len(trace.Receipts) != 1 || trace.Receipts[0].Function != "f" {
		t.Errorf("trace: %d %+v", status, trace)
	}
	p.metrics(t, map[string]bool{
		`artesian_invocations_total{outcome="ok"} 4`:                                   true,
		`artesian_cold_starts_total{runtime="python3.11",way="` + first.Cold.Way + `"`: true,
		`artesian_instances{runtime="python3.11",state="`:                              true,
		`artesian_ahead{form="blank",runtime="",state="ready"} `:                       true,
		"arn:aws": false,
	})
}

// metrics checks what the metrics hold, and that only the token reads them.
func (p *platform) metrics(t *testing.T, parts map[string]bool) {
	t.Helper()
	token, err := os.ReadFile(filepath.Join(p.data, admin.MetricsKeyFile))
	if err != nil {
		t.Fatal(err)
	}
	ask := func(method, authorization string) (int, string) {
		req, err := http.NewRequestWithContext(t.Context(), method, p.url+admin.MetricsPath, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", authorization)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_, body := p.read(resp)
		return resp.StatusCode, body
	}
	good := "Bearer " + strings.TrimSpace(string(token))
	status, body := ask("GET", good)
	if status != 200 {
		t.Fatal(status, body)
	}
	for part, want := range parts {
		if strings.Contains(body, part) != want {
			t.Errorf("%q: want %t in\n%s", part, want, body)
		}
	}
	for _, bad := range []string{"", "Bearer ", good[:len(good)-1], good + "0", "Basic " + good[7:]} {
		if status, body := ask("GET", bad); status != 401 || strings.Contains(body, "artesian_invocations") {
			t.Errorf("%q: %d %s", bad, status, body)
		}
	}
	if status, _ := ask("POST", good); status != 405 {
		t.Errorf("POST: %d", status)
	}
}
