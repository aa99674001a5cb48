// Package packtest gives tests the real runtime packs, downloaded once for all runs.
package packtest

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"artesian/internal/compute/lang/fetch"
	"artesian/internal/compute/lang/fetch/fetchtest"
	"artesian/internal/compute/lang/pack"
)

// Dir returns the folder of the pack of that name, which it installs into the user's cache unless it is there. It skips the test
// where no registry is reached.
func Dir(t testing.TB, name string) string {
	t.Helper()
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Skip("no cache:", err)
	}
	dir := filepath.Join(cache, "artesian", "test-packs")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	lock, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer lock.Close()
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil { // tests of several packages run at once
		t.Fatal(err)
	}
	s, err := pack.Open(dir, fetchtest.Registries(t), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	m, err := s.Named(name)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Install(t.Context(), m); err != nil {
		if strings.Contains(err.Error(), "reach ") {
			t.Skip(err)
		}
		t.Fatal(err)
	}
	return s.Dir(m.Language, m.Oldest)
}

// Hooks returns the path of the library org.crac, by which Java functions register what is to run around a snapshot. Functions carry it.
func Hooks(t testing.TB) string {
	t.Helper()
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Skip("no cache:", err)
	}
	f := fetch.File{Registry: fetch.Maven, Name: "io.github.crac:org-crac", Version: "0.1.3", File: "org-crac-0.1.3.jar", Size: 9341,
		Hash: "sha256:d77a0c628d1399ee682738851dca13d060fef51601aedad6d1efcd3185f9af09"}
	dir := filepath.Join(cache, "artesian", "test-packs")
	at := filepath.Join(dir, f.File)
	if _, err := os.Stat(at); err == nil {
		return at
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	out, err := os.CreateTemp(dir, "jar")
	if err != nil {
		t.Fatal(err)
	}
	defer os.Remove(out.Name())
	defer out.Close()
	if err := fetch.New(fetchtest.Registries(t)).Get(t.Context(), f, out); err != nil {
		if strings.Contains(err.Error(), "reach ") {
			t.Skip(err)
		}
		t.Fatal(err)
	}
	if err := os.Rename(out.Name(), at); err != nil {
		t.Fatal(err)
	}
	return at
}

// Maven serves the jars of a pack as a repository of the test's own, and returns its URL.
func Maven(t testing.TB, name string) string {
	t.Helper()
	dir := Dir(t, name)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.ServeFile(w, r, filepath.Join(dir, path.Base(r.URL.Path)))
	}))
	t.Cleanup(s.Close)
	return s.URL
}
