package fetch

import (
	"crypto/sha512"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func document(versions ...string) string {
	sum := sha512.Sum512([]byte(content))
	var all []string
	for _, v := range versions {
		all = append(all, fmt.Sprintf(`%q: {"dist": {"integrity": "sha1-x sha512-%s"}}`, v, base64.StdEncoding.EncodeToString(sum[:])))
	}
	return `{"versions": {` + strings.Join(all, ",") + `}}`
}

func TestNPMFile(t *testing.T) {
	mux := http.NewServeMux()
	mux.HandleFunc("/thing", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, document("22.9.0", "22.12.0", "22.13.0-rc.1", "23.0.0", "2.2.1"))
	})
	mux.HandleFunc("/thing/-/thing-22.12.0.tgz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, content) })
	s := httptest.NewServer(mux)
	t.Cleanup(s.Close)
	c := New(Registries{NPM: s.URL})
	for want, version := range map[string]string{"22": "22.12.0", "22.9": "22.9.0", "22.12.0": "22.12.0", "23": "23.0.0", "2": "2.2.1"} {
		if f, err := c.NPMFile(t.Context(), "thing", want, 100); err != nil || f.Version != version || f.Size != 100 {
			t.Errorf("%s: %+v, %v", want, f, err)
		}
	}
	f, err := c.NPMFile(t.Context(), "thing", "22", 100)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Get(t.Context(), f, into(t)); err != nil {
		t.Error(err)
	}
	for want, text := range map[string]string{"24": "has no thing 24", "": "no version", "22.x": "no version", "022": "no version", "22.13.0-rc.1": "no version", "1.2.3.4": "no version"} {
		if _, err := c.NPMFile(t.Context(), "thing", want, 100); err == nil || !strings.Contains(err.Error(), text) {
			t.Errorf("%q: %v", want, err)
		}
	}
	if _, err := newest([]byte(`{"versions": {"1.0.0": {"dist": {"integrity": "sha1-x"}}}}`), "x", "1"); err == nil || !strings.Contains(err.Error(), "no SHA-512") {
		t.Error(err)
	}
	if _, err := New(Registries{}).NPMFile(t.Context(), "thing", "22", 100); err == nil || !strings.Contains(err.Error(), "switched off") {
		t.Error(err)
	}
}

func FuzzNewest(f *testing.F) {
	f.Add([]byte(document("22.1.0")), "22")
	f.Add([]byte(`{"versions": {"1": null}}`), "1.0")
	f.Fuzz(func(t *testing.T, b []byte, want string) {
		file, err := newest(b, "x", want)
		if err == nil && (file.Hash == "" || !strings.HasPrefix(file.Version+".", want+".")) {
			t.Errorf("%+v for %q", file, want)
		}
	})
}
