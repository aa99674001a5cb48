package app_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"artesian/internal/app"
)

// TestLocation: the URL of a function's code is at the address by which the client reached the platform.
func TestLocation(t *testing.T) {
	const public = "functions.example.com:8443"
	p := start(t, func(c *app.Config) { c.Hosts = []string{"functions.example.com"} })
	p.role()
	code := zipOf(t, map[string]string{"app.py": "def handler(e, c): return e\n"})
	if resp, body := p.tryCreate("f", code, nil); resp.StatusCode != http.StatusCreated {
		t.Fatal(body)
	}
	for host, want := range map[string]string{"": p.url + "/", public: "http://" + public + "/", "127.9.9.9:1": "http://127.9.9.9:1/"} {
		req, err := http.NewRequestWithContext(t.Context(), "GET", p.url+functionsPath+"/f", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Host = host
		sum := sha256.Sum256(nil)
		if err := v4.NewSigner().SignHTTP(t.Context(), p.creds, req, hex.EncodeToString(sum[:]), "lambda", "us-east-1", time.Now()); err != nil {
			t.Fatal(err)
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_, body := p.read(resp)
		location, _ := jsonField(t, body, "Code").(map[string]any)["Location"].(string)
		if !strings.HasPrefix(location, want) {
			t.Errorf("asked at %q: the code is at %s", host, location)
		}
		at, err := url.Parse(location)
		if err != nil {
			t.Fatal(err)
		}
		get, err := http.NewRequestWithContext(t.Context(), "GET", p.url+at.RequestURI(), nil)
		if err != nil {
			t.Fatal(err)
		}
		get.Host = at.Host
		resp, err = http.DefaultClient.Do(get)
		if err != nil {
			t.Fatal(err)
		}
		if _, body := p.read(resp); !bytes.Equal([]byte(body), code) {
			t.Errorf("%s: %d, %d bytes", location, resp.StatusCode, len(body))
		}
	}
}
