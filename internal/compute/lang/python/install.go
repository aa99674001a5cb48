package python

import (
	"context"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"strings"
	"time"

	"artesian/internal/compute/lang/ask"
	"artesian/internal/compute/lang/durable"
	"artesian/internal/compute/lang/lambda"
)

//go:embed runtime/*.py
var files embed.FS

const bootstrapName = "bootstrap.py"

// Install writes the bootstrap below dir, in a folder named by its content, and returns that folder, which a sandbox sees as
// /var/runtime. What is there is read and compared: a file that a power loss or a full disk cut short is written anew. All
// is on the disk when it returns.
func Install(dir string) (string, error) {
	folder, err := durable.Install(dir, "python-", files, "runtime")
	if err == nil {
		err = durable.MakeFolder(filepath.Join(folder, cacheDir))
	}
	for _, void := range []string{voidDir, voidDir + "/lib"} {
		if err == nil {
			err = durable.MakeFolder(filepath.Join(folder, void))
		}
	}
	return folder, err
}

// Ask runs script with arguments in the interpreter at host path, isolated from its user's settings, as ask.Run does.
func Ask(ctx context.Context, path string, input []byte, script string, args ...string) ([]byte, error) {
	answer, err := ask.Run(ctx, path, input, append([]string{"-I", "-S", "-c", script}, args...)...)
	return answer.Stdout, err
}

// compile answers the code objects of sources as files with which no source is compared: what they are of never changes in
// its place. What is no Python of this version is left out. The form of such files: https://peps.python.org/pep-0552/
const compile = `import base64, importlib.util as util, json, marshal, sys
answer = {}
for name, text in json.load(sys.stdin).items():
    source = base64.b64decode(text)
    try:
        code = compile(source, sys.argv[1] + "/" + name, "exec", dont_inherit=True)
    except (SyntaxError, ValueError):
        continue
    pyc = util.MAGIC_NUMBER + b"\x01\0\0\0" + util.source_hash(source) + marshal.dumps(code)
    answer[name] = base64.b64encode(pyc).decode()
json.dump(answer, sys.stdout)`

// compileAll has the interpreter at host path compile sources, which a sandbox sees below folder inside.
func compileAll(ctx context.Context, interpreter, inside string, sources map[string][]byte) (map[string][]byte, error) {
	input, err := json.Marshal(sources)
	if err != nil {
		return nil, err
	}
	out, err := Ask(ctx, interpreter, input, compile, inside)
	if err != nil {
		return nil, err
	}
	var compiled map[string][]byte
	if err := json.Unmarshal(out, &compiled); err != nil {
		return nil, fmt.Errorf("read what %s compiled: %w", interpreter, err)
	}
	return compiled, nil
}

// compileTime bounds one compilation.
const compileTime = 30 * time.Second

// cacheDir is where Python looks for the compiled form of modules.
const cacheDir = "__pycache__"

// Compile has the interpreter at a host path compile the bootstrap in folder, unless a result of before is there, whole, and
// returns where a sandbox that sees folder as /var/runtime finds the result. tag is the interpreter's
// sys.implementation.cache_tag. It takes 30 seconds at most.
func Compile(ctx context.Context, interpreter, folder, tag string) (string, error) {
	main := pycName(bootstrapName, tag)
	inside := lambda.RuntimeDir + "/" + main
	sum := filepath.Join(folder, cacheDir, tag+".sums")
	if complete(folder, sum) {
		return inside, nil
	}
	sources, _, err := durable.Sources(files, "runtime")
	if err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(ctx, compileTime)
	defer cancel()
	compiled, err := compileAll(ctx, interpreter, lambda.RuntimeDir, sources)
	if err != nil {
		return "", fmt.Errorf("compile bootstrap: %w", err)
	}
	sums := make(map[string]string, len(compiled))
	for name := range sources {
		pyc := compiled[name]
		if len(pyc) == 0 {
			return "", fmt.Errorf("compile bootstrap with %s: no code for %s", interpreter, name)
		}
		at := pycName(name, tag)
		sums[at] = digest(pyc)
		if err := durable.Replace(filepath.Join(folder, at), pyc, 0o644); err != nil {
			return "", fmt.Errorf("compile bootstrap: %w", err)
		}
	}
	list, err := json.Marshal(sums)
	if err == nil {
		err = durable.Replace(sum, list, 0o644)
	}
	if err != nil {
		return "", fmt.Errorf("compile bootstrap: %w", err)
	}
	return inside, nil
}

// pycName is where in the folder the compiled form of a source is. The main one, which is executed and not imported, is
// beside its source.
func pycName(source, tag string) string {
	at := cached(source, tag)
	if source == bootstrapName {
		return path.Base(at)
	}
	return at
}

// cached is where Python looks for the compiled form of a module.
func cached(source, tag string) string {
	dir, name := path.Split(source)
	return path.Join(dir, cacheDir, strings.TrimSuffix(name, ".py")+"."+tag+".pyc")
}

// complete reports whether the files of which sum has the digests are as they were written.
func complete(folder, sum string) bool {
	data, err := os.ReadFile(sum)
	var sums map[string]string
	if err != nil || json.Unmarshal(data, &sums) != nil || len(sums) == 0 {
		return false
	}
	for name, want := range sums {
		if pyc, err := os.ReadFile(filepath.Join(folder, name)); err != nil || digest(pyc) != want {
			return false
		}
	}
	return true
}

func digest(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}
