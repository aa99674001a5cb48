package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"artesian/internal/door/gateway/admin"
)

const (
	burstSize    = 200
	burstTurns   = 3
	burstsBefore = 2
)

// burst measures 200 cold starts at once, of functions that were called like that shortly before and are in each turn, about ten
// seconds apart, so that the daemon expects it, and of functions that were not; and what the instances weigh.
func burst(l lab) (rows []row, err error) {
	d, err := startDaemon(l, "burst")
	if err != nil {
		return nil, err
	}
	defer func() { d.stop() }()
	if err := d.createRole(); err != nil {
		return nil, err
	}
	lang, err := d.language(samples[0].prefix)
	if err != nil {
		return nil, err
	}
	g, err := d.crowd(samples[0], lang, burstSize)
	if err != nil {
		return nil, err
	}
	for range burstsBefore { // everything is unpacked, and known to be called
		if err := g.renew(); err != nil {
			return nil, err
		}
		if _, err := g.all(); err != nil {
			return nil, err
		}
	}
	again, weights, err := g.bursts(lang, burstTurns, func() error { return g.renew() })
	if err != nil {
		return nil, err
	}
	rows = append(again.rows("", ratioUpTo(2), ratioUpTo(0.3)), weights...)
	first, _, err := g.bursts(lang, burstTurns, func() error { // a daemon that has just started has seen none
		g.d.stop()
		if d, err = startDaemon(l, "burst"); err != nil {
			return err
		}
		g.d = d
		_, err = d.language(samples[0].prefix)
		return err
	})
	return append(rows, first.rows(", not expected", goal{}, goal{})...), err
}

// bursted is how long bursts took, and beside them what they are compared with.
type bursted struct {
	ours, forks, peers []time.Duration
	ways               ways
}

// bursts calls all functions at once, in turns with the floor and the peer. Before each turn, ready leaves them without an instance.
func (g *crowd) bursts(lang language, turns int, ready func() error) (b bursted, weights []row, err error) {
	var empty weight
	b.ways = ways{map[string]int{}, map[string]time.Duration{}}
	for i := range turns {
		if err := ready(); err != nil {
			return b, nil, err
		}
		if err := g.d.settle(); err != nil {
			return b, nil, err
		}
		if i == 0 {
			empty = weigh(g.d.pid())
		}
		before, err := g.d.ways()
		if err != nil {
			return b, nil, err
		}
		took, err := g.all()
		if err != nil {
			return b, nil, err
		}
		b.ours = append(b.ours, took)
		after, err := g.d.ways()
		if err != nil {
			return b, nil, err
		}
		b.ways.add(after.less(before))
		if err := g.d.settle(); err != nil {
			return b, nil, err
		}
		if i == turns-1 {
			weights = density(weigh(g.d.pid()), empty, len(g.names))
		}
		if took, err = forkMany(len(g.names)); err != nil {
			return b, nil, err
		}
		b.forks = append(b.forks, took)
		took, err = manyAtOnce(len(g.names), bwrap(lang.path, "-c", "print('{}')"))
		if err != nil && !errors.Is(err, errNoTool) {
			return b, nil, err
		}
		b.peers = append(b.peers, took)
	}
	return b, weights, nil
}

func (b bursted) rows(how string, beside, peer goal) []row {
	note := fmt.Sprintf("%d functions of 128 MB, each called once, all at once; until the last answer. Turns: %s. Ways: %s", burstSize, listed(b.ours), b.ways)
	name := fmt.Sprintf("%d cold starts at once%s, Python, 128 MB, beside %d × ", burstSize, how, burstSize)
	out := []row{pair(b.ours, b.forks).row(name+"fork with the same namespaces", beside, note)}
	if median(b.peers) > 0 {
		out = append(out, pair(b.ours, b.peers).row(name+"bwrap + python3", peer, note))
	}
	return out
}

// listed are all of the times, in their order.
func listed(all []time.Duration) string {
	var parts []string
	for _, d := range all {
		parts = append(parts, took(d).String())
	}
	return strings.Join(parts, ", ")
}

// settle waits until nothing is being made ahead any more, for half a second.
func (d *daemon) settle() error {
	last, since := "", time.Now()
	for deadline := time.Now().Add(20 * time.Second); time.Since(since) < 500*time.Millisecond; time.Sleep(50 * time.Millisecond) {
		var now admin.Doctor
		if err := d.own(admin.DoctorPath, &now); err != nil {
			return err
		}
		making := 0
		for _, a := range now.Ahead {
			making += a.Making
		}
		if is := fmt.Sprint(now.Ahead); making > 0 || is != last {
			last, since = is, time.Now()
		}
		if time.Now().After(deadline) {
			return errors.New("the daemon makes sandboxes ahead without end")
		}
	}
	return nil
}

