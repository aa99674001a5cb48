package container

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"syscall"
	"testing"

	"artesian/internal/compute/sandbox/sandboxtest"
)

// TestSpawnerDiesBeforeManyStarts: one new spawner serves all who come.
func TestSpawnerDiesBeforeManyStarts(t *testing.T) {
	m := open(t, 0)
	payload := sandboxtest.Payload(t)
	dead := m.spawner
	if err := syscall.Kill(dead.pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	<-dead.done
	var all sync.WaitGroup
	for n := range 6 {
		all.Go(func() {
			s, err := m.Start(context.Background(), sandboxtest.Spec(fmt.Sprintf("after-%d", n), payload, "wait"))
			if err != nil {
				t.Error(err)
				return
			}
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if m.spawner == dead || !m.spawner.alive() || m.renewing != nil {
		t.Errorf("spawner %d after %d, alive: %v", m.spawner.pid, dead.pid, m.spawner.alive())
	}
}

// TestWaitForASpawner: who waits for one can leave, and holds up nobody.
func TestWaitForASpawner(t *testing.T) {
	m := open(t, 0)
	m.renewing = make(chan struct{}) // somebody is at it
	gone, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := m.working(gone); !errors.Is(err, context.Canceled) {
		t.Errorf("a caller who left: %v", err)
	}
	got := make(chan *spawner, 1)
	go func() {
		s, err := m.working(context.Background())
		if err != nil {
			t.Error(err)
		}
		got <- s
	}()
	m.forget("nobody") // takes the lock
	m.mu.Lock()
	close(m.renewing)
	m.renewing = nil
	m.mu.Unlock()
	if s := <-got; s != m.spawner {
		t.Error("who waited has another spawner")
	}
}
