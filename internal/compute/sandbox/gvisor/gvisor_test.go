package gvisor

import (
	"context"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"

	"artesian/internal/compute/sandbox"
	"artesian/internal/compute/sandbox/gvisor/runsc"
	"artesian/internal/compute/sandbox/sandboxtest"
)

func TestMain(m *testing.M) {
	runsc.Takeover()
	status := m.Run()
	sandboxtest.Forget()
	os.Exit(status)
}

// open makes a Maker, or skips with what is missing.
func open(t testing.TB, nodeMemory int64) *Maker {
	t.Helper()
	return openIn(t, t.TempDir(), nodeMemory)
}

func TestConformance(t *testing.T) {
	m := open(t, 4<<30)
	sandboxtest.Conformance(t, m, nil)
}

// TestMissing: a level that cannot hold what it promises is refused in words.
func TestMissing(t *testing.T) {
	err := limited([]sandbox.Guarantee{{Name: "memory limit", How: "no control group: it is not yours"}})
	if err == nil || !strings.Contains(err.Error(), "it is not yours") {
		t.Errorf("without a control group: %v", err)
	}
	if err := limited([]sandbox.Guarantee{{Name: "memory limit", Enforced: true}}); err != nil {
		t.Error(err)
	}
}

// TestManyAtOnce: starts do not get in each other's way.
func TestManyAtOnce(t *testing.T) {
	m := open(t, 4<<30)
	payload := sandboxtest.Payload(t)
	var all sync.WaitGroup
	for n := range 6 {
		all.Go(func() {
			s, err := m.Start(context.Background(), sandboxtest.Spec("many-"+strconv.Itoa(n), payload, "say", strconv.Itoa(n)))
			if err != nil {
				t.Error(err)
				return
			}
			out := sandboxtest.ReadAll(t, s)
			if !strings.Contains(out, "args="+strconv.Itoa(n)+"\n") {
				t.Errorf("%d said %q", n, out)
			}
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
}
