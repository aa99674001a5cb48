package main

import (
	"fmt"
	"net/http"
	"strings"
	"time"
)

const (
	helloPython = "def handler(event, context):\n    return {\"hello\": event[\"name\"]}\n"
	helloNode   = "exports.handler = async (event, context) => ({ hello: event.name })\n" // a handler of the plainest kind
	event       = `{"name":"Ada","items":[1,2,3,4,5,6,7,8],"nested":{"a":"b","c":null,"d":true}}`
	warmTurns   = 6
	pace        = 5 * time.Millisecond
)

// sizes are the memory sizes that figures are taken at: one CPU, and the smallest with its quota of 7 %.
var sizes = []int{1769, 128}

// sample is a function in one of the languages.
type sample struct {
	title, name, prefix, file, code string  // prefix: what identifiers of its runtimes begin with
	least                           float64 // of the floor's throughput
}

var samples = []sample{{"Python", "python", "python3.", "app.py", helloPython, 0.65}, {"Node.js", "node", "nodejs", "app.js", helloNode, 0.75}}

// warm measures calls to an instance that is there: everything that the product does on every call against the floor.
func warm(l lab) (rows []row, err error) {
	d, err := startDaemon(l, "warm")
	if err != nil {
		return nil, err
	}
	defer d.stop()
	if err := d.createRole(); err != nil {
		return nil, err
	}
	for _, s := range samples {
		lang, err := d.language(s.prefix)
		if err != nil {
			rows = append(rows, row{name: "warm calls, " + s.title, text: "not measured: " + err.Error()})
			continue
		}
		more, err := d.warmOf(l, s, lang)
		if rows = append(rows, more...); err != nil {
			return rows, err
		}
	}
	return rows, nil
}

func (d *daemon) warmOf(l lab, s sample, lang language) (rows []row, err error) {
	floor, err := startFloor(lang.path)
	if err != nil {
		return nil, err
	}
	defer floor.stop()
	req, err := http.NewRequest("POST", floor.url, strings.NewReader(event))
	if err != nil {
		return nil, err
	}
	theirs, err := newDriver(l, "floor-"+s.name, req, event)
	if err != nil {
		return nil, err
	}
	for _, mb := range sizes {
		name := fmt.Sprintf("%s-%d", s.name, mb)
		ours, err := d.sampleDriver(l, name, s, lang, mb)
		if err != nil {
			return rows, err
		}
		one := contest{ours: ours, theirs: theirs, oursPID: d.pid(), theirPID: floor.pid, clients: 1}
		how, note := "1 client", floorNote
		if mb != 1769 {
			one.pace, how = pace, fmt.Sprintf("a call every %s", pace)
			note = "Calls without a pause would use up the quota, which the floor does not have."
		}
		if err := one.run(warmTurns); err != nil {
			return rows, err
		}
		rows = append(rows,
			one.latency().row(fmt.Sprintf("warm call, %s, %d MB, %s, p50", s.title, mb, how), ratioUpTo(1.15), note),
			one.cpu().row(fmt.Sprintf("CPU time of a warm call, %s, %d MB, daemon and function", s.title, mb), ratioUpTo(1.3), ""))
		sixteen := contest{ours: ours, theirs: theirs, oursPID: d.pid(), theirPID: floor.pid, clients: 16, quota: mb != 1769}
		n := warmTurns
		if mb != 1769 {
			n /= 2 // for information
		}
		if err := sixteen.run(n); err != nil {
			return rows, err
		}
		r := sixteen.throughput(fmt.Sprintf("warm throughput, %s, %d MB, 16 clients", s.title, mb), ratioAtLeast(s.least))
		if mb != 1769 {
			r.goal, r.note = goal{}, "The quota of each of the 16 instances is 7 % of a CPU; the floor has none."
		}
		rows = append(rows, r)
		if s.name == "node" && mb == 1769 {
			more, err := besideWorkerd(l, ours, d.pid())
			if rows = append(rows, more...); err != nil {
				return rows, err
			}
		}
	}
	return rows, nil
}

