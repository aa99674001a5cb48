package host

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha512"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"artesian/internal/compute/lang/fetch"
	"artesian/internal/faas"
)

// registry serves versions of Node.js that are small programs; the hash it gives for wrong is another's.
func registry(t *testing.T, wrong string, versions ...string) *fetch.Client {
	t.Helper()
	program, err := os.ReadFile("/bin/true")
	if err != nil {
		t.Skip(err)
	}
	dir := t.TempDir()
	tarballs, listed := map[string][]byte{}, []string{}
	for _, v := range versions {
		binary := filepath.Join(dir, v)
		if err := os.WriteFile(binary, program, 0o755); err != nil {
			t.Fatal(err)
		}
		script := fmt.Sprintf("#!/bin/sh\necho '{\"implementation\":\"node\",\"version\":[%s],\"executable\":\"%s\"}'\n", strings.ReplaceAll(v, ".", ","), binary)
		if v == "99.9.9" {
			script = "#!/bin/sh\nexit 1\n"
		}
		var b bytes.Buffer
		gz := gzip.NewWriter(&b)
		tw := tar.NewWriter(gz)
		for name, text := range map[string]string{"package/bin/node": script, "package/LICENSE": "l", "package/include/x.h": "x"} {
			if err := tw.WriteHeader(&tar.Header{Name: name, Mode: 0o755, Size: int64(len(text)), Typeflag: tar.TypeReg}); err != nil {
				t.Fatal(err)
			}
			_, _ = tw.Write([]byte(text))
		}
		_, _ = tw.Close(), gz.Close()
		tarballs[v] = b.Bytes()
		sum := sha512.Sum512(b.Bytes())
		if v == wrong {
			sum = sha512.Sum512(nil)
		}
		listed = append(listed, fmt.Sprintf(`%q: {"dist": {"integrity": "sha512-%s"}}`, v, base64.StdEncoding.EncodeToString(sum[:])))
	}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		name := strings.TrimPrefix(r.URL.Path, "/")
		if _, file, ok := strings.Cut(name, "/-/"); ok {
			_, version, _ := strings.Cut(strings.TrimPrefix(file, "node-linux-"), "-")
			_, _ = w.Write(tarballs[strings.TrimSuffix(version, ".tgz")])
			return
		}
		fmt.Fprintf(w, `{"versions": {%s}}`, strings.Join(listed, ","))
	}))
	t.Cleanup(s.Close)
	return fetch.New(fetch.Registries{NPM: s.URL})
}

func TestExactVersions(t *testing.T) {
	cfg := Config{Dir: t.TempDir(), Fetch: registry(t, "97.1.0", "98.1.0", "98.2.0", "97.1.0", "99.9.9")}
	c := New(cfg)
	left := filepath.Join(cfg.Dir, "versions", partial+"x")
	if err := os.MkdirAll(left, 0o755); err != nil {
		t.Fatal(err)
	}
	info, err := c.AddExact(t.Context(), "nodejs98.x")
	if err != nil || info.Version != "98.2.0" || info.Source != "added" {
		t.Fatal(info, err)
	}
	if _, err := c.AddExact(t.Context(), "node@98.1.0"); err != nil {
		t.Fatal(err)
	}
	if _, err := c.AddExact(t.Context(), "node@98"); err != nil {
		t.Error("again:", err)
	}
	program := filepath.Join(cfg.Dir, "versions", "node-98.2.0", "bin", "node")
	good, err := os.ReadFile(program)
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range [][]byte{[]byte("#!/bin/sh\nexit 1\n"), good} {
		if err := os.WriteFile(program, text, 0o755); err != nil {
			t.Fatal(err)
		}
		if _, err := c.AddExact(t.Context(), "node@98"); (err == nil) != bytes.Equal(text, good) {
			t.Error("once more:", err)
		}
	}
	if got := names(t, New(cfg)); !slices.Contains(got, "98.2.0 added") || !slices.Contains(got, "98.1.0 added") {
		t.Error("after a restart:", got)
	}
	if files, _ := filepath.Glob(filepath.Join(cfg.Dir, "versions", "*", "*")); len(files) != 4 {
		t.Error("more or less than what is needed:", files)
	}
	for name, want := range map[string]struct {
		kind faas.Kind
		text string
	}{
		"node@97": {faas.Unavailable, "is not the file that it should be"}, "node@96": {faas.Unavailable, "has no node-linux-"},
		"node@99.9.9": {faas.Invalid, "of no use"}, "node@1.2.3.4": {faas.Unavailable, "no version"},
	} {
		if _, err := c.AddExact(t.Context(), name); err == nil || faas.KindOf(err) != want.kind || !strings.Contains(err.Error(), want.text) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := c.RemoveExact(t.Context(), "node@98"); err == nil || !strings.Contains(err.Error(), "any of node@98.1.0, node@98.2.0") {
		t.Error(err)
	}
	for _, name := range []string{"node@98.1.0", "nodejs98.x"} {
		if err := c.RemoveExact(t.Context(), name); err != nil {
			t.Error(err)
		}
	}
	if err := c.RemoveExact(t.Context(), "nodejs98.x"); faas.KindOf(err) != faas.NotFound {
		t.Error(err)
	}
	if files, _ := filepath.Glob(filepath.Join(cfg.Dir, "versions", "*")); len(files) != 0 {
		t.Error("left:", files)
	}
	if got := names(t, c); slices.ContainsFunc(got, func(s string) bool { return strings.HasPrefix(s, "98.") }) {
		t.Error("after its removal:", got)
	}
	if _, err := New(Config{Dir: t.TempDir()}).AddExact(t.Context(), "node@22"); faas.KindOf(err) != faas.Invalid {
		t.Error(err)
	}
}
