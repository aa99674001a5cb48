package main

import (
	"cmp"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"artesian/internal/door/gateway/admin"
)

// ways are how many cold starts came about in each way, and how long their phases took together.
type ways struct {
	count  map[string]int
	phases map[string]time.Duration
}

var (
	startsLine = regexp.MustCompile(`(?m)^artesian_cold_starts_total\{runtime="[^"]*",way="([^"]*)"\} (\d+)`)
	phaseLine  = regexp.MustCompile(`(?m)^artesian_cold_start_seconds_sum\{runtime="[^"]*",way="[^"]*",phase="([^"]*)"\} (\S+)`)
)

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
	return readWays(text), err
}

func readWays(metrics string) ways {
	w := ways{map[string]int{}, map[string]time.Duration{}}
	for _, m := range startsLine.FindAllStringSubmatch(metrics, -1) {
		n, _ := strconv.Atoi(m[2])
		w.count[m[1]] += n
	}
	for _, m := range phaseLine.FindAllStringSubmatch(metrics, -1) {
		s, _ := strconv.ParseFloat(m[2], 64)
		w.phases[m[1]] += time.Duration(s * float64(time.Second))
	}
	return w
}

// add adds what others came about like.
func (w ways) add(more ways) {
	for k, n := range more.count {
		w.count[k] += n
	}
	for k, d := range more.phases {
		w.phases[k] += d
	}
}

// less returns what has come since.
func (w ways) less(before ways) ways {
	out := ways{map[string]int{}, map[string]time.Duration{}}
	for k, n := range w.count {
		if n -= before.count[k]; n > 0 {
			out.count[k] = n
		}
	}
	for k, d := range w.phases {
		out.phases[k] = d - before.phases[k]
	}
	return out
}

// String says how many came about in which way, and the means of the phases.
func (w ways) String() string {
	var parts []string
	all := 0
	for k, n := range w.count {
		parts = append(parts, fmt.Sprintf("%d %s", n, k))
		all += n
	}
	slices.Sort(parts)
	text := cmp.Or(strings.Join(parts, ", "), "none")
	if all == 0 {
		return text + "."
	}
	text += "; mean"
	for _, p := range []string{"place", "sandbox", "runtime", "init"} {
		text += fmt.Sprintf(" %s %s,", p, took(w.phases[p]/time.Duration(all)))
	}
	return text[:len(text)-1] + "."
}
