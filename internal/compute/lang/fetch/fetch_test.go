package fetch

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"crypto/sha512"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

const content = "the file"

func pinned(registry, name, file string) File {
	return File{Registry: registry, Name: name, Version: "1.0", File: file, Size: int64(len(content)), Hash: fmt.Sprintf("sha256:%x", sha256.Sum256([]byte(content)))}
}

// registry serves all three layouts below paths of a mirror's, and counts.
func registry(t *testing.T, flaky int32) (*Client, *atomic.Int32) {
	t.Helper()
	var asked atomic.Int32
	mux := http.NewServeMux()
	serve := func(w http.ResponseWriter, _ *http.Request) {
		if asked.Add(1) <= flaky {
			http.Error(w, "later", http.StatusServiceUnavailable)
			return
		}
		fmt.Fprint(w, content)
	}
	mux.HandleFunc("/py/simple/some-thing/", func(w http.ResponseWriter, r *http.Request) {
		if strings.Contains(r.Header.Get("Accept"), "json") && r.URL.Query().Get("x") == "" {
			fmt.Fprint(w, `<a data-requires-python="&gt;=3.10" href="../../files/some_thing-1.0-py3-none-any.whl#sha256=00">some_thing-1.0-py3-none-any.whl</a>`)
		}
	})
	mux.HandleFunc("/py/files/some_thing-1.0-py3-none-any.whl", serve)
	mux.HandleFunc("/npm/@a/b/-/b-1.0.tgz", serve)
	mux.HandleFunc("/m2/com/example/thing/1.0/thing-1.0.jar", serve)
	s := httptest.NewServer(mux)
	t.Cleanup(s.Close)
	return New(Registries{PyPI: s.URL + "/py/simple/", NPM: s.URL + "/npm", Maven: s.URL + "/m2/"}), &asked
}

func into(t *testing.T) *os.File {
	f, err := os.Create(filepath.Join(t.TempDir(), "f"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	return f
}

func TestGet(t *testing.T) {
	c, asked := registry(t, 1) // the first answer is an error, which is tried again
	for _, f := range []File{
		pinned(PyPI, "Some_Thing", "some_thing-1.0-py3-none-any.whl"), pinned(NPM, "@a/b", ""), pinned(Maven, "com.example:thing", "thing-1.0.jar"),
		{Registry: NPM, Name: "@a/b", Version: "1.0", Size: 8, Hash: fmt.Sprintf("sha512:%x", sha512.Sum512([]byte(content)))},
	} {
		to := into(t)
		if err := c.Get(t.Context(), f, to); err != nil {
			t.Fatalf("%s: %v", f, err)
		}
		if b, _ := os.ReadFile(to.Name()); string(b) != content {
			t.Errorf("%s: %q", f, b)
		}
	}
	if asked.Load() != 5 {
		t.Errorf("asked %d times", asked.Load())
	}
}

// TestIndexIsTriedAgain: errors of an index are tried again at the same place, and told with the host and without credentials.
func TestIndexIsTriedAgain(t *testing.T) {
	var asked atomic.Int32
	failing := int32(2)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch n := asked.Add(1); {
		case r.URL.Path == "/files/x.whl":
			fmt.Fprint(w, content)
		case r.URL.Path != "/simple/x/":
			http.NotFound(w, r)
		case n == 1:
			panic(http.ErrAbortHandler) // the connection breaks
		case n <= failing:
			http.Error(w, "later", http.StatusServiceUnavailable)
		default:
			fmt.Fprint(w, `<a href="/files/x.whl">x.whl</a>`)
		}
	}))
	defer s.Close()
	at := strings.TrimPrefix(s.URL, "http://")
	c := New(Registries{PyPI: "http://token:secret@" + at + "/simple"})
	if err := c.Get(t.Context(), pinned(PyPI, "x", "x.whl"), into(t)); err != nil || asked.Load() != failing+2 {
		t.Errorf("%v after %d requests", err, asked.Load())
	}
	asked.Store(1)
	failing = 1 + tries
	err := c.Get(t.Context(), pinned(PyPI, "x", "x.whl"), into(t))
	if err == nil || err.Error() != "http://"+at+"/simple/x/ answers 503 Service Unavailable" || asked.Load() != failing {
		t.Errorf("%v after %d requests", err, asked.Load())
	}
}

