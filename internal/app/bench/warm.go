package main

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"slices"
	"sync"
	"time"
)

const (
	helloPython = "def handler(event, context):\n    return {\"hello\": event[\"name\"]}\n"
	event       = `{"name":"Ada","items":[1,2,3,4,5,6,7,8],"nested":{"a":"b","c":null,"d":true}}`
	warmTurns   = 21
	turnTime    = 250 * time.Millisecond
)

// helloNode is a handler of the plainest kind.
const helloNode = "exports.handler = async (event, context) => ({ hello: event.name })\n"

// warm measures calls to an instance that is there: everything that the product does on every call against the floor.
func warm(bin, dir string) (rows []row, err error) {
	d, err := startDaemon(bin, filepath.Join(dir, "warm"))
	if err != nil {
		return nil, err
	}
	defer d.stop()
	if err := d.createRole(); err != nil {
		return nil, err
	}
	if err := d.create("python", "python3.11", "app.handler", 1769, map[string][]byte{"app.py": []byte(helloPython)}); err != nil {
		return nil, err
	}
	if rows, err = warmOf(d, "Python", "python"); err != nil {
		return rows, err
	}
	if _, err := tool("node"); err != nil {
		return rows, nil
	}
	if err := d.create("node", nodeRuntime, "app.handler", 1769, map[string][]byte{"app.js": []byte(helloNode)}); err != nil {
		return rows, err
	}
	more, err := warmOf(d, "Node.js", "node")
	return append(rows, more...), err
}

// nodeRuntime is one that whatever Node.js is here serves.
const nodeRuntime = "nodejs18.x"

func warmOf(d *daemon, language, function string) ([]row, error) {
	floorURL, stopFloor, err := startFloor(language)
	if err != nil {
		return nil, err
	}
	defer stopFloor()
	floor := func() (*http.Request, error) {
		return http.NewRequest("POST", floorURL, bytes.NewReader([]byte(event)))
	}
	ours := func() (*http.Request, error) {
		return d.request("POST", "lambda", invokePath(function), "application/json", []byte(event))
	}
	var rows []row
	for _, clients := range []int{1, 16} {
		var oursN, floorN []float64
		o, f, ratio, err := turns(warmTurns, func() (time.Duration, error) {
			p50, n, err := load(d.client, ours, clients)
			oursN = append(oursN, n)
			return p50, err
		}, func() (time.Duration, error) {
			p50, n, err := load(d.client, floor, clients)
			floorN = append(floorN, n)
			return p50, err
		})
		if err != nil {
			return rows, err
		}
		name, target := fmt.Sprintf("warm call, %s, %d client(s), p50", language, clients), ""
		if clients == 1 {
			target = "≤ 3.00×"
		}
		rows = append(rows, row{name: name, ours: o, floor: f, ratio: ratio, target: target})
		var rs []float64
		for i := range oursN {
			rs = append(rs, oursN[i]/floorN[i])
		}
		rows = append(rows, row{name: fmt.Sprintf("warm throughput, %s, %d client(s), calls/s", language, clients),
			text: fmt.Sprintf("%.0f / %.0f", median(oursN), median(floorN)), ratio: median(rs)})
	}
	return rows, nil
}

// load lets clients call back to back for one turn and returns the p50 and the calls a second.
func load(client *http.Client, prepare func() (*http.Request, error), clients int) (time.Duration, float64, error) {
	var mu sync.Mutex
	var all []time.Duration
	var failed error
	var wg sync.WaitGroup
	begin := time.Now()
	for range clients {
		req, err := prepare()
		if err != nil {
			return 0, 0, err
		}
		wg.Go(func() {
			var mine []time.Duration
			var err error
			for time.Since(begin) < turnTime && err == nil {
				at := time.Now()
				err = call(client, req)
				mine = append(mine, time.Since(at))
			}
			mu.Lock()
			defer mu.Unlock()
			all = append(all, mine...)
			if err != nil {
				failed = err
			}
		})
	}
	wg.Wait()
	took := time.Since(begin)
	slices.Sort(all)
	if failed != nil {
		return 0, 0, failed
	}
	return all[len(all)/2], float64(len(all)) / took.Seconds(), nil
}

// call sends a prepared request once more; its body is rewound first.
func call(client *http.Client, req *http.Request) error {
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
