package container

import (
	"context"
	"fmt"
	"testing"

	"artesian/internal/compute/sandbox"
	"artesian/internal/compute/sandbox/sandboxtest"
)

// TestNodeLimit allows far more than there is: ten sandboxes of 512 MB under 256 MB. Whoever is greedy is killed; the
// others, and this process, live.
func TestNodeLimit(t *testing.T) {
	m := open(t, 256<<20)
	payload := sandboxtest.Payload(t)
	start := func(id string, args ...string) sandbox.Sandbox {
		t.Helper()
		spec := sandboxtest.Spec(id, payload, args...)
		spec.MemoryMB = 512
		s, err := m.Start(context.Background(), spec)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		})
		return s
	}
	var modest []sandbox.Sandbox
	for i := range 9 {
		modest = append(modest, start(fmt.Sprintf("modest-%d", i), "eat", "8", "stay"))
	}
	greedy := start("greedy", "eat", "400")
	sandboxtest.Await(t, greedy)
	if e := greedy.Exit(); !e.OOM || e.Signal != 9 {
		t.Errorf("greedy sandbox: %+v, want killed for lack of memory", e)
	}
	for _, s := range modest {
		select {
		case <-s.Done():
			t.Errorf("a modest sandbox ended: %+v", s.Exit())
		default:
		}
	}
}
