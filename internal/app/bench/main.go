// Command bench measures the daemon beside floors and peers in the same run and prints each figure as a ratio: the
// machines it runs on are shared and noisy, so ours and the floor take turns within the same seconds and the median of
// the ratios counts. Run it by `make bench`; it needs python3, node and javac where figures for Node.js and Java are wanted, and bwrap for the peers of cold starts.
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// row is one printed figure.
type row struct {
	name        string
	ours, floor time.Duration // 0: no time
	text        string        // instead of the times
	ratio       float64       // 0: none
	target      string
}

func main() {
	if len(os.Args) > 2 && os.Args[1] == "floor" {
		serveFloor(os.Args[2])
		return
	}
	only := flag.String("only", "", "run the sections whose names contain this: warm, cold, start, egress, reads, stream")
	bin := flag.String("artesian", "", "the program to measure; default: build it")
	flag.Parse()
	if err := run(*bin, *only); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(bin, only string) error {
	dir, err := os.MkdirTemp("", "artesian-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if bin == "" {
		bin = filepath.Join(dir, "artesian")
		cmd := exec.Command("go", "build", "-trimpath", "-ldflags", "-s -w", "-o", bin, "./cmd/artesian")
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("build: %w: %s", err, out)
		}
	}
	fmt.Printf("%-58s %12s %12s %8s  %s\n", "figure (medians of turns)", "ours", "floor/peer", "ratio", "target")
	for _, s := range []struct {
		name string
		f    func(bin, dir string) ([]row, error)
	}{{"start", start}, {"warm", warm}, {"cold", cold}, {"egress", egress}, {"reads", reads}, {"stream", stream}} {
		if !strings.Contains(s.name, only) {
			continue
		}
		rows, err := s.f(bin, dir)
		for _, r := range rows {
			r.print()
		}
		if err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
	}
	return nil
}

func (r row) print() {
	ours, floor, ratio := r.text, "", ""
	if r.ours > 0 {
		ours = short(r.ours)
	}
	if r.floor > 0 {
		floor = short(r.floor)
	}
	if r.ratio > 0 {
		ratio = fmt.Sprintf("%.2f×", r.ratio)
	}
	fmt.Printf("%-58s %12s %12s %8s  %s\n", r.name, ours, floor, ratio, r.target)
}

func short(d time.Duration) string {
	switch {
	case d < time.Millisecond:
		return fmt.Sprintf("%.0f µs", float64(d)/1e3)
	case d < time.Second:
		return fmt.Sprintf("%.2f ms", float64(d)/1e6)
	}
	return fmt.Sprintf("%.2f s", d.Seconds())
}

func median[T int64 | float64 | time.Duration](v []T) T {
	if len(v) == 0 {
		return 0
	}
	s := slices.Clone(v)
	slices.Sort(s)
	return s[len(s)/2]
}

// turns runs ours and the floor one after the other n times and returns the medians and the median of the ratios.
func turns(n int, ours, floor func() (time.Duration, error)) (o, f time.Duration, ratio float64, err error) {
	var os, fs []time.Duration
	var rs []float64
	for range n {
		a, err := ours()
		if err != nil {
			return 0, 0, 0, err
		}
		b, err := floor()
		if err != nil {
			return 0, 0, 0, err
		}
		os, fs, rs = append(os, a), append(fs, b), append(rs, float64(a)/float64(b))
	}
	return median(os), median(fs), median(rs), nil
}

var errNoTool = errors.New("not installed")

func tool(name string) (string, error) {
	p, err := exec.LookPath(name)
	if err != nil {
		return "", fmt.Errorf("%s: %w", name, errNoTool)
	}
	return p, nil
}
