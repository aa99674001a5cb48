package main

import (
	"fmt"
	"path/filepath"
	"time"
)

const (
	startTurns = 7
	deployed   = 1000
)

// start measures the daemon itself: from exec until ready, its memory, and the same with a thousand functions deployed.
func start(bin, dir string) ([]row, error) {
	data := filepath.Join(dir, "start")
	var ready []time.Duration
	var rss []int64
	for i := range startTurns {
		d, err := startDaemon(bin, data)
		if err != nil {
			return nil, err
		}
		if i > 0 { // the first makes the data directory
			ready, rss = append(ready, d.ready), append(rss, d.rss())
		}
		d.stop()
	}
	rows := []row{
		{name: "daemon start to ready, empty", ours: median(ready), target: "≤ 300 ms"},
		{name: "daemon memory, empty", text: megabytes(median(rss)), target: "≤ 80 MB"},
	}
	d, err := startDaemon(bin, data)
	if err != nil {
		return rows, err
	}
	if err := d.createRole(); err != nil {
		return rows, d.fail(err)
	}
	begin := time.Now()
	for i := range deployed {
		if err := d.create(fmt.Sprintf("f%04d", i), "python3.11", "app.handler", 128, map[string][]byte{"app.py": []byte(helloPython)}); err != nil {
			return rows, d.fail(err)
		}
	}
	took := time.Since(begin)
	rows = append(rows,
		row{name: fmt.Sprintf("deploy, each of %d functions", deployed), ours: took / deployed},
		row{name: fmt.Sprintf("daemon memory after deploying %d", deployed), text: megabytes(d.rss())})
	d.stop()
	if d, err = startDaemon(bin, data); err != nil {
		return rows, err
	}
	defer d.stop()
	return append(rows,
		row{name: fmt.Sprintf("daemon start to ready, %d functions", deployed), ours: d.ready},
		row{name: fmt.Sprintf("daemon memory, %d functions at zero", deployed), text: megabytes(d.rss())}), nil
}

func megabytes(n int64) string { return fmt.Sprintf("%.1f MB", float64(n)/(1<<20)) }
