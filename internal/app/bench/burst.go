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
)

const (
	burstSize  = 200
	burstTurns = 3
	burstRest  = 2 * time.Second // between bursts: what is made ahead is there again, and what has ended is gone
)

// burst measures 200 cold starts at once, which is more than anything keeps ready, and then what the instances weigh.
func burst(l lab) (rows []row, err error) {
	d, err := startDaemon(l, "burst")
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
	g, err := d.crowd(samples[0], lang, burstSize)
	if err != nil {
		return nil, err
	}
	if _, err := g.all(); err != nil { // everything is unpacked, and known to be called
		return nil, err
	}
	if err := g.renew(); err != nil {
		return nil, err
	}
	time.Sleep(burstRest)
	empty := weigh(d.pid())
	var ours, forks, peers []time.Duration
	before, err := d.ways()
	if err != nil {
		return nil, err
	}
	for i := range burstTurns {
		if i > 0 {
			if err := g.renew(); err != nil {
				return nil, err
			}
			time.Sleep(burstRest)
		}
		took, err := g.all()
		if err != nil {
			return nil, err
		}
		ours = append(ours, took)
		if i == burstTurns-1 {
			rows = density(weigh(d.pid()), empty, burstSize)
		}
		if took, err = forkMany(burstSize); err != nil {
			return rows, err
		}
		forks = append(forks, took)
		took, err = manyAtOnce(burstSize, bwrap(lang.path, "-c", "print('{}')"))
		if err != nil && !errors.Is(err, errNoTool) {
			return rows, err
		}
		peers = append(peers, took)
	}
	after, err := d.ways()
	note := fmt.Sprintf("%d functions of 128 MB, each called once, all at once; until the last answer. Ways: %s", burstSize, after.less(before))
	beside := func(name string, floor []time.Duration, g goal) row {
		return pair(ours, floor).row(fmt.Sprintf("%d cold starts at once, Python, 128 MB, beside %s", burstSize, name), g, note)
	}
	first := []row{beside(fmt.Sprintf("%d × fork with the same namespaces", burstSize), forks, ratioUpTo(2))}
	if median(peers) > 0 {
		first = append(first, beside(fmt.Sprintf("%d × bwrap + python3", burstSize), peers, ratioUpTo(0.3)))
	}
	return append(first, rows...), err
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
