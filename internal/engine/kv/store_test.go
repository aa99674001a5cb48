package kv_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"artesian/internal/engine"
	"artesian/internal/engine/kv"
	"artesian/internal/faas"
)

func openEngine(tb testing.TB, dir string) *engine.Engine {
	tb.Helper()
	e, err := engine.Open(context.Background(), engine.Config{Dir: dir})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { e.Close() })
	return e
}

func openStore(tb testing.TB, e *engine.Engine) *kv.Store {
	tb.Helper()
	s, err := kv.Open(context.Background(), e)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(s.Close)
	return s
}

func scope() faas.Scope { return faas.Scope{Account: faas.DefaultAccount, Region: faas.DefaultRegion} }

func key(name string) kv.Key { return kv.Key{Scope: scope(), Kind: "function", Name: name} }

func create(tb testing.TB, s *kv.Store, k kv.Key, value string) uint64 {
	tb.Helper()
	rev, err := s.Create(tb.Context(), k, []byte(value))
	if err != nil {
		tb.Fatal(err)
	}
	return rev
}

func wantKind(tb testing.TB, err error, kind faas.Kind) {
	tb.Helper()
	if err == nil || faas.KindOf(err) != kind {
		tb.Errorf("want an error of kind %v, have %v", kind, err)
	}
}

func TestWritesAreReadAtOnce(t *testing.T) {
	s := openStore(t, openEngine(t, t.TempDir()))
	ctx, k := t.Context(), key("a")
	if _, ok := s.Get(k); ok {
		t.Error("found what is not there")
	}
	one := create(t, s, k, "1")
	if e, ok := s.Get(k); !ok || string(e.Value) != "1" || e.Rev != one || e.Key != k {
		t.Error(e, ok)
	}
	_, err := s.Create(ctx, k, []byte("again"))
	wantKind(t, err, faas.Conflict)
	if !strings.Contains(err.Error(), `function "a" exists already`) {
		t.Error(err)
	}
	two, err := s.Update(ctx, k, nil, one)
	if err != nil || two <= one {
		t.Fatal(two, err)
	}
	if e, ok := s.Get(k); !ok || len(e.Value) != 0 || e.Rev != two {
		t.Error(e, ok)
	}
	_, err = s.Update(ctx, k, []byte("3"), one)
	wantKind(t, err, faas.Conflict)
	wantKind(t, s.Delete(ctx, k, one), faas.Conflict)
	if err := s.Delete(ctx, k, two); err != nil {
		t.Fatal(err)
	}
	if _, ok := s.Get(k); ok {
		t.Error("found what was deleted")
	}
	wantKind(t, s.Delete(ctx, k, two), faas.Conflict)
	_, err = s.Update(ctx, k, nil, two)
	wantKind(t, err, faas.Conflict)
	if again := create(t, s, k, "4"); again <= two {
		t.Error("a revision came back")
	}
}

