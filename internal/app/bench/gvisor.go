package main

import (
	"fmt"
	"slices"
	"time"
)

const (
	gvisorTurns = 5
	gvisorCalls = 200 // a turn
)

// gvisor measures the isolation level gvisor beside container: a daemon of each takes turns.
func gvisor(l lab) (rows []row, err error) {
	var both [2]*daemon
	for i, level := range []string{"gvisor", "container"} {
		d, err := startDaemon(l, "level-"+level, "--isolation", level)
		if err != nil {
			return nil, err
		}
		defer d.stop()
		if err := d.createRole(); err != nil {
			return nil, err
		}
		both[i] = d
	}
	for _, s := range samples[:2] {
		var cold, warm [2]func() (time.Duration, error)
		for i, d := range both {
			lang, err := d.language(s.prefix)
			if err != nil {
				return rows, err
			}
			if err := d.create(s.name, lang.runtime, "app.handler", 1769, map[string][]byte{s.file: []byte(s.code)}); err != nil {
				return rows, err
			}
			cold[i], warm[i] = d.coldCall(s.name, event), d.warmCalls(s.name)
			for range 4 {
				if _, err := cold[i](); err != nil {
					return rows, err
				}
			}
		}
		for _, of := range []struct {
			name string
			of   [2]func() (time.Duration, error)
			note string
		}{
			{"warm call", warm, fmt.Sprintf("By the signed API, one client; a turn is %d calls.", gvisorCalls)},
			{"cold", cold, "Nothing is started ahead at the level gvisor."},
		} {
			c, err := turns(gvisorTurns, of.of[0], of.of[1])
			if err != nil {
				return rows, err
			}
			rows = append(rows, c.row(fmt.Sprintf("%s, %s, 1769 MB, p50, isolation gvisor beside container", of.name, s.title), goal{}, of.note))
		}
	}
	return rows, nil
}

// warmCalls times calls one after the other: the median.
func (d *daemon) warmCalls(name string) func() (time.Duration, error) {
	return func() (time.Duration, error) {
		all := make([]time.Duration, gvisorCalls)
		for i := range all {
			var err error
			if _, all[i], err = d.call(name, event); err != nil {
				return 0, err
			}
		}
		slices.Sort(all)
		return all[len(all)/2], nil
	}
}
