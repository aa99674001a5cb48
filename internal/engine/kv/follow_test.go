package kv

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/nats-io/nats.go/jetstream"

	"artesian/internal/engine"
	"artesian/internal/faas"
)

func paused(t *testing.T) *Store {
	t.Helper()
	e, err := engine.Open(t.Context(), engine.Config{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { e.Close() })
	s, err := Open(t.Context(), e)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	s.pause()
	return s
}

// pause ends the follower, as if it lagged for ever.
func (s *Store) pause() {
	s.follow.Stop()
	<-s.follow.Closed()
}

func thing(name string) Key {
	return Key{Scope: faas.Scope{Account: faas.DefaultAccount, Region: faas.DefaultRegion}, Kind: "thing", Name: name}
}

// record keeps the revisions that a watcher is told, and looks at what it sees.
func record(t *testing.T, s *Store) *[]uint64 {
	t.Helper()
	revs := &[]uint64{}
	s.Watch("thing", func(e Entry, deleted bool) {
		if have, ok := s.Get(e.Key); ok == deleted || ok && have.Rev != e.Rev {
			t.Errorf("the watcher is told %d, and the store has %d, %v", e.Rev, have.Rev, ok)
		}
		*revs = append(*revs, e.Rev)
	})
	return revs
}

// wantOrder checks that the revisions are 1, 2 and so on to n.
func wantOrder(t *testing.T, revs []uint64, n int) {
	t.Helper()
	if len(revs) != n || !slices.IsSorted(revs) || revs[0] != 1 || revs[n-1] != uint64(n) {
		t.Errorf("the watcher has not seen 1 to %d once each in order: %v", n, revs)
	}
}

// patient bounds a test. A write that waits for the paused follower fails by itself before.
func patient(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), 4*visibleTime)
	t.Cleanup(cancel)
	return ctx
}

// TestWritesDoNotNeedTheFollower: many write at once; the follower comes late, and brings what is in already.
func TestWritesDoNotNeedTheFollower(t *testing.T) {
	s := paused(t)
	revs := record(t, s)
	ctx := patient(t)
	var all sync.WaitGroup
	for w := range 8 {
		all.Go(func() {
			k := thing(fmt.Sprint(w))
			rev, err := s.Create(ctx, k, []byte("1"))
			for range 4 {
				if err == nil {
					rev, err = s.Update(ctx, k, []byte("2"), rev)
				}
				if have, ok := s.Get(k); err == nil && (!ok || have.Rev != rev || string(have.Value) != "2") {
					t.Errorf("after its write %s is %v, %v", k.Name, have, ok)
				}
			}
			if err == nil && w%2 == 0 {
				err = s.Delete(ctx, k, rev)
			}
			if err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	wantOrder(t, *revs, 8*5+4)
	if err := s.start(ctx); err != nil {
		t.Fatal(err)
	}
	lost := publish(t, s, thing("lost")) // comes by the follower only, after all that it repeats
	select {
	case <-s.mirror.reached(lost):
	case <-ctx.Done():
		t.Fatal("the follower brings nothing")
	}
	s.pause()
	wantOrder(t, *revs, 8*5+4+1)
	if n := len(s.List(thing("").Scope, "thing", "")); n != 4+1 {
		t.Errorf("%d entries", n)
	}
}

// publish stores a message as a write does whose answer is lost.
func publish(t *testing.T, s *Store, k Key) uint64 {
	t.Helper()
	ack, err := s.eng.JetStream().Publish(t.Context(), k.subject(), []byte("1"))
	if err != nil {
		t.Fatal(err)
	}
	return ack.Sequence
}

// TestGapsAreFetched: before a write are one whose answer was lost, one that was swept, and one of another's.
func TestGapsAreFetched(t *testing.T) {
	s := paused(t)
	revs := record(t, s)
	ctx := patient(t)
	publish(t, s, thing("lost"))
	if err := s.stream.DeleteMsg(ctx, publish(t, s, thing("swept"))); err != nil {
		t.Fatal(err)
	}
	if _, err := s.eng.JetStream().Publish(ctx, "kv.odd", nil); err != nil {
		t.Fatal(err)
	}
	publish(t, s, thing("lost too"))
	rev, err := s.Create(ctx, thing("mine"), nil)
	if err != nil {
		t.Fatal(err)
	}
	if want := []uint64{1, 4, 5}; rev != 5 || !slices.Equal(*revs, want) {
		t.Errorf("the watcher has seen %v instead of %v", *revs, want)
	}
	if _, ok := s.Get(thing("lost")); !ok {
		t.Error("what was before the write is not there")
	}
}

// TestWhatComesEarlyWaits: answers may come in another order than the messages, and the follower between them.
func TestWhatComesEarlyWaits(t *testing.T) {
	s := paused(t)
	revs := record(t, s)
	at := func(rev uint64) message { return message{Entry: Entry{Key: thing("a"), Rev: rev}} }
	s.offer(at(3))
	s.offer(at(2))
	wantRevs := func(want ...uint64) {
		t.Helper()
		if !slices.Equal(*revs, want) {
			t.Errorf("the watcher has seen %v instead of %v", *revs, want)
		}
	}
	wantRevs()
	s.offer(at(1))
	wantRevs(1, 2, 3)
	s.arrive(at(2))
	s.offer(at(3))
	wantRevs(1, 2, 3)
	s.offer(at(6))
	s.offer(at(8))
	s.arrive(at(7)) // the stream has no 4 and 5 any more
	wantRevs(1, 2, 3, 6, 7, 8)
	if len(s.early) != 0 {
		t.Errorf("left: %v", s.early)
	}
	s.offer(at(10))
	s.Close()
	s.offer(at(9))
	wantRevs(1, 2, 3, 6, 7, 8)
}

// TestSweptTail: the stream ends with messages that are swept, so the follower never reaches its last sequence.
func TestSweptTail(t *testing.T) {
	s := paused(t)
	ctx := patient(t)
	if _, err := s.Create(ctx, thing("kept"), nil); err != nil {
		t.Fatal(err)
	}
	rev, err := s.Create(ctx, thing("gone"), nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Delete(ctx, thing("gone"), rev); err != nil {
		t.Fatal(err)
	}
	for _, err := s.stream.GetMsg(ctx, 3); err != jetstream.ErrMsgNotFound; _, err = s.stream.GetMsg(ctx, 3) {
		if ctx.Err() != nil {
			t.Fatal("the delete marker stays")
		}
	}
	s.Close()
	again, err := Open(ctx, s.eng)
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	if at := again.mirror.at(); at != 3 {
		t.Errorf("opened at %d instead of 3", at)
	}
}

// TestOwnValue: the caller may use its buffer again.
func TestOwnValue(t *testing.T) {
	s := paused(t)
	b := []byte("1")
	if _, err := s.Create(patient(t), thing("a"), b); err != nil {
		t.Fatal(err)
	}
	b[0] = '2'
	if e, _ := s.Get(thing("a")); string(e.Value) != "1" {
		t.Errorf("the value became %q", e.Value)
	}
}
