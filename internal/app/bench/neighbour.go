package main

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"
)

const (
	neighbourTurns = 6
	neighbourTime  = 1500 * time.Millisecond
	neighbourPace  = 4 * time.Millisecond
	deathPause     = 100 * time.Millisecond
)

const (
	dyingPython = "import os\ndef handler(event, context):\n    os._exit(1)\n"
	slowPython  = "import time\ntime.sleep(8)\ndef handler(event, context):\n    return {\"hello\": event[\"name\"]}\n"
)

// neighbour measures what calls of a function suffer while another one's instances die, or take long to initialise.
func neighbour(l lab) (rows []row, err error) {
	d, err := startDaemon(l, "neighbour")
	if err != nil {
		return nil, err
	}
	defer d.stop()
	if err := d.createRole(); err != nil {
		return nil, err
	}
	lang, err := d.language(samples[0].prefix)
	if err != nil {
		return nil, err
	}
	for name, code := range map[string]string{"quiet": helloPython, "dying": dyingPython, "slow": slowPython} {
		if err := d.create(name, lang.runtime, "app.handler", 128, map[string][]byte{"app.py": []byte(code)}); err != nil {
			return nil, err
		}
	}
	for _, n := range []struct {
		title string
		begin func() (end func())
	}{
		{"dies ten times a second", func() func() { return d.repeat("dying", deathPause) }},
		{"initialises for 8 s, four at once", d.slowly},
	} {
		var with, without []time.Duration
		for range neighbourTurns / 2 {
			more, err := d.paced("quiet")
			if err != nil {
				return rows, err
			}
			without = append(without, more...)
			end := n.begin()
			more, err = d.paced("quiet")
			end()
			if err != nil {
				return rows, err
			}
			with = append(with, more...)
		}
		a, b := quantile(with, 0.99), quantile(without, 0.99)
		rows = append(rows, row{name: "calls beside a neighbour that " + n.title + ", p99", ours: took(a), floor: took(b), ratio: float64(a) / float64(b),
			note: fmt.Sprintf("%d calls each, one every %s; p50 %s with it and %s without.", len(with), neighbourPace, took(median(with)), took(median(without)))},
			row{name: "delay by a neighbour that " + n.title + ", at p99", ours: took(a - b), goal: upTo(took(time.Millisecond))})
	}
	return rows, nil
}

// paced calls a warm function at a steady pace.
func (d *daemon) paced(name string) (all []time.Duration, err error) {
	req, err := d.request("POST", "lambda", invokePath(name), "application/json", []byte(event))
	if err != nil {
		return nil, err
	}
	for range 20 {
		if err := again(d.client, req); err != nil {
			return nil, err
		}
	}
	return callEvery(d.client, req, neighbourPace, neighbourTime)
}

// callEvery sends a request again and again at a steady pace, and returns how long each answer took.
func callEvery(client *http.Client, req *http.Request, pace, over time.Duration) (all []time.Duration, err error) {
	tick := time.NewTicker(pace)
	defer tick.Stop()
	for begin := time.Now(); time.Since(begin) < over; <-tick.C {
		at := time.Now()
		if err := again(client, req); err != nil {
			return nil, err
		}
		all = append(all, time.Since(at))
	}
	return all, nil
}

// repeat calls a function again and again until it is told to end.
func (d *daemon) repeat(name string, pause time.Duration) (end func()) {
	over := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			_, _, _ = d.call(name, event) // it reports an error, by design
			select {
			case <-over:
				return
			case <-time.After(pause):
			}
		}
	})
	return func() { close(over); wg.Wait() }
}

// slowly has four instances of the slow function initialise; whoever calls does not wait for them.
func (d *daemon) slowly() (end func()) {
	_ = d.renew("slow", int(time.Now().UnixNano()))
	for range 4 {
		go func() { _, _, _ = d.call("slow", event) }()
	}
	time.Sleep(300 * time.Millisecond) // they are started
	return func() { _ = d.renew("slow", int(time.Now().UnixNano())) }
}

// again sends a prepared request once more; its body is rewound first.
func again(client *http.Client, req *http.Request) error {
	body, err := req.GetBody()
	if err != nil {
		return err
	}
	r := req.Clone(req.Context())
	r.Body = body
	resp, err := client.Do(r)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err == nil && (resp.StatusCode != http.StatusOK || !bytes.Contains(b, []byte(`"Ada"`))) {
		err = fmt.Errorf("answer %s: %s", resp.Status, b)
	}
	return err
}