const floorNote = "The floor: a bare Go HTTP server that parses the event and makes a framed round trip over a unix socket to the same interpreter."

// sampleDriver makes a function, calls it once, and writes down a signed request to it.
func (d *daemon) sampleDriver(l lab, name string, s sample, lang language, mb int) (driver, error) {
	if err := d.create(name, lang.runtime, "app.handler", mb, map[string][]byte{s.file: []byte(s.code)}); err != nil {
		return driver{}, err
	}
	if b, _, err := d.call(name, event); err != nil || !strings.Contains(string(b), `"Ada"`) {
		return driver{}, fmt.Errorf("%s answered %s: %w", name, b, err)
	}
	req, err := d.request("POST", "lambda", invokePath(name), "application/json", []byte(event))
	if err != nil {
		return driver{}, err
	}
	return newDriver(l, name, req, event)
}

// contest has two servers take turns under the same load.
type contest struct {
	ours, theirs      driver
	oursPID, theirPID int // of the trees whose CPU time counts
	clients           int
	pace              time.Duration // of one client's calls; 0: one after the other
	quota             bool          // ours has less than a whole CPU

	a, b       []pull
	cpuA, cpuB []time.Duration // a call
}

// A compiler wants to see thousands of calls before a process goes as fast as it will: the two servers are called in turns, uncounted,
// until each process has answered warmCalls, or for warmMost turns where they are too slow for that.
const (
	warmCalls = 5000
	warmMost  = 6
	warmFew   = 2 // where a pace or a quota keeps calls few
)

func (c *contest) warmUp() error {
	most := warmMost
	if c.pace > 0 || c.quota {
		most = warmFew
	}
	var a, b float64
	for range most {
		if min(a, b) >= float64(warmCalls*c.clients) {
			return nil
		}
		ours, _, err := c.one(c.ours, c.oursPID)
		if err != nil {
			return err
		}
		theirs, _, err := c.one(c.theirs, c.theirPID)
		if err != nil {
			return err
		}
		a, b = a+ours.calls, b+theirs.calls
	}
	return nil
}

func (c *contest) run(n int) error {
	if err := c.warmUp(); err != nil {
		return err
	}
	for range n {
		a, cpuA, err := c.one(c.ours, c.oursPID)
		if err != nil {
			return err
		}
		b, cpuB, err := c.one(c.theirs, c.theirPID)
		if err != nil {
			return err
		}
		c.a, c.b = append(c.a, a), append(c.b, b)
		c.cpuA, c.cpuB = append(c.cpuA, cpuA), append(c.cpuB, cpuB)
	}
	return nil
}

// one is one turn of one server, and the CPU time of a call in it.
func (c *contest) one(d driver, pid int) (p pull, each time.Duration, err error) {
	before := cpu(pid)
	if c.pace > 0 {
		p, err = d.paced(c.pace)
	} else {
		p, err = d.run(c.clients)
	}
	if err != nil || p.calls == 0 {
		return p, 0, err
	}
	return p, time.Duration(float64(cpu(pid)-before) / p.calls), nil
}

func (c *contest) latency() (out compared) {
	for i := range c.a {
		out.ours, out.floor = append(out.ours, c.a[i].p50), append(out.floor, c.b[i].p50)
		out.ratios = append(out.ratios, float64(c.a[i].p50)/float64(c.b[i].p50))
	}
	return out
}

func (c *contest) cpu() (out compared) {
	out.ours, out.floor = c.cpuA, c.cpuB
	for i := range c.cpuA {
		out.ratios = append(out.ratios, float64(c.cpuA[i])/float64(max(c.cpuB[i], 1)))
	}
	return out
}

func (c *contest) throughput(name string, g goal) row {
	var a, b, r []float64
	for i := range c.a {
		a, b, r = append(a, c.a[i].rate), append(b, c.b[i].rate), append(r, c.a[i].rate/c.b[i].rate)
	}
	return row{name: name, ours: rate(median(a)), floor: rate(median(b)), ratio: median(r), goal: g}
}
