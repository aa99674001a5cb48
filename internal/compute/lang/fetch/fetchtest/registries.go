// Package fetchtest tells tests where this machine reaches the package registries.
package fetchtest

import (
	"encoding/xml"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"artesian/internal/compute/lang/fetch"
)

// Registries returns those that pip, npm and Maven are configured for on this machine, the public ones where they are not.
func Registries(t testing.TB) fetch.Registries {
	t.Helper()
	r := fetch.Public()
	for _, c := range []struct {
		to  *string
		cmd []string
	}{
		{&r.PyPI, []string{"python3", "-m", "pip", "config", "get", "global.index-url"}},
		{&r.NPM, []string{"npm", "config", "get", "registry"}},
	} {
		if out, err := exec.Command(c.cmd[0], c.cmd[1:]...).Output(); err == nil {
			use(c.to, string(out))
		}
	}
	use(&r.PyPI, os.Getenv("PIP_INDEX_URL"))
	home, _ := os.UserHomeDir()
	if b, err := os.ReadFile(filepath.Join(home, ".m2", "settings.xml")); err == nil {
		use(&r.Maven, mirror(b))
	}
	return r
}

func use(to *string, configured string) {
	if u, err := url.Parse(strings.TrimSpace(configured)); err == nil && u.Host != "" {
		*to = u.String()
	}
}

// mirror returns the URL of the mirror of Maven Central that a settings.xml names, or nothing.
func mirror(settings []byte) string {
	var s struct {
		Mirrors []struct {
			Of  string `xml:"mirrorOf"`
			URL string `xml:"url"`
		} `xml:"mirrors>mirror"`
	}
	if err := xml.Unmarshal(settings, &s); err != nil {
		return ""
	}
	for _, m := range s.Mirrors {
		if m.Of == "*" || strings.Contains(m.Of, "central") || strings.HasPrefix(m.Of, "external:*") {
			return m.URL
		}
	}
	return ""
}
