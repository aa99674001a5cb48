package engine

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"artesian/internal/faas"
)

func open(tb testing.TB, dir string) *Engine {
	tb.Helper()
	e, err := Open(context.Background(), Config{Dir: dir})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { e.Close() })
	return e
}

// used returns a directory that an engine has written to.
func used(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	e := open(t, dir)
	put(t, e, "secret-in-the-store")
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	return dir
}

func testStream(t *testing.T, e *Engine) jetstream.Stream {
	t.Helper()
	st, err := e.Stream(t.Context(), jetstream.StreamConfig{Name: "TEST", Subjects: []string{"test.>"}})
	if err != nil {
		t.Fatal(err)
	}
	return st
}

func put(t *testing.T, e *Engine, value string) {
	t.Helper()
	st := testStream(t, e)
	if _, err := e.Publish(t.Context(), message(value), ExpectSubject(st, "test.a", 0)); err != nil {
		t.Fatal(err)
	}
}

func message(value string) *nats.Msg {
	return &nats.Msg{Subject: "test.a", Header: nats.Header{}, Data: []byte(value)}
}

// snapshot renders every file below dir: name, mode, time, content.
func snapshot(t *testing.T, dir string) string {
	t.Helper()
	var b strings.Builder
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		st, err := d.Info()
		if err != nil {
			return err
		}
		fmt.Fprintln(&b, path, st.Mode(), st.ModTime())
		if st.Mode().IsRegular() {
			content, err := os.ReadFile(path)
			fmt.Fprintln(&b, hex.EncodeToString(content))
			return err
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestFirstStart(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new", "data")
	e := open(t, dir)
	if addr := e.srv.Addr(); addr != nil {
		t.Errorf("the server listens on %v", addr)
	}
	for path, want := range map[string]fs.FileMode{"": 0o700, "keys": 0o700, "keys/engine.key": 0o600, "keys/blob.key": 0o600,
		"lock": 0o600, "format.json": 0o600} {
		st, err := os.Stat(filepath.Join(dir, path))
		if err != nil || st.Mode().Perm() != want {
			t.Errorf("%s: mode %v, %v", path, st.Mode().Perm(), err)
		}
	}
	if bytes.Equal(e.keys[engineKey], e.keys[blobKey]) || len(e.BlobKey()) != 32 {
		t.Error("the keys are not two random ones")
	}
	if e.Dir() != dir || e.MaxPayload() != 8<<20 || e.Ready() <= 0 || e.Logger() == nil || !e.Conn().IsConnected() || e.JetStream() == nil {
		t.Error("an accessor is wrong")
	}
	if cfg := e.srv.JetStreamConfig(); !cfg.SyncAlways {
		t.Error("writes are not synced")
	}
}

func TestDataSurvivesAReopen(t *testing.T) {
	e := open(t, used(t))
	raw, err := testStream(t, e).GetLastMsgForSubject(t.Context(), "test.a")
	if err != nil || string(raw.Data) != "secret-in-the-store" {
		t.Fatal(raw, err)
	}
}

func TestNothingReadableOnDiskOrInTheLog(t *testing.T) {
	dir := t.TempDir()
	var log bytes.Buffer
	e, err := Open(t.Context(), Config{Dir: dir, Logger: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))})
	if err != nil {
		t.Fatal(err)
	}
	put(t, e, "secret-in-the-store")
	e.Close()
	err = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		content, err := os.ReadFile(path)
		if bytes.Contains(content, []byte("secret-in-the-store")) || bytes.Contains(content, []byte("test.a")) {
			t.Errorf("%s tells the content", path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(log.String(), "engine ready") || !strings.Contains(log.String(), "engine server") {
		t.Error("the log lacks the engine's messages")
	}
	for name, key := range e.keys {
		if strings.Contains(log.String(), hex.EncodeToString(key)) {
			t.Errorf("the log tells the %s key", name)
		}
	}
}

func TestSecondDaemon(t *testing.T) {
	dir := t.TempDir()
	e := open(t, dir)
	_, err := Open(t.Context(), Config{Dir: dir})
	wantRefusal(t, err, fmt.Sprintf("pid %d", os.Getpid()), dir)
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	open(t, dir)
}

func wantRefusal(t *testing.T, err error, parts ...string) {
	t.Helper()
	if faas.KindOf(err) != faas.Unavailable {
		t.Fatalf("want a refusal, have %v", err)
	}
	for _, part := range parts {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("%q does not say %q", err, part)
		}
	}
	if strings.Contains(err.Error(), "\n") {
		t.Errorf("%q is more than a line", err)
	}
}

// TestRefusals damages a used directory in one way each; Open must say what is wrong and change nothing.
func TestRefusals(t *testing.T) {
	key := func(dir, name string) string { return filepath.Join(dir, "keys", name+".key") }
	edit := func(field string, value any) func(t *testing.T, dir string) {
		return func(t *testing.T, dir string) {
			b, err := os.ReadFile(filepath.Join(dir, "format.json"))
			must(t, err)
			var doc map[string]any
			must(t, json.Unmarshal(b, &doc))
			doc[field] = value
			b, err = json.Marshal(doc)
			must(t, err)
			must(t, os.WriteFile(filepath.Join(dir, "format.json"), b, 0o600))
		}
	}
	for name, c := range map[string]struct {
		damage func(t *testing.T, dir string)
		says   []string
	}{
		"newer format":     {edit("format", 2), []string{"format 2", "only format 1", "nothing was touched"}},
		"format zero":      {edit("format", 0), []string{"format 0"}},
		"format as text":   {edit("format", "1"), []string{"damaged"}},
		"unknown field":    {edit("shards", 3), []string{"damaged", "shards"}},
		"no format":        {func(t *testing.T, dir string) { must(t, os.Remove(filepath.Join(dir, "format.json"))) }, []string{"format.json is missing"}},
		"empty format":     {func(t *testing.T, dir string) { must(t, os.Truncate(filepath.Join(dir, "format.json"), 0)) }, []string{"damaged"}},
		"no engine key":    {func(t *testing.T, dir string) { must(t, os.Remove(key(dir, "engine"))) }, []string{"engine.key is missing"}},
		"no blob key":      {func(t *testing.T, dir string) { must(t, os.Remove(key(dir, "blob"))) }, []string{"blob.key is missing"}},
		"no keys":          {func(t *testing.T, dir string) { must(t, os.RemoveAll(filepath.Join(dir, "keys"))) }, []string{"engine.key is missing"}},
		"open key":         {func(t *testing.T, dir string) { must(t, os.Chmod(key(dir, "engine"), 0o640)) }, []string{"mode 0640", "chmod go-rwx"}},
		"open directory":   {func(t *testing.T, dir string) { must(t, os.Chmod(filepath.Join(dir, "keys"), 0o755)) }, []string{"mode 0755"}},
		"torn key":         {func(t *testing.T, dir string) { must(t, os.Truncate(key(dir, "engine"), 10)) }, []string{"engine.key is damaged"}},
		"other engine key": {otherKey("engine"), []string{"engine.key is not the one"}},
		"other blob key":   {otherKey("blob"), []string{"blob.key is not the one"}},
	} {
		t.Run(name, func(t *testing.T) {
			dir := used(t)
			c.damage(t, dir)
			before := snapshot(t, filepath.Join(dir, "engine")) + snapshotFile(t, dir, "format.json")
			_, err := Open(t.Context(), Config{Dir: dir})
			wantRefusal(t, err, c.says...)
			if after := snapshot(t, filepath.Join(dir, "engine")) + snapshotFile(t, dir, "format.json"); after != before {
				t.Error("the data was touched")
			}
		})
	}
}

func snapshotFile(t *testing.T, dir, name string) string {
	t.Helper()
	if _, err := os.Stat(filepath.Join(dir, name)); err != nil {
		return "none"
	}
	return snapshot(t, filepath.Join(dir, name))
}

func otherKey(name string) func(t *testing.T, dir string) {
	return func(t *testing.T, dir string) {
		must(t, os.WriteFile(keyPath(dir, name), bytes.Repeat([]byte("0"), 64), 0o600))
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// TestNewerFormatLeavesNoTrace looks at the whole directory, lock file and all.
func TestNewerFormatLeavesNoTrace(t *testing.T) {
	dir := t.TempDir()
	must(t, os.WriteFile(filepath.Join(dir, "format.json"), []byte(`{"format":7,"anything":["else"]}`), 0o600))
	before := snapshot(t, dir)
	_, err := Open(t.Context(), Config{Dir: dir})
	wantRefusal(t, err, "format 7")
	if snapshot(t, dir) != before {
		t.Error("the directory was touched")
	}
}

func TestInterruptedFirstStart(t *testing.T) {
	dir := t.TempDir()
	if _, err := makeKeys(dir); err != nil {
		t.Fatal(err)
	}
	kept, err := os.ReadFile(keyPath(dir, blobKey))
	must(t, err)
	must(t, os.Remove(keyPath(dir, engineKey)))
	e := open(t, dir)
	if hex.EncodeToString(e.BlobKey()) != strings.TrimSpace(string(kept)) {
		t.Error("a key that was there was replaced")
	}
}

func TestUnusableDirectories(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	must(t, os.WriteFile(file, nil, 0o600))
	_, err := Open(t.Context(), Config{Dir: file})
	wantRefusal(t, err, file, "not a directory")
	_, err = Open(t.Context(), Config{Dir: filepath.Join(file, "below")})
	wantRefusal(t, err, "not a directory")
	_, err = Open(t.Context(), Config{})
	wantRefusal(t, err, "no data directory")
	_, err = Open(t.Context(), Config{Dir: t.TempDir(), MaxPayload: 1})
	wantRefusal(t, err, "MaxPayload")
}

// mount gives the test a file system of its own.
func mount(t *testing.T, options string, flags uintptr) string {
	t.Helper()
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", flags, options); err != nil {
		t.Skipf("cannot mount a tmpfs (needs root): %v", err)
	}
	t.Cleanup(func() { must(t, syscall.Unmount(dir, syscall.MNT_DETACH)) })
	return dir
}

func TestReadOnlyDisk(t *testing.T) {
	dir := mount(t, "size=1m", syscall.MS_RDONLY)
	_, err := Open(t.Context(), Config{Dir: filepath.Join(dir, "data")})
	wantRefusal(t, err, "not writable")
	_, err = Open(t.Context(), Config{Dir: dir})
	wantRefusal(t, err, "not writable")
}

func TestNoSpaceToStart(t *testing.T) {
	dir := mount(t, "size=8m", 0)
	_, err := Open(t.Context(), Config{Dir: filepath.Join(dir, "data")})
	wantRefusal(t, err, "full", "64 MiB must stay free")
	must(t, os.WriteFile(filepath.Join(dir, "filler"), make([]byte, 7<<20), 0o600))
	full, err := os.Create(filepath.Join(dir, "rest"))
	must(t, err)
	for err == nil {
		_, err = full.Write(make([]byte, 4096))
	}
	must(t, full.Close())
	_, err = Open(t.Context(), Config{Dir: filepath.Join(dir, "other")})
	wantRefusal(t, err, "full")
}

func TestCancelledStart(t *testing.T) {
	dir := t.TempDir()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Open(ctx, Config{Dir: dir}); err == nil {
		t.Fatal("started for a caller who left")
	}
	open(t, dir) // the lock was released
}

func TestFatalServerMessageIsTheReason(t *testing.T) {
	dir := used(t)
	store := filepath.Join(dir, "engine", "jetstream")
	must(t, os.Rename(store, store+".away"))
	must(t, os.WriteFile(store, nil, 0o600))
	_, err := Open(t.Context(), Config{Dir: dir})
	wantRefusal(t, err, "cannot start", "not a directory")
}

func FuzzParseFormat(f *testing.F) {
	for _, seed := range []string{`{"format":1,"keys":{"engine":"00"}}`, `{"format":2}`, `{"format":1,"x":0}`, `{`, `[]`, `null`, ``} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		l, err := parseFormat("format.json", b)
		if err == nil && l.Format != format {
			t.Fatalf("accepted format %d", l.Format)
		}
		if err != nil && (l != nil || faas.KindOf(err) != faas.Unavailable) {
			t.Fatal(l, err)
		}
	})
}

func BenchmarkOpenEmpty(b *testing.B) {
	for b.Loop() {
		b.StopTimer()
		dir := b.TempDir()
		b.StartTimer()
		e, err := Open(b.Context(), Config{Dir: dir})
		if err != nil {
			b.Fatal(err)
		}
		b.StopTimer()
		e.Close()
		b.StartTimer()
	}
}

func BenchmarkReopen(b *testing.B) {
	dir := b.TempDir()
	var total time.Duration
	for b.Loop() {
		e, err := Open(b.Context(), Config{Dir: dir})
		if err != nil {
			b.Fatal(err)
		}
		total += e.Ready()
		e.Close()
	}
	b.ReportMetric(float64(total.Microseconds())/float64(b.N), "ready-µs/op")
}
