package fetch

import (
	"context"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// Times after which a registry counts as not reachable. The whole is bounded by the caller's context.
const (
	connectTime = 3 * time.Second
	answerTime  = 10 * time.Second
	stallTime   = 15 * time.Second // without a byte
	retryPause  = 500 * time.Millisecond
	tries       = 3
)

// maxPage bounds a page of links, in bytes: those of projects with thousands of releases have two million.
const maxPage = 32 << 20

// Client gets files. Its methods are safe for concurrent use.
type Client struct {
	registries Registries
	http       *http.Client
}

// New returns a client of the given registries. The usual variables HTTPS_PROXY, HTTP_PROXY and NO_PROXY are honoured.
func New(r Registries) *Client {
	return &Client{registries: r, http: &http.Client{Transport: &http.Transport{
		Proxy:                 http.ProxyFromEnvironment,
		DialContext:           (&net.Dialer{Timeout: connectTime}).DialContext,
		TLSHandshakeTimeout:   connectTime,
		ResponseHeaderTimeout: answerTime,
		MaxIdleConnsPerHost:   4,
		IdleConnTimeout:       10 * time.Second,
		ForceAttemptHTTP2:     true,
	}}}
}

// Has reports whether registry kind may be asked.
func (c *Client) Has(kind string) bool { return c.registries.Has(kind) }

// Rest lets go of connections that are kept for further files.
func (c *Client) Rest() { c.http.CloseIdleConnections() }

// MismatchError says that a registry has another file than the one that was asked for. It is not tried again.
type MismatchError struct{ File, URL, Want, Got string }

func (e *MismatchError) Error() string {
	return fmt.Sprintf("%s from %s is not the file that it should be: its hash is %s and not %s", e.File, e.URL, e.Got, e.Want)
}

// Get writes the file to w, from its beginning, and returns nil once all of it has been written and its hash is right. On
// error w may have anything. A server's errors and broken connections are tried again a few times.
func (c *Client) Get(ctx context.Context, f File, w io.WriteSeeker) error {
	at, err := c.registries.direct(f)
	if err != nil {
		return err
	}
	if f.Registry == PyPI {
		index := at // stays, for a further try
		if err := retried(ctx, func() (err error) { at, err = c.link(ctx, index, f.File); return err }); err != nil {
			return err
		}
	}
	return retried(ctx, func() error { return c.save(ctx, f, at, w) })
}

// again marks what a further try may mend.
type again struct{ error }

func (a again) Unwrap() error { return a.error }

func retried(ctx context.Context, do func() error) error {
	for try := 1; ; try++ {
		err := do()
		var once again
		if err == nil || !errors.As(err, &once) || try == tries {
			return err
		}
		select {
		case <-time.After(retryPause):
		case <-ctx.Done():
			return err
		}
	}
}

func (c *Client) save(ctx context.Context, f File, at string, w io.WriteSeeker) error {
	sum, err := newHash(f.Hash)
	if err != nil {
		return err
	}
	if _, err := w.Seek(0, io.SeekStart); err != nil {
		return fmt.Errorf("write %s: %w", f, err)
	}
	size := int64(0)
	err = c.read(ctx, at, "", f.Size, func(body io.Reader, _ http.Header) error {
		size, err = io.Copy(io.MultiWriter(w, sum), body)
		return err
	})
	if err != nil {
		return err
	}
	kind, _, _ := strings.Cut(f.Hash, ":")
	if got := kind + ":" + hex.EncodeToString(sum.Sum(nil)); got != f.Hash {
		if size < f.Size && strings.HasPrefix(f.Hash, "sha") {
			got += fmt.Sprintf(" (it has %d bytes instead of %d)", size, f.Size)
		}
		return &MismatchError{File: f.String(), URL: redacted(at), Want: f.Hash, Got: got}
	}
	return nil
}

// newHash returns the hash that a File's Hash is of.
func newHash(want string) (hash.Hash, error) {
	kind, digits, _ := strings.Cut(want, ":")
	b, err := hex.DecodeString(digits)
	switch {
	case err == nil && kind == "sha256" && len(b) == sha256.Size:
		return sha256.New(), nil
	case err == nil && kind == "sha512" && len(b) == sha512.Size:
		return sha512.New(), nil
	}
	return nil, fmt.Errorf("%q is neither a SHA-256 nor a SHA-512", want)
}

// read hands an answer's body of at most max bytes to use. It fails when nothing comes for stallTime.
func (c *Client) read(ctx context.Context, at, accept string, max int64, use func(io.Reader, http.Header) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, at, nil)
	if err != nil {
		return errors.New("the registry's address is no URL")
	}
	if accept != "" {
		req.Header.Set("Accept", accept)
	}
	req.Header.Set("User-Agent", "artesian")
	resp, err := c.http.Do(req)
	if err != nil {
		var op *net.OpError
		if errors.As(err, &op) && op.Op == "dial" { // no network: trying again only takes time
			return fmt.Errorf("reach %s: %w", host(at), op)
		}
		return again{fmt.Errorf("reach %s: %w", host(at), unwrapURL(err))}
	}
	defer resp.Body.Close()
	switch {
	case resp.StatusCode >= 500 || resp.StatusCode == http.StatusTooManyRequests:
		return again{fmt.Errorf("%s answers %s", redacted(at), resp.Status)}
	case resp.StatusCode != http.StatusOK:
		return fmt.Errorf("%s answers %s", redacted(at), resp.Status)
	}
	body := &watched{in: resp.Body, left: max, stall: time.AfterFunc(stallTime, cancel)}
	defer body.stall.Stop()
	err = use(body, resp.Header)
	switch {
	case body.over:
		return fmt.Errorf("%s has more than the %d bytes that it should", redacted(at), max)
	case body.failed != nil:
		return again{fmt.Errorf("read %s: %w", redacted(at), body.failed)}
	}
	return err
}

// watched bounds a body, and keeps apart its own errors from those of who takes it.
type watched struct {
	in     io.Reader
	left   int64
	stall  *time.Timer
	over   bool
	failed error
}

func (b *watched) Read(p []byte) (int, error) {
	n, err := b.in.Read(p)
	if n > 0 {
		b.stall.Reset(stallTime)
	}
	if b.left -= int64(n); b.left < 0 {
		b.over = true
		return 0, errors.New("too large")
	}
	if err != nil && err != io.EOF {
		b.failed = err
	}
	return n, err
}

// host is what may be told of a base URL that does not answer.
func host(at string) string {
	if u, err := url.Parse(at); err == nil {
		return u.Host
	}
	return "the registry"
}

// redacted is a URL without who asks: a token may stand where a user's name does.
func redacted(at string) string {
	u, err := url.Parse(at)
	if err != nil {
		return "the registry"
	}
	u.User = nil
	return u.String()
}

// unwrapURL takes off the layer that repeats the URL, which may hold a password.
func unwrapURL(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		return u.Err
	}
	return err
}
