// Command gen writes the manifests of the runtime packs: it resolves what packages need with pip and npm, downloads every
// file once and notes its hash and size. Run it to move the packs to newer versions, and review what changes:
//
//	go generate ./internal/compute/lang/pack
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"artesian/internal/compute/lang/fetch"
	"artesian/internal/compute/lang/pack"
)

func main() {
	if err := run(context.Background()); err != nil {
		fmt.Fprintln(os.Stderr, "gen:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	tmp, err := os.MkdirTemp("", "packs-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(tmp)
	g := &generator{tmp: tmp, registries: fetch.Public()}
	for _, make := range []func(context.Context) (*pack.Manifest, error){g.python, g.node, g.java} {
		m, err := make(ctx)
		if err != nil {
			return err
		}
		b, err := json.MarshalIndent(m, "", " ")
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join("manifests", m.Name+".json"), append(b, '\n'), 0o644); err != nil {
			return err
		}
		fmt.Printf("%s %s: %d files, %.1f MB\n", m.Name, m.Version, len(m.Files), float64(m.Size())/1e6)
	}
	return nil
}

type generator struct {
	tmp        string
	registries fetch.Registries
}

// tool runs a program in the temporary folder and returns what it prints.
func (g *generator) tool(ctx context.Context, name string, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir, cmd.Stderr = g.tmp, os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return out, nil
}

// size downloads a file that its hash is known of and returns how large it is.
func (g *generator) size(ctx context.Context, f fetch.File) (int64, error) {
	f.Size = 256 << 20
	to, err := os.CreateTemp(g.tmp, "file-")
	if err != nil {
		return 0, err
	}
	defer to.Close()
	defer os.Remove(to.Name())
	if err := fetch.New(g.registries).Get(ctx, f, to); err != nil {
		return 0, err
	}
	return to.Seek(0, io.SeekEnd)
}

// licences are those of projects whose metadata say it in no form that pip reports, or in none that names it.
var licences = map[string]string{"urllib3": "MIT", "python-dateutil": "Apache-2.0 OR BSD-3-Clause", "s3transfer": "Apache-2.0"}

// python is boto3 and what it needs. All of it is pure Python.
func (g *generator) python(ctx context.Context) (*pack.Manifest, error) {
	out, err := g.tool(ctx, "python3", "-m", "pip", "install", "--dry-run", "--ignore-installed", "--quiet", "--disable-pip-version-check",
		"--only-binary", ":all:", "--report", "-", "boto3")
	if err != nil {
		return nil, err
	}
	var report struct {
		Install []struct {
			Download struct {
				URL     string
				Archive struct{ Hashes map[string]string } `json:"archive_info"`
			} `json:"download_info"`
			Metadata struct {
				Name, Version, License string
				Expression             string `json:"license_expression"`
				Classifier             []string
			}
		}
	}
	if err := json.Unmarshal(out, &report); err != nil {
		return nil, err
	}
	m := &pack.Manifest{Name: "boto3", Language: "python", Title: "AWS SDK for Python", Oldest: 10, Source: "https://pypi.org/project/boto3/"}
	for _, i := range report.Install {
		file := i.Download.URL[strings.LastIndexByte(i.Download.URL, '/')+1:]
		if !strings.HasSuffix(file, "-none-any.whl") {
			return nil, fmt.Errorf("%s is for one kind of machine only", file)
		}
		licence := i.Metadata.Expression
		if licence == "" {
			licence = i.Metadata.License
		}
		if known, ok := licences[i.Metadata.Name]; ok {
			licence = known
		}
		f := pack.File{Licence: licence, File: fetch.File{Registry: fetch.PyPI, Name: i.Metadata.Name, Version: i.Metadata.Version, File: file,
			Hash: "sha256:" + i.Download.Archive.Hashes["sha256"]}}
		if f.Size, err = g.size(ctx, f.File); err != nil {
			return nil, err
		}
		if f.Name == "boto3" {
			m.Version = f.Version
		}
		m.Files = append(m.Files, f)
	}
	return m, nil
}
