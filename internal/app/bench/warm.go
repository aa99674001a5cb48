package main

import (
	"errors"
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

// warm measures calls of one language's function to an instance that is there: everything that the product does on every call against
// the floor.
func warm(s sample, mb int) func(lab) ([]row, error) {
	return func(l lab) ([]row, error) {
		d, lang, err := startWarm(l, s, "warm-"+s.name, mb)
		if errors.Is(err, errNoTool) {
			return []row{{name: "warm calls, " + s.title, text: "not measured: " + err.Error()}}, nil
		}
		if err != nil {
			return nil, err
		}
		defer d.stop()
		return d.warmOf(l, s, lang, mb)
	}
}

// startWarm starts a daemon for functions of one language.
func startWarm(l lab, s sample, name string, mb int) (*daemon, language, error) {
	d, err := startDaemon(l, fmt.Sprintf("%s-%d", name, mb))
	if err != nil {
		return nil, language{}, err
	}
	if err := d.createRole(); err != nil {
		return nil, language{}, d.fail(err)
	}
	lang, err := d.language(s.prefix)
	if err != nil {
		return nil, language{}, d.fail(err)
	}
	return d, lang, nil
}

func (d *daemon) warmOf(l lab, s sample, lang language, mb int) (rows []row, err error) {
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
	ours, err := d.sampleDriver(l, fmt.Sprintf("%s-%d", s.name, mb), s, lang, mb)
	if err != nil {
		return nil, err
	}
	one := contest{ours: ours, theirs: theirs, oursPID: d.pid(), theirPID: floor.pid, clients: 1}
	how, note := "1 client", floorNote
	if mb != 1769 {
		one.pace, how = pace, fmt.Sprintf("a call every %s", pace)
		note = "Calls without a pause would use up the quota, which the floor does not have."
	}
	if err := one.run(warmTurns); err != nil {
		return nil, err
	}
	rows = []row{
		one.latency().row(fmt.Sprintf("warm call, %s, %d MB, %s, p50", s.title, mb, how), ratioUpTo(1.15), note),
		one.cpu().row(fmt.Sprintf("CPU time of a warm call, %s, %d MB, daemon and function", s.title, mb), ratioUpTo(1.3), one.split()),
	}
	sixteen := contest{ours: ours, theirs: theirs, oursPID: d.pid(), theirPID: floor.pid, clients: 16, quota: mb != 1769}
	n := warmTurns
	if mb != 1769 {
		n /= 2 // for information
	}
	if err := sixteen.run(n); err != nil {
		return rows, err
	}
	r := sixteen.throughput(fmt.Sprintf("warm throughput, %s, %d MB, 16 clients", s.title, mb), ratioAtLeast(s.least))
	r.note = sixteen.split()
	if mb != 1769 {
		r.goal, r.note = goal{}, "The quota of each of the 16 instances is 7 % of a CPU; the floor has none."
	}
	return append(rows, r), nil
}

// warmWorkerd measures calls of Node.js beside a server of isolates.
func warmWorkerd(l lab) ([]row, error) {
	s := samples[1]
	d, lang, err := startWarm(l, s, "workerd", 1769)
	if err != nil {
		return nil, err
	}
	defer d.stop()
	ours, err := d.sampleDriver(l, s.name, s, lang, 1769)
	if err != nil {
		return nil, err
	}
	return besideWorkerd(l, ours, d.pid())
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
	cpuA, cpuB []cost // a call
}

// cost is what a server's processes use.
type cost struct {
	cpu      time.Duration
	server   time.Duration // of cpu, what the server itself uses: the rest is the function's processes'
	switches float64       // of the processor, from and to the server and all processes under it
}

// costOf is what a server, and all that descends from it, has used so far.
func costOf(pid int) (c cost) {
	for i, p := range tree(pid) {
		if c.cpu += p.cpu; i == 0 {
			c.server = p.cpu
		}
		c.switches += float64(switches(p.pid))
	}
	return c
}

// each is what one of n calls cost since before.
func (c cost) each(before cost, n float64) cost {
	share := func(d time.Duration) time.Duration { return time.Duration(float64(d) / n) }
	return cost{share(c.cpu - before.cpu), share(c.server - before.server), (c.switches - before.switches) / n}
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

// one is one turn of one server, and what a call cost in it.
func (c *contest) one(d driver, pid int) (p pull, each cost, err error) {
	before := costOf(pid)
	if c.pace > 0 {
		p, err = d.paced(c.pace)
	} else {
		p, err = d.run(c.clients)
	}
	if err != nil || p.calls == 0 {
		return p, cost{}, err
	}
	return p, costOf(pid).each(before, p.calls), nil
}

func (c *contest) latency() (out compared) {
	for i := range c.a {
		out.ours, out.floor = append(out.ours, c.a[i].p50), append(out.floor, c.b[i].p50)
		out.ratios = append(out.ratios, float64(c.a[i].p50)/float64(c.b[i].p50))
	}
	return out
}

func (c *contest) cpu() (out compared) {
	for i, a := range c.cpuA {
		b := c.cpuB[i]
		out.ours, out.floor = append(out.ours, a.cpu), append(out.floor, b.cpu)
		out.ratios = append(out.ratios, float64(a.cpu)/float64(max(b.cpu, 1)))
	}
	return out
}

// split says in a note where the CPU time of a call goes.
func (c *contest) split() string {
	return fmt.Sprintf("CPU time of a call: daemon %s, function %s, %.1f context switches; floor's server %s, its interpreter %s, %.1f.",
		serverOf(c.cpuA), functionOf(c.cpuA), switchesOf(c.cpuA), serverOf(c.cpuB), functionOf(c.cpuB), switchesOf(c.cpuB))
}

func serverOf(all []cost) value {
	return took(medianOf(all, func(c cost) time.Duration { return c.server }))
}

func functionOf(all []cost) value {
	return took(medianOf(all, func(c cost) time.Duration { return c.cpu - c.server }))
}

func switchesOf(all []cost) float64 { return medianOf(all, func(c cost) float64 { return c.switches }) }

func medianOf[T number](all []cost, of func(cost) T) T {
	var v []T
	for _, c := range all {
		v = append(v, of(c))
	}
	return median(v)
}

func (c *contest) throughput(name string, g goal) row {
	var a, b, r []float64
	for i := range c.a {
		a, b, r = append(a, c.a[i].rate), append(b, c.b[i].rate), append(r, c.a[i].rate/c.b[i].rate)
	}
	return row{name: name, ours: rate(median(a)), floor: rate(median(b)), ratio: median(r), goal: g}
}
