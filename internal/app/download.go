package app

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"artesian/internal/engine/blob"
)

// downloadPath is where packages can be fetched by whoever has a URL for it.
const downloadPath = "/_artesian/code/"

// downloadTime is how long such a URL is good for, as on AWS Lambda.
const downloadTime = 10 * time.Minute

// downloads hands out URLs for packages and answers them. The key lives as long as the daemon.
type downloads struct {
	blobs *blob.Store
	key   [32]byte
	now   func() time.Time
}

func newDownloads(blobs *blob.Store, now func() time.Time) *downloads {
	d := &downloads{blobs: blobs, now: now}
	_, _ = rand.Read(d.key[:]) // crypto/rand.Read never returns an error
	return d
}

// Path returns where on this platform the package can be fetched for downloadTime: the URL without scheme and host.
func (d *downloads) Path(sha string) string {
	expires := strconv.FormatInt(d.now().Add(downloadTime).Unix(), 10)
	q := url.Values{"expires": {expires}, "signature": {d.sign(sha, expires)}}
	return downloadPath + sha + "?" + q.Encode()
}

func (d *downloads) sign(sha, expires string) string {
	m := hmac.New(sha256.New, d.key[:])
	m.Write([]byte(sha + "\n" + expires))
	return hex.EncodeToString(m.Sum(nil))
}

func (d *downloads) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	sha := strings.TrimPrefix(r.URL.Path, downloadPath)
	q := r.URL.Query()
	expires, err := strconv.ParseInt(q.Get("expires"), 10, 64)
	valid := subtle.ConstantTimeCompare([]byte(q.Get("signature")), []byte(d.sign(sha, q.Get("expires")))) == 1
	if err != nil || !valid || d.now().Unix() > expires || r.Method != http.MethodGet {
		http.Error(w, "This URL is not valid, or not any more.", http.StatusForbidden)
		return
	}
	body, size, err := d.blobs.Open(r.Context(), sha)
	if err != nil {
		http.Error(w, "The package does not exist any more.", http.StatusNotFound)
		return
	}
	defer body.Close()
	w.Header().Set("Content-Type", "application/zip")
	w.Header().Set("Content-Length", strconv.FormatInt(size, 10))
	if _, err := io.Copy(w, body); err != nil {
		panic(http.ErrAbortHandler) // a damaged package must not look complete
	}
}
