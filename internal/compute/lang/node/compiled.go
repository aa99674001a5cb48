package node

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"artesian/internal/compute/lang/durable"
	"artesian/internal/compute/lang/lambda"
	"artesian/internal/compute/sandbox"
	"artesian/internal/faas"
)

const (
	compileMB   = 512
	maxCompiled = 128 << 20 // bytes
	stale       = time.Hour // after which nobody writes a file any more
	codeCache   = "code.cache"
)

// packageHash is how packages are named; what is not so named has no content that cannot change.
var packageHash = regexp.MustCompile(`^[0-9a-f]{64}$`)

// Compile implements lang.Compiled: Node.js compiles the CommonJS files of a package, and executes none of them.
func (r *Runtime) Compile(spec *sandbox.Spec, v *faas.Version, code string) bool {
	at := r.compiled(v)
	if at == "" {
		return false
	}
	if _, err := os.Stat(at); err == nil {
		return false
	}
	spec.Mounts = append(append(spec.Mounts, r.interpreter.Mounts...), sandbox.Mount{Source: code, Target: lambda.TaskRoot})
	spec.Argv = append(r.argv(compileMB, "", "compile.cjs"), lambda.TaskRoot)
	spec.Env = append(lambda.Defaults(), r.execution())
	spec.MemoryMB, spec.Dir, spec.Channel = compileMB, "/", true
	return true
}

// KeepCompiled implements lang.Compiled. Nothing is kept, too: there was nothing to compile.
func (r *Runtime) KeepCompiled(v *faas.Version, from io.Reader) error {
	at := r.compiled(v)
	if at == "" {
		return errors.New("the package has no hash")
	}
	b, err := io.ReadAll(io.LimitReader(from, maxCompiled+1))
	switch {
	case err != nil:
		return fmt.Errorf("read compiled code: %w", err)
	case len(b) > maxCompiled:
		return fmt.Errorf("compiled code is larger than %d bytes", maxCompiled)
	}
	return durable.Replace(at, b, 0o644)
}

// compiled is where on the host the compiled code of v's package is, for this Node.js and bootstrap; empty where it can have none.
func (r *Runtime) compiled(v *faas.Version) string {
	if r.interpreter.Compiled == "" || !packageHash.MatchString(v.Code.SHA256) {
		return ""
	}
	key := r.interpreter.Exec
	for _, m := range r.interpreter.Mounts {
		if m.Target == lambda.RuntimeDir {
			key = m.Source // named by its content
		}
	}
	sum := sha256.Sum256(fmt.Appendf(nil, "%v %s %s", r.interpreter.Version, r.interpreter.Path, filepath.Base(key)))
	return filepath.Join(r.interpreter.Compiled, v.Code.SHA256+"-"+hex.EncodeToString(sum[:8]))
}

// showCompiled adds the compiled code of v's package to what the function sees.
func (r *Runtime) showCompiled(spec *sandbox.Spec, v *faas.Version) {
	at := r.compiled(v)
	if at == "" {
		return
	}
	if info, err := os.Stat(at); err == nil && info.Size() > 0 {
		spec.Mounts = append(spec.Mounts, sandbox.Mount{Source: at, Target: lambda.RuntimeDir + "/" + codeCache})
	}
}

// SweepCompiled removes from folder the code of packages that nobody has any more, and what a killed daemon left half written.
func SweepCompiled(folder string, used func(sha256 string) bool) error {
	entries, err := os.ReadDir(folder)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("sweep compiled code: %w", err)
	}
	for _, e := range entries {
		sha, _, _ := strings.Cut(e.Name(), "-")
		if packageHash.MatchString(sha) {
			if used(sha) {
				continue
			}
		} else if info, err := e.Info(); err != nil || time.Since(info.ModTime()) < stale {
			continue // being written
		}
		if err := os.Remove(filepath.Join(folder, e.Name())); err != nil {
			return fmt.Errorf("sweep compiled code: %w", err)
		}
	}
	return nil
}
