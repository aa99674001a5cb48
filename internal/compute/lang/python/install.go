package python

import (
	"context"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"artesian/internal/compute/lang/lambda"
)

//go:embed runtime/*.py
var files embed.FS

const bootstrapName = "bootstrap.py"

// Install writes the bootstrap below dir, in a folder named by its content, and returns that folder. It does nothing when
// the folder is there. The folder is what a sandbox sees as /var/runtime.
func Install(dir string) (string, error) {
	sources, hash, err := sources()
	if err != nil {
		return "", err
	}
	final := filepath.Join(dir, "python-"+hash)
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
	if err := os.Mkdir(filepath.Join(tmp, "__pycache__"), 0o755); err != nil {
		return "", fmt.Errorf("create runtime folder: %w", err)
	}
	for name, text := range sources {
		if err := os.WriteFile(filepath.Join(tmp, name), text, 0o644); err != nil {
			return "", fmt.Errorf("write bootstrap: %w", err)
		}
	}
	if err := os.Rename(tmp, final); err != nil {
		if _, other := os.Stat(filepath.Join(final, bootstrapName)); other == nil {
			return final, nil // somebody else was faster
		}
		return "", fmt.Errorf("install bootstrap: %w", err)
	}
	return final, nil
}

// sources returns the files by name, and a hash over all of them.
func sources() (map[string][]byte, string, error) {
	entries, err := files.ReadDir("runtime")
	if err != nil {
		return nil, "", fmt.Errorf("read embedded bootstrap: %w", err)
	}
	all := make(map[string][]byte, len(entries))
	hash := sha256.New()
	for _, e := range entries { // in the order of their names
		text, err := files.ReadFile("runtime/" + e.Name())
		if err != nil {
			return nil, "", fmt.Errorf("read embedded bootstrap: %w", err)
		}
		all[e.Name()] = text
		fmt.Fprintf(hash, "%s %d\n%s", e.Name(), len(text), text)
	}
	return all, hex.EncodeToString(hash.Sum(nil)[:8]), nil
}

// compile writes the code objects to files with which no source is compared: the folder's name is the comparison. The
// main one comes last and beside its source: it is executed, not imported.
const compile = `import os, py_compile, sys
folder, inside, tag = sys.argv[1:]
os.umask(0o022)
for name in sorted(os.listdir(folder), key="bootstrap.py".__eq__):
    stem, ext = os.path.splitext(name)
    if ext == ".py":
        place = folder if stem == "bootstrap" else folder + "/__pycache__"
        py_compile.compile(folder + "/" + name, "%s/%s.%s.pyc" % (place, stem, tag), inside + "/" + name, doraise=True,
                           invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH)`

// Compile has the interpreter at host path compile the bootstrap in folder, unless it has before, and returns where a
// sandbox that sees folder as /var/runtime finds the result. tag is the interpreter's sys.implementation.cache_tag.
func Compile(ctx context.Context, path, folder, tag string) (string, error) {
	name := strings.TrimSuffix(bootstrapName, ".py") + "." + tag + ".pyc"
	inside := lambda.RuntimeDir + "/" + name
	if _, err := os.Stat(filepath.Join(folder, name)); err == nil {
		return inside, nil
	}
	cmd := exec.CommandContext(ctx, path, "-I", "-S", "-c", compile, folder, lambda.RuntimeDir, tag)
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("compile bootstrap with %s: %w: %.200s", path, err, out)
	}
	return inside, nil
}
