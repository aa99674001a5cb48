package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"time"
)

// gap is how long a cold function's last call is over before the next: the last instance is gone, and what is made ahead is there
// again.
const gap = 200 * time.Millisecond

const coldNote = "Request to response over HTTP, of a function without an instance whose code has run on this node before; what the daemon makes ahead is in its " +
	"steady state, at a call every 0.3 s or so. The peer: from fork until the end of a program that prints an answer, in new namespaces of every kind."

// coldPython measures a request without an instance, to its answer, beside python3 started by bwrap.
func coldPython(l lab) ([]row, error) {
	return coldOf(l, samples[0], 100, []string{"-c", "print('{}')"}, 0.15)
}

// coldNode is the same for Node.js.
func coldNode(l lab) ([]row, error) {
	return coldOf(l, samples[1], 30, []string{"-e", "console.log('{}')"}, 0.2)
}

func coldOf(l lab, s sample, n int, program []string, limit float64) (rows []row, err error) {
	d, err := startDaemon(l, "cold-"+s.name)
	if err != nil {
		return nil, err
	}
	defer d.stop()
	if err := d.createRole(); err != nil {
		return nil, err
	}
	lang, err := d.language(s.prefix)
	if err != nil {
		return nil, err
	}
	for i, mb := range sizes {
		name := fmt.Sprintf("%s-%d", s.name, mb)
		if err := d.create(name, lang.runtime, "app.handler", mb, map[string][]byte{s.file: []byte(s.code)}); err != nil {
			return rows, err
		}
		c, ways, err := d.coldTurns(max(n>>(2*i), 15), name, event, bwrap(append([]string{lang.path}, program...)...))
		if err != nil {
			return rows, err
		}
		rows = append(rows, c.row(fmt.Sprintf("cold %s, %d MB, p50, beside bwrap + %s", s.title, mb, filepath.Base(lang.path)), ratioUpTo(limit), coldNote+" Ways: "+ways))
		if n >= 100 && i == 0 {
			p50, p99 := median(c.ours), quantile(c.ours, 0.99)
			rows = append(rows, row{name: fmt.Sprintf("cold %s, %d MB, p99 beside p50 of %d", s.title, mb, len(c.ours)), ours: took(p99), floor: took(p50),
				ratio: float64(p99) / float64(p50), goal: ratioUpTo(3)})
		}
	}
	return rows, nil
}

// coldTurns has cold calls of a function and a peer take turns, and says how the instances came to be.
func (d *daemon) coldTurns(n int, name, payload string, peer func() (time.Duration, error)) (compared, string, error) {
	cold := d.coldCall(name, payload)
	for range 12 { // the daemon learns that the function is called
		if _, err := cold(); err != nil {
			return compared{}, "", err
		}
	}
	before, err := d.ways()
	if err != nil {
		return compared{}, "", err
	}
	c, err := turns(n, cold, peer)
	if err != nil {
		return c, "", err
	}
	after, err := d.ways()
	return c, after.less(before).String(), err
}

// coldCall times a call right after the function was changed, so no instance of it is there.
func (d *daemon) coldCall(name, payload string) func() (time.Duration, error) {
	n := 0
	return func() (time.Duration, error) {
		n++
		if err := d.renew(name, n); err != nil {
			return 0, err
		}
		time.Sleep(gap)
		_, took, err := d.call(name, payload)
		return took, err
	}
}

// bwrap times a program in fresh namespaces of every kind, from fork until its end.
func bwrap(argv ...string) func() (time.Duration, error) { return bwrapOn("", argv...) }

// bwrapOn is bwrap with a directory at /mnt.
func bwrapOn(dir string, argv ...string) func() (time.Duration, error) {
	return func() (time.Duration, error) {
		args, err := bwrapArgs(argv)
		if err != nil {
			return 0, err
		}
		if dir != "" {
			args = slices.Insert(args, len(args)-len(argv), "--ro-bind", dir, "/mnt")
		}
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		defer cancel()
		begin := time.Now()
		out, err := exec.CommandContext(ctx, args[0], args[1:]...).CombinedOutput()
		took := time.Since(begin)
		if err != nil {
			return 0, fmt.Errorf("bwrap: %w: %s", err, out)
		}
		return took, nil
	}
}

func bwrapArgs(argv []string) ([]string, error) {
	path, err := tool("bwrap")
	if err != nil {
		return nil, err
	}
	real, err := filepath.EvalSymlinks(argv[0]) // a link below /tmp is not seen inside
	if err != nil {
		return nil, err
	}
	args := []string{path, "--unshare-all", "--die-with-parent", "--ro-bind", "/", "/", "--proc", "/proc", "--dev", "/dev", "--tmpfs", "/tmp"}
	return append(append(args, real), argv[1:]...), nil
}

// build compiles one Go file without dependencies, or a package of this module.
func build(out, dir string, args ...string) error {
	cmd := exec.Command("go", append([]string{"build", "-trimpath", "-ldflags", "-s -w", "-o", out}, args...)...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GO111MODULE=auto")
	if said, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("go build: %w: %s", err, said)
	}
	return nil
}
