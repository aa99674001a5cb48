package cgroup

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestQuota: whatever came before, period, quota and burst are those of the last SetCPU.
func TestQuota(t *testing.T) {
	tree, err := Open(fmt.Sprintf("artesian-test-quota-%d", os.Getpid()), 0)
	if err != nil {
		t.Skip(err)
	}
	t.Cleanup(func() { _ = tree.Close() })
	if !tree.Quota() {
		t.Skip("no quota here")
	}
	g, err := tree.New("quota", Limits{Memory: 16 << 20, Pids: 4})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = g.Remove(context.Background()) })
	read := func(name string) string {
		b, err := os.ReadFile(filepath.Join(g.path(tree.cpu), name))
		if err != nil {
			t.Fatal(err)
		}
		return strings.TrimSpace(string(b))
	}
	for _, c := range []struct {
		cores         float64
		quota, period string
		burst         string
	}{
		{0, "-1", "20000", "0"},
		{1, "20000", "20000", "20000"},
		{0.02, "2000", "100000", "2000"}, // too little for the short period
		{0.02, "2000", "100000", "2000"},
		{2, "40000", "20000", "40000"},
		{0.5, "10000", "20000", "10000"},
		{0, "-1", "20000", "0"},
		{0.5, "10000", "20000", "10000"},
	} {
		if err := g.SetCPU(c.cores); err != nil {
			t.Fatalf("%g cores: %v", c.cores, err)
		}
		var got, want string
		if tree.cpu.v2 {
			got, want = read("cpu.max"), c.quota+" "+c.period
			if c.cores == 0 {
				got, want = strings.Fields(got)[0], "max"
			}
		} else {
			got, want = read("cpu.cfs_quota_us")+" "+read("cpu.cfs_period_us"), c.quota+" "+c.period
		}
		if tree.burst {
			got, want = got+" "+read(tree.cpu.file("cpu.cfs_burst_us", "cpu.max.burst")), want+" "+c.burst
		}
		if got != want {
			t.Errorf("%g cores: %s, want %s", c.cores, got, want)
		}
	}
}
