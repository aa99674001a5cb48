package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"sync"
	"time"
)

const (
	readFunctions = 100
	readTurns     = 7
	readers       = 10 // requests at once: Terraform's default
)

// reads measures a plan of infrastructure tools, straight after a create: functions are listed and each is described by the
// requests that Terraform's AWS provider makes.
func reads(l lab) ([]row, error) {
	d, err := startDaemon(l, "reads")
	if err != nil {
		return nil, err
	}
	defer d.stop()
	if err := d.createRole(); err != nil {
		return nil, err
	}
	for i := range readFunctions {
		if err := d.create(fmt.Sprintf("f%03d", i), "python3.11", "app.handler", 128, map[string][]byte{"app.py": []byte(helloPython)}); err != nil {
			return nil, err
		}
	}
	var rows []row
	for _, at := range []int{readers, 1} {
		var all []time.Duration
		requests := 0
		for range readTurns {
			begin := time.Now()
			if requests, err = d.plan(at); err != nil {
				return rows, err
			}
			all = append(all, time.Since(begin))
		}
		rows = append(rows, row{name: fmt.Sprintf("list and describe %d functions, %d requests, %d at once", readFunctions, requests, at), ours: took(median(all)), goal: upTo(took(time.Second))})
	}
	return rows, nil
}

// plan reads all there is, and returns how many requests that took.
func (d *daemon) plan(atOnce int) (requests int, err error) {
	var names []string
	for marker := ""; ; {
		var page struct {
			Functions  []struct{ FunctionName string }
			NextMarker string
		}
		b, err := d.do(http.MethodGet, "lambda", "/2015-03-31/functions?Marker="+marker, "", nil)
		if err == nil {
			err = json.Unmarshal(b, &page)
		}
		if err != nil {
			return 0, err
		}
		requests++
		for _, f := range page.Functions {
			names = append(names, f.FunctionName)
		}
		if marker = page.NextMarker; marker == "" {
			break
		}
	}
	if len(names) != readFunctions {
		return 0, fmt.Errorf("%d functions are listed, not %d", len(names), readFunctions)
	}
	paths := make(chan string)
	errs := make(chan error, atOnce)
	var wg sync.WaitGroup
	for range atOnce {
		wg.Go(func() {
			for path := range paths {
				if _, err := d.do(http.MethodGet, "lambda", path, "", nil); err != nil {
					select {
					case errs <- err:
					default:
					}
				}
			}
		})
	}
	for _, n := range names {
		for _, path := range []string{"/2015-03-31/functions/" + n, "/2015-03-31/functions/" + n + "/versions", "/2020-06-30/functions/" + n + "/code-signing-config",
			"/2024-08-31/functions/" + n + "/recursion-config", "/2015-03-31/functions/" + n + "/aliases"} {
			paths <- path
			requests++
		}
	}
	close(paths)
	wg.Wait()
	select {
	case err = <-errs:
	default:
	}
	return requests, err
}
