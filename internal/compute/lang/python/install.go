package python

import (
	"context"
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"artesian/internal/compute/lang/lambda"
)

//go:embed bootstrap.py
var bootstrap []byte

const bootstrapName = "bootstrap.py"

// Install writes the bootstrap below dir, in a folder named by its content, and returns that folder. It does nothing when
// the folder is there. The folder is what a sandbox sees as /var/runtime.
func Install(dir string) (string, error) {
	sum := sha256.Sum256(bootstrap)
	final := filepath.Join(dir, "python-"+hex.EncodeToString(sum[:8]))
	if _, err := os.Stat(filepath.Join(final, bootstrapName)); err == nil {
		return final, nil
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", fmt.Errorf("create runtime folder: %w", err)
	}
	tmp, err := os.MkdirTemp(dir, ".python-")
	if err != nil {
		return "", fmt.Errorf("create runtime folder: %w", err)
	}
	defer os.RemoveAll(tmp)
	if err := os.Chmod(tmp, 0o755); err != nil {
		return "", fmt.Errorf("create runtime folder: %w", err)
	}
	if err := os.WriteFile(filepath.Join(tmp, bootstrapName), bootstrap, 0o644); err != nil {
		return "", fmt.Errorf("write bootstrap: %w", err)
	}
	if err := os.Rename(tmp, final); err != nil {
		if _, other := os.Stat(filepath.Join(final, bootstrapName)); other == nil {
			return final, nil // somebody else was faster
		}
		return "", fmt.Errorf("install bootstrap: %w", err)
	}
	return final, nil
}

// compile writes the code object to a file that no source is compared with: the folder's name is the comparison.
const compile = `import py_compile, sys
py_compile.compile(sys.argv[1], sys.argv[2], sys.argv[3], doraise=True,
                   invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH)`

// Compile has the interpreter at host path compile the bootstrap in folder, unless it has before, and returns where a
// sandbox that sees folder as /var/runtime finds the result. tag is the interpreter's sys.implementation.cache_tag.
func Compile(ctx context.Context, path, folder, tag string) (string, error) {
	name := strings.TrimSuffix(bootstrapName, ".py") + "." + tag + ".pyc"
	inside := lambda.RuntimeDir + "/" + name
	if _, err := os.Stat(filepath.Join(folder, name)); err == nil {
		return inside, nil
	}
	cmd := exec.CommandContext(ctx, path, "-I", "-S", "-c", compile,
		filepath.Join(folder, bootstrapName), filepath.Join(folder, name), lambda.RuntimeDir+"/"+bootstrapName)
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("compile bootstrap with %s: %w: %s", path, err, out)
	}
	if err := os.Chmod(filepath.Join(folder, name), 0o644); err != nil {
		return "", fmt.Errorf("compile bootstrap: %w", err)
	}
	return inside, nil
}
