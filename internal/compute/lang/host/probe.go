package host

import (
	"context"
	_ "embed"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"artesian/internal/compute/lang/python"
)

// probeTime bounds what one interpreter may take to describe itself.
const probeTime = 20 * time.Second

//go:embed probe.py
var probeScript string

// facts is what an interpreter says about itself.
type facts struct {
	Implementation string   `json:"implementation"` // cpython
	Version        []int    `json:"version"`        // 3 11 7
	Tag            string   `json:"tag"`            // cpython-311
	Executable     string   `json:"executable"`
	Prefix         string   `json:"prefix"`   // base_prefix
	Stdlib         string   `json:"stdlib"`   // pure modules
	Dynload        []string `json:"dynload"`  // folders of extension modules
	CAFile         string   `json:"ca_file"`  // where its OpenSSL looks for certificates
	Packages       []string `json:"packages"` // site-packages below the prefix
}

// probe asks the interpreter at path.
func probe(ctx context.Context, path string) (*facts, error) {
	ctx, cancel := context.WithTimeout(ctx, probeTime)
	defer cancel()
	out, err := python.Ask(ctx, path, nil, probeScript)
	if err != nil {
		return nil, err
	}
	f := new(facts)
	if err := json.Unmarshal(out, f); err != nil {
		return nil, fmt.Errorf("ask %s: %w", path, err)
	}
	if err := f.check(); err != nil {
		return nil, fmt.Errorf("use %s: %w", path, err)
	}
	if f.Executable, err = filepath.EvalSymlinks(f.Executable); err != nil {
		return nil, fmt.Errorf("find the real place of %s: %w", path, err)
	}
	return f, nil
}

// oldest is the first Python 3 that the bootstrap runs on.
const oldest = 8

func (f *facts) check() error {
	if f.Implementation != "cpython" || len(f.Version) != 3 || f.Version[0] != 3 || f.Version[1] < oldest {
		return fmt.Errorf("it is %s %v, and CPython 3.%d or newer is needed", f.Implementation, f.Version, oldest)
	}
	for _, p := range []string{f.Executable, f.Prefix, f.Stdlib} {
		if !filepath.IsAbs(p) {
			return fmt.Errorf("it does not know its own place (%q)", p)
		}
	}
	if !strings.HasPrefix(f.Stdlib, f.Prefix+"/") {
		return fmt.Errorf("its library %s is not below its prefix %s", f.Stdlib, f.Prefix)
	}
	if _, err := os.Stat(filepath.Join(f.Stdlib, "os.py")); err != nil {
		return fmt.Errorf("its library %s is incomplete: %w", f.Stdlib, err)
	}
	return nil
}