func TestGetRefuses(t *testing.T) {
	c, asked := registry(t, 0)
	wrong := pinned(NPM, "@a/b", "")
	wrong.Hash = "sha256:" + strings.Repeat("0", 64)
	var mismatch *MismatchError
	if err := c.Get(t.Context(), wrong, into(t)); !errors.As(err, &mismatch) || asked.Load() != 1 {
		t.Errorf("%v after %d tries", err, asked.Load())
	}
	small := pinned(NPM, "@a/b", "")
	small.Size--
	for want, f := range map[string]File{
		"more than the 7 bytes": small,
		"404 Not Found":         pinned(NPM, "missing", ""),
		"has no file x.whl":     pinned(PyPI, "some.thing", "x.whl"),
		"GROUP:ARTIFACT":        pinned(Maven, "thing", "thing.jar"),
		"neither a SHA-256":     {Registry: NPM, Name: "@a/b", Version: "1.0", Hash: "md5:00", Size: 8},
	} {
		if err := c.Get(t.Context(), f, into(t)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
		}
	}
	if err := New(Registries{}).Get(t.Context(), wrong, into(t)); err == nil || !strings.Contains(err.Error(), "registry npm is switched off") {
		t.Error(err)
	}
}

// TestNoNetwork: what refuses connections is told at once, without the password of its address.
func TestNoNetwork(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = l.Close()
	begun := time.Now()
	err = New(Registries{NPM: "http://me:secret@" + l.Addr().String()}).Get(t.Context(), pinned(NPM, "x", ""), into(t))
	if err == nil || strings.Contains(err.Error(), "secret") || !strings.Contains(err.Error(), "refused") || time.Since(begun) > retryPause {
		t.Errorf("%v after %v", err, time.Since(begun))
	}
}

func TestCheckRegistries(t *testing.T) {
	if err := Public().Check(); err != nil {
		t.Error(err)
	}
	for _, bad := range []string{"pypi.org", "ftp://x", "https://", "https://x/?a=b", "https://x/#y", "http://%zz:secret@x"} {
		if err := (Registries{NPM: bad}).Check(); err == nil || !strings.Contains(err.Error(), "registries.npm") || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: %v", bad, err)
		}
	}
}

func TestFindLink(t *testing.T) {
	for page, want := range map[string]string{
		`<a href="https://x/a.whl#sha256=1">`:                       "https://x/a.whl#sha256=1",
		"<A\nclass='y' HREF='../p/a.whl?z=1&amp;t=2'>":              "../p/a.whl?z=1&t=2",
		`<a href="a.whl.metadata">`:                                 "",
		`{"files":[{"filename":"a.whl","url":"u/a.whl","size":1}]}`: "u/a.whl",
		`{"files":[{"filename":"b.whl","url":"https://x/a.whl"}]}`:  "",
		`{"files":"a.whl"}`:                                         "",
	} {
		if got := findLink([]byte(page), page[0] == '{', "a.whl"); got != want {
			t.Errorf("%s: %q", page, got)
		}
	}
}

type item struct {
	name string
	kind byte
	text string
	mode int64
}

func tarball(t testing.TB, items ...item) []byte {
	t.Helper()
	var b bytes.Buffer
	gz := gzip.NewWriter(&b)
	tw := tar.NewWriter(gz)
	for _, i := range items {
		h := &tar.Header{Name: i.name, Typeflag: i.kind, Size: int64(len(i.text)), Mode: i.mode, Linkname: "x"}
		if i.kind == tar.TypeSymlink {
			h.Size = 0
		}
		if err := tw.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if _, err := tw.Write([]byte(i.text)); err != nil && h.Size > 0 {
			t.Fatal(err)
		}
	}
	if err := errors.Join(tw.Close(), gz.Close()); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func openRoot(t testing.TB, dir string) *os.Root {
	t.Helper()
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = root.Close() })
	return root
}

