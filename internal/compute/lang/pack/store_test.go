package pack

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"artesian/internal/compute/lang/fetch"
	"artesian/internal/compute/lang/fetch/fetchtest"
	"artesian/internal/faas"
)

// shelf is a registry of each kind with one small pack of three files, one of each.
type shelf struct {
	fetch.Registries
	pack  *Manifest
	mu    sync.Mutex
	files map[string][]byte
	hang  chan struct{} // not nil: answers wait for it
}

func (s *shelf) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	b, ok := s.files[r.URL.Path]
	hang := s.hang
	s.mu.Unlock()
	if hang != nil {
		select {
		case <-hang:
		case <-r.Context().Done():
		}
	}
	if !ok {
		http.NotFound(w, r)
		return
	}
	_, _ = w.Write(b)
}

func newShelf(t *testing.T) *shelf {
	t.Helper()
	var whl, tgz bytes.Buffer
	zw := zip.NewWriter(&whl)
	for _, name := range []string{"thing/__init__.py", "thing-1.dist-info/METADATA"} {
		if w, err := zw.Create(name); err != nil {
			t.Fatal(err)
		} else if _, err := w.Write([]byte("x = 1\n")); err != nil {
			t.Fatal(err)
		}
	}
	gz := gzip.NewWriter(&tgz)
	tw := tar.NewWriter(gz)
	for _, name := range []string{"package/index.js", "package/index.d.ts"} {
		if err := tw.WriteHeader(&tar.Header{Name: name, Typeflag: tar.TypeReg, Mode: 0o644, Size: 1}); err != nil {
			t.Fatal(err)
		}
		_, _ = tw.Write([]byte("1"))
	}
	if err := errors.Join(zw.Close(), tw.Close(), gz.Close()); err != nil {
		t.Fatal(err)
	}
	s := &shelf{files: map[string][]byte{"/py/thing/": []byte(`<a href="/f/thing-1.whl">thing-1.whl</a>`), "/f/thing-1.whl": whl.Bytes(),
		"/npm/@x/y/-/y-1.tgz": tgz.Bytes(), "/m2/a/b/c/1/c-1.jar": []byte("jar")}}
	file := func(registry, name, file string, b []byte, into string) File {
		return File{Into: into, File: fetch.File{Registry: registry, Name: name, Version: "1", File: file, Hash: fmt.Sprintf("sha256:%x", sha256.Sum256(b)), Size: int64(len(b))}}
	}
	s.pack = &Manifest{Name: "all", Language: "python", Version: "1", Oldest: 10, Files: []File{
		file(fetch.PyPI, "thing", "thing-1.whl", whl.Bytes(), ""), file(fetch.NPM, "@x/y", "", tgz.Bytes(), "@x/y"), file(fetch.Maven, "a.b:c", "c-1.jar", []byte("jar"), "")}}
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	s.Registries = fetch.Registries{PyPI: server.URL + "/py", NPM: server.URL + "/npm", Maven: server.URL + "/m2"}
	return s
}

func (s *shelf) open(t *testing.T, dir string) *Store {
	t.Helper()
	store, err := open(dir, s.Registries, slog.New(slog.DiscardHandler), []*Manifest{s.pack})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(store.Close)
	return store
}

func left(t *testing.T, dir string) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

func TestInstall(t *testing.T) {
	s, dir := newShelf(t), filepath.Join(t.TempDir(), "packs")
	store := s.open(t, dir)
	if store.Missing("python", 9) != nil || store.Missing("ruby", 10) != nil || store.Missing("python", 10) != s.pack || store.Dir("python", 11) != "" {
		t.Fatal("what is missing is not said")
	}
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			if err := store.Install(t.Context(), s.pack); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	at := store.Dir("python", 11)
	for _, name := range []string{"thing/__init__.py", "@x/y/index.js", "c-1.jar"} {
		if info, err := os.Stat(filepath.Join(at, name)); err != nil || info.Mode() != 0o644 {
			t.Errorf("%s: %v %v", name, info, err)
		}
	}
	if _, err := os.Stat(filepath.Join(at, "@x/y/index.d.ts")); err == nil {
		t.Error("types are there")
	}
	if store.Missing("python", 10) != nil || store.Dir("python", 9) != "" || len(left(t, dir)) != 1 {
		t.Error("it is missing, or more is there:", left(t, dir))
	}
	again := s.open(t, dir)
	if again.Dir("python", 10) != at {
		t.Error("it is forgotten")
	}
	if err := again.Remove(s.pack); err != nil {
		t.Fatal(err)
	}
	if err := again.Remove(s.pack); faas.KindOf(err) != faas.NotFound {
		t.Error(err)
	}
	if s.open(t, dir).Missing("python", 10) == nil || len(left(t, dir)) != 0 {
		t.Error("removed, and there:", left(t, dir))
	}
}