func pair(ours, floor []time.Duration) (c compared) {
	c.ours, c.floor = ours, floor
	for i := range ours {
		c.ratios = append(c.ratios, float64(ours[i])/float64(max(floor[i], 1)))
	}
	return c
}

// crowd are functions that are called at once.
type crowd struct {
	d     *daemon
	names []string
	turn  int
}

func (d *daemon) crowd(s sample, lang language, n int) (*crowd, error) {
	g := &crowd{d: d}
	for i := range n {
		g.names = append(g.names, fmt.Sprintf("%s-%03d", s.name, i))
	}
	return g, each(g.names, 8, func(name string) error {
		return d.create(name, lang.runtime, "app.handler", 128, map[string][]byte{s.file: []byte(s.code)})
	})
}

// each calls f for all names, so many at once.
func each(names []string, atOnce int, f func(name string) error) error {
	work := make(chan string)
	var mu sync.Mutex
	var failed error
	var wg sync.WaitGroup
	for range atOnce {
		wg.Go(func() {
			for n := range work {
				if err := f(n); err != nil {
					mu.Lock()
					failed = errors.Join(failed, err)
					mu.Unlock()
				}
			}
		})
	}
	for _, n := range names {
		work <- n
	}
	close(work)
	wg.Wait()
	return failed
}

// renew leaves all functions without an instance.
func (g *crowd) renew() error {
	g.turn++
	return each(g.names, 8, func(name string) error { return g.d.renew(name, g.turn) })
}

// all calls every function at once, and returns how long it took until the last had answered.
func (g *crowd) all() (time.Duration, error) {
	begin := time.Now()
	_, err := g.calls()
	return time.Since(begin), err
}

// answered is one call of a crowd.
type answered struct {
	id   string
	took time.Duration
}

func (g *crowd) calls() ([]answered, error) {
	requests := make([]*http.Request, len(g.names))
	for i, name := range g.names {
		var err error
		if requests[i], err = g.d.request("POST", "lambda", invokePath(name), "application/json", []byte(event)); err != nil {
			return nil, err
		}
	}
	out, errs := make([]answered, len(requests)), make([]error, len(requests))
	var wg sync.WaitGroup
	begin := time.Now()
	for i, req := range requests {
		wg.Go(func() {
			resp, err := g.d.client.Do(req)
			if err != nil {
				errs[i] = err
				return
			}
			defer resp.Body.Close()
			b, err := io.ReadAll(resp.Body)
			out[i] = answered{resp.Header.Get("X-Amzn-Requestid"), time.Since(begin)}
			if err == nil && !bytes.Contains(b, []byte(`"Ada"`)) {
				err = fmt.Errorf("%s answered %s: %s", g.names[i], resp.Status, b)
			}
			errs[i] = err
		})
	}
	wg.Wait()
	return out, errors.Join(errs...)
}

// manyAtOnce times n runs of f at once, until the last has ended.
func manyAtOnce(n int, f func() (time.Duration, error)) (time.Duration, error) {
	errs := make([]error, n)
	var wg sync.WaitGroup
	begin := time.Now()
	for i := range n {
		wg.Go(func() { _, errs[i] = f() })
	}
	wg.Wait()
	took := time.Since(begin)
	for _, err := range errs {
		if err != nil {
			return took, err
		}
	}
	return took, nil
}

// namespaces are those that a sandbox has of its own.
const namespaces = syscall.CLONE_NEWNS | syscall.CLONE_NEWUTS | syscall.CLONE_NEWIPC | syscall.CLONE_NEWPID | syscall.CLONE_NEWNET | syscall.CLONE_NEWUSER | cloneNewCgroup

const cloneNewCgroup = 0x02000000

// forkMany has a small process of its own fork n times.
func forkMany(n int) (time.Duration, error) {
	self, err := os.Executable()
	if err != nil {
		return 0, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	out, err := exec.CommandContext(ctx, self, "forks", strconv.Itoa(n)).Output()
	if err != nil {
		return 0, fmt.Errorf("fork with namespaces: %w", err)
	}
	return time.ParseDuration(strings.TrimSpace(string(out)))
}

// forkAll is that process: it forks children, each in new namespaces of every kind, which end at once; and prints how long that
// took until the last was gone.
func forkAll(count string) {
	n, err := strconv.Atoi(count)
	must(err)
	begin := time.Now()
	for range n {
		pid, _, errno := syscall.RawSyscall6(syscall.SYS_CLONE, namespaces|uintptr(syscall.SIGCHLD), 0, 0, 0, 0, 0)
		if errno != 0 {
			must(errno)
		}
		if pid == 0 {
			_, _, _ = syscall.RawSyscall(syscall.SYS_EXIT_GROUP, 0, 0, 0)
		}
	}
	for range n {
		_, err := syscall.Wait4(-1, nil, 0, nil)
		must(err)
	}
	fmt.Println(time.Since(begin))
}
