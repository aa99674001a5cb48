package main

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"artesian/internal/door/gateway/admin"
)

// ways are how many cold starts came about in each way.
type ways map[string]int

var startsLine = regexp.MustCompile(`(?m)^artesian_cold_starts_total\{runtime="[^"]*",way="([^"]*)"\} (\d+)`)

// metrics reads the daemon's metrics.
func (d *daemon) metrics() (string, error) {
	token, err := os.ReadFile(filepath.Join(d.data, admin.MetricsKeyFile))
	if err != nil {
		return "", err
	}
	req, err := http.NewRequest("GET", d.endpoint+admin.MetricsPath, nil)
	if err != nil {
		return "", err
	}
	req.Header.Set("Authorization", "Bearer "+strings.TrimSpace(string(token)))
	resp, err := d.client.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("metrics: %s: %s", resp.Status, b)
	}
	return string(b), err
}

func (d *daemon) ways() (ways, error) {
	text, err := d.metrics()
	if err != nil {
		return nil, err
	}
	w := ways{}
	for _, m := range startsLine.FindAllStringSubmatch(text, -1) {
		n, _ := strconv.Atoi(m[2])
		w[m[1]] += n
	}
	return w, nil
}

// less returns what has come since.
func (w ways) less(before ways) ways {
	out := ways{}
	for k, n := range w {
		if n -= before[k]; n > 0 {
			out[k] = n
		}
	}
	return out
}

func (w ways) String() string {
	var parts []string
	for k, n := range w {
		parts = append(parts, fmt.Sprintf("%d %s", n, k))
	}
	slices.Sort(parts)
	return strings.Join(parts, ", ") + "."
}
