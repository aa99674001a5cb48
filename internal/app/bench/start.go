package main

import (
	"fmt"
	"time"
)

const (
	startTurns = 7
	deployed   = 10_000
)

// start measures the daemon itself: from exec until ready, and its memory.
func start(l lab) ([]row, error) {
	var ready []time.Duration
	var rss []int64
	for i := range startTurns + 1 {
		d, err := startDaemon(l, "start")
		if err != nil {
			return nil, err
		}
		if i > 0 { // the first makes the data directory
			ready, rss = append(ready, d.ready), append(rss, d.rss())
		}
		d.stop()
	}
	return []row{
		{name: "start of the daemon to ready, empty", ours: took(median(ready)), goal: upTo(took(150 * time.Millisecond))},
		{name: "memory of the daemon, empty", ours: bytesOf(median(rss)), goal: upTo(bytesOf(80 << 20))},
	}, nil
}

// zero measures functions that are deployed and at zero: what the daemon needs to start, and its memory.
func zero(l lab) ([]row, error) {
	d, err := startDaemon(l, "zero")
	if err != nil {
		return nil, err
	}
	if err := d.createRole(); err != nil {
		return nil, d.fail(err)
	}
	d.stop()
	if d, err = startDaemon(l, "zero"); err != nil {
		return nil, err
	}
	lang, err := d.language(samples[0].prefix)
	if err != nil {
		return nil, d.fail(err)
	}
	empty := d.rss()
	var names []string
	for i := range deployed {
		names = append(names, fmt.Sprintf("f%05d", i))
	}
	begin := time.Now()
	if err := each(names, 16, func(name string) error {
		return d.create(name, lang.runtime, "app.handler", 128, map[string][]byte{"app.py": []byte(helloPython)})
	}); err != nil {
		return nil, d.fail(err)
	}
	each := time.Since(begin) / deployed
	d.stop()
	if d, err = startDaemon(l, "zero"); err != nil {
		return nil, err
	}
	defer d.stop()
	full := d.rss()
	note := "Of the daemon's resident memory just after its start; all have the same code."
	return []row{
		{name: fmt.Sprintf("start of the daemon to ready, %d functions at zero", deployed), ours: took(d.ready), goal: upTo(took(2 * time.Second))},
		{name: fmt.Sprintf("memory of the daemon, %d functions at zero", deployed), ours: bytesOf(full), goal: upTo(bytesOf(250 << 20)), note: note},
		{name: "memory of one function at zero", ours: bytesOf((full - empty) / deployed), goal: upTo(bytesOf(15 << 10)), note: note},
		{name: fmt.Sprintf("deploy, each of %d, 16 at once", deployed), ours: took(each)},
	}, nil
}