func TestANewerPackTakesTheOldOnesPlace(t *testing.T) {
	s, dir := newShelf(t), filepath.Join(t.TempDir(), "packs")
	if err := s.open(t, dir).Install(t.Context(), s.pack); err != nil {
		t.Fatal(err)
	}
	before := s.open(t, dir).Dir("python", 10)
	s.pack.Version = "2"
	store := s.open(t, dir)
	if store.Missing("python", 10) == nil {
		t.Fatal("another version counts as the one that is wanted")
	}
	if before == "" || store.Dir("python", 10) != before || store.List()[0].Path != "" {
		t.Error("functions do not run with the old one meanwhile:", store.Dir("python", 10), store.List()[0].Path)
	}
	s.hang = make(chan struct{})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := store.Install(ctx, s.pack); err == nil || store.Dir("python", 10) != before {
		t.Error("nor while the new one comes:", err)
	}
	close(s.hang)
	if err := store.Install(t.Context(), s.pack); err != nil {
		t.Fatal(err)
	}
	s.open(t, dir)
	if names := left(t, dir); len(names) != 1 || filepath.Join(dir, names[0]) != store.Dir("python", 10) {
		t.Error(names)
	}
}

// TestNothingHalfDone: whatever goes wrong, nothing of the pack is there, and why is said.
func TestNothingHalfDone(t *testing.T) {
	for want, spoil := range map[string]func(*shelf){
		"its hash is sha256:": func(s *shelf) { s.files["/m2/a/b/c/1/c-1.jar"] = []byte("rat") },
		"404 Not Found":       func(s *shelf) { delete(s.files, "/npm/@x/y/-/y-1.tgz") },
		"unpack c-1.jar":      func(s *shelf) { s.pack.Files = append(s.pack.Files, s.pack.Files[2]) },
		"switched off":        func(s *shelf) { s.NPM = "" },
		"connection refused":  func(s *shelf) { s.Maven = "http://127.0.0.1:1" },
	} {
		s, dir := newShelf(t), filepath.Join(t.TempDir(), "packs")
		spoil(s)
		store := s.open(t, dir)
		err := store.Install(t.Context(), s.pack)
		if faas.KindOf(err) != faas.Unavailable || !strings.Contains(faas.Message(err), want) {
			t.Errorf("%s: %v", want, err)
		}
		if names := left(t, dir); len(names) > 0 || store.Dir("python", 10) != "" {
			t.Errorf("%s: left are %v", want, names)
		}
	}
}

// TestBrokenOff: a daemon that stops or is killed while it installs leaves what the next start removes.
func TestBrokenOff(t *testing.T) {
	s, dir := newShelf(t), filepath.Join(t.TempDir(), "packs")
	s.hang = make(chan struct{})
	store := s.open(t, dir)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if err := store.Install(ctx, s.pack); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatal(err)
	}
	if i := store.List()[0]; !i.Installing || i.Path != "" {
		t.Errorf("%+v", i)
	}
	store.Close()
	if err := store.Install(t.Context(), s.pack); err == nil {
		t.Error("a closed store installs")
	}
	for _, name := range []string{partial + "1", doomed + "2"} {
		if err := os.MkdirAll(filepath.Join(dir, name, "x"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	close(s.hang)
	again := s.open(t, dir)
	if names := left(t, dir); len(names) > 0 {
		t.Error("left are", names)
	}
	if err := again.Install(t.Context(), s.pack); err != nil {
		t.Error(err)
	}
}

// TestManifests: every file is pinned and has a licence that may be passed on.
func TestManifests(t *testing.T) {
	all, err := Manifests()
	if err != nil {
		t.Fatal(err)
	}
	if len(all) != 3 {
		t.Errorf("%d packs", len(all))
	}
	free := []string{"Apache-2.0", "MIT", "ISC", "0BSD", "BSD-3-Clause", "Apache-2.0 OR BSD-3-Clause"}
	for _, m := range all {
		for _, f := range m.Files {
			kind, digits, _ := strings.Cut(f.Hash, ":")
			if f.Size <= 0 || f.Version == "" || len(digits) != map[string]int{"sha256": 64, "sha512": 128}[kind] || f.Registry != m.Registry() {
				t.Errorf("%s: %+v", m.Name, f)
			}
			if !strings.Contains(strings.Join(free, "\n")+"\n", f.Licence+"\n") || f.Licence == "" {
				t.Errorf("%s: licence %q of %s", m.Name, f.Licence, f.File)
			}
		}
	}
}

// TestRealPacks installs every pack from the registries of this machine.
func TestRealPacks(t *testing.T) {
	if testing.Short() {
		t.Skip("downloads 30 MB")
	}
	store, err := Open(filepath.Join(t.TempDir(), "packs"), fetchtest.Registries(t), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	for name, file := range map[string]string{"boto3": "botocore/__init__.py", "aws-sdk-js": "@aws-sdk/client-lambda/package.json", "java-runtime": "aws-lambda-java-core-1.4.0.jar"} {
		m, err := store.Named(name)
		if err != nil {
			t.Fatal(err)
		}
		if err := store.Install(t.Context(), m); err != nil {
			if strings.Contains(err.Error(), "reach ") {
				t.Skipf("no registry: %v", err)
			}
			t.Fatal(err)
		}
		if _, err := os.Stat(filepath.Join(store.Dir(m.Language, 99), file)); err != nil {
			t.Error(err)
		}
	}
}
