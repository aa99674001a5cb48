package main

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// streamBytes is the largest answer that may be streamed.
const streamBytes = 200 << 20

// stream measures answers that a custom runtime streams to an HTTP client behind a function URL.
func stream(l lab) ([]row, error) {
	d, err := startDaemon(l, "stream")
	if err != nil {
		return nil, err
	}
	defer d.stop()
	if err := d.createRole(); err != nil {
		return nil, err
	}
	url, err := d.streamer(l.dir)
	if err != nil {
		return nil, err
	}
	late, err := d.lateness(url)
	if err != nil {
		return nil, err
	}
	rows := []row{
		{name: fmt.Sprintf("stream, until a piece is with its client, p50 of %d", len(late)), ours: took(median(late))},
		{name: "stream, the same, p95", ours: took(quantile(late, 0.95)), goal: upTo(took(2 * time.Millisecond))},
	}
	before := d.rss()
	if before == 0 {
		return rows, fmt.Errorf("the daemon's memory can't be read")
	}
	most, over, err := d.drain(url)
	if err != nil {
		return rows, err
	}
	return append(rows, row{name: fmt.Sprintf("stream of %d MB, growth of the daemon", streamBytes>>20), ours: bytesOf(most - before),
		note: fmt.Sprintf("It took %s.", took(over))}), nil
}

// streamer makes the function and its URL, by path.
func (d *daemon) streamer(dir string) (string, error) {
	file := filepath.Join(dir, "streamer")
	cmd := exec.Command("go", "build", "-trimpath", "-ldflags", "-s -w", "-o", file, "./internal/app/testdata/runtimeapi")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build: %w: %s", err, out)
	}
	boot, err := os.ReadFile(file)
	if err != nil {
		return "", err
	}
	if err := d.create("stream", "provided.al2023", "stream", 1769, map[string][]byte{"bootstrap": boot}); err != nil {
		return "", err
	}
	return d.openURL("stream", "RESPONSE_STREAM")
}

// lateness is how long after the function wrote them its pieces were with the client.
func (d *daemon) lateness(url string) ([]time.Duration, error) {
	plan := `{"Type":"text/plain","Pause":5,"Pieces":["now"` + strings.Repeat(`,"now"`, 399) + `]}`
	resp, err := d.client.Post(url, "text/plain", strings.NewReader(plan))
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	var late []time.Duration
	for in := bufio.NewScanner(resp.Body); in.Scan(); {
		at, err := strconv.ParseInt(in.Text(), 10, 64)
		if err != nil {
			return nil, err
		}
		late = append(late, time.Since(time.Unix(0, at)))
	}
	if len(late) != 400 {
		return nil, fmt.Errorf("%d pieces came, %s", len(late), resp.Status)
	}
	return late, nil
}

// drain reads the largest stream and returns the most memory that the daemon had meanwhile.
func (d *daemon) drain(url string) (most int64, took time.Duration, err error) {
	begin := time.Now()
	resp, err := d.client.Post(url, "text/plain", strings.NewReader(fmt.Sprintf(`{"Type":"text/plain","Size":%d}`, streamBytes)))
	if err != nil {
		return 0, 0, err
	}
	defer resp.Body.Close()
	n, last := int64(0), begin
	for part := make([]byte, 256<<10); err == nil; {
		var m int
		m, err = resp.Body.Read(part)
		n += int64(m)
		if now := time.Now(); now.Sub(last) > 10*time.Millisecond {
			most, last = max(most, d.rss()), now
		}
	}
	if err != io.EOF || n != streamBytes || resp.StatusCode != http.StatusOK {
		return 0, 0, fmt.Errorf("%s, %d bytes: %w", resp.Status, n, err)
	}
	return max(most, d.rss()), time.Since(begin), nil
}
