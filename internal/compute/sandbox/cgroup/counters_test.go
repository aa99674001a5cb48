package cgroup

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"testing"
)

// group makes a tree with one group in it, or skips.
func group(t testing.TB) *Group {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
	tree, err := Open(fmt.Sprintf("artesian-test-%d", os.Getpid()), 0)
	if err != nil {
		t.Skip(err)
	}
	t.Cleanup(func() {
		if err := tree.Close(); err != nil {
			t.Error(err)
		}
	})
	g, err := tree.New("one", Limits{Memory: 256 << 20, Pids: 16})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := g.Remove(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return g
}

// enter runs a program within a group, in every hierarchy.
func enter(t testing.TB, g *Group, script string) {
	t.Helper()
	join := ""
	for _, dir := range g.tree.dirs {
		join += "echo 0 > " + dir + "/" + g.id + "/cgroup.procs && "
	}
	if out, err := exec.Command("/bin/sh", "-c", join+script).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
}

func descriptors(t testing.TB) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}

// TestCountersMove reads through descriptors that stay open: what is read must be new every time.
func TestCountersMove(t *testing.T) {
	g := group(t)
	var last Counters
	for n := range 3 {
		enter(t, g, "i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done")
		c, err := g.Counters()
		if err != nil {
			t.Fatal(err)
		}
		if c.CPU <= last.CPU || g.tree.peak && c.Peak < max(last.Peak, 1) {
			t.Errorf("reading %d: %+v after %+v", n, c, last)
		}
		last = c
	}
}

func TestCountersAfterRemove(t *testing.T) {
	g := group(t)
	before := descriptors(t)
	if _, err := g.Counters(); err != nil {
		t.Fatal(err)
	}
	if descriptors(t) == before {
		t.Error("no descriptor is kept, so this test shows nothing")
	}
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for {
				if _, err := g.Counters(); err != nil {
					if !errors.Is(err, os.ErrClosed) && !errors.Is(err, syscall.ENODEV) {
						t.Errorf("counters while the group goes: %v", err)
					}
					return
				}
			}
		})
	}
	if err := g.Remove(context.Background()); err != nil {
		t.Fatal(err)
	}
	all.Wait()
	if _, err := g.Counters(); !errors.Is(err, os.ErrClosed) {
		t.Errorf("counters of a group that is gone: %v", err)
	}
	if n := descriptors(t); n >= before { // Remove closed the directory too, where there is one
		t.Errorf("%d descriptors, %d before", n, before)
	}
}

// BenchmarkCounters is once a call on the warm way.
func BenchmarkCounters(b *testing.B) {
	g := group(b)
	enter(b, g, "true")
	b.ReportAllocs()
	for b.Loop() {
		if _, err := g.Counters(); err != nil {
			b.Fatal(err)
		}
	}
}
