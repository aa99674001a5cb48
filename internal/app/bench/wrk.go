package main

import (
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// wrkScript has wrk repeat one request.
const wrkScript = "wrk.method = %q\nwrk.body = %s\n%s"

// driver sends one request over and over, from a program that costs little beside what it measures.
type driver struct {
	url, script string
	request     *http.Request
	client      *http.Client
}

// newDriver writes a request down for wrk.
func newDriver(l lab, name string, req *http.Request, body string) (driver, error) {
	if _, err := tool("wrk"); err != nil {
		return driver{}, err
	}
	var headers strings.Builder
	for k, v := range req.Header {
		fmt.Fprintf(&headers, "wrk.headers[%q] = %s\n", k, lua(v[0]))
	}
	d := driver{url: req.URL.String(), script: fmt.Sprintf("%s/%s.lua", l.dir, name), request: req, client: &http.Client{Transport: &http.Transport{}}}
	return d, os.WriteFile(d.script, fmt.Appendf(nil, wrkScript, req.Method, lua(body), headers.String()), 0o600)
}

// lua quotes a text.
func lua(s string) string { return "[==[" + s + "]==]" }

// pull is what one turn found.
type pull struct {
	p50   time.Duration
	rate  float64
	calls float64
}

// paced calls for a second, at a steady pace.
func (d driver) paced(pace time.Duration) (pull, error) {
	all, err := callEvery(d.client, d.request, pace, time.Second)
	return pull{p50: median(all), rate: float64(len(all)), calls: float64(len(all))}, err
}

var (
	wrkMedian = regexp.MustCompile(`(?m)^\s+50%\s+([\d.]+)(us|ms|s)`)
	wrkCalls  = regexp.MustCompile(`(?m)^\s+(\d+) requests in ([\d.]+)(s|m)`)
	wrkBad    = regexp.MustCompile(`(?m)^\s+(Non-2xx or 3xx responses|Socket errors): .*`)
)

// run calls for a second, from so many connections.
func (d driver) run(clients int) (pull, error) {
	out, err := exec.Command("wrk", "-t1", "-c"+strconv.Itoa(clients), "-d1s", "--latency", "--timeout", "10s", "-s", d.script, d.url).CombinedOutput()
	if err != nil {
		return pull{}, fmt.Errorf("wrk: %w: %s", err, out)
	}
	return readWrk(string(out))
}

func readWrk(out string) (pull, error) {
	if bad := wrkBad.FindString(out); bad != "" {
		return pull{}, fmt.Errorf("wrk: %s", strings.TrimSpace(bad))
	}
	m, n := wrkMedian.FindStringSubmatch(out), wrkCalls.FindStringSubmatch(out)
	if m == nil || n == nil {
		return pull{}, fmt.Errorf("wrk printed what is not understood: %s", out)
	}
	p50, err := time.ParseDuration(m[1] + m[2])
	if err != nil {
		return pull{}, err
	}
	over, err := time.ParseDuration(n[2] + n[3])
	if err != nil || over == 0 {
		return pull{}, fmt.Errorf("wrk ran for %s%s: %v", n[2], n[3], err)
	}
	calls, err := strconv.ParseFloat(n[1], 64)
	return pull{p50, calls / over.Seconds(), calls}, err
}