func TestRefusals(t *testing.T) {
	e := openEngine(t, t.TempDir())
	s := openStore(t, e)
	good := key("x")
	for _, bad := range []kv.Key{{}, {Scope: scope(), Kind: "function"}, {Scope: scope(), Name: "x"}, {Kind: "function", Name: "x"},
		key(strings.Repeat("x", 513)), key("\xff"), {Scope: scope(), Kind: strings.Repeat("k", 65), Name: "x"}} {
		_, err := s.Create(t.Context(), bad, nil)
		wantKind(t, err, faas.Invalid)
		_, err = s.Update(t.Context(), bad, nil, 1)
		wantKind(t, err, faas.Invalid)
		wantKind(t, s.Delete(t.Context(), bad, 1), faas.Invalid)
	}
	_, err := s.Update(t.Context(), good, nil, 0)
	wantKind(t, err, faas.Invalid)
	wantKind(t, s.Delete(t.Context(), good, 0), faas.Invalid)
	_, err = s.Create(t.Context(), good, make([]byte, s.MaxValue()+1))
	wantKind(t, err, faas.TooLarge)
	if _, err := s.Create(t.Context(), key(strings.Repeat("é", 256)), make([]byte, s.MaxValue())); err != nil {
		t.Errorf("the largest entry: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = s.Create(ctx, good, nil)
	wantKind(t, err, faas.Unavailable)
	s.Close()
	s.Close()
	_, err = s.Create(t.Context(), key("closed"), nil)
	wantKind(t, err, faas.Unavailable)
}

func TestListAndPage(t *testing.T) {
	dir := t.TempDir()
	e := openEngine(t, dir)
	s := openStore(t, e)
	for _, name := range []string{"b", "a/1", "c", "a/3", "a/2", "a", "ä", "a/2/x"} {
		create(t, s, key(name), name)
	}
	create(t, s, kv.Key{Scope: scope(), Kind: "role", Name: "a/9"}, "")
	create(t, s, kv.Key{Scope: faas.Scope{Account: faas.DefaultAccount, Region: "global"}, Kind: "function", Name: "a/9"}, "")
	create(t, s, kv.Key{Scope: faas.Scope{Account: "111111111111", Region: faas.DefaultRegion}, Kind: "function", Name: "a/9"}, "")
	for range 2 { // as written, and as loaded
		checkNames(t, s.List(scope(), "function", ""), "a", "a/1", "a/2", "a/2/x", "a/3", "b", "c", "ä")
		checkNames(t, s.List(scope(), "function", "a/"), "a/1", "a/2", "a/2/x", "a/3")
		checkNames(t, s.List(scope(), "nothing", ""))
		checkNames(t, s.List(scope(), "function", "zz"))
		page, more := s.Page(scope(), "function", "a/", "", 2)
		checkNames(t, page, "a/1", "a/2")
		page, more2 := s.Page(scope(), "function", "a/", "a/2", 2)
		checkNames(t, page, "a/2/x", "a/3")
		page, more3 := s.Page(scope(), "function", "", "b", 0)
		checkNames(t, page, "c", "ä")
		if !more || more2 || more3 {
			t.Error("more is", more, more2, more3)
		}
		s.Close()
		e.Close()
		e = openEngine(t, dir)
		s = openStore(t, e)
	}
}

func checkNames(t *testing.T, entries []kv.Entry, want ...string) {
	t.Helper()
	var names []string
	for _, e := range entries {
		names = append(names, e.Key.Name)
	}
	if !slices.Equal(names, want) {
		t.Errorf("have %q, want %q", names, want)
	}
}

func TestOneOfManyWins(t *testing.T) {
	e := openEngine(t, t.TempDir())
	stores := []*kv.Store{openStore(t, e), openStore(t, e)} // as two processes would be
	k := key("contended")
	rev := race(t, stores, func(s *kv.Store, w string) (uint64, error) { return s.Create(t.Context(), k, []byte(w)) })
	for range 10 {
		prev := rev
		rev = race(t, stores, func(s *kv.Store, w string) (uint64, error) { return s.Update(t.Context(), k, []byte(w), prev) })
	}
	race(t, stores, func(s *kv.Store, _ string) (uint64, error) { return 1, s.Delete(t.Context(), k, rev) })
}

// race lets many writers try the same write; one must win, and the others must see that they lost.
func race(t *testing.T, stores []*kv.Store, write func(s *kv.Store, who string) (uint64, error)) uint64 {
	t.Helper()
	var wg sync.WaitGroup
	revs := make(chan uint64, 16)
	for w := range 16 {
		wg.Go(func() {
			rev, err := write(stores[w%len(stores)], fmt.Sprint(w))
			if err == nil {
				revs <- rev
			} else if faas.KindOf(err) != faas.Conflict {
				t.Errorf("writer %d: %v", w, err)
			}
		})
	}
	wg.Wait()
	if len(revs) != 1 {
		t.Fatalf("%d writers won", len(revs))
	}
	return <-revs
}

// TestCreateAfterAnothersDelete: the mirror of one store may be behind what another did.
func TestCreateAfterAnothersDelete(t *testing.T) {
	e := openEngine(t, t.TempDir())
	a, b := openStore(t, e), openStore(t, e)
	for i := range 30 {
		s, other := a, b
		if i%2 == 0 {
			s, other = b, a
		}
		rev := create(t, s, key("k"), "")
		if err := s.Delete(t.Context(), key("k"), rev); err != nil {
			t.Fatal(err)
		}
		rev = create(t, other, key("k"), "")
		if err := other.Delete(t.Context(), key("k"), rev); err != nil {
			t.Fatal(err)
		}
	}
}

func TestWatch(t *testing.T) {
	s := openStore(t, openEngine(t, t.TempDir()))
	ctx := t.Context()
	b := create(t, s, key("b"), "1")
	create(t, s, key("a"), "1")
	create(t, s, kv.Key{Scope: scope(), Kind: "role", Name: "a"}, "")
	var seen []string
	stop := s.Watch("function", func(e kv.Entry, deleted bool) {
		seen = append(seen, fmt.Sprintf("%s=%s,%v", e.Key.Name, e.Value, deleted))
		if have, ok := s.Get(e.Key); ok == deleted || ok && have.Rev != e.Rev {
			t.Error("the watcher is not in step with the store")
		}
	})
	b, err := s.Update(ctx, key("b"), []byte("2"), b)
	if err != nil {
		t.Fatal(err)
	}
	create(t, s, kv.Key{Scope: scope(), Kind: "role", Name: "b"}, "")
	c := create(t, s, key("c"), "1")
	for k, rev := range map[kv.Key]uint64{key("c"): c} {
		if err := s.Delete(ctx, k, rev); err != nil {
			t.Fatal(err)
		}
	}
	want := []string{"a=1,false", "b=1,false", "b=2,false", "c=1,false", "c=,true"}
	if !slices.Equal(seen, want) { // without waiting: a write returns after its watchers
		t.Errorf("have %q, want %q", seen, want)
	}
	stop()
	if err := s.Delete(ctx, key("b"), b); err != nil {
		t.Fatal(err)
	}
	if len(seen) != len(want) {
		t.Error("a stopped watcher was called")
	}
}

// TestGarbageGoes: neither updates nor deletes leave messages behind.
func TestGarbageGoes(t *testing.T) {
	dir := t.TempDir()
	e := openEngine(t, dir)
	s := openStore(t, e)
	churn(t, s, 30)
	waitForMessages(t, e, 3)
	churn(t, s, 30)
	s.Close() // with garbage left, which the next store finds
	e.Close()
	e = openEngine(t, dir)
	s = openStore(t, e)
	waitForMessages(t, e, 3)
	checkNames(t, s.List(scope(), "function", ""), "0", "1", "2")
	create(t, s, key("29"), "")
}

// churn makes, updates and deletes n entries, and keeps three more.
func churn(t *testing.T, s *kv.Store, n int) {
	t.Helper()
	for i := range n {
		k := key(fmt.Sprint(i))
		if have, ok := s.Get(k); ok {
			if err := s.Delete(t.Context(), k, have.Rev); err != nil {
				t.Fatal(err)
			}
		}
		rev := create(t, s, k, "1")
		rev, err := s.Update(t.Context(), k, []byte("2"), rev)
		if err != nil {
			t.Fatal(err)
		}
		if i < 3 {
			continue
		}
		if err := s.Delete(t.Context(), k, rev); err != nil {
			t.Fatal(err)
		}
	}
}

// waitForMessages polls the stream until it has n messages.
func waitForMessages(t *testing.T, e *engine.Engine, n uint64) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	st, err := e.JetStream().Stream(ctx, "KV")
	if err != nil {
		t.Fatal(err)
	}
	for {
		info, err := st.Info(ctx)
		if err != nil {
			t.Fatalf("the stream does not come down to %d messages: %v", n, err)
		}
		if info.State.Msgs == n {
			return
		}
	}
}

func TestForeignMessagesAreLeftAlone(t *testing.T) {
	dir := t.TempDir()
	e := openEngine(t, dir)
	s := openStore(t, e)
	if _, err := e.JetStream().Publish(t.Context(), "kv.odd", []byte("from elsewhere")); err != nil {
		t.Fatal(err)
	}
	create(t, s, key("a"), "1")
	s.Close()
	e.Close()
	checkNames(t, openStore(t, openEngine(t, dir)).List(scope(), "function", ""), "a")
}

func TestOpenEndsWithItsCaller(t *testing.T) {
	e := openEngine(t, t.TempDir())
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := kv.Open(ctx, e); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
}

func fill(tb testing.TB, e *engine.Engine, n, size int) {
	tb.Helper()
	openStore(tb, e).Close() // makes the stream
	value := bytes.Repeat([]byte("v"), size)
	js, err := jetstream.New(e.Conn())
	if err != nil {
		tb.Fatal(err)
	}
	for i := range n {
		if _, err := js.PublishAsync(fmt.Sprintf("kv.000000000000.us-east-1.function.name-%d", i*7919%n), value, jetstream.WithStallWait(time.Minute)); err != nil {
			tb.Fatal(err)
		}
	}
	<-js.PublishAsyncComplete()
}