func TestUnpack(t *testing.T) {
	dir := t.TempDir()
	tgz := tarball(t, item{"package/", tar.TypeDir, "", 0o700}, item{"package/bin/x", tar.TypeReg, "program", 0o700},
		item{"package/a.d.ts", tar.TypeReg, "types", 0o600}, item{"other/a.js", tar.TypeReg, "text", 0o600})
	err := Unpack(t.Context(), bytes.NewReader(tgz), openRoot(t, dir), "n/m", 100, func(name string) bool { return !strings.HasSuffix(name, ".d.ts") })
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	_ = filepath.WalkDir(dir, func(path string, d fs.DirEntry, _ error) error {
		info, err := d.Info()
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, info.Mode().String()+strings.TrimPrefix(path, dir))
		return nil
	})
	if want := "drwxr-xr-x/n drwxr-xr-x/n/m -rw-r--r--/n/m/a.js drwxr-xr-x/n/m/bin -rwxr-xr-x/n/m/bin/x"; strings.Join(got[1:], " ") != want {
		t.Errorf("%v", got)
	}
	for want, items := range map[string][]item{
		"is not a regular file": {{"package/l", tar.TypeSymlink, "", 0o777}},
		"not a plain one":       {{"package/../../x", tar.TypeReg, "x", 0o600}},
		"not in a folder":       {{"x", tar.TypeReg, "x", 0o600}},
		"more than it may":      {{"package/x", tar.TypeReg, strings.Repeat("x", 101), 0o600}},
		"exists":                {{"package/x", tar.TypeReg, "1", 0o600}, {"other/x", tar.TypeReg, "2", 0o600}},
	} {
		if err := Unpack(t.Context(), bytes.NewReader(tarball(t, items...)), openRoot(t, t.TempDir()), "p", 100, nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
		}
	}
	if err := Unpack(t.Context(), strings.NewReader("no"), openRoot(t, t.TempDir()), "p", 100, nil); err == nil {
		t.Error("what is no tarball is unpacked")
	}
}

// FuzzUnpack: whatever a tarball says, nothing is written outside, nothing but files, and not more than allowed.
func FuzzUnpack(f *testing.F) {
	f.Add(tarball(f, item{"package/a/b", tar.TypeReg, "x", 0o644}))
	f.Add(tarball(f, item{"package/../b", tar.TypeReg, "x", 0o644}, item{"package/l", tar.TypeSymlink, "", 0o777}))
	f.Fuzz(func(t *testing.T, tgz []byte) {
		outer := t.TempDir()
		dir := filepath.Join(outer, "in")
		if err := os.Mkdir(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		const max = 1 << 16
		err := Unpack(t.Context(), bytes.NewReader(tgz), openRoot(t, dir), "p", max, nil)
		total := int64(0)
		_ = filepath.WalkDir(outer, func(path string, d fs.DirEntry, werr error) error {
			if werr != nil {
				t.Fatal(werr)
			}
			info, ierr := d.Info()
			if ierr != nil {
				t.Fatal(ierr)
			}
			if !d.IsDir() && (!info.Mode().IsRegular() || !strings.HasPrefix(path, dir+"/p/")) {
				t.Errorf("%s: %v", path, info.Mode())
			}
			if !d.IsDir() {
				total += info.Size()
			}
			return nil
		})
		if total > max && err == nil {
			t.Errorf("%d bytes", total)
		}
	})
}

func FuzzFindLink(f *testing.F) {
	f.Add([]byte(`<a href="https://x/a.whl">`), false)
	f.Add([]byte(`{"files":[{"filename":"a.whl","url":"u"}]}`), true)
	f.Fuzz(func(t *testing.T, page []byte, isJSON bool) {
		if got := findLink(page, isJSON, "a.whl"); got != "" && len(page) == 0 {
			t.Error(got)
		}
	})
}
