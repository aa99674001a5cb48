// Package fetch gets single files of exact versions from the public package registries or their mirrors: PyPI, npm and
// Maven Central. Every file is checked against a hash that the caller knows beforehand.
package fetch

import (
	"fmt"
	"net/url"
	"strings"
)

// The kinds of registry.
const (
	PyPI  = "pypi"
	NPM   = "npm"
	Maven = "maven"
)

// Registries are base URLs. An empty one means that this registry is not asked.
type Registries struct {
	PyPI  string `json:"pypi"`  // a simple repository (PEP 503), as pip's index-url
	NPM   string `json:"npm"`   // as npm's registry
	Maven string `json:"maven"` // a repository in Maven's layout
}

// Public returns the registries that everybody uses.
func Public() Registries {
	return Registries{PyPI: "https://pypi.org/simple", NPM: "https://registry.npmjs.org", Maven: "https://repo.maven.apache.org/maven2"}
}

// Check refuses a base URL that no file can be got from.
func (r Registries) Check() error {
	for _, kind := range []string{PyPI, NPM, Maven} {
		base := r.base(kind)
		if base == "" {
			continue
		}
		u, err := url.Parse(base)
		switch {
		case err != nil:
			return fmt.Errorf("registries.%s: it is not a URL", kind) // the URL may hold a password
		case u.Scheme != "https" && u.Scheme != "http" || u.Host == "":
			return fmt.Errorf("registries.%s: it must be an http:// or https:// URL, or empty to leave the registry alone", kind)
		case u.RawQuery != "" || u.Fragment != "":
			return fmt.Errorf("registries.%s: it must have neither a query nor a fragment", kind)
		}
	}
	return nil
}

func (r Registries) base(kind string) string {
	return strings.TrimSuffix(map[string]string{PyPI: r.PyPI, NPM: r.NPM, Maven: r.Maven}[kind], "/")
}

// Has reports whether registry kind may be asked.
func (r Registries) Has(kind string) bool { return r.base(kind) != "" }

// File is one file of a registry.
type File struct {
	Registry string `json:"registry"`       // pypi, npm or maven
	Name     string `json:"name"`           // boto3, @aws-sdk/client-s3, com.amazonaws:aws-lambda-java-core
	Version  string `json:"version"`        // exact
	File     string `json:"file,omitempty"` // its file's name; of npm it follows from the others
	Hash     string `json:"hash"`           // sha256: or sha512: and lower-case hexadecimal digits
	Size     int64  `json:"size"`           // bytes; no more are read
}

// String names the file for people.
func (f File) String() string {
	if f.File != "" {
		return f.File
	}
	return f.Name + "@" + f.Version
}

// direct returns the file's URL where the registry's layout determines it; of PyPI it is that of the page that links to it.
func (r Registries) direct(f File) (string, error) {
	base := r.base(f.Registry)
	if base == "" {
		return "", fmt.Errorf("registry %s is switched off", f.Registry)
	}
	switch f.Registry {
	case PyPI:
		return base + "/" + strings.ToLower(strings.NewReplacer("_", "-", ".", "-").Replace(f.Name)) + "/", nil
	case NPM:
		plain := f.Name[strings.LastIndexByte(f.Name, '/')+1:]
		return fmt.Sprintf("%s/%s/-/%s-%s.tgz", base, f.Name, plain, f.Version), nil
	default:
		group, artifact, ok := strings.Cut(f.Name, ":")
		if !ok {
			return "", fmt.Errorf("%q is no GROUP:ARTIFACT", f.Name)
		}
		return fmt.Sprintf("%s/%s/%s/%s/%s", base, strings.ReplaceAll(group, ".", "/"), artifact, f.Version, f.File), nil
	}
}
