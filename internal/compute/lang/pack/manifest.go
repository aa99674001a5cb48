// Package pack installs runtime packs: what AWS Lambda's managed runtimes carry beside their language, such as boto3. A pack
// is pinned to the byte by a manifest in the program, got from public registries when a function first needs it, and shown
// to functions read-only.
package pack

import (
	"embed"
	"encoding/json"
	"fmt"
	"io/fs"

	"artesian/internal/compute/lang/fetch"
)

//go:generate go run ./gen

//go:embed manifests/*.json
var manifests embed.FS

// Manifest lists a pack's files.
type Manifest struct {
	Name     string `json:"name"`
	Language string `json:"language"` // python, nodejs, java: what the identifiers of its runtimes begin with
	Title    string `json:"title"`
	Version  string `json:"version"`
	Oldest   int    `json:"oldest"` // version of the language that it needs, as runtime identifiers count: 10 is python3.10
	Needed   bool   `json:"needed"` // without it no function of its language runs
	Source   string `json:"source"`
	Files    []File `json:"files"`
}

// File is one file of a pack and where it goes. Wheels (.whl) and npm's tarballs are unpacked.
type File struct {
	fetch.File
	Into    string `json:"into,omitempty"` // folder within the pack
	Licence string `json:"licence"`
}

// Registry is where all of a pack's files are.
func (m *Manifest) Registry() string { return m.Files[0].Registry }

// Size is what has to be downloaded, in bytes.
func (m *Manifest) Size() (n int64) {
	for _, f := range m.Files {
		n += f.Size
	}
	return n
}

// Manifests returns the packs that this program knows, by name.
func Manifests() ([]*Manifest, error) {
	return readManifests(manifests)
}

func readManifests(fsys fs.FS) ([]*Manifest, error) {
	files, err := fs.Glob(fsys, "manifests/*.json")
	if err != nil {
		return nil, fmt.Errorf("list manifests: %w", err)
	}
	var all []*Manifest
	for _, name := range files {
		b, err := fs.ReadFile(fsys, name)
		if err != nil {
			return nil, fmt.Errorf("read manifest: %w", err)
		}
		m := new(Manifest)
		if err := json.Unmarshal(b, m); err != nil {
			return nil, fmt.Errorf("read manifest %s: %w", name, err)
		}
		if len(m.Files) == 0 {
			return nil, fmt.Errorf("manifest %s lists no files", name)
		}
		all = append(all, m)
	}
	return all, nil
}
