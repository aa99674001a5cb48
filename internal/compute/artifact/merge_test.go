package artifact

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"artesian/internal/faas"
)

// layerOf stores a package and returns it as a layer.
func layerOf(t *testing.T, s *Store, items ...item) faas.Layer {
	t.Helper()
	c, err := s.Put(t.Context(), pack(t, items...))
	if err != nil {
		t.Fatal(err)
	}
	return faas.Layer{Code: c}
}

// TestLayers: later layers lie over earlier ones, whatever kind of thing a name is in each; each alone stays what it was.
func TestLayers(t *testing.T) {
	s := open(t, newMemory(), t.TempDir())
	first := layerOf(t, s, item{name: "both", body: "1"}, item{name: "only-first", body: "1"}, item{name: "dir/a", body: "1"}, item{name: "dir/both", body: "1"}, item{name: "is-file", body: "1"},
		item{name: "is-dir/in", body: "1"}, symlink("is-link", "dir"), symlink("kept-link", "dir"))
	second := layerOf(t, s, item{name: "both", body: "2"}, item{name: "dir/b", body: "2"}, item{name: "dir/both", body: "2"}, item{name: "is-file/in", body: "2"}, item{name: "is-dir", body: "2"},
		item{name: "is-link/in", body: "2"})
	dir, err := s.Layers(t.Context(), []faas.Layer{first, second})
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{"both": "2", "only-first": "1", "dir/a": "1", "dir/b": "2", "dir/both": "2", "is-file/in": "2",
		"is-dir": "2", "is-link/in": "2", "kept-link/both": "2"} {
		if b, err := os.ReadFile(filepath.Join(dir, path)); err != nil || string(b) != want {
			t.Errorf("%s is %q, %v; want %q", path, b, err, want)
		}
	}
	if _, err := os.Lstat(filepath.Join(dir, "dir", "in")); !errors.Is(err, os.ErrNotExist) {
		t.Error("a file was put behind the earlier layer's link")
	}
	other, err := s.Layers(t.Context(), []faas.Layer{second, first})
	if err != nil || other == dir {
		t.Fatalf("the other order is %s, %v", other, err)
	}
	if b, err := os.ReadFile(filepath.Join(other, "both")); err != nil || string(b) != "1" {
		t.Errorf("the other order has %q, %v", b, err)
	}
	alone, err := s.Layers(t.Context(), []faas.Layer{first})
	if err != nil {
		t.Fatal(err)
	}
	if b, err := os.ReadFile(filepath.Join(alone, "both")); err != nil || string(b) != "1" {
		t.Errorf("the first layer has %q, %v", b, err)
	}
	if none, err := s.Layers(t.Context(), nil); none != "" || err != nil {
		t.Errorf("no layers are %q, %v", none, err)
	}
}

// TestLinksOfTwoLayers: links that each stay inside their layer do not lead out of what both make together.
func TestLinksOfTwoLayers(t *testing.T) {
	dir := t.TempDir()
	s := open(t, newMemory(), dir)
	way, out := layerOf(t, s, item{name: "f", body: "1"}, symlink("d", ".")), layerOf(t, s, item{name: "f", body: "1"}, symlink("a/out", "../d/d/../../etc"))
	for _, layers := range [][]faas.Layer{{way, out}, {out, way}} {
		if got, err := s.Layers(t.Context(), layers); faas.KindOf(err) != faas.Invalid || !strings.Contains(faas.Message(err), `"a/out" the symbolic link points outside`) {
			t.Errorf("%s, %v", got, err)
		}
	}
	if names, err := s.Cached(); err != nil || len(names) != 2 {
		t.Errorf("kept are %v, %v", names, err)
	}
}

// TestMergedIsCollected: what layers make together can be removed, and is made again.
func TestMergedIsCollected(t *testing.T) {
	now := time.Now()
	s, err := Open(newMemory(), t.TempDir(), func() time.Time { return now })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	layers := []faas.Layer{layerOf(t, s, item{name: "a", body: "1"}), layerOf(t, s, item{name: "a", body: "2"})}
	dir, err := s.Layers(t.Context(), layers)
	if err != nil {
		t.Fatal(err)
	}
	name := faas.Merged(layers)
	cached, err := s.Cached()
	if err != nil || !strings.Contains(strings.Join(cached, " "), name) || len(cached) != 3 {
		t.Fatalf("cached are %v, %v; want %s among three", cached, err, name)
	}
	if err := s.Remove(t.Context(), name); faas.KindOf(err) != faas.Conflict {
		t.Fatalf("removed at once: %v", err)
	}
	now = now.Add(grace)
	if err := s.Remove(t.Context(), name); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
		t.Fatalf("it is still there: %v", err)
	}
	if _, err := s.Layers(t.Context(), layers); err != nil {
		t.Fatal(err)
	}
}

func TestMeasure(t *testing.T) {
	s := open(t, newMemory(), t.TempDir())
	zip := pack(t, item{name: "a", body: "12345"}, item{name: "d/b", body: "123"}, symlink("l", "a"))
	if n, err := s.Measure(t.Context(), zip); n != 8 || err != nil {
		t.Errorf("measured %d, %v", n, err)
	}
	c, err := s.Put(t.Context(), zip)
	if err != nil {
		t.Fatal(err)
	}
	if n, err := s.Unpacked(t.Context(), c.SHA256); n != 8 || err != nil {
		t.Errorf("unpacked %d, %v", n, err)
	}
	if _, err := s.Measure(t.Context(), []byte("no zip")); faas.KindOf(err) != faas.Invalid {
		t.Errorf("no zip: %v", err)
	}
}
