package fetch

import (
	"context"
	"encoding/json"
	"fmt"
	"html"
	"io"
	"mime"
	"net/http"
	"net/url"
	"path"
	"regexp"
)

// acceptLinks asks for a project's page in the form that is read with the least doubt; every index has the other.
// https://packaging.python.org/en/latest/specifications/simple-repository-api/
const acceptLinks = "application/vnd.pypi.simple.v1+json, text/html;q=0.5"

// link returns the URL of a file that the page at says.
func (c *Client) link(ctx context.Context, at, file string) (string, error) {
	var found string
	err := c.read(ctx, at, acceptLinks, maxPage, func(body io.Reader, h http.Header) error {
		page, err := io.ReadAll(body)
		if err != nil {
			return err
		}
		kind, _, _ := mime.ParseMediaType(h.Get("Content-Type"))
		found = findLink(page, kind == "application/vnd.pypi.simple.v1+json", file)
		return nil
	})
	if err != nil {
		return "", err
	}
	if found == "" {
		return "", fmt.Errorf("%s has no file %s", redacted(at), file)
	}
	base, err := url.Parse(at)
	if err != nil {
		return "", fmt.Errorf("%s is no URL", redacted(at))
	}
	to, err := base.Parse(found)
	if err != nil || to.Scheme != "https" && to.Scheme != "http" {
		return "", fmt.Errorf("%s has a link to %s that cannot be followed", redacted(at), file)
	}
	if to.Host == base.Host && to.User == nil {
		to.User = base.User // a mirror that wants a password wants it for its files too
	}
	to.Fragment = ""
	return to.String(), nil
}

var hrefPattern = regexp.MustCompile(`(?is)<a\s[^>]*?href\s*=\s*(?:"([^"]*)"|'([^']*)')`)

// findLink returns the link to file on a project's page, or nothing.
func findLink(page []byte, isJSON bool, file string) string {
	if isJSON {
		var p struct {
			Files []struct{ Filename, URL string }
		}
		if err := json.Unmarshal(page, &p); err != nil {
			return ""
		}
		for _, f := range p.Files {
			if f.Filename == file {
				return f.URL
			}
		}
		return ""
	}
	for _, m := range hrefPattern.FindAllSubmatch(page, -1) {
		to := html.UnescapeString(string(m[1]) + string(m[2]))
		if u, err := url.Parse(to); err == nil && path.Base(u.Path) == file {
			return to
		}
	}
	return ""
}
