package main

import (
	"os"
	"testing"
	"time"
)

const wrkSaid = `Running 1s test @ http://127.0.0.1:8080/
  1 threads and 16 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency   312.10us  101.11us   4.00ms   91.00%
    Req/Sec    50.02k     2.00k   52.00k    80.00%
  Latency Distribution
     50%  295.00us
     75%  330.00us
     90%    1.40ms
     99%    2.62ms
  54731 requests in 1.10s, 7.10MB read
`

func TestReadWrk(t *testing.T) {
	got, err := readWrk(wrkSaid + "Requests/sec:  49755.45\n")
	if err != nil || got.p50 != 295*time.Microsecond || got.calls != 54731 || int(got.rate) != 49755 {
		t.Errorf("%+v %v", got, err)
	}
	for name, said := range map[string]string{
		"errors":  wrkSaid + "  Non-2xx or 3xx responses: 3\n",
		"sockets": wrkSaid + "  Socket errors: connect 0, read 1, write 0, timeout 0\n",
		"nothing": "unable to connect to 127.0.0.1:8080 Connection refused\n",
	} {
		if got, err := readWrk(said); err == nil {
			t.Errorf("%s: %+v", name, got)
		}
	}
}

func TestVerdicts(t *testing.T) {
	for _, c := range []struct {
		row  row
		want string
	}{
		{row{ratio: 1.15, goal: ratioUpTo(1.15)}, "met"},
		{row{ratio: 1.16, goal: ratioUpTo(1.15)}, "missed"},
		{row{ratio: 1.6, goal: ratioAtLeast(1.5)}, "met"},
		{row{ratio: 1.4, goal: ratioAtLeast(1.5)}, "missed"},
		{row{ours: took(-time.Microsecond), goal: upTo(took(time.Millisecond))}, "met"},
		{row{ours: bytesOf(6 << 20), goal: upTo(bytesOf(5 << 20))}, "missed"},
		{row{ratio: 3}, ""},
		{row{goal: ratioUpTo(1)}, ""}, // nothing was measured
		{row{text: "not measured", goal: upTo(took(time.Second))}, ""},
	} {
		if got := c.row.verdict(); got != c.want {
			t.Errorf("%+v: %q, want %q", c.row, got, c.want)
		}
	}
}

func TestValues(t *testing.T) {
	for want, v := range map[string]value{
		"40 µs": took(40 * time.Microsecond), "3.17 ms": took(3170 * time.Microsecond), "-2 ms": took(-2 * time.Millisecond), "1.5 s": took(1500 * time.Millisecond),
		"15.0 KB": bytesOf(15 << 10), "1.17 GB": bytesOf(1200 << 20), "12345/s": rate(12345), "": {},
	} {
		if got := v.String(); got != want {
			t.Errorf("%+v: %q, want %q", v, got, want)
		}
	}
}

// TestTree: a process, its CPU time and its children are found.
func TestTree(t *testing.T) {
	for begin := time.Now(); costOf(os.Getpid()).cpu == 0 && time.Since(begin) < 10*time.Second; { // reading uses some
	}
	all := tree(os.Getpid())
	if len(all) == 0 || all[0].pid != os.Getpid() || all[0].parent != os.Getppid() {
		t.Errorf("%+v", all)
	}
	if c := costOf(os.Getpid()); c.cpu == 0 || c.server == 0 || c.server > c.cpu || c.switches == 0 {
		t.Errorf("%+v", c)
	}
	before := cost{100 * time.Microsecond, 60 * time.Microsecond, 4}
	if c := (cost{500 * time.Microsecond, 160 * time.Microsecond, 14}).each(before, 4); c != (cost{100 * time.Microsecond, 25 * time.Microsecond, 2.5}) {
		t.Errorf("%+v", c)
	}
	if pss(os.Getpid()) == 0 || pidSpace(os.Getpid()) == "" {
		t.Error("no memory, or no namespace")
	}
	if n := median([]int{5, 1, 3}); n != 3 {
		t.Error(n)
	}
}

func TestWays(t *testing.T) {
	const before = "artesian_cold_starts_total{runtime=\"a\",way=\"stem\"} 1\nartesian_cold_start_seconds_sum{runtime=\"a\",way=\"stem\",phase=\"init\"} 0.002\n"
	const after = "artesian_cold_starts_total{runtime=\"a\",way=\"stem\"} 3\nartesian_cold_starts_total{runtime=\"b\",way=\"cell\"} 2\n" +
		"artesian_cold_start_seconds_sum{runtime=\"a\",way=\"stem\",phase=\"init\"} 0.008\nartesian_cold_start_seconds_sum{runtime=\"b\",way=\"cell\",phase=\"init\"} 0.002\n"
	if got := readWays(after).less(readWays(before)).String(); got != "2 cell, 2 stem; mean place 0 µs, sandbox 0 µs, runtime 0 µs, init 2 ms." {
		t.Error(got)
	}
	if got := readWays("").String(); got != "none." {
		t.Error(got)
	}
}
