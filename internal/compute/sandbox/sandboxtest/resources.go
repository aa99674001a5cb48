package sandboxtest

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"
)

// Resources are what a sandbox must not leave behind.
type Resources map[string][]string

// Lister names, by kind, what a maker has of the machine's resources. It counts its own only: others use the machine too.
type Lister func() Resources

// Snapshot lists this process's file descriptors, goroutines and mounts, and what own lists.
func Snapshot(t testing.TB, own Lister) Resources {
	t.Helper()
	r := Resources{}
	if own != nil {
		r = own()
	}
	fds, err := filepath.Glob("/proc/self/fd/*")
	if err != nil {
		t.Fatal(err)
	}
	r["descriptors"] = []string{fmt.Sprint(len(fds))}
	r["goroutines"] = []string{fmt.Sprint(runtime.NumGoroutine())}
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	r["mounts"] = strings.Split(string(mounts), "\n")
	return r
}

// Compare waits until nothing is there that was not in r: the kernel frees some things a moment later.
func (r Resources) Compare(t testing.TB, own Lister) {
	t.Helper()
	deadline := time.Now().Add(5 * time.Second)
	for kind, before := range r {
		for {
			after := Snapshot(t, own)[kind]
			if !more(before, after) {
				break
			}
			if time.Now().After(deadline) {
				t.Errorf("%s before: %v\nafter: %v", kind, before, after)
				break
			}
			time.Sleep(time.Millisecond)
		}
	}
}

func more(before, after []string) bool {
	if len(before) == 1 && len(after) == 1 { // a count
		var a, b int
		if _, err := fmt.Sscan(before[0], &b); err == nil {
			if _, err := fmt.Sscan(after[0], &a); err == nil {
				return a > b
			}
		}
	}
	return len(after) > len(before)
}
