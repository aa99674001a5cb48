package engine

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"artesian/internal/faas"
)

func TestSpaceIsWatched(t *testing.T) {
	e := open(t, t.TempDir())
	e.free = func(string) (freeSpace, error) { return freeSpace{bytes: reserve + 100, inodes: -1}, nil }
	must(t, e.CheckSpace(100))
	wantRefusal(t, e.CheckSpace(101), "full")
	_, err := e.Stream(t.Context(), jetstream.StreamConfig{Name: "ROOM", Subjects: []string{"room"}})
	must(t, err)
	e.free = func(string) (freeSpace, error) { return freeSpace{bytes: 1 << 40, inodes: 3}, nil }
	wantRefusal(t, e.CheckSpace(0), "full")
	_, err = e.Stream(t.Context(), jetstream.StreamConfig{Name: "NONE", Subjects: []string{"none"}})
	wantRefusal(t, err, "full")
}

// TestDamagedStreamIsNotReplaced: the server only warns about a stream that it cannot recover.
func TestDamagedStreamIsNotReplaced(t *testing.T) {
	dir := used(t)
	meta := filepath.Join(dir, "engine", "jetstream", "$G", "streams", "TEST", "meta.inf")
	b, err := os.ReadFile(meta)
	must(t, err)
	b[len(b)/2] ^= 1
	must(t, os.WriteFile(meta, b, 0o600))
	e := open(t, dir)
	_, err = e.Stream(t.Context(), jetstream.StreamConfig{Name: "TEST", Subjects: []string{"test.>"}})
	wantRefusal(t, err, "damaged", "TEST")
}

// TestInterruptedCreation has what a daemon leaves that is killed while it makes a stream: the next one makes it.
func TestInterruptedCreation(t *testing.T) {
	dir := t.TempDir()
	cfg := jetstream.StreamConfig{Name: "NEW", Subjects: []string{"new.>"}}
	e := open(t, dir)
	_, err := e.Stream(t.Context(), cfg)
	must(t, err)
	stream := filepath.Join("engine", "jetstream", "$G", "streams", "NEW")
	for name, harm := range map[string]func(file func(string) string) error{
		"no meta.inf":    func(file func(string) string) error { return os.Remove(file("meta.inf")) },
		"half meta.inf":  func(file func(string) string) error { return os.Truncate(file("meta.inf"), 10) },
		"no meta.sum":    func(file func(string) string) error { return os.Remove(file("meta.sum")) },
		"empty meta.sum": func(file func(string) string) error { return os.Truncate(file("meta.sum"), 0) },
		"half meta.key": func(file func(string) string) error {
			return errors.Join(os.Remove(file("meta.inf")), os.Truncate(file("meta.key"), 5))
		},
	} {
		left := t.TempDir()
		must(t, exec.Command("cp", "-a", dir+"/.", left).Run()) // as it is while the server runs: nothing was closed
		must(t, harm(func(f string) string { return filepath.Join(left, stream, f) }))
		e := open(t, left)
		if _, err := e.Stream(t.Context(), cfg); err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if _, err := e.Publish(t.Context(), nats.NewMsg("new.a"), Expect{jetstream.ExpectedLastSeqHeader, 0, nil}); err != nil {
			t.Errorf("%s: write: %v", name, err)
		}
	}
}

func TestStreamsFollowTheirConfiguration(t *testing.T) {
	dir := t.TempDir()
	e := open(t, dir)
	cfg := jetstream.StreamConfig{Name: "LIMITED", Subjects: []string{"limited"}, MaxBytes: 1 << 20, Metadata: map[string]string{"mine": "x"}}
	_, err := e.Stream(t.Context(), cfg)
	must(t, err)
	if len(cfg.Metadata) != 1 {
		t.Error("the caller's configuration was changed")
	}
	must(t, e.Close())
	e = open(t, dir)
	for _, limit := range []int64{1 << 20, 2 << 20} {
		cfg.MaxBytes = limit
		st, err := e.Stream(t.Context(), cfg)
		must(t, err)
		info, err := st.Info(t.Context())
		must(t, err)
		if info.Config.MaxBytes != limit || info.Config.Metadata["mine"] != "x" {
			t.Errorf("limit %d and metadata %v instead of %d", info.Config.MaxBytes, info.Config.Metadata, limit)
		}
	}
	cfg.Storage = jetstream.MemoryStorage
	if _, err := e.Stream(t.Context(), cfg); err == nil {
		t.Error("a stream changed to memory")
	}
}

func TestFences(t *testing.T) {
	e := open(t, t.TempDir())
	st := testStream(t, e)
	one, err := e.Publish(t.Context(), message("1"), ExpectSubject(st, "test.a", 0))
	must(t, err)
	for name, fence := range map[string]Expect{"subject": ExpectSubject(st, "test.a", 0), "subject ahead": ExpectSubject(st, "test.a", one+1),
		"stream": ExpectLast(st, 0), "stream ahead": ExpectLast(st, one+1)} {
		if _, err := e.Publish(t.Context(), message("2"), fence); faas.KindOf(err) != faas.Conflict {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := e.Publish(t.Context(), message(strings.Repeat("x", e.MaxPayload())), ExpectLast(st, one)); faas.KindOf(err) != faas.TooLarge {
		t.Errorf("over the limit: %v", err)
	}
	if seq, err := e.Publish(t.Context(), message("2"), ExpectLast(st, one)); err != nil || seq != one+1 {
		t.Errorf("in order: %d %v", seq, err)
	}
}

// lossy is a client whose acknowledgements get lost.
type lossy struct {
	jetstream.JetStream
	stores bool // the message arrives all the same
}

func (l lossy) PublishMsg(ctx context.Context, msg *nats.Msg, opts ...jetstream.PublishOpt) (*jetstream.PubAck, error) {
	if l.stores {
		if _, err := l.JetStream.PublishMsg(ctx, msg, opts...); err != nil {
			return nil, err
		}
	}
	return nil, nats.ErrTimeout
}

func TestLostAcknowledgement(t *testing.T) {
	e := open(t, t.TempDir())
	st, real := testStream(t, e), e.js
	e.js = lossy{real, true}
	one, err := e.Publish(t.Context(), message("1"), ExpectSubject(st, "test.a", 0))
	if err != nil || one != 1 {
		t.Errorf("stored, fenced by subject: %d %v", one, err)
	}
	two, err := e.Publish(t.Context(), message("2"), ExpectLast(st, one))
	if err != nil || two != 2 {
		t.Errorf("stored, fenced by stream: %d %v", two, err)
	}
	e.js = lossy{real, false}
	for _, fence := range []Expect{ExpectSubject(st, "test.a", two), ExpectLast(st, two), ExpectLast(st, one)} {
		if _, err := e.Publish(t.Context(), message("3"), fence); faas.KindOf(err) != faas.Unavailable {
			t.Errorf("not stored: %v", err)
		}
	}
	e.js = real
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := e.Publish(ctx, message("4"), ExpectLast(st, two)); faas.KindOf(err) != faas.Unavailable {
		t.Errorf("the caller left: %v", err)
	}
}
