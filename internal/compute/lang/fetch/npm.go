package fetch

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// NPMFile finds the newest release of a package of npm's whose version is want or begins with it (22 or 22.12), with the
// hash that the registry gives for it. No more than max bytes of it will be read.
func (c *Client) NPMFile(ctx context.Context, name, want string, max int64) (File, error) {
	base := c.registries.base(NPM)
	if base == "" {
		return File{}, fmt.Errorf("the registry npm is switched off (registries in config.json)")
	}
	var f File
	err := retried(ctx, func() error {
		return c.read(ctx, base+"/"+name, "application/vnd.npm.install-v1+json", maxPage, func(body io.Reader, _ http.Header) error {
			b, err := io.ReadAll(body)
			if err == nil {
				f, err = newest(b, name, want)
			}
			return err
		})
	})
	f.Size = max
	return f, err
}

// newest reads a registry's document about a package.
// https://github.com/npm/registry/blob/main/docs/responses/package-metadata.md
func newest(document []byte, name, want string) (File, error) {
	var d struct {
		Versions map[string]struct {
			Dist struct{ Integrity string }
		}
	}
	if err := json.Unmarshal(document, &d); err != nil {
		return File{}, fmt.Errorf("read what the registry says of %s: %w", name, err)
	}
	prefix, ok := release(want)
	if !ok {
		return File{}, fmt.Errorf("%q is no version such as 22.12.0 or 22", want)
	}
	var best []int
	f := File{Registry: NPM, Name: name}
	for version, v := range d.Versions {
		parts, ok := release(version)
		if !ok || len(parts) != 3 || !slices.Equal(parts[:len(prefix)], prefix) || slices.Compare(parts, best) < 0 {
			continue
		}
		best, f.Version, f.Hash = parts, version, integrity(v.Dist.Integrity)
	}
	switch {
	case best == nil:
		return File{}, fmt.Errorf("the registry has no %s %s", name, want)
	case f.Hash == "":
		return File{}, fmt.Errorf("the registry gives no SHA-512 for %s@%s", name, f.Version)
	}
	return f, nil
}

// release reads up to three numbers between dots; what is more than a plain release is none.
func release(s string) (parts []int, ok bool) {
	for p := range strings.SplitSeq(s, ".") {
		n, err := strconv.ParseUint(p, 10, 31)
		if err != nil || len(parts) == 3 || strconv.FormatUint(n, 10) != p {
			return nil, false
		}
		parts = append(parts, int(n))
	}
	return parts, true
}

// integrity turns a subresource integrity string into the form that File has; empty when it has no SHA-512.
func integrity(s string) string {
	for part := range strings.FieldsSeq(s) {
		digest, ok := strings.CutPrefix(part, "sha512-")
		b, err := base64.StdEncoding.DecodeString(digest)
		if ok && err == nil && len(b) == 64 {
			return "sha512:" + hex.EncodeToString(b)
		}
	}
	return ""
}
